"""The catalogue with what NodeOverlays say of it (Karpenter's rules 15.1 to 15.4).

An overlay is about offerings of types of a class. Pools that share a class share its types: an overlay that selects
some of them by name or label, and not others, cannot be said of the class and is refused with that reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from agent.core.requirements import Requirements, type_labels
from agent.core.templates import pool_labels
from agent.model import names
from agent.model.ec2 import CapacityType, InstanceType, Offering
from agent.model.kubernetes import NodePool
from agent.model.names import ClassName, InstanceTypeName, Zone
from agent.model.overlays import NodeOverlay
from agent.model.resources import Resources

Types = Mapping[ClassName, tuple[InstanceType, ...]]
_OFFERED: Final = frozenset({names.ZONE, names.CAPACITY_TYPE})
"""Labels that differ between the offerings of one type."""


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
    shelf = _Shelf(types, pools)
    judged = {overlay.meta.name: shelf.put(overlay) for overlay in ordered}
    corrected = {name: tuple(shelf.corrected(name, kind) for kind in listed) for name, listed in types.items()}
    return Overlaid(corrected, tuple(judged[name] for name in sorted(judged)))


_Price = tuple[ClassName, InstanceTypeName, Zone, CapacityType]
_Resource = tuple[ClassName, InstanceTypeName, str]


class _Targets(msgspec.Struct, frozen=True):
    """What an overlay is about: prices of offerings, and resources of types."""

    prices: tuple[_Price, ...]
    resources: tuple[_Resource, ...]


@dataclass(slots=True)
class _Shelf:
    types: Types
    pools: Sequence[NodePool]
    _prices: dict[_Price, NodeOverlay] = field(default_factory=dict)
    _resources: dict[_Resource, NodeOverlay] = field(default_factory=dict)

    def put(self, overlay: NodeOverlay) -> NodeOverlay:
        """Let an overlay take what it is about and no heavier one has; one that conflicts takes nothing."""
        if overlay.faults:
            return overlay
        asked = Requirements.of(overlay.requirements)
        wanted = self._targets(overlay, asked)
        fault = self._divided(asked) or self._conflict(overlay, wanted)
        if fault:
            return msgspec.structs.replace(overlay, faults=(fault,))
        for price in wanted.prices:
            self._prices.setdefault(price, overlay)
        for resource in wanted.resources:
            self._resources.setdefault(resource, overlay)
        return overlay

    def corrected(self, name: ClassName, kind: InstanceType) -> InstanceType:
        """The type with what overlays have taken of it."""
        offerings = tuple(self._priced(name, kind, offering) for offering in kind.offerings)
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

    def _priced(self, name: ClassName, kind: InstanceType, offering: Offering) -> Offering:
        overlay = self._prices.get((name, kind.name, offering.zone, offering.capacity_type))
        if overlay is None:
            return offering
        return msgspec.structs.replace(offering, price_nano_usd=overlay.price(offering.price_nano_usd))

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
        for name, listed in self.types.items():
            labels = next((pool_labels(p) for p in self.pools if p.node_class == name), {names.NODECLASS: str(name)})
            for kind in listed:
                given = Requirements.from_labels(labels | {names.INSTANCE_TYPE: str(kind.name)})
                if (given & type_labels(kind.requirements)).incompatible(asked.without(_OFFERED)) is not None:
                    continue
                meant = [(name, kind.name, o.zone, o.capacity_type) for o in kind.offerings if _is_meant(asked, o)]
                prices += meant if overlay.has_price else []
                resources += [(name, kind.name, resource) for resource, _ in overlay.capacity.items() if meant]
        return _Targets(tuple(prices), tuple(resources))

    def _divided(self, asked: Requirements) -> str:
        """Why it cannot be said of a class: some of its pools are meant and others are not; empty: it can."""
        for name, listed in self.types.items():
            decided = {key for kind in listed for key in type_labels(kind.requirements).by_key} | _OFFERED
            of_pools = asked.without(decided | {names.INSTANCE_TYPE})
            pools = sorted((p for p in self.pools if p.node_class == name), key=lambda p: p.name)
            meant = [p.name for p in pools if of_pools.admits(pool_labels(p))]
            others = [p.name for p in pools if p.name not in meant]
            if meant and others:
                return (
                    f"it means NodePool {', '.join(meant)} and not {', '.join(others)}, which share EC2NodeClass "
                    f"{name}; give them classes of their own. Until then it corrects nothing"
                )
        return ""


def _is_meant(asked: Requirements, offering: Offering) -> bool:
    own = {names.ZONE: str(offering.zone), names.CAPACITY_TYPE: str(offering.capacity_type)}
    return all(values.allows(own[key]) for key, values in asked if key in own)
