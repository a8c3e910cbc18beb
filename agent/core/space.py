"""Everything that could be bought for pools of one weight, as columns, and the questions that packing asks of them.

A set of columns is an int. The columns of each pool are a run of bits, the cheapest the lowest, so that what a
half-filled node may still become is one AND.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core.aiming import MAX_TYPES
from agent.core.columns import ColumnLabels
from agent.core.daemons import Together
from agent.core.requirements import Requirements
from agent.core.shelf import Column, Shelf, Steps, union
from agent.core.templates import Template
from agent.model.ec2 import InstanceType
from agent.model.resources import Resources

MOST_ANSWERS = 4096
"""So many are kept of a kind."""
Vector = tuple[int, ...]
"""Amounts of resources in the order of a space's dimensions."""


@dataclass(frozen=True, slots=True)
class Part:
    """Columns of one pool on which the same DaemonSets run."""

    template: int
    shelf: Shelf
    offset: int
    """The bit of the shelf's first column."""
    mask: int
    daemons: int
    """The DaemonSets, as bits."""
    load: Vector
    """What they ask together."""
    steps: tuple[Steps, ...]
    """Per dimension: what the shelf's columns have."""

    def holding(self, amounts: Vector) -> int:
        """Of its columns those that have room for so much beside the DaemonSets."""
        found = self.mask >> self.offset
        for amount, load, steps in zip(amounts, self.load, self.steps, strict=True):
            if amount > 0:
                found &= steps.at_least(amount + load)
        return found << self.offset

    def at_most(self, amounts: Vector, dims: Sequence[int]) -> int:
        """Of its columns those that have no more room than so much of any of these resources."""
        found = self.mask >> self.offset
        for d in dims:
            found &= ~self.steps[d].above(amounts[d] + self.load[d])
        return found << self.offset

    def most(self, mask: int, dims: Sequence[int]) -> int:
        """One of these columns of its own that no other exceeds in everything."""
        found = mask >> self.offset
        for d in dims:
            found = self.steps[d].most(found)
        return lowest(found) + self.offset


