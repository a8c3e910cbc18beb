"""Which of the wanted nodes may be bought: limits of pools and the brakes of the whole cluster.

A launch counts as the largest type that it may fall back to, so that no limit is overshot whatever EC2 returns.
First every launch is given the room of its cheapest type, then fallbacks are added while limits allow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.core.aiming import MAX_TYPES
from agent.core.bins import Bin
from agent.core.composing import too_few
from agent.core.inputs import PackingInput
from agent.core.purchases import Fallbacks, Purchase, amount_of
from agent.core.quantity import format_amount, format_rounded
from agent.core.reservations import Reservations, fallbacks, in_turn
from agent.core.space import Space, bits, lowest
from agent.core.templates import Template
from agent.core.usage import NODES, dearest, possible
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import NodePool
from agent.model.names import PoolName
from agent.model.reasons import Reason

MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class Buying:
    """Counts what is there, in flight, and planned, against limits and brakes."""

    asked: PackingInput
    pools: dict[PoolName, NodePool]
    used: dict[PoolName, dict[str, int]]
    """Per pool with limits: what its claims use of each limited resource."""
    nodes: int
    price: int
    launches: list[datetime]
    reservations: Reservations
    held: dict[str, Reason] = field(default_factory=dict)
    """Pools from which something was wanted that a limit or brake forbids, and which."""
    tried: set[PoolName] = field(default_factory=set)
    """Pools in protected mode of which the one trial launch is planned."""
    _rate_limited: bool = False

    @classmethod
    def of(cls, asked: PackingInput) -> "Buying":
        """Count the claims that exist, those that are being deleted included: their instances still run."""
        claims = asked.counted
        used: dict[PoolName, dict[str, int]] = {p.name: dict.fromkeys(p.limits, 0) for p in asked.pools}
        for claim in claims:
            if claim.pool in used:
                _add(used[claim.pool], possible(claim, asked))
        recent = [t for t in asked.launches if asked.now - t < MINUTE]
        price = sum(dearest(claim, asked) for claim in claims)
        pools = {p.name: p for p in asked.pools}
        return cls(asked, pools, used, len(claims), price, recent, Reservations.of(asked))

    def brake(self) -> Reason | None:
        """Why no further launch is allowed, whatever it is: the brakes over all pools that only count launches."""
        limits = self.asked.limits
        if self.nodes >= limits.max_nodes:
            sentence = (
                f"the cluster has {self.nodes} nodes of ours, as many as maxNodes allows; raise it in the settings"
            )
            return Reason("MaxNodes", sentence)
        if len(self.launches) >= limits.launches_per_minute:
            self._rate_limited = True
            sentence = f"{len(self.launches)} launches in the last minute are as many as launchesPerMinute allows"
            return Reason("LaunchRate", sentence)
        return None

    def choose(self, space: Space, bins: Iterable[Bin]) -> list[Purchase]:
        """The bins that may be bought, widened to all fallbacks that limits allow."""
        purchases = []
        closed: set[PoolName] = set()
        # What comes after a refusal is packed anew, on what is still allowed.
        for found in in_turn(space, bins):
            if not (usable := self.reservations.usable(space, found)):
                continue
            number = space.owner(space.cheapest(usable))
            mask = space.named(number, usable & space.members[number])
            pool = space.templates[number].pool.name
            if pool in closed:
                continue
            if (reason := self._forbidden(space, pool, mask)) is not None:
                self.held[pool] = reason
                closed.add(pool)
                continue
            first = self._first_within(space, pool, mask)
            purchases.append(Purchase.of(space, found, (number, first), self.used[pool]))
            self._count(pool, purchases[-1], 1)
            if pool in self.asked.protected:
                self.tried.add(pool)
        known: dict[tuple[int, int], Fallbacks] = {}
        for purchase in purchases:
            self._widen(space, purchase, known)
        return self._diverse(space, purchases, known)

    def within_limits(self, own: Template) -> int:
        """Columns of the template's shelf of which one more would exceed no limit of its pool, and no reservation."""
        found, used = own.shelf.every & ~self.reservations.closed(own), self.used[own.pool.name]
        for name, limit in own.pool.limits.items():
            rest = limit - used[name]
            if rest < (name == NODES):
                return 0
            if name in own.shelf.capacity:
                found &= ~own.shelf.capacity[name].above(rest)
        return found

    def forbidding(self, space: Space, number: int, serving: int) -> Reason | None:
        """The brake or limit that forbids one more node of the pool, whichever of the serving columns it is."""
        return self._forbidden(space, space.templates[number].pool.name, serving) if serving else self.brake()

    def next_at(self) -> datetime | None:
        """When the launch rate allows the next one, if it held anything back."""
        return min(self.launches) + MINUTE if self._rate_limited and self.launches else None

    def _count(self, pool: PoolName, purchase: Purchase, sign: int) -> None:
        """Count a purchase, or with ``sign`` -1 take it back."""
        _add(self.used[pool], {name: sign * amount for name, amount in purchase.counted.items()})
        self.nodes += sign
        self.price += sign * purchase.price
        self.reservations.take(purchase.reservation, sign)
        if sign > 0:
            self.launches.append(self.asked.now)
        else:
            self.launches.remove(self.asked.now)

    def _diverse(
        self, space: Space, purchases: list[Purchase], known: dict[tuple[int, int], Fallbacks]
    ) -> list[Purchase]:
        """Without purchases for which minValues do not hold within the limits.

        Those of a pool may be short of fallbacks only because of each other, so the last are taken back until the first
        hold.
        """
        short: dict[int, list[Purchase]] = {}
        for purchase in purchases:
            if self._too_few(space, purchase) is not None:
                short.setdefault(purchase.template, []).append(purchase)
        dropped = set[int]()
        for template, own in short.items():
            pool, held = space.templates[template].pool.name, 0
            while held < len(own):
                self._widen(space, own[held], known)
                if (reason := self._too_few(space, own[held])) is None:
                    held += 1
                    continue
                self.held[pool] = reason
                self._count(pool, own[-1], -1)
                dropped.add(id(own.pop()))
        return [purchase for purchase in purchases if id(purchase) not in dropped]

    def _too_few(self, space: Space, purchase: Purchase) -> Reason | None:
        """Why minValues do not hold for what the limits leave a purchase; None where they do."""
        pool = space.templates[purchase.template].pool
        if self.asked.limits.min_values_policy == "BestEffort" or all(r.min_values is None for r in pool.requirements):
            return None
        short = too_few(pool, [space.columns[i] for i in bits(purchase.mask)])
        if short is None:
            return None
        entry, there = short
        sentence = (
            f"NodePool {pool.name} wants {entry.min_values} values of {entry.key} (minValues) and its limits "
            f"leave {there}; raise spec.limits or lower minValues"
        )
        return Reason("LimitExceeded", sentence)

    def _forbidden(self, space: Space, pool: PoolName, mask: int) -> Reason | None:
        """The brake or limit that forbids one more node of even the smallest of these columns."""
        if pool in self.tried:
            return Reason("ProtectedMode", f"NodePool {pool} is in protected mode: one trial launch at a time")
        if (brake := self.brake()) is not None:
            return brake
        first = self._first_within(space, pool, mask)
        if first < 0:
            return self._limit_reason(space, pool, mask)
        if self._too_dear(space.columns[first].price):
            ceiling = self.asked.limits.max_price_nano_usd or 0
            sentence = (
                f"nodes cost ${self.price / 1e9:.4f}/h, and the cheapest that would serve "
                f"${space.columns[first].price / 1e9:.4f}/h more, beyond maxPricePerHour ${ceiling / 1e9:.4f}"
            )
            return Reason("MaxPricePerHour", sentence)
        return None

    def _too_dear(self, more: int) -> bool:
        ceiling = self.asked.limits.max_price_nano_usd
        return ceiling is not None and self.price + more > ceiling

    def _first_within(self, space: Space, pool: PoolName, mask: int) -> int:
        return next((i for i in bits(mask) if self._exceeded(space.columns[i].type, pool) is None), -1)

    def _exceeded(self, kind: InstanceType, pool: PoolName) -> str | None:
        """The limit that one more node of the type would exceed."""
        limits = self.pools[pool].limits
        for name, limit in sorted(limits.items()):
            if self.used[pool][name] + amount_of(kind, name) > limit:
                return name
        return None

    def _limit_reason(self, space: Space, pool: PoolName, mask: int) -> Reason:
        limits = self.pools[pool].limits
        first = self._exceeded(space.columns[lowest(mask)].type, pool) or next(iter(limits))
        smallest = space.columns[min(bits(mask), key=lambda i: amount_of(space.columns[i].type, first))].type
        name = self._exceeded(smallest, pool) or first
        used, limit = format_rounded(name, self.used[pool][name]), format_amount(name, limits[name])
        planned = self.nodes > len(self.asked.counted)
        counted = " (planned nodes count as the largest type that they may become)" if planned else ""
        sentence = (
            f"NodePool {pool} uses {name} {used} of its limit {limit}{counted}, and not even {smallest.name} fits in "
            "the rest; raise spec.limits or free nodes"
        )
        return Reason("LimitExceeded", sentence)

    def _widen(self, space: Space, purchase: Purchase, known: dict[tuple[int, int], Fallbacks]) -> None:
        """Allow every fallback within the limits of the pool and the price of the cluster, the cheapest first."""
        usable = fallbacks(space, lowest(purchase.mask), purchase.found.mask & space.members[purchase.template])
        mask = space.named(purchase.template, usable)
        key = (purchase.template, mask)
        if key not in known:
            known[key] = Fallbacks.of(space, purchase.template, mask)
        widest, pool = known[key], space.templates[purchase.template].pool.name
        if self._grown(pool, purchase, widest.largest, widest.dearest):
            purchase.mask |= widest.mask
            return
        counted = {space.columns[lowest(purchase.mask)].type.name}
        for i in bits(mask):
            column = space.columns[i]
            if column.type.name not in counted and len(counted) >= MAX_TYPES:
                continue
            amounts = {name: amount_of(column.type, name) for name in self.pools[pool].limits}
            if self._grown(pool, purchase, amounts, column.price):
                counted.add(column.type.name)
                purchase.mask |= 1 << i

    def _grown(self, pool: PoolName, purchase: Purchase, amounts: Mapping[str, int], price: int) -> bool:
        """Count the launch as the larger of what it was and this; False, and nothing counted, beyond a limit."""
        dearer = max(0, price - purchase.price)
        if self._too_dear(dearer):
            return False
        limits = self.pools[pool].limits
        growth = {n: max(0, amounts.get(n, 0) - purchase.counted.get(n, 0)) for n in limits}
        if any(self.used[pool][n] + more > limits[n] for n, more in growth.items()):
            return False
        if self.asked.narrow and (any(growth.values()) or (dearer and self.asked.limits.max_price_nano_usd)):
            return False
        _add(self.used[pool], growth)
        _add(purchase.counted, growth)
        purchase.price += dearer
        self.price += dearer
        return True


def _add(used: dict[str, int], amounts: dict[str, int]) -> None:
    for name in used:
        used[name] += amounts.get(name, 0)
