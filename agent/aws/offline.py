"""Instance types without AWS: the shipped table as nodes of a class, in the zones that the files name.

Nobody is asked whether a zone really offers a type; the table's prices are those of one region.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from agent.aws.shipped import PriceTable, price_table, shipped_catalog
from agent.core.catalog import Market, instance_types
from agent.core.requirements import Requirements, normalized_labels
from agent.model import names
from agent.model.ec2 import Image, InstanceType, NodeClass, Subnet
from agent.model.kubernetes import Node, NodeClaim, NodePool
from agent.model.names import InstanceTypeName, Zone
from agent.model.volumes import Volume

_REGION: Final = re.compile(r"([a-z]{2,}(?:-[a-z]+)+-[0-9]+)")
_SUFFIXES: Final = ("a", "b", "c")
"""Zones that nearly every region has; taken only where the files name none."""


class Shipped(msgspec.Struct, frozen=True):
    """The shipped table for some zones of one region."""

    zones: tuple[Zone, ...]
    region: str
    table: PriceTable
    assumed: bool = False
    """The files name no zone; three of the region's stand in."""

    def instance_types(self, node_class: NodeClass) -> tuple[InstanceType, ...]:
        """What nodes of the class would be. A class whose status names no subnet or image may be anything."""
        known = {s.zone for s in node_class.subnets}
        subnets = tuple(Subnet(f"zone-{z}", z) for z in self.zones if not known or z in known)
        images = node_class.images or tuple(Image(f"any-{a}", architecture=a) for a in ("amd64", "arm64"))
        return instance_types(
            shipped_catalog().types,
            self._market(),
            msgspec.structs.replace(node_class, subnets=subnets, images=images),
        )

    def _market(self) -> Market:
        """Every type in every zone; for spot the on-demand price, as ``PriceTable.price`` says."""
        priced = self.table.on_demand
        spot: dict[tuple[InstanceTypeName, Zone], int] = {
            (name, zone): price
            for name in priced
            for zone in self.zones
            if (price := self.table.price(name, zone, "spot")) is not None
        }
        return Market(
            zones=dict.fromkeys(priced, self.zones),
            on_demand=priced,
            spot=spot,
            region=self.region,
        )


def shipped(zones: Iterable[Zone], region: str) -> Shipped:
    """The table for these zones; without any, for zones of ``region``."""
    named = tuple(sorted(set(zones)))
    chosen = named or tuple(Zone(region + suffix) for suffix in _SUFFIXES)
    regions = sorted({m[1] for z in chosen if (m := _REGION.match(z)) is not None})
    only = regions[0] if len(regions) == 1 else ""
    return Shipped(chosen, only, price_table(only or ", ".join(regions) or region), assumed=not named)


def zones(
    pools: Iterable[NodePool],
    classes: Iterable[NodeClass],
    labelled: Iterable[Node | NodeClaim],
    volumes: Iterable[Volume],
) -> frozenset[Zone]:
    """Every zone that pools ask for, classes have subnets in, or nodes and volumes are in."""
    written = [Requirements.of(p.requirements) for p in pools]
    written += [Requirements.of(term) for volume in volumes for term in volume.terms]
    found = {Zone(z) for requirements in written for z in requirements.get(names.ZONE).distinct()}
    found |= {s.zone for c in classes for s in c.subnets}
    for one in labelled:
        zone = normalized_labels(one.meta.labels).get(names.ZONE)
        if zone:
            found.add(Zone(zone))
    return frozenset(found)
