"""Half-filled nodes of which only the set of columns that they may still become is known, and first-fit decreasing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

from agent.core.requirements import Requirements
from agent.core.space import Space, Vector, cheapest

_FREE = Requirements()
_PAIR = 2
MOST_PAIRS = 2000
"""Pairs of contents that are tried at most: beyond that it would take longer than it is worth."""
Floors = tuple[tuple[tuple[str, int], ...], ...]
"""Per template: keys, and how many distinct values of each must remain among the types of a launch."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Pods of one shape that are still to be placed: how many, what each takes, and where it may go."""

    shape: int
    amounts: Vector
    count: int
    mask: int
    asked: Requirements = _FREE
    """All that these pods require."""
    custom: Requirements = _FREE
    """The part of it that a column does not decide."""


@dataclass(frozen=True, slots=True)
class Bin:
    """A node to be: its pods by demand, what they take, and the columns that would hold them."""

    mask: int
    opened: int
    """The columns that its first pod left open."""
    used: Vector
    content: tuple[tuple[int, int], ...]
    """(number of the demand, pods of it)."""
    custom: Requirements = _FREE


@dataclass(slots=True)
class Problem:
    """Demands, the space of what can be bought for them, and the rules on how a bin may narrow."""

    space: Space
    demands: tuple[Demand, ...]
    floors: Floors = ()
    """minValues; empty where no pool has any."""
    best_effort: bool = False
    """minValues may be lowered to what the first pod of a bin leaves."""
    _joined: dict[tuple[Requirements, Requirements], tuple[Requirements, int]] = field(default_factory=dict)

    @property
    def empty(self) -> Vector:
        """No amounts at all."""
        return (0,) * len(self.space.dimensions)

    def price(self, bins: Iterable[Bin]) -> int:
        """What the bins cost when each becomes the cheapest column that holds it."""
        return sum(self.space.columns[cheapest(found.mask)].price for found in bins)

    def joined(self, one: Requirements, other: Requirements) -> tuple[Requirements, int]:
        """What is required together, and the columns that allow it."""
        if not other.by_key or one == other:
            return one, -1
        key = (one, other)
        if key not in self._joined:
            both = one & other
            self._joined[key] = (both, 0 if both.conflict else self.space.select(both, self.space.every))
        return self._joined[key]

    def with_more(self, found: Bin | None, number: int, limit: int, within: int = -1) -> tuple[Bin, int] | None:
        """Put as many pods of a demand into a bin as it can take, at most ``limit``; None: not one.

        Without a bin a new one is opened, that may become any column ``within``.
        """
        demand = self.demands[number]
        if found is None:
            mask = demand.mask & within
            found = Bin(mask, mask & self.space.fits(demand.amounts), self.empty, (), demand.custom)
        custom, allowed = self.joined(found.custom, demand.custom)
        mask = demand.mask & allowed & found.mask
        most = _largest(limit, lambda n: self._narrowed(mask, found, demand, n) != 0) if mask else 0
        if not most:
            return None
        total = _plus(found.used, demand.amounts, most)
        left = self._narrowed(mask, found, demand, most)
        return Bin(left, found.opened, total, (*found.content, (number, most)), custom), most

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
        return Bin(whole | found.mask, opened, found.used, found.content, found.custom)

    def _narrowed(self, mask: int, found: Bin, demand: Demand, count: int) -> int:
        left = mask & self.space.fits(_plus(found.used, demand.amounts, count))
        return self.diverse(left, found.opened) if self.floors else left

    def diverse(self, mask: int, opened: int) -> int:
        """The columns of those pools whose minValues still hold."""
        kept = 0
        for members, floors in zip(self.space.members, self.floors, strict=True):
            own = mask & members
            if own and all(self._enough(own, opened & members, key, floor) for key, floor in floors):
                kept |= own
        return kept

    def _enough(self, own: int, opened: int, key: str, floor: int) -> bool:
        if self.best_effort:
            floor = min(floor, len(self.space.values(opened, key)))
        return len(self.space.values(own, key)) >= floor


def first_fit(problem: Problem, order: Sequence[int], ceiling: int) -> tuple[Bin, ...]:
    """First-fit decreasing, where a bin keeps every column that would still hold it (Karpenter's rule 8.12).

    ``ceiling`` limits the columns that a bin may become, where a demand fits any of them at all: without a limit bins
    grow to the largest type that there is, whose shape may suit the rest badly.
    """
    bins: list[Bin] = []
    for number in order:
        demand = problem.demands[number]
        left, at = demand.count, 0
        while left and at < len(bins):
            more = problem.with_more(bins[at], number, left) if bins[at].mask & demand.mask else None
            if more is not None:
                bins[at], placed = more
                left -= placed
            at += 1
        while left:
            fresh = problem.with_more(None, number, left, ceiling) or problem.with_more(None, number, left)
            if fresh is None:
                break
            opened, placed = fresh
            bins += [opened] * (left // placed)
            left %= placed
    return tuple(bins)


_Key = tuple[tuple[tuple[int, int], ...], int]
_Groups = dict[_Key, list[Bin]]


def merged(problem: Problem, bins: Sequence[Bin]) -> tuple[Bin, ...]:
    """Put two nodes into one wherever that costs no more: of equal prices, fewer nodes are better.

    Bins of equal content are many and distinct ones few, so pairs are tried by content.
    """
    groups: _Groups = {}
    for found in bins:
        groups.setdefault((found.content, found.mask), []).append(found)
    tries = MOST_PAIRS
    pair = _next_pair(problem, groups, tries)
    while pair is not None:
        one, other, both, tries = pair
        for key in (one, other):
            groups[key].pop()
            if not groups[key]:
                del groups[key]
        groups.setdefault((both.content, both.mask), []).append(both)
        pair = _next_pair(problem, groups, tries)
    return tuple(found for key in sorted(groups) for found in groups[key])


def _next_pair(problem: Problem, groups: _Groups, tries: int) -> tuple[_Key, _Key, Bin, int] | None:
    """The first two contents that one node holds for no more money, and how many tries are left."""
    for one, other in combinations_with_replacement(sorted(groups), 2):
        if one == other and len(groups[one]) < _PAIR:
            continue
        if tries <= 0:
            return None
        tries -= 1
        both = _together(problem, groups[one][0], groups[other][0])
        if both is not None:
            return one, other, both, tries
    return None


def _together(problem: Problem, one: Bin, other: Bin) -> Bin | None:
    """Both bins' pods on one node that costs no more than the two; None when there is none."""
    found: Bin = one
    for number, count in other.content:
        more = problem.with_more(found, number, count)
        if more is None or more[1] < count:
            return None
        found = more[0]
    counts: dict[int, int] = {}
    for number, count in found.content:
        counts[number] = counts.get(number, 0) + count
    whole = Bin(found.mask, found.opened, found.used, tuple(sorted(counts.items())), found.custom)
    return whole if problem.price((whole,)) <= problem.price((one, other)) else None


def _largest(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest n up to ``limit`` for which ``holds`` is true; it must be false from some n on."""
    if limit < 1 or not holds(1):
        return 0
    low, high = 1, 2
    while high <= limit and holds(high):
        low, high = high, high * 2
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def _plus(used: Vector, amounts: Vector, count: int) -> Vector:
    return tuple(u + a * count for u, a in zip(used, amounts, strict=True))
