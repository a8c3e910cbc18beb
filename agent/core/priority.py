"""Who gets capacity that does not suffice for all: pods of higher priority, as kube-scheduler has it.

Karpenter does not look at priority (rule 8.1). Here it decides only when limits or brakes leave pods without a node
although pods of less priority have one: then pods are placed anew by priority, the highest first, on one another's
nodes as far as there is room. As long as there is enough for all, all are packed together, which is cheaper.
"""

from typing import Final

import msgspec

from agent.core.coming import merged, offered
from agent.core.inputs import PROMISED, PackingInput, PackingResult, Pair
from agent.core.packing import pack
from agent.core.rooms import promised_pods
from agent.model.kubernetes import Pod
from agent.model.names import NodeName
from agent.model.plan import Placement

TIERS: Final = 8
"""Priorities that are told apart at most, the highest; each is a packing or two more."""
SCARCE: Final = frozenset(
    {"LimitExceeded", "MaxNodes", "MaxPricePerHour", "LaunchRate", "ProtectedMode", "ReservationsFull"}
)
"""Reasons for which a pod gets no node although one could be had for it."""


def pack_by_priority(asked: PackingInput) -> PackingResult:
    """Find a place for every pod; where there is not enough for all, for those of higher priority first.

    Raises:
        PlanInvalid: as ``pack``.
    """
    together = pack(asked)
    refused = [r.pod for r in together.refusals if any(reason.code in SCARCE for _, reason in r.reasons)]
    if not refused or not together.placements:
        return together
    priorities = {pod.key: pod.priority for pod in asked.pods}
    if max(priorities[key] for key in refused) <= min(priorities[p.pod] for p in together.placements):
        return together
    return _in_turn(asked, sorted(set(priorities.values()), reverse=True))


def _in_turn(asked: PackingInput, priorities: list[int]) -> PackingResult:
    """One tier after the other; each time those before keep their places.

    A tier of which pods are left is asked again: nodes that were just bought for it may have room for them.
    """
    tiers = (*priorities[: TIERS - 1], priorities[-1])
    result, names = PackingResult(), 0
    for least in tiers:
        while True:
            had = (len(result.launches), len(result.placements))
            # Names of claims come from the seed and the number of a launch, which begins anew.
            question = msgspec.structs.replace(asked, seed=f"{asked.seed}/{names}", narrow=least != tiers[-1])
            result = _next(question, least, result)
            names += 1
            now = (len(result.launches), len(result.placements))
            if not result.refusals or now[0] == had[0] or now[1] == had[1]:
                break
    return result


def _next(asked: PackingInput, least: int, result: PackingResult) -> PackingResult:
    """The answer for all pods of at least this priority, with what was decided before."""
    pods = {pod.key: pod for pod in asked.pods}
    seated = tuple(p for p in result.placements if p.node is not None)
    kept = {p.pod for p in seated}
    tier = msgspec.structs.replace(
        asked,
        pods=tuple(pod for pod in asked.pods if pod.priority >= least and pod.key not in kept),
        bound=(*asked.bound, *(_bound(pods[p.pod], p) for p in seated)),
        pairs=tuple(_promising(pair, result.placements) for pair in asked.pairs),
    )
    packed = merged(tier, result.launches, pack(offered(tier, result.launches)))
    return msgspec.structs.replace(packed, placements=(*seated, *packed.placements))


def _bound(pod: Pod, placement: Placement) -> Pod:
    return msgspec.structs.replace(pod, node_name=NodeName(placement.node or ""))


def _promising(pair: Pair, placements: tuple[Placement, ...]) -> Pair:
    """A claim whose node has not come, with the pods that were placed on it as its own."""
    claim = pair.claim
    if claim is None or pair.node is not None:
        return pair
    pods = sorted({*promised_pods(claim), *(p.pod for p in placements if p.claim == claim.name)})
    if not pods:
        return pair
    annotations = claim.meta.annotations | {PROMISED: msgspec.json.encode(pods).decode()}
    meta = msgspec.structs.replace(claim.meta, annotations=annotations)
    return Pair(None, msgspec.structs.replace(claim, meta=meta))
