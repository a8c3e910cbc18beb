"""Filling one node after another, each time the one whose content is worth most for its price.

What content is worth comes from the dual prices of the demand that is left, so that scarce resources count more and
pods of unlike shape are put together until a node is full in every dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.core.bins import Bin, Problem, followed
from agent.core.filling import Filling, Lists, lists_for, remaining
from agent.core.hosts import EMPTY
from agent.core.space import Vector, bits, cheapest
from agent.core.weights import worth

CANDIDATES = 6
"""Columns tried for each node."""
SLACK = 0.05
"""How much worse than the best a column may be, by worth for price, to be tried."""
REPEAT = 4
"""A pattern is repeated for a quarter of the times that the demand would allow, then thought about anew."""


@dataclass(frozen=True, slots=True)
class Style:
    """One variant: how dear a node may be, as a share of the dearest efficient column, and which pods go first."""

    size: float = 1.0
    heads: int = 0
    """So many of the largest demands are tried as a node's first pod, beside the plain order."""


@dataclass(frozen=True, slots=True)
class Terrain:
    """What is the same for every style of steering through one problem."""

    problem: Problem
    single: tuple[int, ...]
    """Per demand: the columns that hold one unit of it on a node of its own."""
    _efficient: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _lists: dict[tuple[int, int], Lists] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem) -> "Terrain":
        """Look at the demands; the rest is found out when it is asked for."""
        single = (d.mask & problem.space.fits(d.amounts) if d.bearable(EMPTY, 1) else 0 for d in problem.demands)
        return cls(problem, tuple(single))

    def lists(self, column: int, key: int, numbers: Sequence[int]) -> Lists:
        """Which demands of a group, or of all, a column can take."""
        if (column, key) not in self._lists:
            self._lists[column, key] = lists_for(self.problem, column, numbers)
        return self._lists[column, key]

    def efficient(self, group: int) -> tuple[int, ...]:
        """Columns of a group than which no other has at least as much of everything for no more money."""
        if group not in self._efficient:
            space = self.problem.space
            kept: list[int] = []
            seen: set[Vector] = set()
            for column in bits(group):
                net = space.nets[column]
                if net in seen:
                    continue
                seen.add(net)
                if not any(all(a >= b for a, b in zip(space.nets[k], net, strict=True)) for k in kept):
                    kept.append(column)
            self._efficient[group] = tuple(kept)
        return self._efficient[group]


@dataclass(slots=True)
class _State:
    terrain: Terrain
    style: Style
    left: list[int]
    short: dict[tuple[int, int], tuple[int, Lists]] = field(default_factory=dict)
    """The lists without exhausted demands, and how many demands there were then."""

    def listed(self, column: int, key: int, numbers: Sequence[int]) -> Lists:
        """Which demands with pods left a column can take, of a group or of all."""
        alive = sum(1 for count in self.left if count)
        held = self.short.get((column, key))
        if held is None or held[0] != alive:
            held = self.short[column, key] = (alive, remaining(self.terrain.lists(column, key, numbers), self.left))
        return held[1]


def steered(terrain: Terrain, style: Style) -> tuple[Bin, ...]:
    """Bins for all demands that fit anything, the most restricted demands first."""
    problem, single = terrain.problem, terrain.single
    state = _State(terrain, style, [d.count for d in problem.demands])
    groups = sorted({d.mask for d in problem.demands}, key=lambda mask: (mask.bit_count(), mask))
    bins = followed(problem, state.left)
    for group in groups:
        members = tuple(n for n, d in enumerate(problem.demands) if d.mask == group and single[n] and not d.host.needs)
        while any(state.left[n] for n in members):
            best = _best(state, group, members)
            if best is None:
                break
            repeat = max(1, min(state.left[n] // count for n, count in best.content) // REPEAT)
            for n, count in best.content:
                state.left[n] -= count * repeat
            bins += [best] * repeat
    return tuple(bins)


def _best(state: _State, group: int, members: tuple[int, ...]) -> Bin | None:
    problem, single = state.terrain.problem, state.terrain.single
    space = problem.space
    total = tuple(
        sum(problem.demands[n].amounts[d] * state.left[n] for n in members) for d in range(len(space.dimensions))
    )
    columns = state.terrain.efficient(group)
    prices = worth(total, [(space.columns[c].price, space.nets[c]) for c in columns])
    heads = sorted(
        (n for n in members if state.left[n]),
        key=lambda n: (-_value(problem.demands[n].amounts, prices), n),
    )
    chosen = _candidates(state, columns, total, prices)
    chosen += [cheapest(mask) for mask in (group & space.fits(total), single[heads[0]]) if mask]
    found: list[tuple[float, int, Bin]] = []
    for column in dict.fromkeys(chosen):
        fitting = [n for n in heads if single[n] >> column & 1]
        for head in fitting[: 1 + state.style.heads]:
            filled = _fill(state, column, (members, group), (head, total))
            if filled.mask:
                price = space.columns[cheapest(filled.mask)].price
                found.append((_value(filled.used, prices) / max(price, 1), -len(found), filled))
    return max(found, key=lambda f: f[:2])[2] if found else None


def _candidates(state: _State, columns: Sequence[int], total: Vector, prices: Sequence[float]) -> list[int]:
    """The most efficient columns of a fitting size."""
    space = state.terrain.problem.space
    rated = sorted(
        (-_value(space.nets[c], prices) / max(space.columns[c].price, 1), -space.columns[c].price, c) for c in columns
    )
    good = [(price, c) for score, price, c in rated if score <= (1 - SLACK) * rated[0][0]]
    largest = max(-price for price, _ in good) * state.style.size
    need = _value(total, prices)
    return [c for price, c in good if -price <= min(largest, need)][:CANDIDATES] or [
        c for _, _, c in rated[:CANDIDATES]
    ]


def _fill(state: _State, column: int, group: tuple[tuple[int, ...], int], first: tuple[int, Vector]) -> Bin:
    """Fill with the group's own demands, then its gaps with others that may run there."""
    problem = state.terrain.problem
    members, mask = group
    head, total = first
    filling = Filling.begin(problem, column, state.left, total)
    filling.put(head)
    if not filling.taken:
        return Bin(0, 0, problem.empty, ())
    for key, numbers in ((mask, members), (-1, range(len(problem.demands)))):
        filling.fill(state.listed(column, key, numbers))
    return filling.done()


def _value(amounts: Sequence[int], prices: Sequence[float]) -> float:
    return sum(amount * price for amount, price in zip(amounts, prices, strict=True))
