"""What keeping preferences costs: the plan beside the one that ignores them."""

import msgspec

from agent.core.decide import decide
from agent.core.pods import is_pending
from agent.model.kubernetes import Pod
from agent.model.plan import Plan, Snapshot

TOLD_PERMILLE = 50
"""A cost of so much of what ignoring them would buy, or less, is not worth a line."""


def cost_of_preferences(snapshot: Snapshot, plan: Plan) -> int | None:
    """Nano-dollars per hour by which the plan's launches cost more than with preferences ignored, when that is much.

    None: no pending pod has a preference, they are ignored anyway, or other pods would be placed without them.
    """
    if snapshot.limits.preference_policy != "Respect" or not any(is_pending(p) and _has_any(p) for p in snapshot.pods):
        return None
    limits = msgspec.structs.replace(snapshot.limits, preference_policy="Ignore")
    other = decide(msgspec.structs.replace(snapshot, limits=limits))
    if {r.pod for r in other.refusals} != {r.pod for r in plan.refusals}:
        return None
    kept, ignored = _bought(plan), _bought(other)
    more = kept - ignored
    return more if more > 0 and more * 1000 > ignored * TOLD_PERMILLE else None


def _has_any(pod: Pod) -> bool:
    preferred = pod.preferred_terms or pod.preferred_affinity or pod.preferred_anti_affinity
    return bool(preferred) or not all(spread.hard for spread in pod.spread)


def _bought(plan: Plan) -> int:
    return sum(launch.price_nano_usd for launch in plan.launches)
