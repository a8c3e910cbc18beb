"""A proven lower bound on the price of any set of nodes for some pods.

Give every column a worth of its resources, such that all that it has is worth exactly its price. What a node holds is
then worth no more than the node costs, whatever it holds. Let each pod pay what it is worth on the column that makes
it cheapest, among those that it may use and that hold it: the pods of a node together pay no more than its price, so
that what all pods pay is no more than any set of nodes for them costs.

That holds for any worths. Those of the linear programme's dual make the bound as high as its optimum; they are
rounded to integers first and all else is exact, so that no error of floating point touches the proof. Columns that
hold no larger pods have worths of their own, from the pods that fit them: one worth for all would value what cheap
small types have at the price that they alone have it for. Spread, affinity and the rules of one node are left out,
which only lowers the bound. Where every way to share out a few pods was looked at, the best of them is the bound.
"""

from collections.abc import Iterable, Sequence
from math import gcd
from operator import mul
from typing import Final

from agent.core.grouping import Group, groups
from agent.core.growing import Ground
from agent.core.hosts import FREE
from agent.core.shelf import union
from agent.core.space import Vector, bits
from agent.core.weights import worth

_SCALE: Final = 1 << 48
"""Worths are rounded to this part of a nano-dollar per unit; what a pod pays, down to a part of one."""
_PART: Final = 1 << 20
FEW_COLUMNS: Final = 100

Side = tuple[int, Vector]
"""Columns, and what a unit of each resource is worth on them, in parts."""
_Rated = tuple[float, int, int, int]
"""A column's price for its worth, its price, its number, and what it is worth."""


def lower_bound(ground: Ground) -> int:
    """Nano-dollars per hour that nodes for all demands that fit anywhere cost at least."""
    space = ground.problem.space
    ceiling = _ceiling(ground)
    # Where all may use the same columns, those dearer than one that holds everything are beyond the ceiling anyway.
    found = groups(ground, ground.single, whole=len(_masks(ground)) > 1)
    if not found:
        return 0
    sides = _sides(ground, found)
    choices = [sides]
    if len(found) > 1:
        common = _worths(ground, found, found)
        choices.append([(union(mask for mask, _ in sides), common)])
    paid = max(_paid(ground, found, side, ceiling) for side in choices)
    # Each pod needs a node, and the whole of it.
    paid = max(paid, *map(space.price, {mask for mask in ground.single if mask}))
    least = max(_rounded(ground, union(mask for mask, _ in sides), paid), _proven(ground))
    return least if ceiling is None else min(least, ceiling)


def _proven(ground: Ground) -> int:
    """What the cheapest nodes cost that there are, if they are known and no rule kept pods apart; else nothing."""
    rules = any(d.host is not FREE or d.custom.by_key for d in ground.problem.demands)
    return 0 if rules or ground.proven is None else ground.problem.price(ground.proven)


def _rounded(ground: Ground, usable: int, paid: int) -> int:
    """Up to a multiple of what divides every price; of many columns that is next to nothing."""
    if usable.bit_count() > FEW_COLUMNS:
        return paid
    part = gcd(*{ground.problem.space.columns[c].price for c in bits(usable)}) or 1
    return -(-paid // part) * part


def _masks(ground: Ground) -> set[int]:
    """What demands that fit anywhere may use."""
    return {d.mask for d, mask in zip(ground.problem.demands, ground.single, strict=True) if mask}


def _ceiling(ground: Ground) -> int | None:
    """The price of a node that holds all pods, where all may use the same columns.

    Nodes that are cheaper together contain none that is dearer, so that no dearer column has to be looked at.
    """
    if len(_masks(ground)) != 1:
        return None
    demands = [d for d, mask in zip(ground.problem.demands, ground.single, strict=True) if mask]
    amounts = zip(*([a * d.count for a in d.amounts] for d in demands), strict=True)
    holding = demands[0].mask & ground.problem.space.fits(tuple(map(sum, amounts)))
    return ground.problem.space.price(holding) if holding else None


def _sides(ground: Ground, found: Sequence[Group]) -> list[Side]:
    """The columns by the first group of which they hold anything, valued for that group's pods."""
    sides, seen = [], 0
    for group in found:
        mask = 0
        for n in group.asked:
            mask |= ground.single[n]
        sides.append((mask & ~seen, _own_worths(ground, group)))
        seen |= mask
    return sides


def _own_worths(ground: Ground, group: Group) -> Vector:
    """What a group's pods alone make of its columns."""
    if group.slot is not None:
        return _worths(ground, [group], [group])
    return _exact(group.worth.prices[: len(ground.dims)])


def _exact(prices: Sequence[float]) -> Vector:
    return tuple(int(price * _SCALE) for price in prices)


def _worths(ground: Ground, wanted: Iterable[Group], offered: Iterable[Group]) -> Vector:
    demands, columns = ground.problem.demands, ground.problem.space.columns
    total = [0] * len(ground.dims)
    for group in wanted:
        for n, amounts in group.asked.items():
            for d in range(len(total)):
                total[d] += amounts[d] * demands[n].count
    nets = {c: net[: len(total)] for group in offered for c, net in group.nets.items()}
    return _exact(worth(total, [(columns[c].price, net) for c, net in nets.items()]).prices)


def _paid(ground: Ground, found: Sequence[Group], sides: Iterable[Side], ceiling: int | None) -> int:
    """What all pods pay, each where it is cheapest."""
    asked_for = sorted({demand.mask for demand in ground.problem.demands})
    cheap = -1 if ceiling is None else ground.problem.space.up_to(ceiling)
    rated = [(worths, _rated(ground, asked_for, mask & cheap, worths)) for mask, worths in sides]
    masks = {group.mask for group in found}
    usable = {m: [(worths, [r for r in listed if m >> r[2] & 1]) for worths, listed in rated] for m in masks}
    paid = 0
    for group in found:
        best_of = {single: _best(usable[group.mask], single) for single in {ground.single[n] for n in group.asked}}
        for n in group.asked:
            demand = ground.problem.demands[n]
            amounts = [demand.amounts[d] for d in ground.dims]
            pays = [
                sum(map(mul, amounts, worths)) * price * _PART // whole
                for worths, price, whole in best_of[ground.single[n]]
            ]
            paid += min(pays, default=0) * demand.count
    return paid // _PART


def _best(sides: Iterable[tuple[Vector, list[_Rated]]], single: int) -> list[tuple[Vector, int, int]]:
    """Of each side that holds a pod: its worths, and the price and worth of the column that makes it cheapest."""
    # By price for their worth: the first that holds it is the cheapest of its side.
    found = ((worths, next((r for r in listed if single >> r[2] & 1), None)) for worths, listed in sides)
    return [(worths, rated[1], max(rated[3], 1)) for worths, rated in found if rated is not None]


def _rated(ground: Ground, masks: Sequence[int], usable: int, worths: Vector) -> list[_Rated]:
    """Usable columns that are efficient for demands of these masks; the cheapest for its worth first."""
    space = ground.problem.space
    found = []
    for group_mask in masks:
        for column in space.efficient(usable & group_mask, ground.dims):
            price = space.columns[column].price
            whole = sum(map(mul, map(space.net(column).__getitem__, ground.dims), worths))
            found.append((price / whole if whole else 0.0, price, column, whole))
    return sorted(set(found))
