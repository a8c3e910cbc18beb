"""A null anywhere in an object means that the field is unset."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.kube import csr, wire
from agent.kube.wire.objects import WireFault
from tests.kube.apihttp import Json

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
EXPRESSION = {"key": "a", "operator": "In", "values": ["1"], "minValues": 1}
META = {
    "name": "a",
    "namespace": "n",
    "uid": "u",
    "resourceVersion": "1",
    "generation": 2,
    "creationTimestamp": "2026-11-25T12:00:00Z",
    "deletionTimestamp": "2026-11-25T12:00:00Z",
    "labels": {"l": "v"},
    "annotations": {"karpenter.sh/do-not-disrupt": "true"},
    "finalizers": ["f"],
    "ownerReferences": [{"kind": "ReplicaSet", "uid": "r", "controller": True}],
}
NEEDS = {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}, "claims": [{"name": "x"}]}
CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "R",
    "message": "m",
    "lastTransitionTime": "2026-11-25T12:00:00Z",
}
TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}
POD_SPEC = {
    "nodeName": "i-1",
    "containers": [{"name": "c", "resources": NEEDS, "ports": [{"hostPort": 80}]}],
    "initContainers": [{"name": "i", "resources": NEEDS, "restartPolicy": "Always"}],
    "overhead": {"cpu": "1m"},
    "resources": NEEDS,
    "nodeSelector": {"s": "v"},
    "affinity": {
        "nodeAffinity": {
            REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [EXPRESSION], "matchFields": [{"key": "f"}]}]},
            PREFERRED: [{"weight": 1}],
        },
        "podAffinity": {REQUIRED: [{}], PREFERRED: [{}]},
        "podAntiAffinity": {REQUIRED: [{}], PREFERRED: [{}]},
    },
    "tolerations": [{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}],
    "topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}],
    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "p"}}, {"name": "e", "ephemeral": {}}],
    "resourceClaims": [{"name": "r"}],
    "schedulingGates": [{"name": "g"}],
    "priority": 1,
    "priorityClassName": "p",
    "terminationGracePeriodSeconds": 3,
}
POD = {
    "metadata": META,
    "spec": POD_SPEC,
    "status": {
        "phase": "Running",
        "conditions": [CONDITION],
        "nominatedNodeName": "i-2",
        "startTime": "2026-11-25T12:00:00Z",
        "containerStatuses": [
            {"name": "c", "resources": {"requests": {"cpu": "3"}}, "allocatedResources": {"cpu": "3"}}
        ],
        "initContainerStatuses": [{"name": "i"}],
    },
}
NODE = {
    "metadata": META,
    "spec": {"providerID": "p", "unschedulable": True, "taints": [TAINT]},
    "status": {"capacity": {"cpu": "1"}, "allocatable": {"cpu": "1"}, "conditions": [CONDITION]},
}
CLAIM = {
    "metadata": META,
    "spec": {
        "nodeClassRef": {"name": "c"},
        "requirements": [EXPRESSION],
        "resources": {"requests": {"cpu": "1"}},
        "taints": [TAINT],
        "startupTaints": [TAINT],
        "expireAfter": "1h",
        "terminationGracePeriod": "1m",
    },
    "status": {
        "providerID": "p",
        "nodeName": "n",
        "imageID": "i",
        "capacity": {"cpu": "1"},
        "allocatable": {"cpu": "1"},
        "conditions": [CONDITION],
        "lastPodEventTime": "2026-11-25T12:00:00Z",
    },
}
BUDGET = {
    "metadata": META,
    "spec": {
        "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [EXPRESSION]},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    },
    "status": {"disruptionsAllowed": 1, "observedGeneration": 2},
}
DAEMONSET = {"metadata": META, "spec": {"template": {"metadata": META, "spec": POD_SPEC}}}
ATTACHMENT = {"metadata": META, "spec": {"nodeName": "n", "source": {"persistentVolumeName": "p"}}}
REQUEST = {
    "metadata": META,
    "spec": {"request": "AAAA", "signerName": "s", "username": "u", "groups": ["g"], "usages": ["client auth"]},
    "status": {"certificate": "AAAA", "conditions": [CONDITION]},
}
Reader = Callable[[bytes], object]
CASES: list[tuple[Reader, Json]] = [
    (wire.pod, POD),
    (wire.node, NODE),
    (wire.node_claim, CLAIM),
    (wire.pod_disruption_budget, BUDGET),
    (wire.daemonset, DAEMONSET),
    (wire.volume_attachment, ATTACHMENT),
    (csr.certificate_request, REQUEST),
]


def fields(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every field of every object within a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from fields(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from fields(inner, (*path, number))


def outcome(read: Reader, body: Json) -> object:
    try:
        return read(json.dumps(body).encode())
    except WireFault:
        return "a fault"


def changed(body: Json, path: tuple[str | int, ...], *, to_null: bool) -> Json:
    result = copy.deepcopy(body)
    inner: Any = result
    for step in path[:-1]:
        inner = inner[step]
    if to_null:
        inner[path[-1]] = None
    else:
        del inner[path[-1]]
    return result


@pytest.mark.parametrize(("read", "body"), CASES, ids=["pod", "node", "claim", "pdb", "ds", "va", "csr"])
def test_a_null_is_as_good_as_no_field_at_all(read: Reader, body: Json) -> None:
    for path in fields(body):
        if path == ("metadata",):
            continue  # an object without metadata is none
        assert outcome(read, changed(body, path, to_null=True)) == outcome(read, changed(body, path, to_null=False)), (
            path
        )
