"""Which of the wanted nodes may be bought: limits of pools and the brakes of the whole cluster.

A launch counts as the largest type that it may fall back to, so that no limit is overshot whatever EC2 returns.
First every launch is given the room of its cheapest type, then fallbacks are added while limits allow.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from agent.core.bins import Bin
from agent.core.columns import Column
from agent.core.inputs import PackingInput, PlannedLaunch
from agent.core.quantity import format_amount
from agent.core.requirements import Requirements, ValueSet
from agent.core.space import Space, bits, cheapest
from agent.core.templates import SIMULATED, Template
from agent.model import names
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import NodeClaim, Requirement
from agent.model.names import InstanceTypeName, PodKey, PoolName
from agent.model.reasons import Reason
from agent.model.resources import Resources

MINUTE = timedelta(minutes=1)
MAX_TYPES = 60
NODES = "nodes"


@dataclass(slots=True)
class Purchase:
    """A bin that may be bought, and what it may become within the limits."""

    found: Bin
    template: int
    mask: int
    """Columns of the one pool that it is bought from, within the pool's limits."""


@dataclass(slots=True)
class Buying:
    """Counts what is there, in flight, and planned, against limits and brakes."""

    asked: PackingInput
    used: dict[PoolName, dict[str, int]]
    """Per pool with limits: what its claims use of each limited resource."""
    nodes: int
    price: int
    launches: list[datetime]
    held: dict[str, Reason] = field(default_factory=dict)
    """Pools from which something was wanted that a limit or brake forbids, and which."""
    _rate_limited: bool = False

    @classmethod
    def of(cls, asked: PackingInput) -> "Buying":
        """Count the claims that exist, those that are being deleted included: their instances still run."""
        claims = [pair.claim for pair in asked.pairs if pair.claim is not None]
        used: dict[PoolName, dict[str, int]] = {p.name: dict.fromkeys(p.limits, 0) for p in asked.pools}
        for claim in claims:
            if claim.pool in used:
                _add(used[claim.pool], _possible(claim, asked))
        recent = [t for t in asked.launches if asked.now - t < MINUTE]
        price = sum(_price(claim, asked) for claim in claims)
        return cls(asked, used, len(claims), price, recent)

    def choose(self, space: Space, bins: Iterable[Bin]) -> list[Purchase]:
        """The bins that may be bought, widened to all fallbacks that limits allow."""
        purchases = []
        closed: set[PoolName] = set()
        # Those that serve the most pods first. What comes after a refusal is packed anew, on what is still allowed.
        for found in sorted(bins, key=lambda b: -sum(count for _, count in b.content)):
            number = space.columns[cheapest(found.mask)].template
            mask = found.mask & space.members[number]
            pool = space.templates[number].pool
            if pool.name in closed:
                continue
            if (reason := self._forbidden(space, pool.name, mask)) is not None:
                self.held[pool.name] = reason
                closed.add(pool.name)
                continue
            first = self._first_within(space, pool.name, mask)
            _add(self.used[pool.name], _amounts(space.columns[first].type))
            self.nodes += 1
            self.price += space.columns[first].price
            self.launches.append(self.asked.now)
            purchases.append(Purchase(found, number, 1 << first))
        for purchase in purchases:
            self._widen(space, purchase)
        return purchases

    def within_limits(self, own: Template) -> Template:
        """The template with those types only of which one more would exceed no limit of its pool."""
        kept = tuple(t for t in own.types if self._exceeded(t, own.pool.name) is None)
        return msgspec.structs.replace(own, types=kept)

    def held_back(self, space: Space, number: int) -> Reason | None:
        """Why the pool bought less than was wanted: a brake, or a limit that no type fits in any more."""
        pool = space.templates[number].pool
        held = self.held.get(pool.name)
        if held is not None:
            return held
        mask = space.members[number]
        if mask and pool.limits and self._first_within(space, pool.name, mask) < 0:
            return self._limit_reason(space, pool.name, mask)
        return None

    def next_at(self) -> datetime | None:
        """When the launch rate allows the next one, if it held anything back."""
        return min(self.launches) + MINUTE if self._rate_limited and self.launches else None

    def launch(
        self, space: Space, purchase: Purchase, asked: Requirements, named: tuple[int, tuple[PodKey, ...]]
    ) -> PlannedLaunch:
        """The launch of a purchase for these pods."""
        own = space.templates[purchase.template]
        pool = own.pool
        columns = [space.columns[i] for i in bits(purchase.mask)]
        first = columns[0]
        listed = list(dict.fromkeys(c.type.name for c in columns))[:MAX_TYPES]
        chosen = [c for c in columns if c.type.name in set(listed)]
        requirements = _requirements(own.base & asked, listed, chosen)
        content = space.loads[cheapest(purchase.mask)]
        requests = content + _requests(space, purchase.found)
        single = {k: v.single for k, v in requirements if v.single is not None and k not in _CHOSEN}
        relaxed = any(r.min_values for r in pool.requirements)
        annotations = dict(pool.annotations)
        if relaxed and self.asked.limits.min_values_policy == "BestEffort":
            annotations["karpenter.sh/nodeclaim-min-values-relaxed"] = "false"
        if pool.hash:
            annotations |= {names.NODEPOOL_HASH: pool.hash, names.NODEPOOL_HASH_VERSION: pool.hash_version}
        node_class = next((c for c in self.asked.classes if c.name == pool.node_class), None)
        if node_class is not None and node_class.hash:
            annotations |= {
                names.NODECLASS_HASH: node_class.hash,
                names.NODECLASS_HASH_VERSION: node_class.hash_version,
            }
        return PlannedLaunch(
            id=named[0],
            pool=pool.name,
            pool_uid=pool.meta.uid,
            node_class=pool.node_class,
            requirements=_by_price(requirements.written(), listed),
            requests=requests,
            pods=named[1],
            instance_type=first.type.name,
            zone=first.offering.zone,
            capacity_type=first.offering.capacity_type,
            price_nano_usd=first.price,
            instance_types=tuple(InstanceTypeName(n) for n in listed),
            capacity=first.type.capacity,
            allocatable=first.type.allocatable,
            labels=single | own.labels,
            annotations=annotations,
            taints=pool.taints,
            startup_taints=pool.startup_taints,
            expire_after_seconds=pool.expire_after_seconds,
            termination_grace_seconds=pool.termination_grace_seconds,
        )

    def _forbidden(self, space: Space, pool: PoolName, mask: int) -> Reason | None:
        """The brake or limit that forbids one more node of even the smallest of these columns."""
        limits = self.asked.limits
        if self.nodes + 1 > limits.max_nodes:
            sentence = (
                f"the cluster has {self.nodes} nodes of ours, as many as maxNodes allows; raise it in the settings"
            )
            return Reason("MaxNodes", sentence)
        if len(self.launches) + 1 > limits.launches_per_minute:
            self._rate_limited = True
            sentence = f"{len(self.launches)} launches in the last minute are as many as launchesPerMinute allows"
            return Reason("LaunchRate", sentence)
        first = self._first_within(space, pool, mask)
        if first < 0:
            return self._limit_reason(space, pool, mask)
        ceiling = limits.max_price_nano_usd
        if ceiling is not None and self.price + space.columns[first].price > ceiling:
            sentence = (
                f"nodes cost ${self.price / 1e9:.4f}/h, and the cheapest that would serve "
                f"${space.columns[first].price / 1e9:.4f}/h more, beyond maxPricePerHour ${ceiling / 1e9:.4f}"
            )
            return Reason("MaxPricePerHour", sentence)
        return None

    def _first_within(self, space: Space, pool: PoolName, mask: int) -> int:
        return next((i for i in bits(mask) if self._exceeded(space.columns[i].type, pool) is None), -1)

    def _exceeded(self, kind: InstanceType, pool: PoolName) -> str | None:
        """The limit that one more node of the type would exceed."""
        limits = next((p.limits for p in self.asked.pools if p.name == pool), {})
        more = _amounts(kind)
        for name, limit in sorted(limits.items()):
            if self.used[pool][name] + more.get(name, 0) > limit:
                return name
        return None

    def _limit_reason(self, space: Space, pool: PoolName, mask: int) -> Reason:
        limits = next(p.limits for p in self.asked.pools if p.name == pool)
        name = self._exceeded(space.columns[cheapest(mask)].type, pool) or next(iter(limits))
        used, limit = format_amount(name, self.used[pool][name]), format_amount(name, limits[name])
        smallest = space.columns[cheapest(mask)].type.name
        sentence = (
            f"NodePool {pool} uses {name} {used} of its limit {limit}, and not even {smallest} fits in the rest; "
            "raise spec.limits or free nodes"
        )
        return Reason("LimitExceeded", sentence)

    def _widen(self, space: Space, purchase: Purchase) -> None:
        """Allow every fallback that keeps the pool within its limits, in order of price."""
        pool = space.templates[purchase.template].pool.name
        largest = space.columns[cheapest(purchase.mask)].type
        counted = {largest.name: largest}
        for i in bits(purchase.found.mask & space.members[purchase.template]):
            kind = space.columns[i].type
            if kind.name in counted:
                purchase.mask |= 1 << i
                continue
            if len(counted) < MAX_TYPES and self._grown(pool, counted.values(), kind):
                counted[kind.name] = kind
                purchase.mask |= 1 << i

    def _grown(self, pool: PoolName, counted: Iterable[InstanceType], kind: InstanceType) -> bool:
        """Count the launch as the larger of what it was and the type; False, and nothing counted, beyond a limit."""
        limits = next((p.limits for p in self.asked.pools if p.name == pool), {})
        held = [_amounts(t) for t in counted]
        growth = {n: max(0, _amounts(kind).get(n, 0) - max(h.get(n, 0) for h in held)) for n in limits}
        if any(self.used[pool][n] + more > limits[n] for n, more in growth.items()):
            return False
        _add(self.used[pool], growth)
        return True


