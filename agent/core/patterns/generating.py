"""Packing nodes of an answer anew, by patterns that are made as they are needed.

The programme over known patterns gives each demand a price. A node whose content is worth more than the node costs at
these prices is a better pattern; it is sought for the sizes that could have one, and the programme is solved again.
What whole numbers of patterns leave over is packed by steering.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.bins import Bin
from agent.core.grouping import Group
from agent.core.hosts import FREE
from agent.core.patterns.knapsack import Best, Item, Knapsack
from agent.core.patterns.master import Master, Pattern
from agent.core.steered import Style, steered
from agent.core.terrain import Terrain
from agent.core.weights import worth, worth_of

MOST_ROWS: Final = 64
"""A step of the programme takes the square of its rows."""
FEWEST_NODES: Final = 8
"""Fewer nodes leave little to choose."""
EFFORT: Final = 24_000
"""How many contents are looked at in all, at most."""
EFFORT_OF_NODE: Final = 20
"""How many for each node that is to be packed anew: with few nodes there is little to be saved."""
MOST_PIVOTS: Final = 1000
GAIN: Final = 1e-4
"""A pattern that is better by a smaller share of its price is not worth a step."""
KNOWN_GAIN: Final = 1e-3
"""While a known pattern is better by so much, no new one is sought."""
NEW_PATTERNS: Final = 3
"""So many are sought at a time."""
SIZES: Final = 12
"""For so many sizes of nodes at most."""
HALF: Final = 0.5
_RATIO: Final = 64
"""Sizes whose resources have the same ratio, to this part, share the weights of their resources."""


def suits(terrain: Terrain) -> bool:
    """Whether all pods are free of rules about a node's others, and of few kinds, so that all can be packed so."""
    return all(len(_plain(terrain, group)) == len(group.asked) <= MOST_ROWS for group in terrain.groups)


def generated(
    terrain: Terrain, bins: tuple[Bin, ...], answers: Sequence[tuple[Bin, ...]], rest: Style
) -> tuple[Bin, ...]:
    """The bins, or cheaper ones in which nodes of pods without rules about each other were packed anew.

    Args:
        terrain: The problem.
        bins: An answer.
        answers: Others, whose patterns are known from the beginning.
        rest: In which style pods are packed that whole patterns leave over.

    """
    problem = terrain.ground.problem
    effort = min(EFFORT, EFFORT_OF_NODE * len(bins))
    for group in terrain.groups:
        plain = _plain(terrain, group)
        own = [b for b in bins if all(n in plain for n, _ in b.content)]
        counts = [0] * len(problem.demands)
        for found in own:
            for n, units in found.content:
                counts[n] += units
        rows = [n for n, count in enumerate(counts) if count]
        if len(own) < FEWEST_NODES or len(rows) > MOST_ROWS or effort <= 0:
            continue
        making = _Generation.of(terrain, group, rows, counts)
        making.learn(found for answer in answers for found in answer)
        making.run(effort)
        effort -= making.searched
        again = making.bins(counts, rest)
        old, new = problem.price(own), problem.price(again)
        if problem.placed(again) == problem.placed(own) and (new, len(again)) < (old, len(own)):
            kept = set(map(id, own))
            bins = (*(b for b in bins if id(b) not in kept), *again)
    return bins


def _plain(terrain: Terrain, group: Group) -> frozenset[int]:
    """Demands of a group that no rule about the others on a node concerns."""
    demands = terrain.ground.problem.demands
    return frozenset(n for n in group.asked if demands[n].host is FREE and not demands[n].custom.by_key)


