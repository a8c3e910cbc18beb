"""Who becomes a node: instances launched for this cluster, once each; nothing of kubeadm's is touched."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster.conftest import MakeInstance
from tests.cluster.controlplane import ControlPlane
from tests.cluster.instance import InstanceFacts
from tests.cluster.stack import Stack
from tests.cluster.test_instance import joining

SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
USAGES = ("digital signature", "client auth")
OURS = "system:bootstrappers:joinery"


@pytest.fixture(scope="module")
def stack(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("admission"), control_plane) as running:
        running.room.holding = True
        running.start_daemon()
        running.wait("a published token", lambda: bool(running.daemon and running.daemon.events("token.rotated")), 60)
        yield running


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    return stack.joinery(
        "token",
        "show",
        "--secret",
        "-o",
        "json",
        "--settings",
        str(stack.folder / "agent.yaml"),
        "--kubeconfig",
        str(stack.kubeconfig),
    )


def _token_text(shown: str) -> str:
    return str(json.loads(shown)["token"])


def _instance(stack: Stack, **tags: str) -> str:
    """An instance in EC2 with these tags; nobody boots it."""
    return stack.run_instance(tags).instance_id


def _ours(stack: Stack, **changed: str) -> dict[str, str]:
    namespace = json.loads(stack.control_plane.kubectl("get", "namespace", "kube-system", "-o", "json"))
    return {
        "joinery.sh/cluster": "team",
        "joinery.sh/cluster-uid": namespace["metadata"]["uid"],
        "joinery.sh/managed": "true",
        "joinery.sh/nodeclaim": "by-hand",
        "joinery.sh/nodeclaim-uid": "00000000-0000-0000-0000-000000000000",
        **changed,
    }


def _pem(name: str, sans: tuple[str, ...] = ()) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(s) for s in sans]), critical=False)
    request = builder.sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def _ask(
    stack: Stack, token: str, name: str, *, sans: tuple[str, ...] = (), usages: tuple[str, ...] = USAGES
) -> dict[str, Any]:
    """Make a certificate request as the holder of a token, and wait for what becomes of it."""
    body = {
        "metadata": {"generateName": "csr-"},
        "spec": {"request": _pem(name, sans), "signerName": SIGNER, "usages": list(usages)},
    }
    plane = stack.control_plane
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    status, made = plane.api("POST", path, body, bearer=token)
    assert status == 201, made
    found: dict[str, Any] = {}

    def decided() -> bool:
        found.update(plane.api("GET", f"{path}/{made['metadata']['name']}")[1])
        return bool(found.get("status", {}).get("conditions"))

    stack.wait(f"a decision on {name}", decided, 90)
    return found


def _verdict(found: dict[str, Any]) -> tuple[str, str]:
    condition = found["status"]["conditions"][0]
    return condition["type"], condition["message"]


REFUSED = {
    "a name that is no instance": (lambda _: "somebody", {}, "is no EC2 instance id"),
    "the control plane's name": (lambda _: "cp0", {}, "is no EC2 instance id"),
    "a control-plane machine": (
        lambda s: _instance(s, **{"joinery.sh/cluster": "team", "joinery.sh/role": "control-plane"}),
        {},
        "is a control-plane machine",
    ),
    "an instance of nobody": (lambda s: _instance(s, Name="other"), {}, "does not carry the tag"),
    "another cluster of this name": (
        lambda s: _instance(s, **_ours(s, **{"joinery.sh/cluster-uid": "another"})),
        {},
        "belongs to another cluster",
    ),
    "an alternative name": (lambda s: _instance(s, **_ours(s)), {"sans": ("api.example",)}, "alternative names"),
    "wrong usages": (
        lambda s: _instance(s, **_ours(s)),
        {"usages": ("digital signature", "server auth", "client auth")},
        "usages",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_is_denied_with_its_reason_for(case: str, stack: Stack, token: str) -> None:
    name_of, options, reason = REFUSED[case]
    name = name_of(stack)  # type: ignore[no-untyped-call]
    kind, message = _verdict(_ask(stack, _token_text(token), name, **options))  # type: ignore[arg-type]
    assert kind == "Denied"
    assert reason in message
    events = stack.listed("events")
    assert any(e["reason"] == "CertificateDenied" and reason in e["message"] for e in events)


def test_a_terminated_instance_is_denied(stack: Stack, token: str) -> None:
    name = _instance(stack, **_ours(stack))
    stack.ec2.by_hand("terminate", name)
    kind, message = _verdict(_ask(stack, _token_text(token), name))
    assert (kind, "terminated" in message or "shutting-down" in message) == ("Denied", True), message


def test_an_instance_gets_one_certificate_and_never_a_second(stack: Stack, token: str) -> None:
    name = _instance(stack, **_ours(stack))
    assert _verdict(_ask(stack, _token_text(token), name))[0] == "Approved"
    kind, message = _verdict(_ask(stack, _token_text(token), name))
    assert kind == "Denied"
    assert "already" in message


def test_a_base_machine_of_terraform_is_admitted_by_its_tags(stack: Stack, token: str) -> None:
    name = _instance(stack, **{"joinery.sh/cluster": "team", "joinery.sh/role": "base"})
    assert _verdict(_ask(stack, _token_text(token), name))[0] == "Approved"


def test_requests_with_other_tokens_are_left_to_kubeadm(stack: Stack) -> None:
    """The default group's approval is kubeadm's and works as before, whatever the name."""
    found = _ask(stack, stack.control_plane.token(), "made-by-hand")
    condition = found["status"]["conditions"][0]
    assert condition["type"] == "Approved"
    assert condition["reason"] == "AutoApproved"


def test_a_manual_kubeadm_join_works_as_before(stack: Stack, make_instance: MakeInstance) -> None:
    facts = InstanceFacts("i-0cccccccccccccc01")
    instance = make_instance(facts, joining(stack.control_plane, facts))
    assert instance.wait_exit() == 0, instance.console
    stack.control_plane.wait_ready(facts.instance_id)
    stack.control_plane.kubectl("delete", "node", facts.instance_id)


def test_our_token_alone_is_approved_by_nobody_else(stack: Stack) -> None:
    """Without the daemon's approval a request made with our group stays as it is."""
    ours = stack.control_plane.token(timedelta(hours=1), groups=(OURS,))
    body = {
        "metadata": {"generateName": "csr-"},
        "spec": {"request": _pem("i-0ddddddddddddddd1"), "signerName": SIGNER, "usages": list(USAGES)},
    }
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    status, made = stack.control_plane.api("POST", path, body, bearer=ours)
    assert status == 201
    # The token is not labelled as one that the daemon made, so the daemon leaves it alone too.
    found = stack.control_plane.api("GET", f"{path}/{made['metadata']['name']}")[1]
    assert not found.get("status", {}).get("conditions")