_CHOSEN = SIMULATED | {names.INSTANCE_TYPE, names.ZONE, names.CAPACITY_TYPE}


def _requirements(asked: Requirements, listed: list[InstanceTypeName], columns: list[Column]) -> Requirements:
    """What the claim says: types cheapest first, capacity types, zones when not all are open, and the rest as asked."""
    plain = asked.without(SIMULATED)
    by_key = dict(plain.by_key)
    floor = {k: v.min_values for k, v in by_key.items()}
    by_key[names.INSTANCE_TYPE] = ValueSet(frozenset(listed), min_values=floor.get(names.INSTANCE_TYPE))
    kinds = frozenset[str](c.offering.capacity_type for c in columns)
    by_key[names.CAPACITY_TYPE] = ValueSet(kinds, min_values=floor.get(names.CAPACITY_TYPE))
    zones = frozenset[str](c.offering.zone for c in columns)
    if names.ZONE in by_key:
        by_key[names.ZONE] = ValueSet(zones, min_values=floor.get(names.ZONE))
    return Requirements(by_key)


def _by_price(written: tuple[Requirement, ...], listed: list[InstanceTypeName]) -> tuple[Requirement, ...]:
    """The entry for instance types in the order in which they are to be tried."""
    return tuple(
        msgspec.structs.replace(r, values=tuple(listed)) if r.key == names.INSTANCE_TYPE else r for r in written
    )


