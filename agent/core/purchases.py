"""Nodes that are bought, what they may fall back to, and as what they count."""

from collections.abc import Iterable

import msgspec

from agent.core.bins import Bin
from agent.core.space import Space
from agent.core.usage import NODES
from agent.model.ec2 import InstanceType


class Purchase(msgspec.Struct):
    """A bin that may be bought, and what it may become within the limits."""

    found: Bin
    template: int
    mask: int
    """Columns of the one pool that it is bought from, within the pool's limits."""
    counted: dict[str, int]
    """What it counts as against the limits of its pool: the largest that it may become."""
    price: int
    """The dearest that it may become."""
    reservation: str | None = None
    """Of which it takes a place."""

    @classmethod
    def of(cls, space: Space, found: Bin, at: tuple[int, int], limited: Iterable[str]) -> "Purchase":
        """The bin as one column of a template, the numbers of both ``at``; no fallback is allowed yet."""
        number, first = at
        column = space.columns[first]
        counted = {name: amount_of(column.type, name) for name in limited}
        return cls(found, number, 1 << first, counted, column.price, column.offering.reservation)


class Fallbacks(msgspec.Struct, frozen=True, gc=False):
    """Columns of as many types as one launch may name, and the most that any of them is."""

    mask: int
    largest: dict[str, int]
    dearest: int

    @classmethod
    def of(cls, space: Space, template: int, mask: int) -> "Fallbacks":
        """The cheapest types of a set of columns of one pool; of what they are, that which the pool limits."""
        kinds, chosen = space.listed(mask)
        dearest = space.columns[chosen.bit_length() - 1].price
        limits = space.templates[template].pool.limits
        largest = {name: max(amount_of(kind, name) for kind in kinds) for name in limits}
        return cls(chosen, largest, dearest)


def amount_of(kind: InstanceType, name: str) -> int:
    """What a node of the type counts as against a limit."""
    return 1 if name == NODES else kind.capacity.amount(name)
