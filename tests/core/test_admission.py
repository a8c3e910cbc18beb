"""Who may become a node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.admission import SIGNER, Evidence, Verdict, review
from agent.model import names
from agent.model.ec2 import Machine
from agent.model.kubernetes import CertificateRequest, Meta, Node
from agent.model.names import BOOTSTRAP_GROUP, InstanceId, InstanceTypeName, Zone
from agent.model.plan import Cluster

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ID = "i-0123456789abcdef0"
CLUSTER = Cluster(name="demo", uid="uid-of-kube-system")
OURS = {
    names.TAG_CLUSTER: "demo",
    names.TAG_CLUSTER_UID: "uid-of-kube-system",
    names.TAG_MANAGED: "true",
    names.TAG_CLAIM: "scan-abc12",
}
BASE = {names.TAG_CLUSTER: "demo", names.TAG_ROLE: "base"}


def request(**changes: object) -> CertificateRequest:
    made = CertificateRequest(
        meta=Meta(name="csr-abcde", uid="uid-1", created_at=NOW - timedelta(seconds=5)),
        signer=SIGNER,
        username="system:bootstrap:abcdef",
        groups=("system:bootstrappers", BOOTSTRAP_GROUP, "system:authenticated"),
        usages=("digital signature", "client auth"),
        common_name=f"system:node:{ID}",
        organizations=("system:nodes",),
    )
    return msgspec.structs.replace(made, **changes)


def machine(**changes: object) -> Machine:
    made = Machine(
        id=InstanceId(ID),
        instance_type=InstanceTypeName("t3.medium"),
        zone=Zone("ap-northeast-2a"),
        state="running",
        launched_at=NOW - timedelta(minutes=2),
        private_dns="ip-10-0-1-23.ap-northeast-2.compute.internal",
        tags=OURS,
    )
    return msgspec.structs.replace(made, **changes)


def evidence(**changes: object) -> Evidence:
    made = Evidence(now=NOW, cluster=CLUSTER, token_ids=frozenset({"abcdef"}), machine=machine())
    return msgspec.structs.replace(made, **changes)


def other(**changes: object) -> CertificateRequest:
    meta = Meta(name="csr-other", uid="uid-2", created_at=NOW - timedelta(seconds=20))
    return request(**({"meta": meta} | changes))


def refusal(verdict: Verdict) -> str:
    assert verdict.decision == "deny"
    assert verdict.reason is not None
    assert verdict.reason.code == "CertificateDenied"
    return verdict.reason.message


def test_an_instance_of_ours_is_admitted() -> None:
    verdict = review(request(), evidence())

    assert verdict.decision == "approve"
    assert verdict.reason is not None
    assert verdict.reason.code == "CertificateApproved"
    assert ID in verdict.reason.message
    assert "scan-abc12" in verdict.reason.message


@pytest.mark.parametrize("state", ["pending", "running"])
def test_a_base_machine_of_terraform_is_admitted(state: str) -> None:
    assert review(request(), evidence(machine=machine(tags=BASE, state=state))).decision == "approve"


def test_an_rsa_key_may_also_encipher() -> None:
    usages = ("key encipherment", "digital signature", "client auth")

    assert review(request(usages=usages), evidence()).decision == "approve"


@pytest.mark.parametrize(
    "changes",
    [
        {"username": "system:bootstrap:kubead"},
        {"username": "system:bootstrap:abcdef", "groups": ("system:bootstrappers:kubeadm:default-node-token",)},
        {"username": f"system:node:{ID}", "groups": ("system:nodes",)},
        {"username": "kubernetes-admin"},
        {"username": "abcdef"},
        {"decided": True},
        {"decided": True, "issued": True},
    ],
)
def test_what_was_not_asked_with_our_tokens_or_is_decided_is_left_alone(changes: dict[str, object]) -> None:
    broken = {"sans": ("dns:evil",), "usages": ("server auth",), "fault": "no PEM"}

    assert review(request(**(broken | changes)), evidence(machine=None)) == Verdict("ignore")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fault": "not a PEM block"}, "it cannot be read: not a PEM block"),
        ({"signer": "kubernetes.io/kubelet-serving"}, "it asks the signer kubernetes.io/kubelet-serving"),
        ({"usages": ("client auth",)}, "it asks for the usages client auth, not exactly"),
        ({"usages": ("digital signature", "client auth", "server auth")}, "it asks for the usages"),
        ({"usages": ("digital signature", "client auth", "client auth")}, "it asks for the usages"),
        ({"usages": ()}, "it asks for the usages none"),
        ({"organizations": ("system:nodes", "system:masters")}, "its organizations are system:nodes, system:masters"),
        ({"organizations": ()}, "its organizations are none"),
        ({"common_name": "kubernetes-admin"}, "its common name does not begin with system:node:"),
        ({"common_name": "system:node:"}, "its common name does not begin with system:node:"),
        ({"sans": ("dns:api.demo.example",)}, "it names dns:api.demo.example as alternative names"),
        ({"key_fault": "RSA key of 1024 bits"}, "its key is not acceptable: RSA key of 1024 bits"),
        ({"common_name": "system:node:cp-1"}, "cp-1 is no EC2 instance id"),
        ({"common_name": f"system:node:{ID.upper()}"}, "is no EC2 instance id"),
    ],
)
def test_a_request_of_the_wrong_shape_is_denied_with_its_own_sentence(
    changes: dict[str, object], sentence: str
) -> None:
    assert sentence in refusal(review(request(**changes), evidence()))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "terminated"}, "is terminated in EC2"),
        ({"state": "shutting-down"}, "is shutting-down in EC2"),
        ({"state": "stopped"}, "is stopped in EC2"),
        ({"tags": OURS | {names.TAG_CLUSTER_UID: "other-uid"}}, "belongs to another cluster of this name"),
        ({"tags": BASE | {names.TAG_CLUSTER_UID: "other-uid"}}, "belongs to another cluster of this name"),
        ({"tags": OURS | {names.TAG_CLUSTER: "prod"}}, "does not carry the tag joinery.sh/cluster=demo"),
        ({"tags": {}}, "does not carry the tag joinery.sh/cluster=demo"),
        ({"tags": {names.TAG_CLUSTER: "demo"}}, "launched neither by Joinery nor"),
        ({"tags": {names.TAG_CLUSTER: "demo", names.TAG_MANAGED: "true"}}, "launched neither by Joinery nor"),
        ({"tags": BASE | {names.TAG_ROLE: "control-plane"}}, "is a control-plane machine"),
        ({"id": "i-0aaaaaaaaaaaaaaaa"}, "is not the node name of instance i-0aaaaaaaaaaaaaaaa"),
    ],
)
def test_an_instance_that_must_not_join_is_denied_with_its_own_sentence(
    changes: dict[str, object], sentence: str
) -> None:
    assert sentence in refusal(review(request(), evidence(machine=machine(**changes))))


def test_a_registered_node_gets_no_second_certificate() -> None:
    node = Node(meta=Meta(name=ID))

    assert f"a node {ID} is registered already" in refusal(review(request(), evidence(nodes=(node,))))


@pytest.mark.parametrize("username", ["system:bootstrap:abcdef", "system:bootstrap:kubead"])
def test_a_second_certificate_is_never_issued_whoever_got_the_first(username: str) -> None:
    issued = other(decided=True, issued=True, username=username)

    assert "has been given a certificate already" in refusal(review(request(), evidence(requests=(issued, request()))))


def test_a_name_that_this_process_approved_is_not_approved_again() -> None:
    assert "certificate already" in refusal(review(request(), evidence(approved=frozenset({ID}))))


def test_a_decision_of_moments_ago_is_waited_for_and_an_old_denial_is_not() -> None:
    recent = other(decided=True)
    denied = other(decided=True, meta=Meta(name="c", uid="uid-3", created_at=NOW - timedelta(minutes=5)))

    assert review(request(), evidence(requests=(recent,))).decision == "ignore"
    assert review(request(), evidence(requests=(denied,))).decision == "approve"


@pytest.mark.parametrize(
    "changes",
    [{"common_name": "system:node:i-0fffffffffffffff0"}, {"signer": "kubernetes.io/kubelet-serving"}],
)
def test_requests_for_other_names_and_other_signers_are_no_second_certificate(changes: dict[str, object]) -> None:
    issued = other(decided=True, issued=True, **changes)

    assert review(request(), evidence(requests=(issued,))).decision == "approve"


def test_an_instance_that_ec2_does_not_know_yet_is_waited_for_and_then_refused() -> None:
    late = request(meta=Meta(name="csr-abcde", uid="uid-1", created_at=NOW - timedelta(seconds=61)))

    waiting = review(request(), evidence(machine=None))

    assert waiting.decision == "ignore"
    assert waiting.reason is not None
    assert "EC2 knows no instance" in refusal(review(late, evidence(machine=None)))


@pytest.mark.parametrize("created_at", [NOW - timedelta(seconds=601), None])
def test_an_old_request_is_refused(created_at: datetime | None) -> None:
    old = request(meta=Meta(name="csr-abcde", uid="uid-1", created_at=created_at))

    assert "older than 10 minutes" in refusal(review(old, evidence()))


def test_nodes_may_be_named_by_private_dns_where_the_setting_says_so() -> None:
    name = "ip-10-0-1-23.ap-northeast-2.compute.internal"
    by_dns = request(common_name=f"system:node:{name}")

    assert review(by_dns, evidence(node_name="private-dns")).decision == "approve"
    assert f"{ID} is not the node name" in refusal(review(request(), evidence(node_name="private-dns")))


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "username": st.sampled_from(["system:bootstrap:abcdef", "system:bootstrap:zzzzzz", "admin", ""]),
        "groups": st.sampled_from([(), (BOOTSTRAP_GROUP,), ("system:bootstrappers",)]),
        "signer": st.sampled_from([SIGNER, "kubernetes.io/kubelet-serving"]),
        "usages": st.sampled_from([(), ("client auth",), ("client auth", "digital signature")]),
        "common_name": st.sampled_from(["", "system:node:cp-1", f"system:node:{ID}"]),
        "organizations": st.sampled_from([(), ("system:nodes",), ("system:masters",)]),
        "sans": st.sampled_from([(), ("ip:10.0.0.1",)]),
        "fault": st.sampled_from(["", "bad"]),
        "key_fault": st.sampled_from(["", "weak"]),
        "decided": st.booleans(),
        "issued": st.booleans(),
    },
)
MACHINES = st.sampled_from([None, machine(), machine(tags=BASE), machine(tags={}), machine(state="terminated")])


@given(OPTIONS, MACHINES)
def test_only_requests_with_our_tokens_are_answered_and_approval_names_a_living_instance_of_the_cluster(
    changes: dict[str, object], found: Machine | None
) -> None:
    asked = request(**changes)

    verdict = review(asked, evidence(machine=found))

    if verdict.decision != "ignore":
        assert asked.username == "system:bootstrap:abcdef"
        assert BOOTSTRAP_GROUP in asked.groups
        assert not asked.decided
        assert verdict.reason is not None
    if verdict.decision == "approve":
        assert found is not None
        assert found.state == "running"
        assert asked.common_name == f"system:node:{found.id}"
        assert (asked.sans, asked.fault, asked.key_fault) == ((), "", "")
