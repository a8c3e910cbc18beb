"""Who may become a node: the checks of ``admission: verified``, over one certificate request and what EC2 says now.

Only requests made with our own tokens are ever answered. One that fails is denied, because nobody else will want to
approve it; all others (kubeadm's, a manual join, renewals) are left to whoever they belong to. The name in the
certificate is what the bearer becomes (kubernetes.io/docs/reference/access-authn-authz/node), so the name has to be
that of an instance that was launched for this cluster, runs, and has no certificate yet.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from agent.model import names
from agent.model.ec2 import Machine
from agent.model.kubernetes import CertificateRequest, Node
from agent.model.plan import Cluster
from agent.model.reasons import Reason

SIGNER: Final = "kubernetes.io/kube-apiserver-client-kubelet"
MAX_AGE_SECONDS: Final = 600
"""An instance asks within seconds of its token; an older request belongs to a machine that gave up."""
VISIBLE_SECONDS: Final = 60
"""EC2 may not know an instance yet that it launched moments ago (its API is eventually consistent)."""
SIGNING_SECONDS: Final = 60
"""A request that was decided this recently may be an approval whose certificate is not signed yet."""

_USER_PREFIX: Final = "system:bootstrap:"
_NODE_PREFIX: Final = "system:node:"
_NODES: Final = "system:nodes"
_USAGES: Final = (
    ("client auth", "digital signature"),
    ("client auth", "digital signature", "key encipherment"),  # RSA keys
)
_INSTANCE_ID: Final = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_ROLE_BASE: Final = "base"
_ROLE_CONTROL_PLANE: Final = "control-plane"

Decision = Literal["approve", "deny", "ignore"]


class Verdict(msgspec.Struct, frozen=True):
    """What to do about a request. ``ignore`` leaves it as it is; it may be looked at again.

    An ignored request has a reason only when it was made with a token of ours and something is being waited for.
    """

    decision: Decision
    reason: Reason | None = None


class Evidence(msgspec.Struct, frozen=True):
    """What a request is judged by, all of it read after the request was seen."""

    now: datetime
    cluster: Cluster
    token_ids: frozenset[str]
    """Ids of live bootstrap tokens of ours."""
    machine: Machine | None
    """The instance of the name asked for, by a fresh look-up in EC2; None when EC2 knows none."""
    nodes: tuple[Node, ...] = ()
    requests: tuple[CertificateRequest, ...] = ()
    """Every certificate request that exists, this one included or not."""
    approved: frozenset[str] = frozenset()
    """Node names that this process has approved, so that two requests of one moment are not both granted."""
    node_name: str = "instance-id"
    """The setting ``nodeName``: instance-id or private-dns."""


def asked_name(request: CertificateRequest) -> str:
    """The node name that a request asks for, which is what to look up in EC2; empty when it asks for none."""
    return request.common_name.removeprefix(_NODE_PREFIX) if request.common_name.startswith(_NODE_PREFIX) else ""


def is_ours(request: CertificateRequest, token_ids: frozenset[str]) -> bool:
    """Whether a request was made with a bootstrap token of ours; the API server stamps user and groups itself."""
    return (
        request.username.startswith(_USER_PREFIX)
        and request.username.removeprefix(_USER_PREFIX) in token_ids
        and names.BOOTSTRAP_GROUP in request.groups
    )


def review(request: CertificateRequest, evidence: Evidence) -> Verdict:
    """Approve, deny or leave alone one certificate request."""
    if request.decided or request.issued or not is_ours(request, evidence.token_ids):
        return Verdict("ignore")
    for check in _SHAPE:
        if refusal := check(request):
            return _deny(request, refusal)
    name = asked_name(request)
    if refusal := _stale(request, evidence) or _misnamed(name, evidence):
        return _deny(request, refusal)
    if evidence.machine is None:
        return _unknown(request, name, evidence)
    if refusal := _foreign(name, evidence.machine, evidence) or _repeated(request, name, evidence):
        return _deny(request, refusal)
    if _undecided(request, evidence):
        return _wait(f"another certificate request for {name} was decided moments ago; waiting for its outcome")
    return Verdict("approve", Reason("CertificateApproved", f"instance {name} may join: {_why(evidence.machine)}"))


def _deny(request: CertificateRequest, refusal: str) -> Verdict:
    who = request.common_name or "no name"
    return Verdict("deny", Reason("CertificateDenied", f"certificate request {request.meta.name} for {who}: {refusal}"))


def _wait(message: str) -> Verdict:
    return Verdict("ignore", Reason("CertificateDenied", message))


def _why(machine: Machine) -> str:
    for_whom = f"launched for NodeClaim {machine.claim}" if machine.claim else "a base machine of this cluster"
    return f"it is {machine.state} in EC2, {for_whom}, and has no certificate yet"


def _unreadable(request: CertificateRequest) -> str:
    return f"it cannot be read: {request.fault}" if request.fault else ""


def _wrong_signer(request: CertificateRequest) -> str:
    return "" if request.signer == SIGNER else f"it asks the signer {request.signer}, but a join needs {SIGNER} only"


def _wrong_usages(request: CertificateRequest) -> str:
    if tuple(sorted(request.usages)) in _USAGES:
        return ""
    return f"it asks for the usages {', '.join(request.usages) or 'none'}, not exactly those of a kubelet's client"


def _wrong_organization(request: CertificateRequest) -> str:
    if request.organizations == (_NODES,):
        return ""
    return f"its organizations are {', '.join(request.organizations) or 'none'}, not {_NODES} alone"


def _wrong_common_name(request: CertificateRequest) -> str:
    return "" if asked_name(request) else f"its common name does not begin with {_NODE_PREFIX}"


def _names_in_it(request: CertificateRequest) -> str:
    if not request.sans:
        return ""
    return f"it names {', '.join(request.sans)} as alternative names, and a kubelet's client certificate has none"


def _bad_key(request: CertificateRequest) -> str:
    return f"its key is not acceptable: {request.key_fault}" if request.key_fault else ""


_SHAPE: Final[tuple[Callable[[CertificateRequest], str], ...]] = (
    _unreadable,
    _wrong_signer,
    _wrong_usages,
    _wrong_organization,
    _wrong_common_name,
    _names_in_it,
    _bad_key,
)
"""Checks of the request alone; each gives the sentence of its refusal, or nothing."""


def _age(request: CertificateRequest, now: datetime) -> timedelta:
    return now - request.meta.created_at if request.meta.created_at is not None else timedelta.max


def _stale(request: CertificateRequest, evidence: Evidence) -> str:
    if _age(request, evidence.now) <= timedelta(seconds=MAX_AGE_SECONDS):
        return ""
    return f"it is older than {MAX_AGE_SECONDS // 60} minutes"


def _misnamed(name: str, evidence: Evidence) -> str:
    if evidence.node_name == "instance-id" and not _INSTANCE_ID.fullmatch(name):
        return f"{name} is no EC2 instance id, and nodes that join with this token are named after theirs"
    return ""


def _unknown(request: CertificateRequest, name: str, evidence: Evidence) -> Verdict:
    if _age(request, evidence.now) <= timedelta(seconds=VISIBLE_SECONDS):
        return _wait(f"EC2 does not know {name} (yet); asking again")
    return _deny(request, f"EC2 knows no instance {name} with a tag of this cluster")


def _foreign(name: str, machine: Machine, evidence: Evidence) -> str:
    """Why the instance must not become a node of this cluster under this name."""
    cluster = evidence.cluster
    expected = machine.id if evidence.node_name == "instance-id" else machine.private_dns
    role = machine.tags.get(names.TAG_ROLE, "")
    uid = machine.tags.get(names.TAG_CLUSTER_UID, "")
    if name != expected:
        return f"{name} is not the node name of instance {machine.id}, which is {expected}"
    if role == _ROLE_CONTROL_PLANE:
        return f"{name} is a control-plane machine, which never joins by this token"
    if machine.tags.get(names.TAG_CLUSTER) != cluster.name:
        return f"instance {name} does not carry the tag {names.TAG_CLUSTER}={cluster.name}"
    if uid and uid != cluster.uid:
        return f"instance {name} belongs to another cluster of this name ({names.TAG_CLUSTER_UID}={uid})"
    if not machine.is_ours(cluster.name, cluster.uid) and role != _ROLE_BASE:
        return f"instance {name} was launched neither by Joinery nor, as a base machine, by Terraform"
    if machine.state not in {"running", "pending"}:
        return f"instance {name} is {machine.state} in EC2"
    return ""


def _repeated(request: CertificateRequest, name: str, evidence: Evidence) -> str:
    """Once per instance: a second certificate would let whoever holds it be that node for as long as it lasts."""
    if any(node.name == name for node in evidence.nodes):
        return f"a node {name} is registered already"
    if name in evidence.approved or any(other.issued for other in _others(request, evidence)):
        return f"instance {name} has been given a certificate already; a second one is never issued"
    return ""


def _undecided(request: CertificateRequest, evidence: Evidence) -> bool:
    signing = timedelta(seconds=SIGNING_SECONDS)
    return any(o.decided and _age(o, evidence.now) <= signing for o in _others(request, evidence))


def _others(request: CertificateRequest, evidence: Evidence) -> list[CertificateRequest]:
    return [
        other
        for other in evidence.requests
        if other.meta.uid != request.meta.uid and other.signer == SIGNER and other.common_name == request.common_name
    ]