@dataclass(slots=True)
class _Generation:
    """Patterns for the demands of a group."""

    terrain: Terrain
    group: Group
    rows: list[int]
    """The demands."""
    counts: list[int]
    """Units of each row."""
    packed: list[int]
    master: Master
    searched: int = 0
    row_of: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, terrain: Terrain, group: Group, rows: list[int], counts: Sequence[int]) -> "_Generation":
        """Begin with nodes of one demand each."""
        own = [counts[n] for n in rows]
        singles = [_single(terrain, group, (row, n, counts[n])) for row, n in enumerate(rows)]
        packed = [terrain.fields.packed(group.asked[n]) for n in rows]
        row_of = {n: row for row, n in enumerate(rows)}
        return cls(terrain, group, rows, own, packed, Master.of(own, singles), row_of=row_of)

    def learn(self, bins: Iterable[Bin]) -> None:
        """Take the contents of nodes as patterns, as far as they are of these demands."""
        problem = self.terrain.ground.problem
        for found in {b.content: b for b in bins}.values():
            content = tuple(sorted((self.row_of[n], units) for n, units in found.content if n in self.row_of))
            if len(content) == len(found.content):
                self.master.add(Pattern(content, max(problem.price((found,)), 1)))

    def run(self, effort: int) -> None:
        """Improve the programme until no pattern is found that does, or it has taken long enough."""
        thorough = False
        for _ in range(MOST_PIVOTS):
            number, gain = self.master.entering()
            if number is None or gain < KNOWN_GAIN:
                found = self._sought(thorough=thorough)
                if not found and not thorough:
                    thorough = True
                    found = self._sought(thorough=True)
                number, gain = max([*found, (number, gain)], key=lambda f: f[1])
            if number is None or gain < GAIN or not self.master.enter(number) or self.searched > effort:
                return

    def bins(self, counts: Sequence[int], rest: Style) -> tuple[Bin, ...]:
        """Nodes by whole patterns, and in the style ``rest`` for what they leave over."""
        left, found = list(counts), list[Bin]()
        bought = self.master.bought()
        for pattern, amount in bought:
            content = [(self.rows[row], units) for row, units in pattern.content]
            times = min(int(amount + GAIN), *(left[n] // units for n, units in content))
            found += self._bins(content, times, left)
        for pattern, _ in sorted(bought, key=lambda b: int(b[1] + GAIN) - b[1]):
            content = [(self.rows[row], units) for row, units in pattern.content]
            if all(left[n] >= units for n, units in content):
                found += self._bins(content, 1, left)
        return (*found, *steered(self.terrain, rest, left))

    def _bins(self, content: Sequence[tuple[int, int]], times: int, left: list[int]) -> list[Bin]:
        """So many nodes of a content, taken from what is left."""
        if times <= 0:
            return []
        problem = self.terrain.ground.problem
        amounts, mask = [0] * len(problem.space.dimensions), -1
        for n, units in content:
            left[n] -= units * times
            mask &= problem.demands[n].mask
            for d in self.terrain.ground.dims:
                amounts[d] += problem.demands[n].amounts[d] * units
        mask &= problem.space.fits(tuple(amounts))
        return [Bin(mask, mask, tuple(amounts), tuple(content))] * times

    def _sought(self, *, thorough: bool) -> list[tuple[int, float]]:
        """New patterns that are worth more than they cost, and by which share, on the sizes that promise most."""
        weights: dict[tuple[int, ...], tuple[tuple[float, ...], list[Item]]] = {}
        promising = []
        for column, price, room in self.group.rooms:
            net = self.group.nets[column]
            ratio = tuple(amount * _RATIO // (net[0] or 1) for amount in net)
            if ratio not in weights:
                weights[ratio] = self._weighed(net)
            prices, items = weights[ratio]
            weight = worth_of(net, prices)
            if weight > price * (1 + GAIN):
                promising.append((-weight / max(price, 1), column, price, Knapsack(items, room, weight, self.guard)))
        found: list[tuple[int, float]] = []
        for _, _, price, node in sorted(promising, key=lambda p: p[:2])[:SIZES]:
            best = node.content_by_first() if thorough else node.content()
            self.searched += node.searched
            found += self._added(best, price)
            if len(found) >= NEW_PATTERNS:
                break
        return found

    @property
    def guard(self) -> int:
        """Of the fields."""
        return self.terrain.fields.guard

    def _added(self, best: Best, price: int) -> list[tuple[int, float]]:
        gain = best.value / max(price, 1) - 1
        if gain < GAIN:
            return []
        number = self.master.add(Pattern(tuple(sorted(best.content)), max(price, 1)))
        return [] if number is None else [(number, gain)]

    def _weighed(self, net: Sequence[int]) -> tuple[tuple[float, ...], list[Item]]:
        """What each resource of such a node weighs, so that no unit is worth more than its weight, and the items.

        The weights are those at which the whole node weighs least: the dual of filling it with fractions of units.
        """
        duals, asked = self.master.duals, [self.group.asked[n] for n in self.rows]
        valued = [row for row, value in enumerate(duals) if value > GAIN]
        dims = [d for d, amount in enumerate(net) if amount]
        offers = [(net[d], [asked[row][d] for row in valued]) for d in dims]
        least = worth([int(duals[row]) for row in valued], offers).bought
        weights = [0.0] * len(net)
        for at, weight in least.items():
            weights[dims[at]] = weight
        items = []
        for row in valued:
            weight = max(worth_of(asked[row], weights), duals[row])
            items.append(Item(duals[row] / weight, weight, self.packed[row], duals[row], self.counts[row], row))
        items.sort(key=lambda i: (-i.density, -i.weight, i.row))
        return tuple(weights), items


def _single(terrain: Terrain, group: Group, row: tuple[int, int, int]) -> Pattern:
    """The cheapest pattern per unit of one demand alone: as many units as a node holds."""
    number, n, count = row
    asked = group.asked[n]
    found = []
    for column, price, _ in group.rooms:
        if terrain.single[n] >> column & 1:
            units = min(
                [count, *(net // amount for net, amount in zip(group.nets[column], asked, strict=True) if amount)]
            )
            found.append((max(price, 1) / units, column, units, max(price, 1)))
    _, _, units, price = min(found)
    return Pattern(((number, units),), price)
