"""The catalogue with what NodeOverlays say of it (Karpenter's rules 15.1 to 15.4).

Prices are said per pool: where pools that share a class differ, an offering is told apart by the pool's label. What a
type has is the same for all pools of its class, so a capacity for some of them and not others is refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from agent.core.requirements import Requirements, type_labels
from agent.core.templates import pool_labels
from agent.core.world import World, target
from agent.model import names
from agent.model.actions import WriteOverlayStatus
from agent.model.constraints import Requirement
from agent.model.ec2 import CapacityType, InstanceType, Offering
from agent.model.kubernetes import Condition, NodePool
from agent.model.names import ClassName, InstanceTypeName, PoolName, Zone
from agent.model.overlays import NodeOverlay
from agent.model.reasons import Reason
from agent.model.resources import Resources

Types = Mapping[ClassName, tuple[InstanceType, ...]]
_OFFERED: Final = frozenset({names.ZONE, names.CAPACITY_TYPE, names.RESERVATION})
"""Labels that differ between the offerings of one type."""
_TYPES: Final = ("ValidationSucceeded", "Ready")


class Overlaid(msgspec.Struct, frozen=True):
    """The corrected catalogue, and the overlays with what is wrong with them."""

    instance_types: dict[ClassName, tuple[InstanceType, ...]]
    overlays: tuple[NodeOverlay, ...]


def overlaid(types: Types, pools: Sequence[NodePool], overlays: Iterable[NodeOverlay]) -> Overlaid:
    """Correct every type by the overlays about it: for each price and resource the heaviest counts."""
    # Those of equal weight by name, the last of the alphabet first, as Karpenter resolves conflicts (rule 15.3).
    ordered = sorted(sorted(overlays, key=lambda o: o.meta.name, reverse=True), key=lambda o: -o.weight)
    if not ordered:
        return Overlaid(dict(types), ())
    shelf = _Shelf(types, _pools(types, pools))
    judged = {overlay.meta.name: shelf.put(overlay) for overlay in ordered}
    corrected = {name: tuple(shelf.corrected(name, kind) for kind in listed) for name, listed in types.items()}
    return Overlaid(corrected, tuple(judged[name] for name in sorted(judged)))


def statuses(world: World) -> tuple[WriteOverlayStatus, ...]:
    """Write the conditions of every overlay whose conditions are not what they should be."""
    actions = []
    for overlay in world.snapshot.overlays:
        conditions = _conditions(overlay)
        # Before the whole catalogue is known, one without a fault may not have met the one that it conflicts with.
        known = overlay.faults or world.snapshot.provision
        if (
            known
            and overlay.meta.deleted_at is None
            and not {*map(_said, conditions)} <= {*map(_said, overlay.conditions)}
        ):
            sentence = f"NodeOverlay {overlay.meta.name} {'corrects nothing' if overlay.faults else 'counts'}"
            reason = Reason("StatusChanged", sentence)
            actions.append(WriteOverlayStatus(reason=reason, overlay=target(overlay.meta), conditions=conditions))
    return tuple(actions)


def _conditions(overlay: NodeOverlay) -> tuple[Condition, ...]:
    """Karpenter's ValidationSucceeded, and Ready, which follows from it."""
    generation = overlay.meta.generation
    if not overlay.faults:
        return tuple(Condition(kind, "True", kind, observed_generation=generation) for kind in _TYPES)
    code = "Conflict" if overlay.conflicts else "NodeOverlayValidationFailed"
    message = "; ".join(overlay.faults)
    return tuple(Condition(kind, "False", code, message, observed_generation=generation) for kind in _TYPES)


def _said(condition: Condition) -> Condition:
    return msgspec.structs.replace(condition, last_transition=None)


_Pool = PoolName | None
"""None: a class without any pool."""
_Price = tuple[ClassName, InstanceTypeName, tuple[Zone, CapacityType, str | None], _Pool]
"""Zone, capacity type and capacity reservation say which offering of the type."""
_Resource = tuple[ClassName, InstanceTypeName, str]


class _Targets(msgspec.Struct, frozen=True):
    """What an overlay is about: prices of offerings for pools, and resources of types."""

    prices: tuple[_Price, ...]
    resources: tuple[_Resource, ...]
    divided: str = ""
    """Why a capacity cannot be said of a class: some of its pools are meant and others are not."""


