"""Filling one node of a given column so that no resource runs out long before the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Final

from agent.core.bins import Bin, Demand
from agent.core.fields import MOST
from agent.core.grouping import Group
from agent.core.hosts import EMPTY, FREE, HostState
from agent.core.queues import Entry, Queue, Stock
from agent.core.requirements import Requirements
from agent.core.terrain import Terrain

_FREE: Final = Requirements()
GRAIN: Final = 0.02
"""Units are added by so large a share of the node at a time, while it is less than ``FULL``."""
FULL: Final = 0.9


@dataclass(slots=True)
class Filling:
    """A node of one column being filled."""

    terrain: Terrain
    group: Group
    column: int
    left: Sequence[int]
    """Units of each demand that no bin has yet."""
    room: int
    """What is left of it, in fields."""
    scale: tuple[float, ...]
    """Per resource: one over what shall be used of it."""
    shares: list[float]
    """Per resource: how much of that is used."""
    taken: dict[int, int]
    mask: int
    """The columns that every demand in it may use."""
    custom: Requirements
    demands: Sequence[Demand]
    host: HostState = EMPTY
    blocked: int = 0
    """Kinds that may not join any more, as bits: rules of a node and requirements only ever get stricter."""

    @classmethod
    def begin(cls, terrain: Terrain, at: tuple[Group, int], left: Sequence[int], aim: Sequence[float]) -> "Filling":
        """An empty node of a column; ``aim`` says which share of each resource shall be used in the end."""
        group, column = at
        net = group.nets[column]
        scale = tuple([1.0 / (room * part) if room and part else 1.0 for room, part in zip(net, aim, strict=True)])
        room = terrain.fields.room(net)
        demands = terrain.ground.problem.demands
        return cls(terrain, group, column, left, room, scale, [0.0] * len(net), {}, -1, _FREE, demands)

    def start(self, number: int) -> bool:
        """Put one unit of a demand first; whether there is room for it."""
        amounts = self.group.asked[number]
        packed, guard = self.terrain.fields.packed(amounts), self.terrain.fields.guard
        if (self.room - packed) & guard != guard or not self._bearable(number, 1):
            return False
        self._take(number, 1, packed, amounts)
        return True

    def fill(self, stock: Stock, queues: Sequence[Queue]) -> None:
        """Add units until none of the queued ones fits, each time from the resource that lags behind most."""
        at = [0] * len(queues)
        waiting = [d for d, own in enumerate(queues) if own.order]
        shares, entries, packed, kinds = self.shares, stock.entries.listed, stock.packed, stock.kinds
        while waiting:
            d = min(waiting, key=shares.__getitem__)
            own = queues[d]
            # What did not fit once will not fit later: room only shrinks.
            place = own.next(packed, self.room, at[d])
            number = -1
            while place < len(own.order):
                number = self._joining(entries[own.order[place]], kinds[own.order[place]])
                if number >= 0:
                    break
                place = own.next(packed, self.room, place + 1)
            at[d] = place
            if number < 0:
                waiting.remove(d)
            else:
                entry = entries[own.order[place]]
                self._add(number, d, entry)
                # Of most entries there is one demand, and of that nothing is left.
                at[d] += len(entry.numbers) == 1 and self.taken[number] == self.left[number]

    def price(self) -> int:
        """Of the cheapest column, of those that are worth trying, that holds what is in it."""
        fields, mask = self.terrain.fields, self.mask
        used, guard = fields.room(self.group.nets[self.column]) - self.room, fields.guard
        return next(
            price for column, price, room in self.group.rooms if (room - used) & guard == guard and mask >> column & 1
        )

    def value(self, prices: Sequence[float]) -> float:
        """What all that is in it is worth at these prices of the resources."""
        used = (amount / factor for amount, factor in zip(self.shares, self.scale, strict=True))
        return float(sum(map(mul, used, prices)))

    def strangers(self) -> float:
        """What the demands of other groups in it are worth."""
        asked, value_of = self.group.asked, self.terrain.value_of
        return sum([value_of[n] * count for n, count in self.taken.items() if n not in asked])

    def done(self) -> Bin:
        """The bin, which may become any column that holds what was put in."""
        space = self.terrain.ground.problem.space
        amounts = [0] * len(space.dimensions)
        for number, count in self.taken.items():
            for d in self.terrain.ground.dims:
                amounts[d] += self.demands[number].amounts[d] * count
        used = tuple(amounts)
        mask = self.mask & space.fits(used)
        return Bin(mask, mask, used, tuple(self.taken.items()), self.custom, self.host)

    def _joining(self, entry: Entry, kinds: int) -> int:
        """A demand of these kinds of the entry that may join; -1 when there is none."""
        kinds &= ~self.blocked
        while kinds:
            low = kinds & -kinds
            kinds ^= low
            for number in entry.members[low]:
                if self.left[number] <= self.taken.get(number, 0):
                    continue
                if self._bearable(number, 1):
                    return number
                self.blocked |= low
                break
        return -1

    def _bearable(self, number: int, limit: int) -> int:
        """How many units the rules of the node and what its pods require allow."""
        demand = self.demands[number]
        if demand.custom.by_key and not self._joined(demand.custom)[1] >> self.column & 1:
            return 0
        return self.terrain.ground.problem.bearable(number, self.host, limit)

    def _joined(self, custom: Requirements) -> tuple[Requirements, int]:
        return self.terrain.ground.problem.joined(self.custom, custom) if self.custom.by_key else (custom, -1)

    def _add(self, number: int, dimension: int, entry: Entry) -> None:
        """As many units as it takes until another resource lags behind most, and as there are and fit."""
        count = 1
        limit = self.left[number] - self.taken.get(number, 0)
        if limit > 1 and self.demands[number].host is not FREE:
            limit = self._bearable(number, limit)
        if limit > 1:
            own = self.shares[dimension]
            gap = min([share for share in self.shares if share > own], default=own) - own + GRAIN * (own < FULL)
            count = min(limit, MOST, 1 + int(gap / (entry.amounts[dimension] * self.scale[dimension])))
            guard = self.terrain.fields.guard
            while count > 1 and (self.room - entry.packed * count) & guard != guard:
                count //= 2
        self._take(number, count, entry.packed, entry.amounts)

    def _take(self, number: int, count: int, packed: int, amounts: Sequence[int]) -> None:
        self.room -= packed * count
        demand = self.demands[number]
        shares = self.shares
        for d, factor in enumerate(self.scale):
            shares[d] += amounts[d] * count * factor
        if number in self.taken:
            self.taken[number] += count
        else:
            self.taken[number] = count
            self.mask &= demand.mask
        if demand.custom.by_key:
            self.custom, allowed = self._joined(demand.custom)
            self.mask &= allowed
        if demand.host is not FREE:
            self.host = self.terrain.ground.problem.beside(number, self.host, count)
