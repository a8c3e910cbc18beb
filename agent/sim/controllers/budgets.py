"""PodDisruptionBudgets: how many pods the Eviction API may evict now.

Rules: kubernetes.io/docs/tasks/run-application/configure-pdb.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.core.requirements import Requirements
from agent.kube import paths, wire
from agent.kube.times import rfc3339
from agent.sim.controllers.view import (
    BUDGETS,
    REPLICA_SETS,
    Manifest,
    View,
    Write,
    changed,
    controller_of,
    is_active,
    is_true,
    path_of,
)
from agent.sim.machines.world import PODS

_PERCENT: Final = 100


def budgets(view: View) -> Iterator[Write]:
    """Write the counts of every budget that has changed."""
    for found in view.items(BUDGETS):
        status = _status(view, found)
        if changed(found, status):
            yield Write("patch", BUDGETS, paths.status(path_of(BUDGETS, found)), {"status": status})


def _status(view: View, found: Manifest) -> Manifest:
    pods = list(_selected(view, found))
    expected = _expected(view, pods)
    healthy = sum(is_true(p, "Ready") for p in pods)
    desired = _desired(found["spec"], expected)
    allowed = max(0, healthy - desired) if expected else 0
    return {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": found["metadata"].get("generation", 1),
        "conditions": [_condition(view, found, allowed)],
    }


def _selected(view: View, found: Manifest) -> Iterator[Manifest]:
    selector = wire.pod_disruption_budget(msgspec.json.encode(found)).selector
    if selector is None:
        return
    wanted, namespace = Requirements.of(selector), found["metadata"]["namespace"]
    for pod in view.items(PODS):
        metadata = pod["metadata"]
        if metadata["namespace"] == namespace and is_active(pod) and wanted.admits(metadata.get("labels") or {}):
            yield pod


def _expected(view: View, pods: list[Manifest]) -> int:
    """What the pods' ReplicaSets ask for, so that a pod which is missing counts as unhealthy; other pods count once."""
    wanted = {s["metadata"]["uid"]: int(s["spec"].get("replicas") or 0) for s in view.items(REPLICA_SETS)}
    owners = [(controller_of(p) or {}).get("uid") for p in pods]
    sets = {uid for uid in owners if uid in wanted}
    return sum(wanted[uid] for uid in sets) + sum(uid not in wanted for uid in owners)


def _desired(spec: Manifest, expected: int) -> int:
    if spec.get("maxUnavailable") is not None:
        return max(0, expected - _count(spec["maxUnavailable"], expected))
    return _count(spec.get("minAvailable", 1), expected)


def _count(written: object, expected: int) -> int:
    """A number, or a percentage rounded up, as the disruption controller does for both fields."""
    text = str(written)
    return -(-expected * int(text[:-1]) // _PERCENT) if text.endswith("%") else int(text)


def _condition(view: View, found: Manifest, allowed: int) -> Manifest:
    status, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    held = next((c for c in found.get("status", {}).get("conditions") or () if c["type"] == "DisruptionAllowed"), None)
    if held is not None and held["status"] == status:
        return dict(held)
    stamp = rfc3339(view.now)
    return {"type": "DisruptionAllowed", "status": status, "reason": reason, "message": "", "lastTransitionTime": stamp}