@dataclass(frozen=True, slots=True)
class Space:
    """Columns of a group of pools."""

    templates: tuple[Template, ...]
    columns: tuple[Column, ...]
    dimensions: tuple[str, ...]
    parts: tuple[Part, ...]
    loads: tuple[Resources, ...]
    """What a pod of each DaemonSet asks."""
    every: int
    members: tuple[int, ...]
    """Per template: its columns."""
    together: tuple[Together, ...]
    """Per template: what one launch may name, in bits of its shelf."""
    reserved: dict[str, int]
    """By the id of a capacity reservation: the columns that are launched into it."""
    _offsets: tuple[int, ...]
    _labels: tuple[ColumnLabels, ...]
    _nets: dict[int, Vector] = field(default_factory=dict)
    _fitting: dict[Vector, int] = field(default_factory=dict)
    _prices: dict[int, int] = field(default_factory=dict)
    _counted: dict[int, int] = field(default_factory=dict)
    _listed: dict[int, tuple[tuple[InstanceType, ...], int]] = field(default_factory=dict)
    _efficient: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = field(default_factory=dict)
    _maximal: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = field(default_factory=dict)

    def vector(self, resources: Resources) -> Vector:
        """Amounts in the order of ``dimensions``."""
        first = (
            resources.cpu_milli,
            resources.memory_bytes,
            resources.pods,
            resources.ephemeral_storage_bytes,
        )
        more = self.dimensions[len(first) :]
        return first + tuple([resources.amount(name) for name in more]) if more else first

    def net(self, column: int) -> Vector:
        """What pods can have of a column: allocatable less the DaemonSets that will run there."""
        if column not in self._nets:
            part = next(p for p in self.parts if p.mask >> column & 1)
            room = self.vector(self.columns[column].type.allocatable)
            self._nets[column] = tuple(a - load for a, load in zip(room, part.load, strict=True))
        return self._nets[column]

    def owner(self, column: int) -> int:
        """The number of the template that a column is of."""
        return next(n for n, members in enumerate(self.members) if members >> column & 1)

    def fits(self, amounts: Vector) -> int:
        """Columns whose room holds the amounts; an amount of zero fits anywhere."""
        if amounts not in self._fitting:
            self._fitting[amounts] = union([part.holding(amounts) for part in self.parts])
        return self._fitting[amounts]

    def fits_one(self, dimension: int, amount: int) -> int:
        """Columns that have so much of one resource."""
        return self.fits(tuple(amount * (d == dimension) for d in range(len(self.dimensions))))

    def cheapest(self, mask: int) -> int:
        """The number of the cheapest column of a set that is not empty; of equal ones the earlier template's."""
        if len(self.members) == 1:
            return lowest(mask)
        firsts = (lowest(own) for members in self.members if (own := mask & members))
        return min(firsts, key=lambda i: (self.columns[i].price, i))

    def named(self, template: int, mask: int) -> int:
        """Of a template's columns that hold pods, those that one launch of the cheapest may name."""
        offset = self._offsets[template]
        return self.together[template].chosen(mask >> offset) << offset

    def choices(self, template: int, mask: int) -> tuple[tuple[int, int], ...]:
        """All that one launch could name of a template's columns that hold pods, each with those it is chosen of."""
        offset = self._offsets[template]
        own = (mask & self.members[template]) >> offset
        return tuple((part << offset, whole << offset) for part, whole in self.together[template].choices(own))

    def price(self, mask: int) -> int:
        """Nano-dollars per hour of the cheapest column of a set that is not empty."""
        found = self._prices.get(mask)
        if found is None:
            found = self._prices[mask] = self.columns[self.cheapest(mask)].price
        return found

    @property
    def dearest(self) -> int:
        """Price of the dearest column, 0 when there is none."""
        return max((self.columns[members.bit_length() - 1].price for members in self.members if members), default=0)

    def select(self, asked: Requirements, members: int) -> int:
        """Of these columns, those whose nodes can be what is asked."""
        found = 0
        for labels, offset, mask in zip(self._labels, self._offsets, self.members, strict=True):
            own = (mask & members) >> offset
            for key, values in asked:
                if not own:
                    break
                own &= labels.columns(key, values)
            found |= own << offset
        return found

    def undecided(self, asked: Requirements) -> Requirements:
        """The part of it that a column alone does not settle, so that pods of one node could still disagree on it."""
        open_keys = {key for key, _ in asked if any(not labels.decides(key) for labels in self._labels)}
        return Requirements({key: values for key, values in asked if key in open_keys})

    def efficient(self, mask: int, dims: Sequence[int]) -> tuple[int, ...]:
        """Columns than which no other has at least as much of everything for no more money, the cheapest first."""
        key = (mask, tuple(dims))
        if key not in self._efficient:
            kept: list[int] = []
            while mask:
                kept.append(self.cheapest(mask))
                net = self.net(kept[-1])
                mask &= ~union(part.at_most(net, dims) for part in self.parts)
            self._efficient[key] = tuple(kept)
        return self._efficient[key]

    def maximal(self, mask: int, dims: Sequence[int]) -> tuple[int, ...]:
        """Columns of which at least one has as much of everything as any of the set, whatever they cost."""
        key = (mask, tuple(dims))
        if key not in self._maximal:
            kept: list[int] = []
            for part in self.parts:
                own = mask & part.mask
                while own:
                    kept.append(part.most(own, dims))
                    own &= ~part.at_most(self.net(kept[-1]), dims)
            self._maximal[key] = tuple(kept)
        return self._maximal[key]

    def cheaper(self, share: float) -> int:
        """Columns that cost at most that share of what the dearest one does."""
        return self.up_to(self.dearest * share)

    def up_to(self, price: float) -> int:
        """Columns that cost at most so much."""
        found = 0
        for own, offset in zip(self.templates, self._offsets, strict=True):
            count = bisect_right(own.shelf.prices, price)
            found |= ((1 << count) - 1) << offset
        return found & self.every

    def load(self, mask: int) -> Resources:
        """What all the DaemonSets ask that run on any of these columns."""
        running = union(part.daemons for part in self.parts if part.mask & mask)
        return Resources.total(self.loads[d] for d in bits(running))

    def values(self, mask: int, key: str) -> frozenset[str]:
        """The values of a label that there are among these columns."""
        pairs = zip(self._labels, self._offsets, self.members, strict=True)
        return frozenset(v for labels, offset, own in pairs for v in labels.values((mask & own) >> offset, key))

    def listed(self, mask: int) -> tuple[tuple[InstanceType, ...], int]:
        """Of columns of one pool: as many types as one launch may name, the cheapest first, and their columns."""
        found = self._listed.get(mask)
        if found is None:
            template = self.owner(lowest(mask))
            by_type, offset = self.templates[template].shelf.by_type, self._offsets[template]
            kinds, left = list[InstanceType](), mask
            while left and len(kinds) < MAX_TYPES:
                kinds.append(self.columns[lowest(left)].type)
                left ^= left & by_type[kinds[-1].name] << offset
            found = self._listed[mask] = self._listed[mask & ~left] = (tuple(kinds), mask & ~left)
        return found

    def types(self, mask: int) -> int:
        """How many different types there are among these columns."""
        if mask not in self._counted:
            self._counted[mask] = len({self.columns[i].type.name for i in bits(mask)})
        return self._counted[mask]

    def forget(self) -> None:
        """Answers to questions that depend on pods, once there are many: the space is kept for longer than these."""
        answers: tuple[dict[Any, Any], ...] = (
            self._fitting,
            self._prices,
            self._counted,
            self._listed,
            self._efficient,
            self._maximal,
        )
        for memo in (*answers, *(own.memo for own in self._labels), *(own.held for own in self.together)):
            if len(memo) > MOST_ANSWERS:
                memo.clear()

    def within(self, allowed: Sequence[int]) -> "Space":
        """The space without columns that are not among these; per template, in bits of its shelf."""
        kept = union(mask << offset for mask, offset in zip(allowed, self._offsets, strict=True))
        if not self.every & ~kept:
            return self
        parts = tuple(replace(part, mask=part.mask & kept) for part in self.parts)
        members = tuple(mask & kept for mask in self.members)
        fewer = replace(self, parts=parts, every=self.every & kept, members=members)
        return replace(fewer, _nets={}, _fitting={}, _prices={}, _efficient={}, _maximal={})


def lowest(mask: int) -> int:
    """The lowest number in a set that is not empty; of columns of one pool it is the cheapest."""
    return (mask & -mask).bit_length() - 1


def bits(mask: int) -> Iterator[int]:
    """Numbers in a set, ascending; of columns of one pool the cheapest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
