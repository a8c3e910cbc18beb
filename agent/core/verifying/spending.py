"""Whether the limits of pools and the brakes of the whole cluster hold."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from agent.core.inputs import PackingInput, PackingResult
from agent.core.requirements import Requirements
from agent.core.verifying.faults import PlanInvalid
from agent.model import names
from agent.model.actions import Launch
from agent.model.kubernetes import NodeClaim
from agent.model.names import ClassName

_PINNED: Final = (names.RESERVATION, names.CAPACITY_TYPE)


def check_spending(asked: PackingInput, result: PackingResult) -> None:
    """Check what is bought.

    Raises:
        PlanInvalid: naming the limit.
    """
    _within_limits(asked, result)
    _within_reservations(asked, result)
    _within_brakes(asked, result)


def _within_limits(asked: PackingInput, result: PackingResult) -> None:
    """What pools have and what launches may become at most stays within their limits."""
    for pool in asked.pools:
        launches = [launch for launch in result.launches if launch.draft.pool == pool.name]
        claims = [claim for claim in asked.counted if claim.pool == pool.name]
        for resource, limit in pool.limits.items():
            if not launches:
                continue
            alike = Counter((launch.draft.node_class, launch.instance_types) for launch in launches)
            planned = sum(n * _most(asked, own, listed, resource) for (own, listed), n in alike.items())
            if planned and planned + sum(_held(asked, claim, resource) for claim in claims) > limit:
                raise PlanInvalid(f"NodePool {pool.name} would use more {resource} than its limit")


def _held(asked: PackingInput, claim: NodeClaim, resource: str) -> int:
    if claim.provider_id is not None and resource != "nodes":
        return claim.capacity.amount(resource)
    allowed = Requirements.of(claim.requirements).get(names.INSTANCE_TYPE)
    listed = [t.name for t in asked.instance_types.get(claim.node_class, ()) if allowed.allows(t.name)]
    return _most(asked, claim.node_class, listed, resource)


def _most(asked: PackingInput, node_class: ClassName, listed: Sequence[str], resource: str) -> int:
    if resource == "nodes":
        return 1
    chosen = set(listed)
    types = asked.instance_types.get(node_class, ())
    return max((t.capacity.amount(resource) for t in types if t.name in chosen), default=0)


def _within_reservations(asked: PackingInput, result: PackingResult) -> None:
    """No capacity reservation is given more launches than it has left, and a launch of one is of that one only."""
    taken: Counter[str] = Counter()
    for launch in filter(_names_reservation, result.launches):
        wanted = Requirements.of(r for r in launch.draft.requirements if r.key in _PINNED)
        named = wanted.get(names.RESERVATION)
        if named.members and not named.complement:
            if named.single is None or wanted.get(names.CAPACITY_TYPE).single != "reserved":
                raise PlanInvalid(f"launch {launch.id} is not of one capacity reservation alone")
            taken[named.single] += 1
    if not taken:
        return
    for claim in asked.counted:
        named = Requirements.of(claim.requirements).get(names.RESERVATION)
        if not named.complement and not _is_counted(asked, claim):
            taken.update(named.members & taken.keys())
    classes = {pool.node_class for pool in asked.pools}
    for kind in (kind for name in classes for kind in asked.instance_types.get(name, ())):
        for offering in (o for o in kind.offerings if o.available and o.reservation_capacity is not None):
            if taken[offering.reservation or ""] > (offering.reservation_capacity or 0):
                raise PlanInvalid(f"capacity reservation {offering.reservation} would be launched into too often")


def _names_reservation(launch: Launch) -> bool:
    return any(r.key == names.RESERVATION for r in launch.draft.requirements)


def _is_counted(asked: PackingInput, claim: NodeClaim) -> bool:
    """Whether EC2's count of the reservation has the claim's instance in it."""
    launched = claim.condition("Launched")
    if asked.reservations_at is None or launched is None or launched.last_transition is None:
        return claim.is_true("Registered")
    return claim.is_true("Launched") and asked.reservations_at - launched.last_transition > timedelta(seconds=10)


def _within_brakes(asked: PackingInput, result: PackingResult) -> None:
    """The brakes over all pools: nodes, launches per minute, one trial of a pool in protected mode."""
    count = len(result.launches)
    if not count:
        return
    claims = len(asked.counted)
    recent = sum(asked.now - at < timedelta(minutes=1) for at in asked.launches)
    if not asked.launch or claims + count > asked.limits.max_nodes:
        raise PlanInvalid("more nodes would be bought than maxNodes allows, or any while none may be")
    if recent + count > asked.limits.launches_per_minute:
        raise PlanInvalid("more launches than launchesPerMinute allows")
    for pool in asked.protected:
        if sum(launch.draft.pool == pool for launch in result.launches) > 1:
            raise PlanInvalid(f"NodePool {pool} is in protected mode and would buy more than one node")
