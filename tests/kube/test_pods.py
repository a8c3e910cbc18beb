"""What a pod asks, and which of its constraints the engine knows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kube import wire
from agent.model.constraints import Requirement
from agent.model.kubernetes import Pod, Toleration
from agent.model.resources import Resources
from tests.kube.apihttp import Json

MI = 1 << 20
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
UNKNOWN = {
    "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]},
    "topologyKey": "kubernetes.io/hostname",
}


def pod(spec: Json, status: Json | None = None, **meta: object) -> Pod:
    body = {"metadata": {"name": "web", "namespace": "shop"} | meta, "spec": spec, "status": status or {}}
    return wire.pod(json.dumps(body).encode())


def container(cpu: str, memory: str = "", **more: object) -> Json:
    requests = {"cpu": cpu} | ({"memory": memory} if memory else {})
    return {"resources": {"requests": requests}} | more


def cpu(spec: Json, status: Json | None = None) -> int:
    return pod(spec, status).requests.cpu_milli


def test_a_pod_asks_the_sum_of_its_containers_and_one_place() -> None:
    asked = pod({"containers": [container("100m", "64Mi"), container("1", "64Mi"), {}]}).requests
    assert asked == Resources(1100, 128 * MI, 1)


def test_a_limit_stands_in_for_a_request_that_is_missing() -> None:
    needs = {"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "2", "memory": "64Mi"}}}
    assert pod({"containers": [needs]}).requests == Resources(100, 64 * MI, 1)


def test_a_start_up_step_counts_by_its_peak_and_not_by_its_sum() -> None:
    spec = {
        "initContainers": [container("2", "1Mi"), container("1", "64Mi")],
        "containers": [container("500m", "32Mi")],
    }
    assert pod(spec).requests == Resources(2000, 64 * MI, 1)


def test_a_sidecar_runs_beside_what_is_started_after_it() -> None:
    sidecar = container("200m", restartPolicy="Always")
    first, second = container("1"), container("1")
    assert cpu({"initContainers": [first, sidecar], "containers": [container("100m")]}) == 1000
    assert cpu({"initContainers": [sidecar, second], "containers": [container("100m")]}) == 1200
    assert cpu({"initContainers": [sidecar, sidecar], "containers": [container("900m")]}) == 1300


def test_overhead_comes_on_top_of_everything() -> None:
    spec = {"containers": [container("1")], "overhead": {"cpu": "250m", "memory": "120Mi"}}
    assert pod(spec).requests == Resources(1250, 120 * MI, 1)


def test_requests_of_the_whole_pod_stand_over_the_sum() -> None:
    spec = {
        "containers": [{"resources": {"requests": {"cpu": "3", "memory": "1Mi", "nvidia.com/gpu": "1"}}}],
        "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "9"}, "limits": {"cpu": "4", "memory": "64Mi"}},
        "overhead": {"cpu": "100m"},
    }
    assert pod(spec).requests == Resources(1100, MI, 1, extended=(("nvidia.com/gpu", 1),))


def test_a_limit_of_the_whole_pod_counts_where_nobody_requests() -> None:
    spec = {"containers": [{}], "resources": {"limits": {"cpu": "2", "memory": "64Mi"}}}
    assert pod(spec).requests == Resources(2000, 64 * MI, 1)


def test_a_resize_under_way_counts_by_the_larger_figure() -> None:
    spec = {"containers": [container("1", name="app")]}
    running = {"name": "app", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "1500m"}}
    assert cpu(spec, {"containerStatuses": [running]}) == 2000
    shrunk = running | {"resources": {"requests": {"cpu": "500m"}}, "allocatedResources": {"cpu": "500m"}}
    assert cpu(spec, {"containerStatuses": [shrunk]}) == 1000
    refused = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    assert cpu(spec, {"containerStatuses": [shrunk], "conditions": refused}) == 500


quantities = st.integers(0, 4000)


@given(st.lists(st.tuples(quantities, st.booleans()), max_size=5), st.lists(quantities, max_size=4), quantities)
def test_the_figure_is_what_the_worst_moment_of_the_pod_needs(
    steps: list[tuple[int, bool]], main: list[int], overhead: int
) -> None:
    """Played through: each step runs with the sidecars begun before it; at the end everything that stays runs."""
    running, worst = 0, 0
    for milli, stays in steps:
        worst = max(worst, running + milli)
        running += milli if stays else 0
    worst = max(worst, running + sum(main))
    spec: dict[str, Any] = {
        "initContainers": [container(f"{m}m", **({"restartPolicy": "Always"} if s else {})) for m, s in steps],
        "containers": [container(f"{m}m") for m in main],
        "overhead": {"cpu": f"{overhead}m"},
    }
    assert cpu(spec) == worst + overhead


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            {"affinity": {"podAffinity": {REQUIRED: [UNKNOWN]}}},
            f"spec.affinity.podAffinity.{REQUIRED}[].labelSelector",
        ),
        (
            {"affinity": {"podAntiAffinity": {REQUIRED: [UNKNOWN]}}},
            f"spec.affinity.podAntiAffinity.{REQUIRED}[].labelSelector",
        ),
        ({"topologySpreadConstraints": [UNKNOWN]}, "spec.topologySpreadConstraints[].labelSelector"),
        (
            {"volumes": [{"awsElasticBlockStore": {"volumeID": "v"}}]},
            "spec.volumes[].awsElasticBlockStore (its zone is not known; use a PersistentVolumeClaim)",
        ),
        ({"resourceClaims": [{"name": "gpu"}]}, "spec.resourceClaims"),
        ({"containers": [{"resources": {"claims": [{"name": "gpu"}]}}]}, "spec.resourceClaims"),
        (
            {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": [{"key": "x"}]}]}}}},
            f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[].matchFields",
        ),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Near"}]}]}
                    }
                }
            },
            f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[].matchExpressions[].operator",
        ),
        (
            {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{}]}}}},
            f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms (all empty: they match no node)",
        ),
    ],
)
def test_a_hard_constraint_that_the_engine_does_not_know_is_named(spec: Json, path: str) -> None:
    assert pod(spec).unsupported == (path,)


def test_ordinary_volumes_and_ports_are_no_constraint() -> None:
    spec = {
        "containers": [{"ports": [{"containerPort": 80}, {"hostPort": 0}]}],
        "volumes": [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "configMap": {"name": "c"}},
            {"name": "d", "projected": {}},
        ],
        "affinity": {"podAffinity": {REQUIRED: []}, "nodeAffinity": {}},
        "topologySpreadConstraints": [],
    }
    read = pod(spec)
    assert (read.unsupported, read.host_ports, read.claims) == ((), (), ())


def test_required_node_affinity_is_a_choice_of_terms() -> None:
    terms: list[Json] = [
        {
            "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["1", "2"]},
                {"key": "b", "operator": "Exists"},
            ]
        },
        {},
        {"matchExpressions": [{"key": "c", "operator": "Gt", "values": ["4"]}]},
    ]
    read = pod({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}})
    assert read.affinity_terms == (
        (Requirement("a", "In", ("1", "2")), Requirement("b", "Exists")),
        (Requirement("c", "Gt", ("4",)),),
    )
    assert read.unsupported == ()


def test_the_rest_of_a_pod_is_read() -> None:
    read = pod(
        {
            "nodeName": "i-1",
            "nodeSelector": {"role": "worker"},
            "tolerations": [{"key": "k", "value": "v", "effect": "NoSchedule"}, {"operator": "Exists"}],
            "priority": 7,
            "priorityClassName": "high",
            "terminationGracePeriodSeconds": 30,
            "volumes": [
                {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
            ],
        },
        {
            "phase": "Running",
            "nominatedNodeName": "i-2",
            "startTime": "2026-11-25T12:00:00Z",
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"},
            ],
        },
        ownerReferences=[{"kind": "Other", "uid": "o"}, {"kind": "ReplicaSet", "uid": "r", "controller": True}],
    )
    assert read.key == "shop/web"
    assert (read.node_name, read.nominated_node) == ("i-1", "i-2")
    assert read.node_selector == {"role": "worker"}
    assert read.tolerations == (Toleration("k", "Equal", "v", "NoSchedule"), Toleration("", "Exists"))
    assert (read.priority, read.priority_class, read.termination_grace_seconds) == (7, "high", 30)
    assert read.claims == ("data", "web-scratch")
    assert (read.phase, read.ready, read.unschedulable) == ("Running", True, True)
    assert (read.owner_kind, read.owner_uid) == ("ReplicaSet", "r")
    assert read.started_at is not None


@pytest.mark.parametrize(
    ("condition", "pending"),
    [
        ({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}, True),
        ({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}, False),
        ({"type": "PodScheduled", "status": "False", "reason": "SchedulerError"}, False),
        ({"type": "PodScheduled", "status": "True"}, False),
        ({"type": "Ready", "status": "False", "reason": "Unschedulable"}, False),
    ],
)
def test_rule_5_1_only_the_reason_unschedulable_says_that_there_is_no_node(condition: Json, pending: bool) -> None:
    assert pod({}, {"conditions": [condition]}).unschedulable is pending


def test_nulls_within_a_pod_are_unset() -> None:
    empty: Json = {
        "containers": [{"resources": None, "ports": None, "name": None}],
        "initContainers": None,
        "nodeSelector": {"a": None},
        "affinity": {"nodeAffinity": None, "podAffinity": {REQUIRED: None}},
        "tolerations": [{"key": None, "operator": None}],
        "topologySpreadConstraints": None,
        "volumes": [{"name": None, "persistentVolumeClaim": None, "ephemeral": None}],
        "overhead": {"cpu": None},
        "resources": {"requests": {"cpu": None}, "limits": None},
    }
    read = pod(empty, {"conditions": [{"type": None, "status": None}], "containerStatuses": None})
    assert read.requests == Resources(pods=1)
    assert (read.unsupported, read.spread, read.affinity, read.node_selector) == ((), (), (), {})


def test_a_page_of_pods_is_read_at_once() -> None:
    page = {"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}
    assert [p.meta.name for p in wire.pods(json.dumps(page).encode())] == ["a", "b"]
    assert wire.pods(b'{"items": null}') == ()
