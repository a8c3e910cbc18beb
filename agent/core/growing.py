"""Nodes that grow: the rules by which pods join a node of which it is not yet known what it will be.

A growing node keeps every column that would still hold it (Karpenter's rule 8.12). Which columns these are is looked
at when the node is done; until then it is enough that the largest that it may become hold it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from agent.core.bins import Bin, Problem
from agent.core.fields import Fields
from agent.core.hosts import EMPTY, FREE, HostState
from agent.core.requirements import Requirements
from agent.core.space import Vector

if TYPE_CHECKING:
    from agent.core.grouping import Group

_FREE = Requirements()


@dataclass(slots=True)
class Ground:
    """A problem in fields, for nodes to grow on."""

    problem: Problem
    dims: tuple[int, ...]
    """Resources that something asks for."""
    fields: Fields
    packed: tuple[int, ...]
    """What a unit of each demand takes; of one that no column holds, nothing."""
    single: tuple[int, ...]
    """Per demand: the columns that hold one unit of it."""
    _largest: dict[int, tuple[int, ...]] = field(default_factory=dict)
    groups: "dict[tuple[tuple[int, ...], bool], tuple[Group, ...]]" = field(default_factory=dict)
    """What ``agent.core.grouping`` made of the demands, by what it was asked."""
    proven: tuple[Bin, ...] | None = None
    """The cheapest nodes that there are, where ``agent.core.exact`` found them."""

    @classmethod
    def of(cls, problem: Problem) -> "Ground":
        """Look at the demands."""
        space, demands = problem.space, problem.demands
        dims = tuple(i for i in range(len(space.dimensions)) if any(d.amounts[i] > 0 for d in demands))
        fits = {a: space.fits(a) for a in {d.amounts for d in demands}}
        single = tuple(d.mask & fits[d.amounts] for d in demands)
        largest = max((max(space.net(c)) for c in space.maximal(space.every, dims)), default=1)
        fields = Fields.holding(len(dims), largest)
        packed = tuple(
            fields.packed(d.amounts[i] for i in dims) if mask else 0 for d, mask in zip(demands, single, strict=True)
        )
        return cls(problem, dims, fields, packed, single)

    def rooms(self, mask: int) -> tuple[int, ...]:
        """What the largest of these columns have: what fits in any of them fits in one of those."""
        if mask not in self._largest:
            found = self.problem.space.maximal(mask, self.dims)
            self._largest[mask] = tuple(
                self.fields.room(map(self.problem.space.net(c).__getitem__, self.dims)) for c in found
            )
        return self._largest[mask]


class Growing(msgspec.Struct):
    """A node to be."""

    ground: Ground
    mask: int
    """The columns that its pods may use."""
    opened: int = 0
    """The columns that its first pod left open."""
    used: int = 0
    rooms: tuple[int, ...] = ()
    """What is left of the largest columns, in fields."""
    content: dict[int, int] = {}
    custom: Requirements = _FREE
    host: HostState = EMPTY

    def add(self, number: int, limit: int) -> int:
        """Put as many units of a demand into the node as it can take, at most ``limit``; how many that is."""
        ground = self.ground
        demand, packed, guard = ground.problem.demands[number], ground.packed[number], ground.fields.guard
        if self.rooms and not any((room - packed) & guard == guard for room in self.rooms):
            return 0
        if demand.host is not FREE:
            limit = ground.problem.bearable(number, self.host, limit)
        if not limit or not ground.single[number]:
            return 0
        custom, allowed = ground.problem.joined(self.custom, demand.custom) if self.content else (demand.custom, -1)
        mask = self.mask & demand.mask & allowed
        opened = self.opened if self.content else mask & ground.single[number]
        rooms = self.rooms
        if mask != self.mask or not rooms:
            rooms = tuple(room - self.used for room in ground.rooms(mask) if (room - self.used) & guard == guard)
        count = most(limit, lambda n: self._holds(rooms, packed * n, mask, opened))
        if count:
            self.mask, self.custom, self.opened = mask, custom, opened
            self.used += packed * count
            self.rooms = tuple(room - packed * count for room in rooms if (room - packed * count) & guard == guard)
            self.content[number] = self.content.get(number, 0) + count
            self.host = ground.problem.beside(number, self.host, count)
        return count

    @property
    def top(self) -> int:
        """The most that is left of each resource, in fields: what this does not hold, the node does not."""
        return self.rooms[0] if len(self.rooms) == 1 else self.ground.fields.largest_of(self.rooms)

    def price(self) -> int:
        """Of the cheapest column that holds what was put in."""
        space = self.ground.problem.space
        return space.price(self.mask & space.fits(self._amounts(self.used)))

    def copied(self) -> "Growing":
        """Another one with the same content."""
        mine = (self.mask, self.opened, self.used, self.rooms, dict(self.content), self.custom, self.host)
        return Growing(self.ground, *mine)

    def done(self) -> Bin:
        """The bin, which may become any column that holds what was put in."""
        problem = self.ground.problem
        used = self._amounts(self.used)
        mask = self.mask & problem.space.fits(used)
        if problem.floors:
            mask = problem.diverse(mask, self.opened)
        return Bin(mask, self.opened, used, tuple(self.content.items()), self.custom, self.host)

    def _holds(self, rooms: Iterable[int], packed: int, mask: int, opened: int) -> bool:
        problem, guard = self.ground.problem, self.ground.fields.guard
        for room in rooms:
            if (room - packed) & guard == guard:
                break
        else:
            return False
        if not problem.floors:
            return True
        return problem.diverse(mask & problem.space.fits(self._amounts(self.used + packed)), opened) != 0

    def _amounts(self, packed: int) -> Vector:
        amounts = [0] * len(self.ground.problem.space.dimensions)
        for d, amount in zip(self.ground.dims, self.ground.fields.unpacked(packed, len(self.ground.dims)), strict=True):
            amounts[d] = amount
        return tuple(amounts)


def most(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest n up to ``limit`` for which ``holds`` is true; it must be false from some n on."""
    if limit < 1 or not holds(1):
        return 0
    low, high = 1, 2
    while high <= limit and holds(high):
        low, high = high, high * 2
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