@dataclass(slots=True)
class _Shelf:
    types: Types
    pools: dict[ClassName, dict[_Pool, dict[str, str]]]
    """Per class: the labels that nodes of each of its pools have."""
    _prices: dict[_Price, NodeOverlay] = field(default_factory=dict)
    _resources: dict[_Resource, NodeOverlay] = field(default_factory=dict)

    def put(self, overlay: NodeOverlay) -> NodeOverlay:
        """Let an overlay take what it is about and no heavier one has; one that conflicts takes nothing."""
        if overlay.faults:
            return overlay
        wanted = self._targets(overlay, Requirements.of(overlay.requirements))
        if wanted.divided:
            return msgspec.structs.replace(overlay, faults=(wanted.divided,))
        if conflict := self._conflict(overlay, wanted):
            return msgspec.structs.replace(overlay, faults=(conflict,), conflicts=True)
        for price in wanted.prices:
            self._prices.setdefault(price, overlay)
        for resource in wanted.resources:
            self._resources.setdefault(resource, overlay)
        return overlay

    def corrected(self, name: ClassName, kind: InstanceType) -> InstanceType:
        """The type with what overlays have taken of it."""
        offerings = tuple(o for offering in kind.offerings for o in self._priced(name, kind, offering))
        resources = {resource for *_, resource in self._resources}
        amounts = {
            resource: overlay.capacity.amount(resource)
            for resource in sorted(resources)
            if (overlay := self._resources.get((name, kind.name, resource))) is not None
        }
        if not amounts and offerings == kind.offerings:
            return kind
        capacity = Resources.of(dict(kind.capacity.items()) | amounts)
        marks = ((names.PRICE_OVERLAY,) if offerings != kind.offerings else ()) + (
            (names.CAPACITY_OVERLAY,) if amounts else ()
        )
        return msgspec.structs.replace(kind, capacity=capacity, offerings=offerings, overlaid=marks)

    def _priced(self, name: ClassName, kind: InstanceType, offering: Offering) -> Iterator[Offering]:
        """The offering at its price for each pool: one where all agree, else one for each price."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        for pool in self.pools[name]:
            overlay = self._prices.get((name, kind.name, _offered(offering), pool))
            listed = offering.price_nano_usd
            found[overlay.price(listed) if overlay is not None else listed].append(str(pool))
        for price, pools in sorted(found.items()):
            of_pools = (Requirement(names.NODEPOOL, "In", tuple(sorted(pools))),) if len(found) > 1 else ()
            yield msgspec.structs.replace(
                offering, price_nano_usd=price, requirements=(*offering.requirements, *of_pools)
            )

    def _conflict(self, overlay: NodeOverlay, wanted: _Targets) -> str:
        """Which overlay of the same weight is about the same thing (rule 15.3); empty: none is."""
        held = [(self._prices.get(p), "price", p[1]) for p in wanted.prices]
        held += [(self._resources.get(r), r[2], r[1]) for r in wanted.resources]
        for other, what, kind in held:
            if other is not None and other.weight == overlay.weight:
                return (
                    f"it conflicts with NodeOverlay {other.meta.name} of the same weight over the {what} of {kind}; "
                    "give one of them more weight. Until then it corrects nothing"
                )
        return ""

    def _targets(self, overlay: NodeOverlay, asked: Requirements) -> _Targets:
        prices: list[_Price] = []
        resources: list[_Resource] = []
        amounts = [resource for resource, _ in overlay.capacity.items()]
        for name, listed in self.types.items():
            for kind in listed:
                meant = [o for o in kind.offerings if _is_meant(asked, o)]
                pools = [p for p, labels in self.pools[name].items() if meant and _describes(labels, kind, asked)]
                if overlay.has_price:
                    prices += [(name, kind.name, _offered(o), pool) for o in meant for pool in pools]
                if amounts and pools and len(pools) < len(self.pools[name]):
                    return _Targets((), (), _divided(name, pools, self.pools[name]))
                resources += [(name, kind.name, resource) for resource in amounts if pools]
        return _Targets(tuple(prices), tuple(resources))


def _describes(labels: Mapping[str, str], kind: InstanceType, asked: Requirements) -> bool:
    """Whether nodes of the type in such a pool are what is asked; a label that neither has is missing (rule 15.2)."""
    given = Requirements.from_labels({**labels, names.INSTANCE_TYPE: str(kind.name)})
    return (given & type_labels(kind.requirements)).incompatible(asked.without(_OFFERED)) is None


def _divided(name: ClassName, meant: Iterable[_Pool], pools: Iterable[_Pool]) -> str:
    own = sorted(str(p) for p in meant)
    others = sorted(str(p) for p in pools if str(p) not in own)
    return (
        f"it gives a capacity to nodes of NodePool {', '.join(own)} and not of {', '.join(others)}, which share "
        f"EC2NodeClass {name}; give them classes of their own. Until then it corrects nothing"
    )


def _is_meant(asked: Requirements, offering: Offering) -> bool:
    own = {
        names.ZONE: offering.zone,
        names.CAPACITY_TYPE: offering.capacity_type,
        names.RESERVATION: offering.reservation,
    }
    return all(values.allows(own[key]) for key, values in asked if key in own)


def _offered(offering: Offering) -> tuple[Zone, CapacityType, str | None]:
    return offering.zone, offering.capacity_type, offering.reservation


def _pools(types: Types, pools: Iterable[NodePool]) -> dict[ClassName, dict[_Pool, dict[str, str]]]:
    found: dict[ClassName, dict[_Pool, dict[str, str]]] = {name: {} for name in types}
    for pool in sorted(pools, key=lambda p: p.name):
        if pool.node_class in found:
            found[pool.node_class][pool.name] = pool_labels(pool)
    return {name: own or {None: {names.NODECLASS: str(name)}} for name, own in found.items()}
