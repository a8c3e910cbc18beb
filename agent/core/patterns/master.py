"""How often to buy each of some patterns, so that all demands are met at the least price, in fractions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_EPSILON: Final = 1e-9


class Pattern(NamedTuple):
    """A content, and the price of the node that holds it."""

    content: tuple[tuple[int, int], ...]
    """(row, units)."""
    price: int
    """In nano-dollars per hour."""

    def worth(self, duals: Sequence[float]) -> float:
        """What the content is worth at these prices of a unit of each row."""
        return sum([duals[row] * units for row, units in self.content])


@dataclass(slots=True)
class Master:
    """The programme over the patterns known so far: its basis, and what a unit of each row costs there.

    By the revised simplex method with an explicit inverse: rows are few, and patterns come one at a time. What a
    pattern has too much of is no harm, so rows are inequalities.
    """

    patterns: list[Pattern]
    basis: list[int]
    """Per row: the pattern that is in the basis for it; of row ``r`` too much, it is ``-1 - r``."""
    inverse: list[list[float]]
    amounts: list[float]
    """How much is bought of the basis."""
    duals: list[float]
    known: set[Pattern] = field(default_factory=set)

    @classmethod
    def of(cls, counts: Sequence[int], singles: Sequence[Pattern]) -> "Master":
        """Each row met by a pattern of it alone: the first pattern has row 0, the second row 1, and so on."""
        rows = range(len(counts))
        inverse = [[0.0] * len(counts) for _ in rows]
        for row, single in enumerate(singles):
            inverse[row][row] = 1.0 / single.content[0][1]
        amounts = [counts[row] * inverse[row][row] for row in rows]
        duals = [single.price * inverse[row][row] for row, single in enumerate(singles)]
        return cls(list(singles), list(rows), inverse, amounts, duals, set(singles))

    def add(self, pattern: Pattern) -> int | None:
        """Its number; None when it is known already."""
        if pattern in self.known:
            return None
        self.known.add(pattern)
        self.patterns.append(pattern)
        return len(self.patterns) - 1

    def entering(self) -> tuple[int | None, float]:
        """What improves the most for its price, and by which share of it; too much of a row counts as all of it."""
        least = min(self.duals)
        if least < -_EPSILON:
            return -1 - self.duals.index(least), 1.0
        best, gain = None, _EPSILON
        for number, pattern in enumerate(self.patterns):
            over = pattern.worth(self.duals) / pattern.price - 1
            if over > gain:
                best, gain = number, over
        return best, gain

    def enter(self, number: int) -> bool:
        """Bring a pattern, or too much of a row, into the basis; False when nothing has to leave for it."""
        if number >= 0:
            pattern = self.patterns[number]
            step = [sum([row[r] * units for r, units in pattern.content]) for row in self.inverse]
            reduced = pattern.price - pattern.worth(self.duals)
        else:
            step = [-row[-1 - number] for row in self.inverse]
            reduced = self.duals[-1 - number]
        ratios = [
            (self.amounts[row] / amount, self.basis[row], row) for row, amount in enumerate(step) if amount > _EPSILON
        ]
        if not ratios:
            return False
        ratio, _, leaving = min(ratios)
        pivot = step[leaving]
        changed = [value / pivot for value in self.inverse[leaving]]
        for row, factor in enumerate(step):
            if factor != 0.0 and row != leaving:
                self.inverse[row] = [
                    value - factor * other for value, other in zip(self.inverse[row], changed, strict=True)
                ]
                self.amounts[row] -= factor * ratio
        self.inverse[leaving], self.amounts[leaving], self.basis[leaving] = changed, ratio, number
        self.duals = [value + reduced * other for value, other in zip(self.duals, changed, strict=True)]
        return True

    def bought(self) -> list[tuple[Pattern, float]]:
        """Patterns and how much of each."""
        pairs = zip(self.basis, self.amounts, strict=True)
        return [(self.patterns[number], amount) for number, amount in sorted(pairs) if number >= 0 and amount > 0]
