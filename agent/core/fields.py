"""Amounts of several resources in one int, so that whether they fit is one subtraction and one AND.

Each resource has a field with a guard bit above it. Room has its guards set; subtracting more than a field holds
borrows from its own guard and from nothing else, so what is left has all guards set exactly when all amounts fitted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SPARE = 8
"""Bits beyond the largest amount: up to ``MOST`` times an amount that fits still fits its field."""
MOST = 1 << (_SPARE - 2)


@dataclass(frozen=True, slots=True)
class Fields:
    """How wide the fields are."""

    largest: int
    """What the widest amount may be."""
    width: int
    guard: int
    """All guard bits."""

    @classmethod
    def holding(cls, count: int, largest: int) -> "Fields":
        """Fields for so many resources, of amounts up to ``largest``."""
        largest = max(largest, 1 << 10)
        width = largest.bit_length() + _SPARE + 1
        return cls(largest, width, sum(1 << (d * width + width - 1) for d in range(count)))

    def packed(self, amounts: Iterable[int]) -> int:
        """Amounts as one int."""
        found = shift = 0
        for amount in amounts:
            found |= amount << shift
            shift += self.width
        return found

    def room(self, amounts: Iterable[int]) -> int:
        """Room as one int, guards set."""
        return self.packed(amounts) | self.guard

    def unpacked(self, found: int, count: int) -> tuple[int, ...]:
        """The first amounts of an int."""
        ones = (1 << (self.width - 1)) - 1
        return tuple(found >> (d * self.width) & ones for d in range(count))

    def largest_of(self, rooms: Sequence[int]) -> int:
        """Of each resource the largest amount, as room."""
        count = self.guard.bit_count()
        return self.room(map(max, zip(*(self.unpacked(room, count) for room in rooms), strict=True)))
