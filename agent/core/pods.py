"""What a pod means to a node: whether it needs one, keeps one, or may not be moved."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from agent.core.requirements import Requirements
from agent.core.world import World
from agent.model import names
from agent.model.kubernetes import Pod, PodDisruptionBudget

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_MAX_SECONDS: Final = 2.0**63 / 1e9
"""A Go duration is an int64 of nanoseconds."""


def is_pending(pod: Pod) -> bool:
    """Whether the pod needs a node that the scheduler could not find (Karpenter's provisionable pod).

    Pods on their way out are left aside: room bought for them would never be used.
    """
    return (
        pod.unschedulable
        and pod.node_name is None
        and pod.nominated_node is None
        and not (pod.is_daemon or pod.is_mirror or pod.is_finished)
        and pod.meta.deleted_at is None
    )


def is_active(pod: Pod) -> bool:
    """Neither finished nor terminating."""
    return not pod.is_finished and pod.meta.deleted_at is None


def is_reschedulable(pod: Pod) -> bool:
    """Whether the pod will need another node when its own goes.

    A terminating pod of a StatefulSet counts, because its successor is made only once it is gone.
    """
    if pod.is_daemon or pod.is_mirror or pod.is_finished:
        return False
    return pod.meta.deleted_at is None or pod.owner_kind == "StatefulSet"


def displaced(world: World) -> tuple[Pod, ...]:
    """Pods on nodes that are on their way out: they need room before they are evicted (Karpenter's rule 5.5).

    Room for those that nothing will evict would stay empty: protected ones, and those of a budget that never lets a pod
    go, or of several budgets, which the Eviction API refuses.
    """
    found = []
    budgets = [(b, Requirements.of(b.selector)) for b in world.snapshot.pdbs if b.selector is not None]
    for claim in world.snapshot.claims:
        if claim.meta.deleted_at is None and not claim.is_true("DisruptionReason"):
            continue
        node = world.node_of(claim)
        if node is not None:
            found += [
                p
                for p in world.pods_on.get(node.name, ())
                if is_reschedulable(p) and protected_until(p, world.snapshot.now) is None and _may_go(p, budgets)
            ]
    return tuple(found)


def _may_go(pod: Pod, budgets: Sequence[tuple[PodDisruptionBudget, Requirements]]) -> bool:
    own = [b for b, selected in budgets if b.meta.namespace == pod.meta.namespace and selected.admits(pod.meta.labels)]
    return len(own) <= 1 and not any(budget.blocks for budget in own)


def protected_until(pod: Pod, now: datetime) -> datetime | None:
    """Until when ``karpenter.sh/do-not-disrupt`` protects an active pod: ``datetime.max`` means always.

    ``true`` protects without end, a Go duration that long from the pod's start; anything else protects nothing.
    None: not protected, or no longer.
    """
    value = pod.meta.annotations.get(names.DO_NOT_DISRUPT)
    if value is None or not is_active(pod):
        return None
    forever = datetime.max.replace(tzinfo=now.tzinfo)
    if value == "true":
        return forever
    length = parse_duration(value)
    if length is None or length <= timedelta(0):
        return None
    if pod.started_at is None:
        return forever
    try:
        until = pod.started_at + length
    except OverflowError:
        return forever
    return until if until > now else None


def eviction_cost(pod: Pod) -> float:
    """What moving a pod costs, by its deletion cost and priority, from -10 to 10 (Karpenter's rule 20.8)."""
    try:
        deletion = int(pod.meta.annotations.get(names.DELETION_COST, "0"))
    except ValueError:
        deletion = 0
    return max(-10.0, min(10.0, 1.0 + deletion / 2**27 + pod.priority / 2**25))


def parse_duration(text: str) -> timedelta | None:
    """A Go duration such as ``1h30m`` or ``90s``; None when it is not one."""
    if text == "0":
        return timedelta(0)
    seconds, at = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != at:
            return None
        seconds += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    if at == 0 or at != len(text) or seconds > _MAX_SECONDS:
        return None
    return timedelta(seconds=seconds)
