"""What a unit of each resource is worth: the dual prices of buying fractions of instances.

The linear programme: buy amounts y of columns so that every resource is covered, at the least price. Its dual gives
each resource a price such that no column holds more worth than it costs; what all demands are worth at these prices
is a lower bound of what any set of nodes for them costs.
"""

from collections.abc import Sequence
from operator import mul
from typing import Final

import msgspec

_EPSILON: Final = 1e-9
_MAX_PIVOTS: Final = 200
_VIOLATED: Final = 1e-7
"""By what share of its price a column may hold more worth than it costs, for want of precision."""

Offers = Sequence[tuple[int, Sequence[int]]]
"""Price and amounts of every column."""


class Worth(msgspec.Struct, frozen=True, gc=False):
    """Both sides of the optimum."""

    prices: tuple[float, ...]
    """Per unit of each resource."""
    bought: dict[int, float]
    """How much of which offer, by its number; offers of which nothing is bought are left out."""


def worth(demand: Sequence[int], offers: Offers) -> Worth:
    """Maximise demand . w under amounts . w <= price for each offer, w >= 0.

    Resources that nothing demands, or that no offer has, are worth nothing. Few offers bind at the optimum, so it is
    sought among few, and the one that is violated most is added until none is.

    Args:
        demand: What is needed of each resource.
        offers: What can be bought.

    """
    active = [d for d, amount in enumerate(demand) if amount > 0 and any(amounts[d] for _, amounts in offers)]
    chosen = list[int]()
    for d in active:
        if not any(offers[i][1][d] for i in chosen):
            chosen.append(_thriftiest(offers, d))
    while True:
        prices, bought = _optimum(demand, [offers[i] for i in chosen], active)
        over = [(sum(map(mul, amounts, prices)) - price) / (price or 1) for price, amounts in offers]
        worst = max(over, default=0.0)
        if worst <= _VIOLATED or (at := over.index(worst)) in chosen:
            return Worth(tuple(prices), {chosen[i]: amount for i, amount in bought.items()})
        chosen.append(at)


def _thriftiest(offers: Offers, dimension: int) -> int:
    return min((price / own[dimension], i) for i, (price, own) in enumerate(offers) if own[dimension] > 0)[1]


def _optimum(demand: Sequence[int], offers: Offers, active: Sequence[int]) -> tuple[list[float], dict[int, float]]:
    """By the simplex method on a dictionary."""
    # Scaled so that every variable is the worth of the whole demand of one resource.
    rows = [[amounts[d] / demand[d] for d in active] for _, amounts in offers]
    slack = [float(price) for price, _ in offers]
    count = len(active)
    gain = [1.0] * count
    inside, outside = list(range(count, count + len(rows))), list(range(count))
    for _ in range(_MAX_PIVOTS if active else 0):
        most = max(gain)
        if most <= _EPSILON:
            break
        column = gain.index(most)
        ratios = [
            (limit / row[column], variable, at)
            for at, (limit, row, variable) in enumerate(zip(slack, rows, inside, strict=True))
            if row[column] > _EPSILON
        ]
        if not ratios:
            break
        at = min(ratios)[2]
        _pivot(rows, slack, gain, (at, column))
        inside[at], outside[column] = outside[column], inside[at]
    prices = [0.0] * len(demand)
    for at, variable in enumerate(inside):
        if variable < count:
            prices[active[variable]] = max(0.0, slack[at]) / demand[active[variable]]
    bought = {v - count: -gain[c] for c, v in enumerate(outside) if v >= count and gain[c] < -_EPSILON}
    return prices, bought


def _pivot(rows: list[list[float]], slack: list[float], gain: list[float], step: tuple[int, int]) -> None:
    at, column = step
    pivot = rows[at][column]
    own = rows[at] = [value / pivot for value in rows[at]]
    own[column] = 1.0 / pivot
    slack[at] /= pivot
    for r, row in enumerate(rows):
        factor = row[column]
        if r == at or factor == 0.0:
            continue
        _eliminate(row, own, column)
        slack[r] -= factor * slack[at]
    _eliminate(gain, own, column)


def _eliminate(row: list[float], own: list[float], column: int) -> None:
    """Take the column out of a row by what its own row says."""
    factor = row[column]
    for c, other in enumerate(own):
        row[c] -= factor * other
    row[column] = -factor * own[column]


def worth_of(amounts: Sequence[float], prices: Sequence[float]) -> float:
    """What amounts are worth at these prices of a unit of each."""
    return float(sum(map(mul, amounts, prices)))
