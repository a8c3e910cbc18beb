"""What a unit of each resource is worth: the dual prices of buying fractions of instances.

The linear programme: buy amounts y of columns so that every resource is covered, at the least price. Its dual gives
each resource a price such that no column holds more worth than it costs; what all demands are worth at these prices
is a lower bound of what any set of nodes for them costs.
"""

from collections.abc import Sequence
from typing import Final

_EPSILON: Final = 1e-9
_MAX_PIVOTS: Final = 200


def worth(demand: Sequence[int], offers: Sequence[tuple[int, Sequence[int]]]) -> tuple[float, ...]:
    """Price per unit of each resource, given what is demanded and (price, amounts) of every column.

    Maximises demand . w under amounts . w <= price for each column, w >= 0, by the simplex method on a dictionary.
    Resources that nothing demands are worth nothing.
    """
    active = [d for d, amount in enumerate(demand) if amount > 0]
    # Scaled so that every variable is the worth of the whole demand of one resource.
    rows = [[amounts[d] / demand[d] for d in active] for _, amounts in offers]
    slack = [float(price) for price, _ in offers]
    gain = [1.0] * len(active)
    inside = [len(active) + i for i in range(len(rows))]
    outside = list(range(len(active)))
    for _ in range(_MAX_PIVOTS):
        step = _choose(rows, slack, gain, inside)
        if step is None:
            break
        _pivot(rows, slack, gain, step)
        row, column = step
        inside[row], outside[column] = outside[column], inside[row]
    found = [0.0] * len(demand)
    for row, variable in enumerate(inside):
        if variable < len(active):
            found[active[variable]] = max(0.0, slack[row]) / demand[active[variable]]
    return tuple(found)


def _choose(
    rows: list[list[float]], slack: list[float], gain: list[float], inside: list[int]
) -> tuple[int, int] | None:
    column = max(range(len(gain)), key=lambda c: (gain[c], -c), default=None)
    if column is None or gain[column] <= _EPSILON:
        return None
    ratios = [(slack[r] / rows[r][column], inside[r], r) for r in range(len(rows)) if rows[r][column] > _EPSILON]
    return (min(ratios)[2], column) if ratios else None


def _pivot(rows: list[list[float]], slack: list[float], gain: list[float], step: tuple[int, int]) -> None:
    at, column = step
    pivot = rows[at][column]
    rows[at] = [value / pivot for value in rows[at]]
    rows[at][column] = 1.0 / pivot
    slack[at] /= pivot
    for r, row in enumerate(rows):
        factor = row[column]
        if r == at or factor == 0.0:
            continue
        rows[r] = [value - factor * other for value, other in zip(row, rows[at], strict=True)]
        rows[r][column] = -factor * rows[at][column]
        slack[r] -= factor * slack[at]
    factor = gain[column]
    gain[:] = [value - factor * other for value, other in zip(gain, rows[at], strict=True)]
    gain[column] = -factor * rows[at][column]
