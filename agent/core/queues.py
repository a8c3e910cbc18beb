"""Demands of which one resource decides how many a node holds, the largest first, and how to find the next that fits.

Demands of equal amounts share an entry. Entries are looked through in blocks: what does not hold the least of each
amount in a block holds nothing of it, and what does not hold the least of all that follow need not look on.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from operator import mul
from typing import Final

import msgspec

from agent.core.fields import Fields
from agent.core.space import Vector

BLOCK: Final = 16
"""Entries that are looked through at once."""

Asked = tuple[int, int, Vector]
"""A demand's number, its kind, and what a unit of it takes."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Demands that take the same."""

    amounts: Vector
    packed: int
    """The same in fields."""
    kinds: int
    """Which kinds of demands there are, as bits."""
    members: dict[int, tuple[int, ...]]
    """Per kind, as a bit: the demands' numbers."""
    numbers: tuple[int, ...]
    """All of them."""

    def kinds_left(self, left: Sequence[int]) -> int:
        """The kinds of which anything is left."""
        if len(self.numbers) == 1:
            return self.kinds if left[self.numbers[0]] else 0
        return sum(kind for kind, own in self.members.items() if any(left[n] for n in own))


class Entries(msgspec.Struct, frozen=True, gc=False):
    """All that some queues are of."""

    listed: tuple[Entry, ...]
    place_of: dict[int, int]
    """Per demand: its entry."""

    @classmethod
    def of(cls, fields: Fields, asked: Iterable[Asked]) -> "Entries":
        """Demands by what a unit of them takes."""
        alike: dict[Vector, dict[int, list[int]]] = {}
        for number, kind, amounts in asked:
            alike.setdefault(amounts, {}).setdefault(1 << kind, []).append(number)
        listed = tuple(
            Entry(
                amounts,
                fields.packed(amounts),
                sum(members),
                {kind: tuple(own) for kind, own in members.items()},
                tuple(chain(*members.values())),
            )
            for amounts, members in alike.items()
        )
        return cls(listed, {n: at for at, entry in enumerate(listed) for n in entry.numbers})


class Stock(msgspec.Struct, frozen=True, gc=False):
    """What is left of entries, for all queues of them."""

    entries: Entries
    packed: list[int]
    """What each takes, in fields; more than any room has, once nothing is left of it."""
    kinds: list[int]
    """Of which kinds anything is left of each, as bits."""
    guard: int

    @classmethod
    def of(cls, fields: Fields, entries: Entries, left: Sequence[int]) -> "Stock":
        """What there is in the beginning."""
        kinds = [entry.kinds_left(left) for entry in entries.listed]
        packed = [e.packed if own else fields.guard for e, own in zip(entries.listed, kinds, strict=True)]
        return cls(entries, packed, kinds, fields.guard)

    def exhaust(self, number: int, kind: int, left: Sequence[int]) -> None:
        """Nothing is left of a demand of a kind, and perhaps nothing of that kind, or of the whole entry."""
        place = self.entries.place_of.get(number)
        if place is None:
            return
        entry = self.entries.listed[place]
        if len(entry.numbers) == 1 or not any(left[n] for n in entry.members[kind]):
            self.kinds[place] &= ~kind
            if not self.kinds[place]:
                self.packed[place] = self.guard


class Queue(msgspec.Struct, frozen=True, gc=False):
    """Entries in descending order of the resource that they take most of."""

    fields: Fields
    dimension: int
    entries: Entries
    order: tuple[int, ...]
    """The entries' numbers."""
    leads: tuple[int, ...]
    """What each takes of the resource, as negative amounts, so that they ascend."""
    blocks: tuple[int, ...]
    """The least of each amount in every block, in fields."""
    rests: tuple[int, ...]
    """The least of each amount in every block and all that follow."""

    @classmethod
    def of(cls, fields: Fields, dimension: int, entries: Entries, order: Sequence[int]) -> "Queue":
        """A queue of entries that are in order."""
        if not order:
            return cls(fields, dimension, entries, (), (), (), ())
        vectors = [entries.listed[at].amounts for at in order]
        blocks = [_least(vectors[i : i + BLOCK]) for i in range(0, len(vectors), BLOCK)]
        packed = tuple(map(fields.packed, blocks))
        rests = accumulate(reversed(blocks), lambda one, other: tuple(map(min, one, other)))
        return cls(
            fields,
            dimension,
            entries,
            tuple(order),
            tuple([-v[dimension] for v in vectors]),
            packed,
            packed if len(packed) <= 1 else tuple(map(fields.packed, rests))[::-1],
        )

    def compacted(self, kinds: Sequence[int]) -> "Queue":
        """The queue without the entries of which no kind is left; of one block it would not be found sooner."""
        if len(self.order) <= BLOCK:
            return self
        kept = [at for at in self.order if kinds[at]]
        return self if len(kept) == len(self.order) else Queue.of(self.fields, self.dimension, self.entries, kept)

    def next(self, packed: Sequence[int], room: int, place: int) -> int:
        """Where, from ``place`` on, the first entry is that the room holds; the number of entries when there is none.

        ``packed`` is what each entry takes, as a stock has it.
        """
        guard, order, end, width = self.fields.guard, self.order, len(self.order), self.fields.width
        own = room >> (self.dimension * width) & ((1 << (width - 1)) - 1)
        place = bisect_left(self.leads, -own, place)
        while place < end:
            block = place // BLOCK
            if (room - self.rests[block]) & guard != guard:
                return end
            stop = min((block + 1) * BLOCK, end)
            if (room - self.blocks[block]) & guard == guard:
                for i in range(place, stop):
                    if (room - packed[order[i]]) & guard == guard:
                        return i
            place = stop
        return end


def queues(fields: Fields, net: Vector, entries: Entries) -> tuple[Queue, ...]:
    """One queue per resource, of the demands that take the largest share of it."""
    sorted_: list[list[tuple[int, float, Vector, int]]] = [[] for _ in net]
    scale = [1.0 / room if room else 0.0 for room in net]
    for at, entry in enumerate(entries.listed):
        amounts = entry.amounts
        shares = list(map(mul, amounts, scale))
        dimension = shares.index(max(shares))
        sorted_[dimension].append((-amounts[dimension], -sum(shares), amounts, at))
    return tuple(Queue.of(fields, d, entries, [at for *_, at in sorted(own)]) for d, own in enumerate(sorted_))


def _least(vectors: Sequence[Vector]) -> Vector:
    """Of each resource the smallest amount: what does not hold that holds none of them."""
    return tuple(map(min, zip(*vectors, strict=True)))
