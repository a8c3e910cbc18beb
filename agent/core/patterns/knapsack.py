"""Which pods are worth most together on one node, when each has a price: a knapsack of several resources."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from agent.core.fields import MOST

Content = tuple[tuple[int, int], ...]
"""(row, units)."""
STEPS: Final = 30
"""How far a node is searched at first."""
STEPS_BEHIND: Final = 5
"""How far behind each first pod."""


class Item(NamedTuple):
    """Pods of one row."""

    density: float
    """What a unit is worth for its weight."""
    weight: float
    """What a unit takes, all resources in one figure, so that no unit is worth more than its weight."""
    packed: int
    """What a unit takes, in fields."""
    value: float
    """Of a unit."""
    limit: int
    """How many units there are."""
    row: int


class Best(NamedTuple):
    """The most valuable content found."""

    value: float
    content: Content


NOTHING: Final = Best(0.0, ())


@dataclass(slots=True)
class Knapsack:
    """A node and what may be put in: the items by value for weight, the best first."""

    items: Sequence[Item]
    room: int
    """In fields."""
    weight: float
    """What the whole room weighs: the content is worth no more."""
    guard: int
    searched: int = 0
    """How many contents were looked at."""
    _left: int = 0
    _best: Best = NOTHING

    def content(self) -> Best:
        """The best content of a short search: as much as fits of each item in turn, and less of the last ones."""
        return self._search(self.room, self.weight, STEPS)

    def content_by_first(self) -> Best:
        """The best of short searches after a unit of each item was put in first."""
        best = self.content()
        for item in self.items:
            rest = self.weight - item.weight
            fits = (self.room - item.packed) & self.guard == self.guard
            if not fits or item.value + rest <= best.value:
                continue
            found = self._search(self.room - item.packed, rest, STEPS_BEHIND)
            counts = dict(found.content)
            counts[item.row] = counts.get(item.row, 0) + 1
            if found.value + item.value > best.value and counts[item.row] <= item.limit:
                best = Best(found.value + item.value, tuple(counts.items()))
        return best

    def _search(self, room: int, weight: float, steps: int) -> Best:
        self._best, self._left = NOTHING, steps
        self._fill(0, room, weight, NOTHING)
        self.searched += steps - self._left
        return self._best

    def _fill(self, at: int, room: int, weight: float, taken: Best) -> None:
        """Depth first, as long as what is left could be worth more than the best."""
        if taken.value > self._best.value:
            self._best = taken
        value, guard = taken.value, self.guard
        for place in range(at, len(self.items)):
            density, each, packed, worth, limit, row = self.items[place]
            if value + weight * density <= self._best.value:
                return
            if each > weight or (room - packed) & guard != guard:
                continue
            units = min(limit, MOST, int(weight / each))
            while (room - packed * units) & guard != guard:
                units -= 1
            while units:
                if not self._left:
                    return
                self._left -= 1
                more = Best(value + worth * units, (*taken.content, (row, units)))
                self._fill(place + 1, room - packed * units, weight - each * units, more)
                units -= 1
