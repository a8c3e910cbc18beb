"""Which offerings one launch request may name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Final

import msgspec

from agent.core.catalog import best_subnets, fits
from agent.core.offerings import is_allowed, is_exhausted
from agent.core.requirements import Requirements, type_labels
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import (
    CapacityError,
    CapacityType,
    Image,
    InstanceType,
    NodeClass,
    Offering,
    Override,
    Subnet,
)
from agent.model.names import InstanceTypeName, Zone

MAX_TYPES: Final = 60
"""Instance types in one request; more only lengthen it."""
MAX_OVERRIDES: Final = 300
"""EC2's limit on overrides of one CreateFleet request of type instant."""

MOST_KEPT: Final = 256
"""So many answers are kept, for launches that name the same types."""
_PRECEDENCE: Final[tuple[CapacityType, ...]] = ("reserved", "spot", "on-demand")
_Row = tuple[tuple[int, int, str, str], CapacityType, Override | None]
"""By which an offering is preferred, its price first, how it is paid, and how a request names it.

None: no image of the class fits, or no subnet is in its zone."""


class Candidates(msgspec.Struct, frozen=True):
    """What one launch request may name, cheapest first; empty when nothing is left."""

    capacity_type: CapacityType = "on-demand"
    overrides: tuple[Override, ...] = ()


def overrides(
    wanted: Iterable[Requirement],
    node_class: NodeClass,
    types: Sequence[InstanceType],
    capacity_errors: Iterable[CapacityError],
    now: datetime,
) -> Candidates:
    """The offerings that a claim's requirements still allow, all of the capacity type of the cheapest of them.

    One request buys one capacity type, so that its price is known beforehand. Spot that costs more than the cheapest
    on-demand offering is never worth its interruptions. Offerings with a capacity error that has not expired are left
    out.
    """
    requirements = Requirements.of(wanted)
    errors = tuple(e for e in capacity_errors if e.until > now)
    named = requirements.get(names.INSTANCE_TYPE)
    listed = types if named.complement else [kind for kind in types if kind.name in named.members]
    return Aim.of(requirements, node_class, listed, errors).candidates(tuple(kind.name for kind in listed))


@dataclass(slots=True)
class Aim:
    """What requests may name that differ in nothing but their types: each type is looked at once."""

    requirements: Requirements
    errors: Sequence[CapacityError]
    types: Mapping[InstanceTypeName, InstanceType]
    subnets: dict[Zone, Subnet]
    images: Sequence[Image]
    """The newest first."""
    system: Requirements
    """What is asked of architecture and operating system."""
    _rows: dict[InstanceTypeName, tuple[_Row, ...]] = field(default_factory=dict)
    _found: dict[tuple[InstanceTypeName, ...], Candidates] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        requirements: Requirements,
        node_class: NodeClass,
        types: Iterable[InstanceType],
        errors: Sequence[CapacityError],
    ) -> "Aim":
        """Requests with these requirements, whatever they say of types; errors that have expired are not given."""
        rest = requirements.without((names.INSTANCE_TYPE,))
        system = Requirements({key: values for key, values in rest if key in (names.ARCH, names.OS)})
        subnets, images = best_subnets(node_class.subnets), _newest_first(node_class.images)
        return cls(rest, errors, {kind.name: kind for kind in types}, subnets, images, system)

    def candidates(self, named: tuple[InstanceTypeName, ...]) -> Candidates:
        """The offerings that a request for these types may name."""
        if named not in self._found:
            if len(self._found) == MOST_KEPT:
                self._found.clear()
            self._found[named] = self._chosen(named)
        return self._found[named]

    def _chosen(self, named: tuple[InstanceTypeName, ...]) -> Candidates:
        rows = [row for name in named for row in self._of(name)]
        rows.sort(key=itemgetter(0))
        if not rows:
            return Candidates()
        bought = rows[0][1]
        if bought == "spot":
            ceiling = next((key[0] for key, kind, _ in rows if kind == "on-demand"), rows[-1][0][0])
            rows = [row for row in rows if row[0][0] <= ceiling]
        chosen = [override for _, kind, override in rows if kind == bought and override is not None]
        if len(named) > MAX_TYPES:
            listed = set(islice(dict.fromkeys(override.instance_type for override in chosen), MAX_TYPES))
            chosen = [override for override in chosen if override.instance_type in listed]
        return Candidates(bought, tuple(chosen[:MAX_OVERRIDES]))

    def _of(self, name: InstanceTypeName) -> tuple[_Row, ...]:
        found = self._rows.get(name)
        if found is None:
            kind = self.types[name]
            described = type_labels(kind.requirements)
            offered = kind.offerings if described.overlaps(self.requirements) else ()
            image = self._image(described) if offered else None
            found = self._rows[name] = tuple(
                (order(name, offering), offering.capacity_type, self._override(kind, offering, image))
                for offering in offered
                if is_allowed(self.requirements, offering) and not is_exhausted(name, offering, self.errors)
            )
        return found

    def _override(self, kind: InstanceType, offering: Offering, image: Image | None) -> Override | None:
        subnet = self.subnets.get(offering.zone)
        return Override(kind.name, offering.zone, subnet.id, image.id) if subnet and image else None

    def _image(self, described: Requirements) -> Image | None:
        """The first image that fits such a type and what the claim asks of architecture and system."""
        asked = described & self.system
        return next((image for image in self.images if fits(image, asked)), None)


def order(name: InstanceTypeName, offering: Offering) -> tuple[int, int, str, str]:
    """By which offerings are preferred: the cheapest, then by capacity type, name and zone.

    Of equal prices reserved comes before spot, and that before on-demand (Karpenter's rule 9.15).
    """
    return (offering.price_nano_usd, _PRECEDENCE.index(offering.capacity_type), name, offering.zone)


def _newest_first(images: Iterable[Image]) -> list[Image]:
    """Those that are not deprecated before all others."""
    return sorted(images, key=lambda i: (i.deprecated, -(i.created_at.timestamp() if i.created_at else 0.0), i.id))