def _requests(space: Space, found: Bin) -> Resources:
    return Resources.of({name: amount for name, amount in zip(space.dimensions, found.used, strict=True) if amount})


def _amounts(kind: InstanceType) -> dict[str, int]:
    return dict(kind.capacity.items()) | {NODES: 1}


def _add(used: dict[str, int], amounts: dict[str, int]) -> None:
    for name in used:
        used[name] += amounts.get(name, 0)


def _possible(claim: NodeClaim, asked: PackingInput) -> dict[str, int]:
    """What a claim uses: its instance's capacity, or before it is launched the largest it may become."""
    if claim.provider_id is not None:
        return dict(claim.capacity.items()) | {NODES: 1}
    allowed = Requirements.of(claim.requirements).get(names.INSTANCE_TYPE)
    largest: dict[str, int] = {NODES: 1}
    for kind in asked.instance_types.get(claim.node_class, ()):
        if allowed.allows(kind.name):
            for name, amount in kind.capacity.items():
                largest[name] = max(largest.get(name, 0), amount)
    return largest


def _price(claim: NodeClaim, asked: PackingInput) -> int:
    """Of the claim's offering; before it is launched, of the dearest offering that it may become."""
    types = asked.instance_types.get(claim.node_class, ())
    wanted = Requirements.of(claim.requirements) & Requirements.from_labels(
        {k: claim.meta.labels[k] for k in _CHOSEN if k in claim.meta.labels}
    )
    prices = [
        o.price_nano_usd
        for t in types
        if wanted.get(names.INSTANCE_TYPE).allows(t.name)
        for o in t.offerings
        if wanted.get(names.ZONE).allows(o.zone) and wanted.get(names.CAPACITY_TYPE).allows(o.capacity_type)
    ]
    return max(prices, default=0)
