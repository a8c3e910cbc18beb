"""Filling one node after another, each time the one whose content is worth most for its price.

What content is worth comes from the dual prices of the demand that is left, so that scarce resources count more and
pods of unlike shape are put together until a node is full in every dimension.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import ge, mul
from typing import Final

import msgspec

from agent.core.bins import Bin
from agent.core.filling import Filling
from agent.core.firstfit import begun
from agent.core.grouping import Group
from agent.core.queues import BLOCK, Queue, Stock
from agent.core.space import Vector
from agent.core.terrain import Terrain
from agent.core.weights import Worth, worth, worth_of

SLACK: Final = 0.03
"""How much worse than the best a column may be, by worth for price, to be tried."""
SMALLEST: Final = 0.5
"""Of the columns that are tried, none costs less than this share of the dearest: large nodes round better."""
STALE: Final = 0.5
"""Queues are made anew when so much of their demands is left."""
REFRESHED: Final = 0.9
"""The linear programme is solved anew when so much is left of the demand that it was solved for."""
FAIR: Final = 4.0
"""Where rules force nodes, one costs at most so many times what the column does that holds an equal share of all: what
is put on large nodes is missed on those that must be bought anyway, which then have room for nothing."""
FORCED_COLUMNS: Final = 2
"""How many columns are tried where rules force so many nodes that the size of each follows."""


@dataclass(frozen=True, slots=True)
class Style:
    """One variant."""

    size: float = 1.0
    """How dear a node may be, as a share of the dearest efficient column."""
    least: int = 0
    """What a node costs at least, in nano-dollars per hour, where such columns can be had."""
    heads: int = 0
    """So many of the largest demands are tried as a node's first pod, beside the plain order."""
    headed: int = 1
    """On how many of the best columns they are tried."""
    columns: int = 4
    """How many columns are tried for each node."""
    repeat: int = 3
    """A content is bought for one part in so many of what its demands allow, then thought about anew."""


@dataclass(slots=True)
class _State:
    terrain: Terrain
    style: Style
    left: list[int]
    alive: int = 0
    """How many demands have anything left."""
    fresh: int = 0
    """How many had when the queues were made."""
    queues: dict[tuple[int, int, bool], tuple[Queue, ...]] = field(default_factory=dict)
    """Per group, column and whether they are the group's own."""
    live: dict[int, tuple[Queue, ...]] = field(default_factory=dict)
    """The terrain's queues, by their identity, without what is used up."""
    stocks: dict[int, Stock] = field(default_factory=dict)
    """Per entries, by their identity: what is left of them."""
    courses: dict[int, "_Course"] = field(default_factory=dict)
    """Per group."""
    offers: dict[int, list[tuple[int, int, Vector]]] = field(default_factory=dict)
    """Per group: columns of the style's sizes, their prices, and what they have."""

    def queued(self, group: Group, column: int, *, own: bool) -> tuple[Queue, ...]:
        """The queues without what is used up."""
        key = (group.number, column, own)
        if key not in self.queues:
            shared = self.terrain.queues(group, column, own=own)
            if id(shared) not in self.live:
                self.live[id(shared)] = tuple(queue.compacted(self.stock(queue).kinds) for queue in shared)
            self.queues[key] = self.live[id(shared)]
        return self.queues[key]

    def stock(self, queue: Queue) -> Stock:
        """What is left of the entries of a queue."""
        found = self.stocks.get(id(queue.entries))
        if found is None:
            found = self.stocks[id(queue.entries)] = Stock.of(self.terrain.fields, queue.entries, self.left)
        return found

    def take(self, content: Iterable[tuple[int, int]], times: int) -> None:
        """The demands lose what bins of this content hold."""
        for number, count in content:
            self.left[number] -= count * times
            if self.left[number]:
                continue
            self.alive -= 1
            for stock in self.stocks.values():
                stock.exhaust(number, 1 << self.terrain.kind_of[number], self.left)
        if self.alive < self.fresh * STALE and self.fresh > BLOCK:
            # Blocks of what is used up would be looked into again and again.
            self.fresh = self.alive
            self.queues.clear()
            for key, queues in self.live.items():
                self.live[key] = tuple(queue.compacted(self.stock(queue).kinds) for queue in queues)


