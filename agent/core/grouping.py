"""Which demands are packed with each other in mind.

Demands that may become the same columns share their nodes. But small pods may have columns that are cheap for them
and hold no others, as the smallest burstable types are: were those counted as room for everything, a core would look
almost free, and the rest would be packed by wrong prices. Such demands are a group of their own, that is served after
the larger ones and fills their gaps.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final

import msgspec

from agent.core.bins import Demand
from agent.core.fields import Fields
from agent.core.growing import Ground
from agent.core.space import Vector, bits
from agent.core.weights import Worth, worth

_Offers = dict[int, tuple[int, Vector]]
"""Per column: its price and what it has, without slots."""
_NEVER: Final = float("inf")
MUCH: Final = 1.05
"""Smaller pods are a group of their own when the columns that hold no larger ones make them so much cheaper."""


class Group(msgspec.Struct, frozen=True, gc=False):
    """Demands of one set of columns. Vectors are of the resources that something asks for, the slot last."""

    number: int
    """In the order in which groups are served: the most restricted first, of those the largest pods."""
    mask: int
    """The columns that they may use."""
    asked: dict[int, Vector]
    """What a unit takes of each demand that fits somewhere."""
    nets: dict[int, Vector]
    """What columns have: of those than which no other has at least as much of everything for no more money, the
    cheapest first."""
    rooms: tuple[tuple[int, int, int], ...]
    """Of the same columns: number, price, and what it has, in fields."""
    total: Vector
    """What all units of its demands take together."""
    unit: tuple[float, ...]
    """One over that, resource by resource."""
    worth: Worth
    """What the linear programme says of all its demands and columns."""
    value: dict[int, float]
    """What a unit of each demand costs at least, when all are bought at the prices of the linear programme."""
    slot: tuple[int, int] | None
    """The selector that forces the most nodes, and how many of its pods one node bears."""


def groups(ground: Ground, single: tuple[int, ...], *, whole: bool = False) -> tuple[Group, ...]:
    """All groups. ``single`` says which columns hold a unit of each demand on a node of its own.

    Columns that are dearer than one which holds all demands of a mask are left out, unless the ``whole`` of what
    could be bought is asked for: nobody would buy them, and fractions of them mislead the linear programme.
    """
    if (single, whole) not in ground.groups:
        ground.groups[single, whole] = tuple(_made(ground, single, whole=whole))
    return ground.groups[single, whole]


def slotted(ground: Ground) -> Fields:
    """Fields for what something asks for, and for the slots of a node."""
    return Fields.holding(len(ground.dims) + 1, ground.fields.largest)


def _made(ground: Ground, single: Sequence[int], *, whole: bool) -> list[Group]:
    fields = slotted(ground)
    demands, space = ground.problem.demands, ground.problem.space
    members: defaultdict[int, list[int]] = defaultdict(list)
    for n, demand in enumerate(demands):
        if single[n]:
            members[demand.mask].append(n)
    packed: dict[Vector, int] = {}
    found: list[Group] = []
    for mask in sorted(members, key=lambda m: (m.bit_count(), m)):
        columns = space.efficient(mask, ground.dims)
        if not whole:
            columns = _of_use(ground, members[mask], columns)
        offers = {c: (space.columns[c].price, (*map(space.net(c).__getitem__, ground.dims), 0)) for c in columns}
        for numbers, kept in _tiers(ground, single, members[mask], offers):
            slot = _slot([demands[n] for n in numbers])
            asked = {n: amounts_of(demands[n], ground.dims, slot) for n in numbers}
            nets = {c: (*offers[c][1][:-1], slot[1]) if slot else offers[c][1] for c in kept}
            rooms = tuple((c, offers[c][0], _room(fields, net, packed)) for c, net in nets.items())
            total = _total(asked, demands)
            unit = tuple(1.0 / amount if amount else 0.0 for amount in total)
            bought = worth(total, [(price, nets[c]) for c, price, _ in rooms])
            value = {n: sum(map(mul, amounts, bought.prices)) for n, amounts in asked.items()}
            found.append(Group(len(found), mask, asked, nets, rooms, total, unit, bought, value, slot))
    return found


def _room(fields: Fields, net: Vector, known: dict[Vector, int]) -> int:
    if net not in known:
        known[net] = fields.room(net)
    return known[net]


def _of_use(ground: Ground, members: Iterable[int], columns: tuple[int, ...]) -> tuple[int, ...]:
    """The columns up to the first that holds all of the members."""
    demands, space = ground.problem.demands, ground.problem.space
    total = [0] * len(space.dimensions)
    for n in members:
        for d in ground.dims:
            total[d] += demands[n].amounts[d] * demands[n].count
    holding = space.fits(tuple(total))
    last = next((at for at, c in enumerate(columns) if holding >> c & 1), len(columns))
    return columns[: last + 1]


def _tiers(
    ground: Ground, single: Sequence[int], members: Iterable[int], offers: _Offers
) -> list[tuple[list[int], tuple[int, ...]]]:
    """Members, the largest first, with the columns that hold them; smaller ones apart where that is much cheaper."""
    efficient = sum(1 << c for c in offers)
    tiers: defaultdict[int, list[int]] = defaultdict(list)
    for n in members:
        tiers[single[n] & efficient].append(n)
    found: list[tuple[list[int], int]] = []
    for mask in sorted(tiers, key=lambda m: (m.bit_count(), m)):
        few = found[-1][1] if found else 0
        if found and not _is_cheaper(ground, tiers[mask], offers, (few, mask & ~few)):
            found[-1] = (found[-1][0] + tiers[mask], few | mask)
        else:
            found.append((tiers[mask], mask))
    return [(numbers, tuple(c for c in offers if mask >> c & 1)) for numbers, mask in found]


def _is_cheaper(ground: Ground, numbers: Iterable[int], offers: _Offers, sets: tuple[int, int]) -> bool:
    """Whether two sets of columns together serve these demands for much less than the first does."""
    demands = ground.problem.demands
    old, new = ([offers[c] for c in bits(mask)] for mask in sets)
    units = [_thriftiest(old, d) for d in range(len(ground.dims))]
    if not any(_thriftiest(new, d) * MUCH < unit for d, unit in enumerate(units)):
        return False
    total = _total({n: amounts_of(demands[n], ground.dims, None) for n in numbers}, demands)
    # One resource alone costs no more than all, and one column alone no less than the best of them: often that decides.
    least = max((amount * unit for amount, unit in zip(total, units, strict=False) if unit < _NEVER), default=0.0)
    if least > MUCH * min(_alone(total, offer) for offer in new):
        return True
    with_old, with_all = (sum(map(mul, total, worth(total, offers).prices)) for offers in (old, old + new))
    return bool(with_old > MUCH * with_all)


def _thriftiest(offers: Iterable[tuple[int, Vector]], dimension: int) -> float:
    """The least price of a unit of one resource, were the others free."""
    return min((price / net[dimension] for price, net in offers if net[dimension]), default=_NEVER)


def _alone(total: Vector, offer: tuple[int, Vector]) -> float:
    """What all of it costs on fractions of one column."""
    price, net = offer
    shares = (amount / room if room else _NEVER for amount, room in zip(total, net, strict=True) if amount)
    return price * max(shares, default=0.0)


def _total(asked: dict[int, Vector], demands: Sequence[Demand]) -> Vector:
    """What all units of some demands take together."""
    scaled = ([amount * demands[n].count for amount in amounts] for n, amounts in asked.items())
    return tuple(map(sum, zip(*scaled, strict=True)))


def _slot(demands: Sequence[Demand]) -> tuple[int, int] | None:
    forced: defaultdict[tuple[int, int], int] = defaultdict(int)
    for demand in demands:
        for selector, cap in (*demand.host.caps, *demand.host.wishes):
            if selector in demand.host.matches and cap:
                forced[selector, cap] += demand.count * demand.size
    return min(forced, key=lambda s: (-forced[s] / s[1], s), default=None)


def amounts_of(demand: Demand, dims: Sequence[int], slot: tuple[int, int] | None) -> Vector:
    """What a unit takes of each resource and of the slots of a node."""
    in_slot = 0
    if slot is not None and slot[0] in demand.host.matches:
        caps = (cap for selector, cap in (*demand.host.caps, *demand.host.wishes) if selector == slot[0])
        in_slot = demand.size if min(caps, default=slot[1] + 1) <= slot[1] else 0
    return (*map(demand.amounts.__getitem__, dims), in_slot)
