"""Capacity reservations of EC2: how many more launches each has room for, and which nodes get it.

A launch that takes a place names its reservation, and nobody else may use it (Karpenter's rules 13.1 and 13.4). What
does not fit is packed anew on what else may be bought, within the same decision: Karpenter puts such pods off (rule
13.3).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Final

from agent.core.bins import Bin
from agent.core.inputs import PackingInput
from agent.core.requirements import Requirements
from agent.core.shelf import union
from agent.core.space import Space, bits
from agent.core.templates import Template
from agent.model import names
from agent.model.kubernetes import NodeClaim, NodePool
from agent.model.reasons import Reason

SETTLED_AFTER: Final = timedelta(seconds=10)
"""So long after a launch EC2's count may be from before it."""


@dataclass(frozen=True, slots=True)
class Reservations:
    """Places of reservations, of which launches take some."""

    asked: PackingInput
    left: dict[str, int]
    """By id. One that is not here has a place for every launch."""

    @classmethod
    def of(cls, asked: PackingInput) -> "Reservations":
        """What EC2 says is left, less the claims that it cannot be expected to count yet."""
        left: dict[str, int] = {}
        for shelf in {pool.node_class: asked.shelf(pool.node_class) for pool in asked.pools}.values():
            for name, mask in shelf.by_reservation.items():
                for i in bits(mask):
                    places = shelf.columns[i].offering.reservation_capacity
                    if places is not None:
                        left[name] = min(places, left.get(name, places))
        for claim in asked.counted if left else ():
            for name in coming_to(claim, asked.reservations_at) & left.keys():
                left[name] -= 1
        return cls(asked, left)

    def take(self, name: str | None, places: int) -> None:
        """Count so many launches; fewer than none give their places back."""
        if name in self.left:
            self.left[name] -= places

    def closed(self, own: Template) -> int:
        """Columns of the template's shelf that its pool may not launch now: they are full, or too few for minValues.

        A reservation is of one type in one zone, so that nothing is left to fall back to.
        """
        wide = self.asked.limits.min_values_policy != "BestEffort" and any(
            entry.min_values is not None and entry.min_values > 1 for entry in own.pool.requirements
        )
        return union(mask for name, mask in own.shelf.by_reservation.items() if wide or self.left.get(name, 1) < 1)

    def usable(self, space: Space, found: Bin) -> int:
        """The columns that a bin may still become; none where its pods are to be packed anew.

        What was filled for a reservation that is full by now suits nothing else well. A bin without pods suits all.
        """
        full = union(mask for name, mask in space.reserved.items() if self.left.get(name, 1) < 1)
        left = found.mask & ~full
        if left == found.mask or not left or not found.content:
            return left
        cheapest = space.cheapest(left)
        suits = cheapest == space.cheapest(found.mask) or any(mask >> cheapest & 1 for mask in space.reserved.values())
        return left if suits else 0

    def refusal(self, pool: NodePool, space: Space, serving: int) -> Reason | None:
        """Why none of these columns of a pool may be launched; None: it is not because of reservations."""
        wanted = [name for name, mask in sorted(space.reserved.items()) if mask & serving]
        if serving & ~union(space.reserved[name] for name in wanted):
            return None
        full = [name for name in wanted if self.left.get(name, 1) < 1]
        if full:
            sentence = f"NodePool {pool.name}: no room is left in the capacity reservations that serve it"
            return Reason("ReservationsFull", f"{sentence} ({', '.join(full)})")
        sentence = f"NodePool {pool.name}: a launch into a capacity reservation is of one type, too few for minValues"
        return Reason("NoCompatibleInstanceTypes", f"{sentence} ({', '.join(wanted)})") if wanted else None


def coming_to(claim: NodeClaim, counted_at: datetime | None) -> frozenset[str]:
    """The reservations that a claim takes a place of although EC2's count may be without it.

    Where it is not known when EC2 counted, until its node is registered: that takes longer than EC2 needs to count.
    """
    if all(entry.key != names.RESERVATION for entry in claim.requirements) or _is_counted(claim, counted_at):
        return frozenset()
    wanted = Requirements.of(claim.requirements).get(names.RESERVATION)
    return frozenset() if wanted.complement else wanted.members


def _is_counted(claim: NodeClaim, counted_at: datetime | None) -> bool:
    launched = claim.condition("Launched")
    if counted_at is None or launched is None or launched.last_transition is None:
        return claim.is_true("Registered")
    return launched.status == "True" and launched.last_transition + SETTLED_AFTER < counted_at


def in_turn(space: Space, bins: Iterable[Bin]) -> list[Bin]:
    """Bins that a reservation may hold come first, those before others that would be dearest without one.

    Of the rest those that serve the most pods first.
    """
    pinned = union(space.reserved.values())

    def rank(found: Bin) -> tuple[float, int]:
        pods = sum(count for _, count in found.content)
        if not found.mask & pinned:
            return 0.0, -pods
        rest = found.mask & ~pinned
        return -float(space.price(rest)) if rest else -inf, -pods

    return sorted(bins, key=rank)


def fallbacks(space: Space, first: int, mask: int) -> int:
    """Of these columns those that a launch of the first may fall back to: all of its reservation, or of none."""
    own = next((of for of in space.reserved.values() if of >> first & 1), None)
    return mask & own if own is not None else mask & ~union(space.reserved.values())
