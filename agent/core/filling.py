"""Filling one node of a given column so that no dimension runs out long before the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.bins import Bin, Problem
from agent.core.requirements import Requirements
from agent.core.space import Vector

_CHUNK: Final = 8
"""An eighth of what would fit is added at a time: one by one packs no better and takes longer."""

Lists = tuple[tuple[int, ...], ...]
"""Per dimension: the demands that take the largest share of it, largest first."""


@dataclass(slots=True)
class Filling:
    """A node of one column being filled."""

    problem: Problem
    column: int
    left: list[int]
    """Pods of each demand that no bin has yet."""
    targets: tuple[float, ...]
    """Per dimension: the amount to be reached when the node is as full as the mix of demands allows."""
    used: list[int]
    taken: dict[int, int]
    custom: Requirements
    mask: int
    opened: int

    @classmethod
    def begin(cls, problem: Problem, column: int, left: list[int], total: Vector) -> "Filling":
        """An empty node; ``total`` is the demand whose mix it shall have."""
        net = problem.space.nets[column]
        shares = [amount / room if room else 0.0 for amount, room in zip(total, net, strict=True)]
        largest = max(shares) or 1.0
        targets = tuple(room * share / largest for room, share in zip(net, shares, strict=True))
        return cls(problem, column, left, targets, [0] * len(net), {}, Requirements(), -1, -1)

    def put(self, number: int, most: int) -> int:
        """Add up to ``most`` pods of a demand; 0 when none may join."""
        demand, net = self.problem.demands[number], self.problem.space.nets[self.column]
        count = min(most, self.left[number] - self.taken.get(number, 0))
        for used, amount, room in zip(self.used, demand.amounts, net, strict=True):
            if amount:
                count = min(count, (room - used) // amount)
        if count <= 0:
            return 0
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
        self.taken[number] = self.taken.get(number, 0) + chunk
        return chunk

    def fill(self, lists: Lists) -> None:
        """Add pods until none of the listed ones fits, each time from the dimension that lags behind most."""
        at = [0] * len(lists)
        while any(place < len(own) for place, own in zip(at, lists, strict=True)):
            lags = sorted(
                (self.used[d] / target if (target := self.targets[d]) else 1.0, d)
                for d, own in enumerate(lists)
                if at[d] < len(own)
            )
            dimension = lags[0][1]
            if not self.put(lists[dimension][at[dimension]], self.left[lists[dimension][at[dimension]]]):
                at[dimension] += 1

    def done(self) -> Bin:
        """The bin, which may become any column that holds what was put in."""
        space = self.problem.space
        used = tuple(self.used)
        mask = self.mask & space.fits(used)
        if self.problem.floors:
            mask = self.problem.diverse(mask, self.opened)
        return Bin(mask, self.opened, used, tuple(self.taken.items()), self.custom)


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
    return tuple(tuple(number for _, number in sorted(own)) for own in sorted_)
