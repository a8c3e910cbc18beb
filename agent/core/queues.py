"""Demands of which one resource decides how many a node holds, the largest first, and how to find the next that fits.

Demands of equal amounts share an entry. Entries are looked through in blocks: what does not hold the least of each
amount in a block holds nothing of it, and what does not hold the least of all that follow need not look on.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Final

from agent.core.fields import Fields
from agent.core.space import Vector

BLOCK: Final = 16
"""Entries that are looked through at once."""

Asked = tuple[int, int, Vector]
"""A demand's number, its kind, and what a unit of it takes."""


@dataclass(frozen=True, slots=True)
class Entry:
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


def entries(fields: Fields, asked: Iterable[Asked]) -> tuple[Entry, ...]:
    """Demands by what a unit of them takes."""
    alike: dict[Vector, dict[int, list[int]]] = {}
    for number, kind, amounts in asked:
        alike.setdefault(amounts, {}).setdefault(1 << kind, []).append(number)
    return tuple(
        Entry(
            amounts,
            fields.packed(amounts),
            sum(members),
            {kind: tuple(own) for kind, own in members.items()},
            tuple(n for own in members.values() for n in own),
        )
        for amounts, members in alike.items()
    )


@dataclass(slots=True)
class Queue:
    """Entries in descending order of the resource that they take most of."""

    fields: Fields
    dimension: int
    entries: tuple[Entry, ...]
    leads: tuple[int, ...]
    """What each takes of the resource, as negative amounts, so that they ascend."""
    packed: list[int]
    """What each takes, in fields; more than any room has, once nothing is left of it."""
    kinds: list[int]
    """Of which kinds anything is left of each, as bits."""
    blocks: tuple[int, ...]
    """The least of each amount in every block."""
    rests: tuple[int, ...]
    """The least of each amount in every block and all that follow."""
    place_of: dict[int, int]
    """Per demand: its entry."""

    @classmethod
    def of(cls, fields: Fields, dimension: int, ordered: Sequence[Entry]) -> "Queue":
        """A queue of entries that are in order."""
        if not ordered:
            return cls(fields, dimension, (), (), [], [], (), (), {})
        vectors = [entry.amounts for entry in ordered]
        blocks = [_least(vectors[i : i + BLOCK]) for i in range(0, len(vectors), BLOCK)]
        packed = tuple(map(fields.packed, blocks))
        rests = accumulate(reversed(blocks), lambda one, other: tuple(map(min, one, other)))
        return cls(
            fields,
            dimension,
            tuple(ordered),
            tuple([-v[dimension] for v in vectors]),
            [entry.packed for entry in ordered],
            [entry.kinds for entry in ordered],
            packed,
            packed if len(packed) == 1 else tuple(map(fields.packed, rests))[::-1],
            {n: at for at, entry in enumerate(ordered) for n in entry.numbers},
        )

    def live(self, left: Sequence[int]) -> "Queue":
        """A queue of its own of what is left, to be used up."""
        return self._of_kinds([entry.kinds_left(left) for entry in self.entries])

    def compacted(self) -> "Queue":
        """The queue without the entries that are used up."""
        return self._of_kinds(self.kinds)

    def _of_kinds(self, kinds: list[int]) -> "Queue":
        """Another one of the entries of which any kind is left."""
        if not self.entries:
            return self
        if all(kinds):
            return Queue(
                self.fields,
                self.dimension,
                self.entries,
                self.leads,
                self.packed.copy(),
                kinds.copy(),
                self.blocks,
                self.rests,
                self.place_of,
            )
        kept = Queue.of(self.fields, self.dimension, [e for e, own in zip(self.entries, kinds, strict=True) if own])
        kept.kinds = [own for own in kinds if own]
        return kept

    def exhaust(self, number: int, kind: int, left: Sequence[int]) -> None:
        """Nothing is left of a demand of a kind, and perhaps nothing of that kind, or of the whole entry."""
        place = self.place_of[number]
        if not any(left[n] for n in self.entries[place].members[kind]):
            self.kinds[place] &= ~kind
            if not self.kinds[place]:
                self.packed[place] = self.fields.guard

    def next(self, room: int, place: int) -> int:
        """The first entry from ``place`` on that the room holds; the number of entries when there is none."""
        guard, packed, end, width = self.fields.guard, self.packed, len(self.packed), self.fields.width
        own = room >> (self.dimension * width) & ((1 << (width - 1)) - 1)
        place = bisect_left(self.leads, -own, place)
        while place < end:
            block = place // BLOCK
            if (room - self.rests[block]) & guard != guard:
                return end
            stop = min((block + 1) * BLOCK, end)
            if (room - self.blocks[block]) & guard == guard:
                for i in range(place, stop):
                    if (room - packed[i]) & guard == guard:
                        return i
            place = stop
        return end


def queues(fields: Fields, net: Vector, listed: Iterable[Entry]) -> tuple[Queue, ...]:
    """One queue per resource, of the demands that take the largest share of it."""
    sorted_: list[list[tuple[int, float, Vector, Entry]]] = [[] for _ in net]
    scale = [1.0 / room if room else 0.0 for room in net]
    for entry in listed:
        amounts = entry.amounts
        shares = list(map(mul, amounts, scale))
        dimension = shares.index(max(shares))
        sorted_[dimension].append((-amounts[dimension], -sum(shares), amounts, entry))
    return tuple(Queue.of(fields, d, [e for *_, e in sorted(own)]) for d, own in enumerate(sorted_))


def _least(vectors: Sequence[Vector]) -> Vector:
    """Of each resource the smallest amount: what does not hold that holds none of them."""
    return tuple(map(min, zip(*vectors, strict=True)))
