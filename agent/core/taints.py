"""Taints and tolerations (kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration).

NoSchedule and NoExecute keep a pod off a node; PreferNoSchedule is a wish, which is minded until nothing else is left.
"""

import re
from collections.abc import Iterable
from typing import Final

from agent.model import names
from agent.model.kubernetes import NodeClaim, Taint, Toleration

SOFT: Final = "PreferNoSchedule"
_COMPARED: Final = frozenset({"Gt", "Lt"})
"""Operators by which a taint's number must be greater or less than the toleration's (Kubernetes 1.35)."""
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_EPHEMERAL: Final = frozenset(
    {
        ("node.kubernetes.io/not-ready", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule"),
        (names.UNREGISTERED_TAINT, "NoExecute"),
        (names.UNREGISTERED_TAINT, "NoSchedule"),
    }
)
_READINESS_PREFIX: Final = "readiness.k8s.io/"
"""Taints of the Node Readiness Controller, which lifts them by itself."""

UNSCHEDULABLE: Final = Taint("node.kubernetes.io/unschedulable", "NoSchedule")
"""What ``spec.unschedulable`` means."""

DAEMON_TOLERATIONS: Final = tuple(
    Toleration(f"node.kubernetes.io/{key}", "Exists", effect=effect)
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
)
"""What the DaemonSet controller adds to every pod that it makes."""


def tolerates(tolerations: Iterable[Toleration], taints: Iterable[Taint]) -> bool:
    """Whether a pod with these tolerations may run on a node with these taints."""
    return untolerated(tolerations, taints) is None


def untolerated(tolerations: Iterable[Toleration], taints: Iterable[Taint], *, soft: bool = False) -> Taint | None:
    """The first taint that keeps the pod away; None: it may run there. With ``soft``, PreferNoSchedule does so too."""
    kept = tuple(tolerations)
    found = (t for t in taints if (soft or t.effect != SOFT) and not any(_matches(k, t) for k in kept))
    return next(found, None)


def is_ephemeral(taint: Taint) -> bool:
    """Whether a node that is still starting carries it for a while, so that pods may be planned for it already."""
    return (taint.key, taint.effect) in _EPHEMERAL or taint.key.startswith(_READINESS_PREFIX)


def lasting(taints: Iterable[Taint], claim: NodeClaim) -> tuple[Taint, ...]:
    """The taints that will remain once the claim's node is initialised: less ephemeral and startup taints."""
    startup = {(t.key, t.effect) for t in claim.startup_taints}
    return tuple(t for t in taints if not is_ephemeral(t) and (t.key, t.effect) not in startup)


def describe(taint: Taint) -> str:
    """As kubectl writes it: ``key=value:effect``."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"


def _matches(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    if not toleration.key:
        return False
    if toleration.operator in _COMPARED:
        mine, other = _integer(toleration.value), _integer(taint.value)
        return (
            mine is not None and other is not None and (other > mine if toleration.operator == "Gt" else other < mine)
        )
    return toleration.operator in {"", "Equal"} and toleration.value == taint.value


def _integer(text: str) -> int | None:
    """A number as the comparison takes it: of 64 bits, without leading zeros or a plus sign; None: it is none."""
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and -(1 << 63) <= number < 1 << 63 else None