def steered(terrain: Terrain, style: Style, counts: Sequence[int]) -> tuple[Bin, ...]:
    """Bins for so many units of each demand, as far as any column holds them; the most restricted demands first."""
    state = _State(terrain, style, list(counts))
    bins = [node.done() for node in begun(terrain.ground, state.left)]
    state.alive = state.fresh = sum(1 for count in state.left if count)
    for group in terrain.groups:
        bins += _served(state, group)
    return tuple(bins)


def _served(state: _State, group: Group) -> list[Bin]:
    """Nodes for all demands of a group."""
    terrain, bins = state.terrain, list[Bin]()
    total = [0] * (len(terrain.ground.dims) + 1)
    for n, amounts in group.asked.items():
        for d, amount in enumerate(amounts):
            total[d] += amount * state.left[n]
    prices = _course(state, group, total).worth.prices if any(total) else ()
    rated = sorted((worth_of(amounts, prices), -n) for n, amounts in group.asked.items() if state.left[n])
    waiting = [-n for _, n in rated]
    while waiting:
        heads = list(islice((n for n in reversed(waiting) if state.left[n]), max(1, state.style.heads)))
        found = _best(state, group, heads, total).done()
        repeat = max(1, min(state.left[n] // count for n, count in found.content) // state.style.repeat)
        state.take(found.content, repeat)
        for n, count in found.content:
            for d, amount in enumerate(group.asked.get(n, ())):
                total[d] -= amount * count * repeat
        bins += [found] * repeat
        while waiting and not state.left[waiting[-1]]:
            waiting.pop()
    return bins


def _best(state: _State, group: Group, heads: Sequence[int], total: Sequence[int]) -> Filling:
    """The most valuable content for its price, of several columns and first pods."""
    course = _course(state, group, total)
    tried: list[tuple[float, int, Filling]] = []
    for column in _candidates(state, group, total, heads[0]):
        tried += _scored(state, (group, column), course, -1, len(tried))
    tried.sort(key=_by_score)
    for _, _, plain in tried[: state.style.headed]:
        for head in heads[: state.style.heads]:
            tried += _scored(state, (group, plain.column), course, head, len(tried))
    return min(tried, key=_by_score)[2]


def _by_score(tried: tuple[float, int, Filling]) -> tuple[float, int]:
    return -tried[0], tried[1]


def _scored(
    state: _State, at: tuple[Group, int], course: "_Course", head: int, number: int
) -> list[tuple[float, int, Filling]]:
    """A node of a column filled after ``head`` was put first, with its worth for its price and a number.

    Empty when the column does not hold the head, or nothing at all.
    """
    group, column = at
    filling = Filling.begin(state.terrain, at, state.left, course.aim)
    if head >= 0 and not (state.terrain.single[head] >> column & 1 and filling.start(head)):
        return []
    _fill(state, filling, state.queued(group, column, own=True))
    worth = filling.value(course.worth.prices)
    if filling.taken and (others := state.queued(group, column, own=False)):
        _fill(state, filling, others)
        worth += filling.strangers()
    return [(worth / max(filling.price(), 1), number, filling)] if filling.taken else []


def _fill(state: _State, filling: Filling, queues: tuple[Queue, ...]) -> None:
    if queues:
        filling.fill(state.stock(queues[0]), queues)


class _Course(msgspec.Struct, frozen=True, gc=False):
    """What the linear programme says of the demand that is left."""

    size: float
    """How much that was."""
    worth: Worth
    aim: tuple[float, ...]
    """Which share of each resource of a node is used when nodes are bought as the programme says."""
    good: tuple[tuple[int, int, float, float], ...]
    """Efficient columns: number, price, what it is worth, and how much is bought."""
    sizes: tuple[tuple[float, int], ...]
    """What they are worth, ascending, and their numbers; looked at where rules force nodes only."""
    dearest: int
    """Price of the dearest of them."""


def _course(state: _State, group: Group, total: Sequence[int]) -> _Course:
    """The course for what is left, set anew when much less is left than when it was set."""
    size = sum(map(mul, total, group.unit))
    held = state.courses.get(group.number)
    if held is not None and size > held.size * REFRESHED:
        return held
    if group.number not in state.offers:
        cap = _ceiling(group, total) * state.style.size
        every = [(c, price, group.nets[c]) for c, price, _ in group.rooms]
        state.offers[group.number] = [o for o in every if state.style.least <= o[1] <= cap] or every
    offers = state.offers[group.number]
    whole = len(offers) == len(group.rooms) and tuple(total) == group.total
    found = group.worth if whole else worth(total, [(price, net) for _, price, net in offers])
    bought = [sum(y * offers[i][2][d] for i, y in found.bought.items()) for d in range(len(total))]
    aim = tuple(min(1.0, amount / most) if most else 1.0 for amount, most in zip(total, bought, strict=True))
    values = [sum(map(mul, net, found.prices)) for _, _, net in offers]
    enough = (1 - SLACK) * max([value / (offer[1] or 1) for offer, value in zip(offers, values, strict=True)])
    good = tuple(
        [
            (c, price, value, found.bought.get(i, 0.0))
            for i, ((c, price, _), value) in enumerate(zip(offers, values, strict=True))
            if value >= enough * price
        ]
    )
    sizes = tuple(sorted([(value, c) for c, _, value, _ in good])) if group.slot is not None else ()
    dearest = max([price for _, price, _, _ in good])
    course = state.courses[group.number] = _Course(size, found, aim, good, sizes, dearest)
    return course


def _ceiling(group: Group, total: Sequence[int]) -> float:
    """What the dearest node costs that is of use to what is left of a group."""
    dearest = group.rooms[-1][1]
    if group.slot is None or not total[-1]:
        return dearest
    nodes = max(1.0, total[-1] / group.slot[1])
    fair = [amount / nodes for amount in total]
    holding = (price for c, price, _ in group.rooms if all(map(ge, group.nets[c], fair)))
    return min(dearest, FAIR * next(holding, dearest))


def _candidates(state: _State, group: Group, total: Sequence[int], largest: int) -> list[int]:
    """The most efficient columns of a fitting size by the group's course, and one that holds the largest demand."""
    course = state.courses[group.number]
    need = worth_of(total, course.worth.prices)
    if group.slot is not None and course.worth.prices[-1] > 0 and total[-1] > group.slot[1]:
        # So many nodes are forced that the size of each follows.
        size = need * group.slot[1] / total[-1]
        at = bisect_left(course.sizes, (size,))
        near = course.sizes[max(0, at - FORCED_COLUMNS // 2) : at + FORCED_COLUMNS // 2] or course.sizes[:1]
        chosen = [c for _, c in near]
    else:
        fitting = [g for g in course.good if g[1] <= need] or list(course.good[:1])
        least = SMALLEST * max(price for _, price, _, _ in fitting)
        large = [g for g in fitting if g[1] >= least or g[3]]
        rated = sorted(large, key=lambda g: (-g[3], -g[2] / max(g[1], 1), g[0]))
        chosen = [c for c, *_ in rated[: state.style.columns]]
    if need < course.dearest:
        chosen += _holding(state, group, total)
    single = state.terrain.single[largest]
    if not any(single >> c & 1 for c in chosen):
        chosen.append(next(c for c in group.nets if single >> c & 1))
    return list(dict.fromkeys(chosen))


def _holding(state: _State, group: Group, total: Sequence[int]) -> list[int]:
    """The cheapest column that holds all that is left of a group, when there is one."""
    ground = state.terrain.ground
    used = [0] * len(ground.problem.space.dimensions)
    for d, amount in zip(ground.dims, total, strict=False):
        used[d] = amount
    mask = ground.problem.space.fits(tuple(used))
    return [c for c in group.nets if mask >> c & 1][:1]
