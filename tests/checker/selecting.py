"""Labels, selectors, node affinity, taints.

Sources: kubernetes.io/docs/concepts/overview/working-with-objects/labels,
kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node and .../taint-and-toleration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
Labels = Mapping[str, str]
HARD = ("NoSchedule", "NoExecute")
EBS_ZONE = "topology.ebs.csi.aws.com/zone"
ZONE = "topology.kubernetes.io/zone"
DAEMON_TOLERATIONS: tuple[Json, ...] = (
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
)
"""What the DaemonSet controller adds to its pods (kubernetes.io/docs/concepts/workloads/controllers/daemonset)."""


def holds(requirement: Json, value: str | None) -> bool:
    """Whether a label with this value, None for a missing one, satisfies ``{key, operator, values}``."""
    operator: str = requirement["operator"]
    values: list[str] = requirement.get("values") or []
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if value is None or not _integer(value) or len(values) != 1 or not _integer(values[0]):
        return False
    number, bound = int(value), int(values[0])
    return {"Gt": number > bound, "Lt": number < bound, "Gte": number >= bound, "Lte": number <= bound}[operator]


def _integer(text: str) -> bool:
    return text.removeprefix("-").isdigit()


def label_of(labels: Labels, key: str) -> str | None:
    """By the plan's format the EBS driver's name of the zone means the zone."""
    return labels.get(key, labels.get(ZONE) if key == EBS_ZONE else None)


def unmet(requirements: Iterable[Json], labels: Labels) -> str | None:
    """The key of the first requirement that the labels do not satisfy."""
    return next((r["key"] for r in requirements if not holds(r, label_of(labels, r["key"]))), None)


def selects(selector: Json | None, labels: Labels) -> bool:
    """A label selector; none at all selects nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return unmet(selector.get("matchExpressions") or (), labels) is None


def term_holds(term: Json, labels: Labels, node: str) -> bool:
    """A node selector term; one without any expression matches no node."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return unmet(expressions, labels) is None and unmet(fields, {"metadata.name": node}) is None


def may_run(spec: Json, labels: Labels, node: str) -> bool:
    """nodeSelector and required node affinity."""
    if any(label_of(labels, k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity is None:
        return True
    return any(term_holds(term, labels, node) for term in affinity.get("nodeSelectorTerms") or ())


def mentioned(spec: Json) -> set[str]:
    """Label keys that decide whether the pod may run somewhere."""
    keys = set(spec.get("nodeSelector") or {})
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in affinity.get("nodeSelectorTerms") or ():
        keys |= {e["key"] for e in term.get("matchExpressions") or ()}
    return keys


def repelling(taints: Iterable[Json], tolerations: Sequence[Json]) -> Json | None:
    """The first hard taint that nothing tolerates."""
    return next(
        (t for t in taints if t["effect"] in HARD and not any(_tolerates(o, t) for o in tolerations)),
        None,
    )


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if not key:
        return operator == "Exists"
    if key != taint["key"]:
        return False
    return operator == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")
