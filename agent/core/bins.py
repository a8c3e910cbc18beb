"""Half-filled nodes of which only the set of columns that they may still become is known, and first-fit decreasing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement

from agent.core.hosts import EMPTY, FREE, HostRule, HostState
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
    host: HostRule = FREE
    """What each of these pods means to the others on its node."""
    size: int = 1
    """Pods that must be together count as one unit: so many are in each. ``count`` and bins count units, and
    ``amounts`` are those of a whole unit."""

    def bearable(self, state: HostState, limit: int) -> int:
        """How many units the rules of a node allow, at most ``limit``."""
        if self.host is FREE:
            return limit
        return state.room(self.host, limit * self.size) // self.size

    def on(self, state: HostState, count: int) -> HostState:
        """The counts and caps of a node with so many more units."""
        return state if self.host is FREE else state.plus(self.host, count * self.size)


@dataclass(frozen=True, slots=True)
class Bin:
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
    _joined: dict[tuple[Requirements, Requirements], tuple[Requirements, int]] = field(default_factory=dict)

    @property
    def followers(self) -> tuple[int, ...]:
        """Demands that need pods of others on their node."""
        return tuple(n for n, demand in enumerate(self.demands) if demand.host.needs)

    @property
    def empty(self) -> Vector:
        """No amounts at all."""
        return (0,) * len(self.space.dimensions)

    def price(self, bins: Iterable[Bin]) -> int:
        """What the bins cost when each becomes the cheapest column that holds it."""
        return sum(self.space.columns[cheapest(found.mask)].price for found in bins)

    def placed(self, bins: Iterable[Bin]) -> int:
        """How many pods have a place in the bins."""
        return sum(count * self.demands[number].size for found in bins for number, count in found.content)

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
        """Put as many units of a demand into a bin as it can take, at most ``limit``; None: not one.

        Without a bin a new one is opened, that may become any column ``within``.
        """
        demand = self.demands[number]
        if found is None:
            mask = demand.mask & within
            found = Bin(mask, mask & self.space.fits(demand.amounts), self.empty, (), demand.custom)
        custom, allowed = self.joined(found.custom, demand.custom)
        mask = demand.mask & allowed & found.mask
        limit = demand.bearable(found.host, limit)
        most = _largest(limit, lambda n: self._narrowed(mask, found, demand, n) != 0) if mask else 0
        if not most:
            return None
        total = _plus(found.used, demand.amounts, most)
        left = self._narrowed(mask, found, demand, most)
        content = (*found.content, (number, most))
        return Bin(left, found.opened, total, content, custom, demand.on(found.host, most)), most

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
        return replace(found, mask=whole | found.mask, opened=opened)

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
    left = [demand.count for demand in problem.demands]
    bins = followed(problem, left)
    for number in (*order, *problem.followers):
        demand = problem.demands[number]
        at = 0
        while left[number] and at < len(bins):
            more = problem.with_more(bins[at], number, left[number]) if bins[at].mask & demand.mask else None
            if more is not None:
                bins[at], placed = more
                left[number] -= placed
            at += 1
        while left[number]:
            fresh = problem.with_more(None, number, left[number], ceiling)
            fresh = fresh or problem.with_more(None, number, left[number])
            if fresh is None:
                break
            opened, placed = fresh
            bins += [opened] * (left[number] // placed)
            left[number] %= placed
    return tuple(bins)


def followed(problem: Problem, left: list[int]) -> list[Bin]:
    """Nodes for demands that need other pods beside them: one unit of what they need, and as many of them as fit.

    They come first, because those that they need could be anywhere, and would fill their nodes. ``left`` loses what
    found a place.
    """
    bins = []
    for number in problem.followers:
        while left[number]:
            found = _begun(problem, left, number, frozenset())
            more = problem.with_more(found, number, left[number]) if found is not None else None
            if more is None:
                break
            whole = more[0]
            for n, count in whole.content:
                left[n] -= count
            bins.append(whole)
    return bins


def _begun(problem: Problem, left: Sequence[int], number: int, above: frozenset[int]) -> Bin | None:
    """A node with one unit of each kind that a demand needs, and of what those need; None when there is none left."""
    found: Bin | None = None
    for selector in problem.demands[number].host.needs:
        if found is not None and found.host.counts.get(selector):
            continue
        for n, demand in enumerate(problem.demands):
            if selector not in demand.host.matches or n == number or n in above or not left[n]:
                continue
            begun = _begun(problem, left, n, above | {number}) if demand.host.needs and found is None else found
            more = problem.with_more(begun, n, 1)
            if more is not None and more[0].mask & problem.demands[number].mask:
                found = more[0]
                break
        else:
            return None
    return found


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
    # What needs others beside it comes after them.
    for number, count in sorted(other.content, key=lambda c: bool(problem.demands[c[0]].host.needs)):
        more = problem.with_more(found, number, count)
        if more is None or more[1] < count:
            return None
        found = more[0]
    counts: dict[int, int] = {}
    for number, count in found.content:
        counts[number] = counts.get(number, 0) + count
    whole = replace(found, content=tuple(sorted(counts.items())))
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
