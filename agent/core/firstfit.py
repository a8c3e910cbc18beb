"""First-fit decreasing, and what must be begun before anything else is packed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.bins import Bin, Demand
from agent.core.growing import Ground, Growing
from agent.core.hosts import FREE, HostRule

LOOKED_AT: Final = (0.5, 0.6, 0.7, 0.8)
"""After these shares of the demands it is looked at whether the nodes are too dear already; a look at all of them costs
some hundredths of what filling them does."""


def first_fit(ground: Ground, order: Sequence[int], ceiling: int, beaten: int | None = None) -> tuple[Bin, ...]:
    """Each demand into the first nodes that take it, then into new ones.

    ``ceiling`` limits the columns that a node may become, where a demand fits any of them at all: without a limit
    nodes grow to the largest type that there is, whose shape may suit the rest badly. What turns out to cost more than
    ``beaten`` is not finished, and no bins are returned: nodes only become dearer.
    """
    left = [demand.count for demand in ground.problem.demands]
    nodes = _Nodes(begun(ground, left))
    looks = frozenset(int(len(order) * share) for share in LOOKED_AT)
    for place, number in enumerate((*order, *ground.problem.followers)):
        if beaten is not None and place in looks and nodes.price() > beaten:
            return ()
        demand = ground.problem.demands[number]
        if not ground.single[number]:
            continue
        left[number] -= nodes.fit(demand, number, left[number])
        while left[number]:
            node = Growing(ground, demand.mask & ceiling if ground.single[number] & ceiling else demand.mask)
            count = node.add(number, left[number])
            if not count:
                break
            nodes.listed += [node, *(node.copied() for _ in range(left[number] // count - 1))]
            left[number] %= count
    return tuple(node.done() for node in nodes.listed)


@dataclass(slots=True)
class _Nodes:
    """Nodes in the order in which they were opened."""

    listed: list[Growing]
    tops: list[int] = field(default_factory=list)
    """Of each: what no resource has more left of."""
    open_to: dict[tuple[HostRule, int], tuple[list[int], int]] = field(default_factory=dict)
    """Per rule and mask: the nodes that may still take such pods, of how many there were."""

    def price(self) -> int:
        """What the nodes cost as they are."""
        alike: defaultdict[tuple[int, int], list[Growing]] = defaultdict(list)
        for node in self.listed:
            alike[node.mask, node.used].append(node)
        return sum(nodes[0].price() * len(nodes) for nodes in alike.values())

    def fit(self, demand: Demand, number: int, limit: int) -> int:
        """Put units of a demand into the nodes that take them; how many found a place."""
        self.tops += [node.top for node in self.listed[len(self.tops) :]]
        key = (demand.host, demand.mask)
        at, known = self.open_to.get(key, ([], 0))
        at += range(known, len(self.listed))
        left, closed = limit, set[int]()
        if self.listed:
            packed, guard = self.listed[0].ground.packed[number], self.listed[0].ground.fields.guard
            for n in at:
                if (self.tops[n] - packed) & guard == guard:
                    node = self.listed[n]
                    count = node.add(number, left)
                    left -= count
                    if count:
                        # No less than is left: which of the largest columns still hold it is not looked at for this.
                        self.tops[n] -= packed * count
                    elif _is_closed(node, number):
                        closed.add(n)
                    if not left:
                        break
        self.open_to[key] = ([n for n in at if n not in closed] if closed else at, len(self.listed))
        return limit - left


def _is_closed(node: Growing, number: int) -> bool:
    """Whether pods under the demand's rule may never join the node: rules and columns only get stricter."""
    problem = node.ground.problem
    demand = problem.demands[number]
    if not node.mask & demand.mask:
        return True
    return not demand.host.needs and demand.host is not FREE and not problem.bearable(number, node.host, 1)


def begun(ground: Ground, left: list[int]) -> list[Growing]:
    """Nodes for demands that need other pods beside them: one unit of what they need, and as many of them as fit.

    They come first, because those that they need could be anywhere, and would fill their nodes. ``left`` loses what
    found a place.
    """
    nodes = []
    for number in ground.problem.followers:
        while left[number]:
            node = Growing(ground, ground.problem.demands[number].mask)
            if not _beside(node, left, number, frozenset()) or not node.add(number, left[number]):
                break
            for n, count in node.content.items():
                left[n] -= count
            nodes.append(node)
    return nodes


def _beside(node: Growing, left: Sequence[int], number: int, above: frozenset[int]) -> bool:
    """Put one unit of each kind that a demand needs, and of what those need; False when there is none left."""
    demands = node.ground.problem.demands
    for selector in demands[number].host.needs:
        if node.host.counts.get(selector):
            continue
        for n, demand in enumerate(demands):
            if selector not in demand.host.matches or n == number or n in above or left[n] <= node.content.get(n, 0):
                continue
            if _beside(node, left, n, above | {number}) and node.add(n, 1):
                break
        else:
            return False
    return True
