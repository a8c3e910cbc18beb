"""What is to be packed, and nodes to be of which only the set of columns that they may become is known."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from agent.core.hosts import EMPTY, FREE, HostRule, HostState, Neighbours
from agent.core.requirements import Requirements
from agent.core.space import Space, Vector
from agent.core.templates import Template

_FREE = Requirements()
Floors = tuple[tuple[tuple[str, int], ...], ...]
"""Per template: keys, and how many distinct values of each must remain among the types of a launch."""


class Demand(msgspec.Struct, frozen=True, gc=False):
    """Pods of one shape that are still to be placed: how many, what each takes, and where it may go."""

    shape: int
    amounts: Vector
    count: int
    mask: int
    asked: Requirements = _FREE
    """All that these pods require."""
    custom: Requirements = _FREE
    """The part of it that a column does not decide."""
    host: HostRule = FREE
    """What each of these pods means to the others on its node."""
    size: int = 1
    """Pods that must be together count as one unit: so many are in each. ``count`` and bins count units, and
    ``amounts`` are those of a whole unit."""


class Bin(msgspec.Struct, frozen=True, gc=False):
    """A node to be: its pods by demand, what they take, and the columns that would hold them."""

    mask: int
    opened: int
    """The columns that its first pod left open."""
    used: Vector
    content: tuple[tuple[int, int], ...]
    """(number of the demand, units of it)."""
    custom: Requirements = _FREE
    host: HostState = EMPTY


@dataclass(slots=True)
class Problem:
    """Demands, the space of what can be bought for them, and the rules on how a bin may narrow."""

    space: Space
    demands: tuple[Demand, ...]
    floors: Floors = ()
    """minValues; empty where no pool has any."""
    best_effort: bool = False
    """minValues may be lowered to what the first pod of a bin leaves."""
    most_nodes: int = 1 << 30
    """So many may be bought at most: rather few dear nodes than pods without any."""
    _neighbours: Neighbours = field(default_factory=Neighbours)
    followers: tuple[int, ...] = field(init=False)
    """Demands that need pods of others on their node."""
    _joined: dict[tuple[Requirements, Requirements], tuple[Requirements, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at the demands once."""
        self.followers = tuple(n for n, demand in enumerate(self.demands) if demand.host.needs)

    @property
    def empty(self) -> Vector:
        """No amounts at all."""
        return (0,) * len(self.space.dimensions)

    def price(self, bins: Iterable[Bin]) -> int:
        """What the bins cost when each becomes the cheapest column that holds it."""
        price = self.space.price
        return sum([price(found.mask) for found in bins])

    def placed(self, bins: Iterable[Bin]) -> int:
        """How many pods have a place in the bins."""
        return sum(count * self.demands[number].size for found in bins for number, count in found.content)

    def bearable(self, number: int, state: HostState, limit: int) -> int:
        """How many units of a demand the rules of a node allow, at most ``limit``."""
        demand = self.demands[number]
        if demand.host is FREE:
            return limit
        return min(limit, self._neighbours.room(state, demand.host) // demand.size)

    def beside(self, number: int, state: HostState, count: int) -> HostState:
        """The counts and caps of a node with so many more units of a demand."""
        demand = self.demands[number]
        return state if demand.host is FREE else self._neighbours.plus(state, demand.host, count * demand.size)

    def joined(self, one: Requirements, other: Requirements) -> tuple[Requirements, int]:
        """What is required together, and the columns that allow it."""
        if not other.by_key or one == other:
            return one, -1
        key = (one, other)
        if key not in self._joined:
            both = one & other
            self._joined[key] = (both, 0 if both.conflict else self.space.select(both, self.space.every))
        return self._joined[key]

    def widened(self, found: Bin) -> Bin:
        """The bin with every column that holds it, those included that a ceiling kept out while it was filled."""
        mask = -1
        for number, _ in found.content:
            mask &= self.demands[number].mask
        opened = mask & self.space.fits(self.demands[found.content[0][0]].amounts)
        if found.custom.by_key:
            mask &= self.space.select(found.custom, self.space.every)
        mask &= self.space.fits(found.used)
        whole = self.diverse(mask, opened) if self.floors else mask
        return msgspec.structs.replace(found, mask=whole | found.mask, opened=opened)

    def diverse(self, mask: int, opened: int) -> int:
        """The columns of those pools whose minValues still hold."""
        kept = 0
        for number, floors in enumerate(self.floors):
            # They must hold for what one launch names, which need not be all of a pool's columns.
            for own, whole in self.space.choices(number, mask):
                if own and all(self._enough(own, opened & whole, key, floor) for key, floor in floors):
                    kept |= own
        return kept

    def _enough(self, own: int, opened: int, key: str, floor: int) -> bool:
        if self.best_effort:
            floor = min(floor, len(self.space.values(opened, key)))
        return len(self.space.values(own, key)) >= floor


def floors(templates: Sequence[Template]) -> Floors:
    """The minValues of pools; empty where none has any."""
    found = tuple(
        tuple((r.key, r.min_values) for r in t.pool.requirements if r.min_values is not None) for t in templates
    )
    return found if any(found) else ()
