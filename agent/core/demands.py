"""Deals as the demands of a packing problem: alike in amounts, columns and rules of a node, they are one demand."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from agent.core.bins import Bin, Demand
from agent.core.hosts import HostRule
from agent.core.requirements import Requirements
from agent.core.shapes import Shape
from agent.core.space import Space, Vector
from agent.core.topology.cells import Deal
from agent.model.names import PodKey

_Alike = tuple[Vector, int, int, int]
"""Amounts, columns, the number of what is required and of the rules of a node, and pods in a unit."""


@dataclass(slots=True)
class Demands:
    """Demands, and whose pods they are."""

    demands: tuple[Demand, ...]
    deals: tuple[tuple[Deal, ...], ...]
    """Per demand."""
    ends: tuple[tuple[int, ...], ...]
    """Per demand: where, among all its pods, those of each deal end."""
    taken: list[int]
    """Per demand: how many of its pods were bought for, in the order of its deals and of their keys."""

    @classmethod
    def of(cls, space: Space, shapes: Sequence[Shape], deals: Iterable[Deal]) -> "Demands":
        """In the order of the shapes, the largest first, and of domains."""
        alike: dict[_Alike, list[Deal]] = {}
        equal: dict[tuple[Requirements, HostRule], int] = {}
        # Most deals share these values, and to compare them by identity first is cheaper.
        same: dict[tuple[int, int], int] = {}
        for deal in sorted(deals, key=lambda d: (d.shape, d.level, tuple(v or "" for v in d.values))):
            requests, rules = shapes[deal.shape].requests, (deal.offer.asked, deal.host)
            amounts = space.vector(requests if deal.size == 1 else requests * deal.size)
            identity = (id(rules[0]), id(rules[1]))
            if identity not in same:
                same[identity] = equal.setdefault(rules, len(equal))
            alike.setdefault((amounts, deal.offer.mask, same[identity], deal.size), []).append(deal)
        kinds = [(asked, space.undecided(asked), host) for asked, host in equal]
        demands = []
        for number, ((amounts, mask, kind, size), own) in enumerate(alike.items()):
            units = sum(len(deal.keys) for deal in own) // size
            demands.append(Demand(number, amounts, units, mask, *kinds[kind], size))
        ends = tuple(tuple(accumulate(len(deal.keys) for deal in own)) for own in alike.values())
        return cls(tuple(demands), tuple(map(tuple, alike.values())), ends, [0] * len(demands))

    def content(self, found: Bin) -> list[tuple[Deal, list[PodKey]]]:
        """The pods of a bin that is bought, each time others."""
        content = []
        for number, units in found.content:
            begin = self.taken[number]
            self.taken[number] += units * self.demands[number].size
            content += list(self._between(number, begin, self.taken[number]))
        return content

    def unbought(self, bins: Iterable[Bin]) -> list[tuple[Deal, list[PodKey], bool]]:
        """Pods that nothing was bought for, and whether they were at least in one of the bins."""
        filled = [0] * len(self.demands)
        for found in bins:
            for number, units in found.content:
                filled[number] += units * self.demands[number].size
        return [
            (deal, keys, fits)
            for number, demand in enumerate(self.demands)
            for begin, end, fits in (
                (self.taken[number], filled[number], True),
                (filled[number], demand.count * demand.size, False),
            )
            for deal, keys in self._between(number, begin, end)
        ]

    def _between(self, number: int, begin: int, end: int) -> Iterator[tuple[Deal, list[PodKey]]]:
        deals, ends = self.deals[number], self.ends[number]
        place = bisect_right(ends, begin)
        while begin < end and place < len(deals):
            first = ends[place] - len(deals[place].keys)
            yield deals[place], deals[place].keys[begin - first : end - first]
            begin = ends[place]
            place += 1
