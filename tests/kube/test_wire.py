"""From the API server's JSON to values and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kube import csr, wire
from agent.kube.wire.objects import WireFault
from agent.model import names
from agent.model.actions import ClaimDraft
from agent.model.constraints import PodCount, Requirement
from agent.model.kubernetes import Condition, Taint
from agent.model.names import ClaimName, ClassName, PoolName
from agent.model.resources import Resources
from tests.kube.apihttp import Json

BEGIN = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GI = 1 << 30


def raw(body: Json) -> bytes:
    return json.dumps(body).encode()


def test_a_node_is_what_decisions_need() -> None:
    node = wire.node(
        raw(
            {
                "kind": "Node",
                "metadata": {
                    "name": "i-1",
                    "uid": "u",
                    "resourceVersion": "7",
                    "creationTimestamp": "2026-11-25T12:00:00Z",
                    "labels": {"a": "b"},
                    "annotations": {names.DO_NOT_DISRUPT: "true", "node.alpha.kubernetes.io/ttl": "0"},
                    "managedFields": [{"fieldsV1": {}}],
                },
                "spec": {
                    "providerID": "aws:///z/i-1",
                    "unschedulable": True,
                    "taints": [
                        {"key": "k", "value": "v", "effect": "NoSchedule"},
                        {"key": "t", "effect": "NoExecute", "timeAdded": "2026-11-25T12:00:00Z"},
                    ],
                },
                "status": {
                    "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110", "nvidia.com/gpu": "1"},
                    "allocatable": {"cpu": "1930m"},
                    "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-25T12:00:00Z"}],
                },
            }
        )
    )
    assert node.name == "i-1"
    assert node.provider_id == "aws:///z/i-1"
    assert node.unschedulable
    assert node.taints == (Taint("k", "NoSchedule", "v"), Taint("t", "NoExecute"))
    assert node.capacity == Resources(2000, 4 * GI, 110, extended=(("nvidia.com/gpu", 1),))
    assert node.allocatable == Resources(1930)
    assert node.ready == "True"
    assert node.meta.created_at == BEGIN
    assert node.meta.annotations == {names.DO_NOT_DISRUPT: "true"}


def test_a_node_that_says_nothing_is_not_ready() -> None:
    assert wire.node(b'{"metadata": {"name": "a"}}').ready == "Unknown"


@pytest.mark.parametrize(
    ("spec", "blocks"),
    [
        ({"maxUnavailable": 0}, True),
        ({"maxUnavailable": "0%"}, True),
        ({"minAvailable": "100%"}, True),
        ({"maxUnavailable": 1}, False),
        ({"minAvailable": "99%"}, False),
        ({"minAvailable": 3}, False),
        ({"minAvailable": None, "maxUnavailable": None}, False),
    ],
)
def test_a_budget_that_lets_no_pod_go_is_told_from_one_that_lets_none_go_now(spec: Json, blocks: bool) -> None:
    assert wire.pod_disruption_budget(raw({"metadata": {"name": "b"}, "spec": spec})).blocks is blocks


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (3, PodCount(3)),
        (0, PodCount(0)),
        ("30%", PodCount(30, is_percent=True)),
        ("0100%", PodCount(100, is_percent=True)),
        ("3", None),
        ("half", None),
        ("-5%", None),
        ("9" * 5000 + "%", None),
        (None, None),
    ],
)
def test_what_must_stay_and_what_may_be_missing_are_numbers_or_percentages(
    written: int | str | None, count: PodCount | None
) -> None:
    spec = {"minAvailable": written, "maxUnavailable": written}
    found = wire.pod_disruption_budget(raw({"metadata": {"name": "b"}, "spec": spec}))
    assert (found.min_available, found.max_unavailable, found.is_counted) == (count, count, False)


def test_a_budget_without_selector_differs_from_an_empty_one() -> None:
    def budget(spec: Json, status: Json | None = None, generation: int = 1) -> Json:
        return {"metadata": {"name": "b", "generation": generation}, "spec": spec, "status": status or {}}

    counted = {"disruptionsAllowed": 2, "observedGeneration": 1}
    assert wire.pod_disruption_budget(raw(budget({"selector": None}))).selector is None
    assert wire.pod_disruption_budget(raw(budget({"selector": {}}))).selector == ()
    read = wire.pod_disruption_budget(
        raw(
            budget(
                {
                    "selector": {
                        "matchLabels": {"b": "2", "a": "1"},
                        "matchExpressions": [{"key": "c", "operator": "Exists"}],
                    },
                    "unhealthyPodEvictionPolicy": "AlwaysAllow",
                },
                counted,
            )
        )
    )
    assert read.selector == (
        Requirement("a", "In", ("1",)),
        Requirement("b", "In", ("2",)),
        Requirement("c", "Exists"),
    )
    assert read.always_allow_unhealthy
    assert read.disruptions_allowed == 2
    late = wire.pod_disruption_budget(raw(budget({}, counted, generation=2)))
    assert late.disruptions_allowed == 0, "the count is of an older spec"


def test_a_daemonset_is_one_pod_of_its_template() -> None:
    read = wire.daemonset(
        raw(
            {
                "metadata": {"name": "log", "namespace": "kube-system", "uid": "d"},
                "spec": {
                    "template": {
                        "metadata": {"labels": {"app": "log"}, "creationTimestamp": None},
                        "spec": {
                            "containers": [{"resources": {"limits": {"cpu": "100m", "memory": "1Gi"}}}],
                            "tolerations": [{"operator": "Exists"}],
                        },
                    }
                },
            }
        )
    )
    assert read.meta.name == "log"
    assert read.template.requests == Resources(100, GI, 1), "templates have not been through the API server's defaults"
    assert read.template.is_daemon
    assert read.template.meta.namespace == "kube-system"
    assert read.template.meta.labels == {"app": "log"}


def test_a_volume_attachment_is_read() -> None:
    body = {"metadata": {"name": "csi"}, "spec": {"nodeName": "i-1", "source": {"persistentVolumeName": "pv"}}}
    read = wire.volume_attachment(raw(body))
    assert (read.node_name, read.volume) == ("i-1", "pv")


words = st.text("abcdefghij0123456789", min_size=1, max_size=8)
taints = st.builds(Taint, words, st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"]), st.just("") | words)
requirements = st.builds(
    Requirement,
    words,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]),
    st.lists(words, max_size=3).map(tuple),
    st.none() | st.integers(1, 50),
)
amounts = st.integers(0, 2**50)
resources = st.builds(
    lambda cpu, memory, pods, disk, gpu: Resources.of(
        {"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": disk, "nvidia.com/gpu": gpu}
    ),
    *[amounts] * 5,
)
drafts = st.builds(
    ClaimDraft,
    name=words.map(ClaimName),
    pool=words.map(PoolName),
    pool_uid=words,
    node_class=words.map(ClassName),
    requirements=st.lists(requirements, max_size=4).map(tuple),
    requests=resources,
    labels=st.dictionaries(words, words, max_size=3),
    annotations=st.dictionaries(words, words, max_size=3),
    taints=st.lists(taints, max_size=3).map(tuple),
    startup_taints=st.lists(taints, max_size=3).map(tuple),
    expire_after_seconds=st.none() | st.integers(0, 10**8),
    termination_grace_seconds=st.none() | st.integers(0, 10**6),
)


@given(drafts)
def test_a_draft_comes_back_as_the_claim_that_was_meant(draft: ClaimDraft) -> None:
    read = wire.node_claim(raw(wire.claim_manifest(draft)))
    assert read.name == draft.name
    assert (read.pool, read.node_class) == (draft.pool, draft.node_class)
    assert (read.requirements, read.requests) == (draft.requirements, draft.requests)
    assert (read.taints, read.startup_taints) == (draft.taints, draft.startup_taints)
    assert read.expire_after_seconds == draft.expire_after_seconds
    assert read.termination_grace_seconds == draft.termination_grace_seconds
    assert read.meta.labels.items() >= draft.labels.items()
    assert read.meta.labels[names.NODECLASS] == draft.node_class
    assert read.meta.annotations == draft.annotations
    assert read.meta.finalizers == (names.TERMINATION_FINALIZER,)


def test_a_claim_is_owned_by_its_pool() -> None:
    draft = ClaimDraft(ClaimName("a"), PoolName("p"), "pool-uid", ClassName("c"), (), Resources())
    manifest = wire.claim_manifest(draft)
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    assert metadata.get("ownerReferences") == [
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodePool",
            "name": "p",
            "uid": "pool-uid",
            "blockOwnerDeletion": True,
        }
    ]


@given(resources)
def test_quantities_come_back_as_they_went(amounts: Resources) -> None:
    read = wire.node(raw({"metadata": {}, "status": {"capacity": wire.quantities(amounts)}}))
    assert read.capacity == amounts


@given(st.lists(taints, max_size=5).map(tuple))
def test_taints_come_back_as_they_went(listed: tuple[Taint, ...]) -> None:
    assert wire.node(raw({"metadata": {}, "spec": {"taints": wire.taints(listed)}})).taints == listed


conditions = st.builds(
    Condition,
    words,
    st.sampled_from(["True", "False", "Unknown"]),
    words,
    st.text(max_size=20),
    st.integers(0, 10**9).map(lambda s: datetime.fromtimestamp(s, UTC)),
)


@given(st.lists(conditions, max_size=5).map(tuple))
def test_conditions_come_back_as_they_went(listed: tuple[Condition, ...]) -> None:
    claim = wire.node_claim(raw({"metadata": {}, "status": {"conditions": wire.conditions(listed)}}))
    assert claim.conditions == listed


def test_a_condition_is_dated_when_its_status_changes_and_only_then() -> None:
    later = datetime(2026, 11, 26, tzinfo=UTC)
    once = wire.with_condition((), Condition("Ready", "False", "Waiting"), BEGIN)
    again = wire.with_condition(once, Condition("Ready", "False", "StillWaiting"), later)
    assert again == (Condition("Ready", "False", "StillWaiting", "", BEGIN),)
    turned = wire.with_condition((Condition("Other", "True"), *again), Condition("Ready", "True"), later)
    assert turned == (Condition("Other", "True"), Condition("Ready", "True", "", "", later))


def test_a_claim_has_its_ledger() -> None:
    claim = wire.node_claim(
        raw(
            {
                "metadata": {"name": "a", "labels": {names.NODEPOOL: "p"}},
                "spec": {"nodeClassRef": {"name": "c"}, "expireAfter": "1h30m", "terminationGracePeriod": "90s"},
                "status": {
                    "providerID": "aws:///z/i-1",
                    "nodeName": "i-1",
                    "imageID": "ami-1",
                    "lastPodEventTime": "2026-11-25T12:00:00Z",
                    "conditions": [{"type": "Launched", "status": "True"}],
                },
            }
        )
    )
    assert (claim.provider_id, claim.node_name, claim.image_id) == ("aws:///z/i-1", "i-1", "ami-1")
    assert (claim.expire_after_seconds, claim.termination_grace_seconds) == (5400, 90)
    assert claim.last_pod_event_at == BEGIN
    assert claim.is_true("Launched")


def test_never_is_no_age() -> None:
    assert wire.node_claim(raw({"metadata": {}, "spec": {"expireAfter": "Never"}})).expire_after_seconds is None


READERS = [
    wire.pod,
    wire.node,
    wire.node_claim,
    wire.pod_disruption_budget,
    wire.daemonset,
    wire.volume_attachment,
    csr.certificate_request,
]


@pytest.mark.parametrize("read", READERS)
def test_null_means_unset_everywhere(read: type) -> None:
    plain = read(b'{"metadata": {"name": "a"}}')
    assert read(b'{"metadata": {"name": "a", "labels": null}, "spec": null, "status": null}') == plain


nulls = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("read", READERS)
@given(st.fixed_dictionaries({"metadata": nulls, "spec": nulls, "status": nulls}))
def test_what_cannot_be_understood_is_a_fault_and_nothing_else(read: type, body: Json) -> None:
    try:
        read(raw(body))
    except WireFault as fault:
        assert str(fault)  # noqa: PT017 - any text but none
