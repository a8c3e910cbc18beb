"""Filling one node of a given column so that no dimension runs out long before the others."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.bins import Bin, Problem
from agent.core.hosts import EMPTY, HostState
from agent.core.requirements import Requirements
from agent.core.space import Vector

_CHUNK: Final = 8
"""An eighth of what would fit is added at a time: one by one packs no better and takes longer."""

Lists = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
"""Per dimension: the demands that take a larger share of it than of any other, largest first, and what each takes of
it, as negative amounts, so that they ascend."""


@dataclass(slots=True)
class Filling:
    """A node of one column being filled."""

    problem: Problem
    column: int
    left: list[int]
    """Units of each demand that no bin has yet."""
    targets: tuple[float, ...]
    """Per dimension: the amount to be reached when the node is as full as the mix of demands allows."""
    used: list[int]
    taken: dict[int, int]
    custom: Requirements
    mask: int
    opened: int
    host: HostState = EMPTY

    @classmethod
    def begin(cls, problem: Problem, column: int, left: list[int], total: Vector) -> "Filling":
        """An empty node; ``total`` is the demand whose mix it shall have."""
        net = problem.space.nets[column]
        shares = [amount / room if room else 0.0 for amount, room in zip(total, net, strict=True)]
        largest = max(shares) or 1.0
        targets = tuple(room * share / largest for room, share in zip(net, shares, strict=True))
        return cls(problem, column, left, targets, [0] * len(net), {}, Requirements(), -1, -1)

    def put(self, number: int) -> int:
        """Add some pods of a demand; 0 when none may join."""
        count = self.left[number] - self.taken.get(number, 0)
        demand, net = self.problem.demands[number], self.problem.space.nets[self.column]
        count = demand.bearable(self.host, count)
        if count <= 0:
            return 0
        for used, amount, room in zip(self.used, demand.amounts, net, strict=True):
            if amount:
                if amount > room - used:
                    return 0
                count = min(count, (room - used) // amount)
        chunk = max(1, count // _CHUNK)
        custom, allowed = self.problem.joined(self.custom, demand.custom) if self.taken else (demand.custom, -1)
        mask = self.mask & demand.mask & allowed
        if not mask >> self.column & 1:
            return 0
        opened = self.opened if self.taken else mask & self.problem.space.fits(demand.amounts)
        used_after = [u + a * chunk for u, a in zip(self.used, demand.amounts, strict=True)]
        if self.problem.floors:
            left = self.problem.diverse(mask & self.problem.space.fits(tuple(used_after)), opened)
            if not left >> self.column & 1:
                return 0
        self.custom, self.mask, self.opened, self.used = custom, mask, opened, used_after
        self.host = demand.on(self.host, chunk)
        self.taken[number] = self.taken.get(number, 0) + chunk
        return chunk

    def fill(self, lists: Lists) -> None:
        """Add pods until none of the listed ones fits, each time from the dimension that lags behind most."""
        net = self.problem.space.nets[self.column]
        at = [0] * len(lists)
        lagging = [d for d, (numbers, _) in enumerate(lists) if numbers]
        while lagging:
            dimension = min(lagging, key=self._share)
            numbers, taken = lists[dimension]
            # What did not fit once will not fit later: room and what the rules of the node allow only shrink.
            place = bisect_left(taken, self.used[dimension] - net[dimension], at[dimension])
            while place < len(numbers) and not self.put(numbers[place]):
                place += 1
            at[dimension] = place
            if place == len(numbers):
                lagging.remove(dimension)

    def _share(self, dimension: int) -> float:
        """How much of what a dimension shall hold it holds."""
        target = self.targets[dimension]
        return self.used[dimension] / target if target else 1.0

    def done(self) -> Bin:
        """The bin, which may become any column that holds what was put in."""
        space = self.problem.space
        used = tuple(self.used)
        mask = self.mask & space.fits(used)
        if self.problem.floors:
            mask = self.problem.diverse(mask, self.opened)
        return Bin(mask, self.opened, used, tuple(self.taken.items()), self.custom, self.host)


def lists_for(problem: Problem, column: int, numbers: Sequence[int]) -> Lists:
    """Sort the demands that may use a column by the dimension of which they take the largest share."""
    net = problem.space.nets[column]
    sorted_: list[list[tuple[float, int]]] = [[] for _ in net]
    for number in numbers:
        demand = problem.demands[number]
        if not demand.mask >> column & 1:
            continue
        if any(amount > room for amount, room in zip(demand.amounts, net, strict=True) if amount):
            continue
        shares = [amount / room if room else 0.0 for amount, room in zip(demand.amounts, net, strict=True)]
        dimension = max(range(len(shares)), key=lambda d: (shares[d], -d))
        sorted_[dimension].append((-shares[dimension], number))
    ordered = [[number for _, number in sorted(own)] for own in sorted_]
    return tuple((tuple(own), tuple(-problem.demands[n].amounts[d] for n in own)) for d, own in enumerate(ordered))


def remaining(lists: Lists, left: Sequence[int]) -> Lists:
    """The lists without demands that have no pods left."""
    kept = ([(n, a) for n, a in zip(numbers, taken, strict=True) if left[n]] for numbers, taken in lists)
    return tuple((tuple(n for n, _ in own), tuple(a for _, a in own)) for own in kept)
