"""Which domains pods could be bought nodes in: the columns of every pool, cut by the values of topology keys."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import msgspec

from agent.core.bins import Problem, floors
from agent.core.buying import Buying
from agent.core.hosts import EMPTY, FREE, HostRule
from agent.core.requirements import ABSENT, Requirements, ValueSet
from agent.core.shapes import Rules, Shape
from agent.core.shelf import union
from agent.core.shop import Shop
from agent.core.space import Space
from agent.core.topology.checks import Values
from agent.core.topology.counts import Filter, Group
from agent.core.topology.levels import Level
from agent.model.resources import Resources


class Offer(msgspec.Struct, frozen=True, gc=False):
    """Columns of one domain that hold a pod."""

    shelf: int
    mask: int
    asked: Requirements
    """What its nodes must be, the domain included."""
    price: int
    """How much dearer than in the cheapest domain, in hundredths."""
    turn: int = 0
    """By which of the alternatives of node affinity it is."""


@dataclass(slots=True)
class Offers:
    """What can be bought at present. The shelves are those of pools of equal weight, the heaviest first."""

    shops: Sequence[Shop]
    buying: Buying | None
    """None: as if there were no limits."""
    total: Resources
    """What all pods ask together."""
    daemons: Sequence[HostRule] = ()
    """What a pod of each DaemonSet means to others on its node."""
    closed: frozenset[int] = frozenset()
    """Shelves that nothing is to be taken from."""
    _spaces: dict[int, Space] = field(default_factory=dict)
    _open: dict[tuple[int, object], int] = field(default_factory=dict)
    _cells: dict[tuple[int, int, tuple[str, ...]], list[tuple[Values, int, int]]] = field(default_factory=dict)
    _known: dict[tuple[int, Rules, int, tuple[str, ...]], list[dict[Values, Offer]]] = field(default_factory=dict)
    _holding: dict[tuple[int, Rules, int, tuple[str, ...], int], dict[Values, Offer]] = field(default_factory=dict)
    """The same of which something is left, by the columns that hold a pod."""
    _beside: dict[tuple[int, HostRule], int] = field(default_factory=dict)
    _problems: dict[int, Problem] = field(default_factory=dict)
    _diverse: dict[tuple[int, int], int] = field(default_factory=dict)

    def space(self, number: int) -> Space:
        """What a shelf holds; put together when it is looked at first."""
        if number not in self._spaces:
            shop = self.shops[number]
            self._spaces[number] = shop.all() if self.buying is None else shop.within(self.buying)
        return self._spaces[number]

    def of(self, shape: Shape, at: int, keys: tuple[str, ...]) -> Iterator[dict[Values, Offer]]:
        """Per shelf: for each domain, by the first of the level's alternatives that leaves any, what holds a pod."""
        return (self._on(number, shape, at, keys) for number in range(len(self.shops)) if number not in self.closed)

    def _on(self, number: int, shape: Shape, at: int, keys: tuple[str, ...]) -> dict[Values, Offer]:
        space = self.space(number)
        holding = space.fits(space.vector(shape.requests))
        key = (number, shape.rules, at, keys, holding)
        found = self._holding.get(key)
        if found is None:
            found = self._holding[key] = self._left(number, self._of_rules(number, shape.rules, at, keys), holding)
        return found

    def _left(self, number: int, alternatives: Iterable[dict[Values, Offer]], holding: int) -> dict[Values, Offer]:
        """For each domain, by the first of the alternatives that leaves any, what holds a pod."""
        cells: dict[Values, Offer] = {}
        for offers in alternatives if holding else ():
            # A later alternative counts in domains only that no earlier one leaves anything in.
            cells = {
                values: offer for values, offer in offers.items() if self._keeps(number, offer.mask & holding)
            } | cells
            if () in cells:
                break
        return cells

    def _keeps(self, number: int, mask: int) -> int:
        """Of columns that hold a pod, those of pools whose minValues they keep: no node could be had of others."""
        if number not in self._problems:
            best_effort = self.shops[number].asked.limits.min_values_policy == "BestEffort"
            self._problems[number] = Problem(self.space(number), (), floors(self.space(number).templates), best_effort)
        problem = self._problems[number]
        if not problem.floors:
            return mask
        if (number, mask) not in self._diverse:
            self._diverse[number, mask] = problem.diverse(mask, mask)
        return self._diverse[number, mask]

    def _of_rules(self, number: int, rules: Rules, at: int, keys: tuple[str, ...]) -> list[dict[Values, Offer]]:
        """Per alternative of the level: the domains of a shelf, whether or not they hold a pod of some amounts."""
        key = (number, rules, at, keys)
        if key not in self._known:
            level = rules.levels[at]
            usable = self._open_to(number, rules, level) & self._beside_daemons(number, rules.hosts[at])
            self._known[key] = [
                self._cut((number, turn), self.space(number).select(asked, usable), asked, keys)
                for turn, asked in enumerate(level.alternatives)
            ]
        return self._known[key]

    def _cut(
        self, place: tuple[int, int], wide: int, asked: Requirements, keys: tuple[str, ...]
    ) -> dict[Values, Offer]:
        """By domain: the columns of a shelf that one alternative leaves; ``place`` is the numbers of both."""
        number, turn = place
        if not keys:
            return {(): Offer(number, wide, asked, 0, turn)}
        found = {}
        for values, mask, price in self._parts(number, wide, keys):
            cell = {k: ABSENT if v is None else ValueSet(frozenset({v})) for k, v in zip(keys, values, strict=True)}
            both = asked & Requirements(cell)
            # A column does not decide every label: it could have the domain's value, or the one that is asked.
            if both.conflict is None:
                found[values] = Offer(number, mask, both, price, turn)
        return found

    def _parts(self, number: int, wide: int, keys: tuple[str, ...]) -> list[tuple[Values, int, int]]:
        """The domains that some columns have, the columns of each, and how dear each is."""
        key = (number, wide, keys)
        if key not in self._cells:
            space = self.space(number)
            options = [domain_values(space, wide, k) for k in keys]
            masks = []
            for values in product(*options):
                mask = wide
                for k, value in zip(keys, values, strict=True):
                    wanted = ABSENT if value is None else ValueSet(frozenset({value}))
                    mask = space.select(Requirements({k: wanted}), mask)
                if mask:
                    masks.append((values, mask))
            prices = [self._price(number, mask) for _, mask in masks]
            least = min(prices, default=0.0)
            self._cells[key] = [
                (values, mask, int((price - least) * 100 / least) if least else 0)
                for (values, mask), price in zip(masks, prices, strict=True)
            ]
        return self._cells[key]

    def _price(self, number: int, mask: int) -> float:
        """What all pods would cost on the one column that suits their sum best, fractions of a node included."""
        space = self.space(number)
        total = space.vector(self.total)
        dims = [d for d, amount in enumerate(total) if amount]
        shares = [
            max(total[d] / max(space.net(i)[d], 1) for d in dims) * space.columns[i].price
            for i in space.efficient(mask, dims)
        ]
        return min(shares, default=float(space.price(mask)))

    def _open_to(self, number: int, rules: Rules, level: Level) -> int:
        """Columns of pools whose taints the pods tolerate."""
        key = (number, (rules.example.tolerations, level.minds_soft_taints))
        if key not in self._open:
            space = self.space(number)
            self._open[key] = union(
                members
                for own, members in zip(space.templates, space.members, strict=True)
                if rules.repelled_by(own.pool.taints, soft=level.minds_soft_taints) is None
            )
        return self._open[key]

    def _beside_daemons(self, number: int, rule: HostRule) -> int:
        """Columns on which no DaemonSet's pod keeps such a pod out, by its ports or by anti-affinity."""
        if rule is FREE or not any(own.matches or own.caps for own in self.daemons):
            return -1
        key = (number, rule)
        if key not in self._beside:
            alone = HostRule(rule.matches, rule.caps)
            clash = [not EMPTY.plus(own, 1).room(alone, 1) for own in self.daemons]
            against = sum(1 << d for d, own in enumerate(clash) if own)
            space = self.space(number)
            self._beside[key] = union(part.mask for part in space.parts if not part.daemons & against)
        return self._beside[key]

    def most(self, offer: Offer, shape: Shape, limit: int) -> int:
        """How many pods of the shape one node of the offer holds, at most ``limit``."""
        space = self.space(offer.shelf)
        amounts = space.vector(shape.requests)
        dims = [d for d, amount in enumerate(amounts) if amount]
        held = (
            min(space.net(i)[d] // amounts[d] for d in dims)
            for i in space.maximal(offer.mask & space.fits(amounts), dims)
        )
        return min(max(held, default=0), limit)

    def universe(self, key: str, wanted: Filter) -> frozenset[str]:
        """The domains in which nodes could be bought that pass the filter (Karpenter's rules 10.1 and 10.5)."""
        found: set[str] = set()
        for space in map(self.space, range(len(self.shops))):
            mask = union(
                members
                for own, members in zip(space.templates, space.members, strict=True)
                if wanted.tolerates(own.pool.taints)
            )
            for asked in wanted.alternatives or (Requirements(),):
                values = domain_values(space, space.select(asked, mask), key)
                found |= {value for value in values if value is not None and asked.get(key).allows(value)}
        return frozenset(found)

    def all_are(self, alternatives: Sequence[Requirements]) -> bool:
        """Whether every node that could be bought is one of these, whatever it turns out to be."""
        for space in map(self.space, range(len(self.shops))):
            settled = (asked for asked in alternatives if not space.undecided(asked).by_key)
            if space.every & ~union(space.select(asked, space.every) for asked in settled):
                return False
        return True


def counted(space: Space, group: Group, offer: Offer) -> bool | None:
    """Whether a spread counts the nodes of an offer; None: it depends on what they turn out to be."""
    wanted, pools = group.filter, zip(space.templates, space.members, strict=True)
    if not all(wanted.tolerates(own.pool.taints) for own, members in pools if members & offer.mask):
        return False
    if not wanted.alternatives:
        return True
    possible = [
        asked
        for asked in wanted.alternatives
        if asked.overlaps(offer.asked) and space.select(asked & offer.asked, offer.mask)
    ]
    if possible and group.affine and not any(_all_are(space, asked, offer) for asked in possible):
        return None
    return bool(possible)


def _all_are(space: Space, asked: Requirements, offer: Offer) -> bool:
    """Whether all nodes of an offer are what is asked, whatever they turn out to be."""
    rest = Requirements({key: values for key, values in asked if not offer.asked.get(key) <= values})
    return not space.undecided(rest).by_key and not offer.mask & ~space.select(rest, offer.mask)


def domain_values(space: Space, mask: int, key: str) -> Iterable[str | None]:
    """Values of a label that nodes of these columns can have, in order; None last, where they can be without it."""
    found = set(space.values(mask, key))
    for own, members in zip(space.templates, space.members, strict=True):
        if mask & members and key in own.base.by_key:
            found |= own.base.by_key[key].distinct()
    usable = [v for v in sorted(found) if space.select(Requirements({key: ValueSet(frozenset({v}))}), mask)]
    return (*usable, None) if space.select(Requirements({key: ABSENT}), mask) else tuple(usable)
