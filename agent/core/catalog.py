"""What a class's nodes of every instance type would be, and which offerings one launch request may name.

Allocatable follows kubelet's own arithmetic (kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources):
capacity less kubeReserved, systemReserved and the hard eviction thresholds. There is no EKS in it: a kubeadm node
reserves what its kubelet configuration says, and runs 110 pods unless told otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Final

import msgspec

from agent.core.offerings import is_allowed, is_exhausted
from agent.core.quantity import QuantityError, parse_amount
from agent.core.requirements import Requirements, type_labels
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import (
    CapacityError,
    CapacityType,
    Image,
    InstanceType,
    InstanceTypeFacts,
    KubeletSettings,
    NodeClass,
    Offering,
    Override,
    Subnet,
)
from agent.model.names import InstanceTypeName, Zone
from agent.model.resources import Resources

KERNEL_MEMORY_PERMILLE: Final = 75
"""Share of a machine's memory that never reaches kubelet: firmware, kernel image, page tables, crash kernel.

An estimate (Karpenter's). Too low, and a pod that was promised a node does not fit once the node reports what it
really has: the pod stays pending and a second node is bought. Too high, and some nodes are a size larger than needed.
"""
ARM_FIRMWARE_MIB: Final = 64
"""What arm64 machines keep beside that (Karpenter's figure)."""
DEFAULT_MAX_PODS: Final = 110
"""kubelet's own default, which kubeadm leaves alone."""
DEFAULT_ROOT_BYTES: Final = 8 << 30
"""Root volume of the plain Ubuntu, Debian and Amazon Linux images, when the class maps no disk."""
MAX_TYPES: Final = 60
"""Instance types in one request; more only lengthen it."""
MAX_OVERRIDES: Final = 300
"""EC2's limit on overrides of one CreateFleet request of type instant."""

_PRECEDENCE: Final[tuple[CapacityType, ...]] = ("reserved", "spot", "on-demand")
_PAID_ALREADY: Final = 10_000_000
_MIB: Final = 1 << 20
_WHOLE: Final = 100_000
"""100 % in thousandths of a percent."""


class Market(msgspec.Struct, frozen=True):
    """Where each type is offered, and for how much. A type without a price cannot be compared and is left out."""

    zones: Mapping[InstanceTypeName, Iterable[Zone]]
    """DescribeInstanceTypeOfferings by availability zone."""
    on_demand: Mapping[InstanceTypeName, int]
    """Nano-dollars per hour."""
    spot: Mapping[tuple[InstanceTypeName, Zone], int] = {}
    """Nano-dollars per hour."""
    region: str = ""


class Candidates(msgspec.Struct, frozen=True):
    """What one launch request may name, cheapest first; empty when nothing is left."""

    capacity_type: CapacityType = "on-demand"
    overrides: tuple[Override, ...] = ()


def instance_types(
    facts: Sequence[InstanceTypeFacts], market: Market, node_class: NodeClass
) -> tuple[InstanceType, ...]:
    """Every type that some image of the class fits and some subnet of it can hold, by name."""
    subnets = _best_subnets(node_class.subnets)
    found = (_instance_type(fact, market, node_class, subnets) for fact in facts)
    return tuple(sorted((t for t in found if t is not None), key=lambda t: t.name))


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
    return Aim.of(requirements, node_class, errors).candidates(_named(requirements, types))


_Row = tuple[tuple[int, int, str, str], InstanceTypeName, Offering, Override | None]
"""By which it is preferred, type and offering, and how a request names it; None: no image of the class fits."""


@dataclass(slots=True)
class Aim:
    """What requests may name that differ in nothing but their types: each type is looked at once."""

    requirements: Requirements
    errors: Sequence[CapacityError]
    subnets: dict[Zone, Subnet]
    images: Sequence[Image]
    """The newest first."""
    system: Requirements
    """What is asked of architecture and operating system."""
    _rows: dict[InstanceTypeName, tuple[_Row, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, requirements: Requirements, node_class: NodeClass, errors: Sequence[CapacityError]) -> "Aim":
        """Requests with these requirements, whatever they say of types; errors that have expired are not given."""
        rest = requirements.without((names.INSTANCE_TYPE,))
        system = Requirements({key: values for key, values in rest if key in (names.ARCH, names.OS)})
        return cls(rest, errors, _best_subnets(node_class.subnets), _newest_first(node_class.images), system)

    def candidates(self, types: Iterable[InstanceType]) -> Candidates:
        """The offerings that a request for these types may name."""
        allowed = sorted((row for kind in types for row in self._of(kind)), key=itemgetter(0))
        ceiling = next((o.price_nano_usd for _, _, o, _ in allowed if o.capacity_type == "on-demand"), None)
        if ceiling is not None:
            allowed = [r for r in allowed if r[2].capacity_type != "spot" or r[2].price_nano_usd <= ceiling]
        if not allowed:
            return Candidates()
        bought = allowed[0][2].capacity_type
        listed: set[InstanceTypeName] = set()
        chosen: list[Override] = []
        for _, name, offering, override in allowed:
            if offering.capacity_type != bought or offering.zone not in self.subnets:
                continue
            if len(listed) < MAX_TYPES:
                listed.add(name)
            if override is not None and name in listed:
                chosen.append(override)
        return Candidates(bought, tuple(chosen[:MAX_OVERRIDES]))

    def _of(self, kind: InstanceType) -> tuple[_Row, ...]:
        if kind.name not in self._rows:
            described = type_labels(kind.requirements)
            offered = kind.offerings if described.overlaps(self.requirements) else ()
            image = self._image(described) if offered else None
            self._rows[kind.name] = tuple(
                (order(kind.name, offering), kind.name, offering, self._override(kind, offering, image))
                for offering in offered
                if is_allowed(self.requirements, offering) and not is_exhausted(kind.name, offering, self.errors)
            )
        return self._rows[kind.name]

    def _override(self, kind: InstanceType, offering: Offering, image: Image | None) -> Override | None:
        subnet = self.subnets.get(offering.zone)
        return Override(kind.name, offering.zone, subnet.id, image.id) if subnet and image else None

    def _image(self, described: Requirements) -> Image | None:
        """The first image that fits such a type and what the claim asks of architecture and system."""
        asked = described & self.system
        return next((image for image in self.images if _fits(image, asked)), None)


def order(name: InstanceTypeName, offering: Offering) -> tuple[int, int, str, str]:
    """By which offerings are preferred: the cheapest, then by capacity type, name and zone.

    Of equal prices reserved comes before spot, and that before on-demand (Karpenter's rule 9.15).
    """
    return (offering.price_nano_usd, _PRECEDENCE.index(offering.capacity_type), name, offering.zone)


def _named(requirements: Requirements, types: Sequence[InstanceType]) -> Iterable[InstanceType]:
    """The types that requirements name, all of them where they name none."""
    wanted = requirements.get(names.INSTANCE_TYPE)
    return types if wanted.complement else [kind for kind in types if kind.name in wanted.members]


def _best_subnets(subnets: Iterable[Subnet]) -> dict[Zone, Subnet]:
    """The subnet with the most free addresses of every zone; of equals the first by id."""
    best: dict[Zone, Subnet] = {}
    for subnet in sorted(subnets, key=lambda s: (-s.free_addresses, s.id)):
        best.setdefault(subnet.zone, subnet)
    return best


def _newest_first(images: Iterable[Image]) -> list[Image]:
    """Those that are not deprecated before all others."""
    return sorted(images, key=lambda i: (i.deprecated, -(i.created_at.timestamp() if i.created_at else 0.0), i.id))


def _fits(image: Image, described: Requirements) -> bool:
    if not described.get(names.ARCH).allows(image.architecture):
        return False
    return not image.requirements or described.overlaps(Requirements.of(image.requirements))


def _instance_type(
    fact: InstanceTypeFacts, market: Market, node_class: NodeClass, subnets: Mapping[Zone, Subnet]
) -> InstanceType | None:
    offerings = (*_offerings(fact, market, subnets), *_reserved(fact, market, node_class))
    if not offerings:
        return None
    labels = {names.INSTANCE_TYPE: str(fact.name), names.OS: "linux", **fact.labels}
    if market.region:
        labels[names.REGION] = market.region
    requirements = Requirements.from_labels(labels) & Requirements.of(
        [Requirement(names.ARCH, "In", fact.architectures)]
    )
    architectures = sorted({i.architecture for i in node_class.images if _fits(i, requirements)})
    if not architectures:
        return None
    requirements = requirements & Requirements.of([Requirement(names.ARCH, "In", tuple(architectures))])
    capacity = _capacity(fact, node_class)
    attachable = None if fact.ebs_attachments is None else max(0, fact.ebs_attachments - node_class.volumes)
    overhead = _overhead(capacity, node_class.kubelet)
    return InstanceType(fact.name, capacity, overhead, requirements.written(), offerings, attachable)


def _offerings(fact: InstanceTypeFacts, market: Market, subnets: Mapping[Zone, Subnet]) -> tuple[Offering, ...]:
    found = []
    for zone in sorted(set(market.zones.get(fact.name, ())) & subnets.keys()):
        on_demand = market.on_demand.get(fact.name) if "on-demand" in fact.usage_classes else None
        spot = market.spot.get((fact.name, zone)) if "spot" in fact.usage_classes else None
        if on_demand is not None:
            found.append(Offering(zone, "on-demand", on_demand))
        if spot is not None:
            found.append(Offering(zone, "spot", spot))
    return tuple(found)


def _reserved(fact: InstanceTypeFacts, market: Market, node_class: NodeClass) -> tuple[Offering, ...]:
    """What is paid for already costs next to nothing more: as Karpenter, a ten-millionth of the list price."""
    subnets = {subnet.zone for subnet in node_class.subnets}
    price = -(-market.on_demand.get(fact.name, 0) // _PAID_ALREADY)
    return tuple(
        Offering(
            zone=own.zone,
            capacity_type="reserved",
            price_nano_usd=price,
            requirements=(Requirement(names.RESERVATION, "In", (own.id,)),),
            reservation_capacity=own.places,
        )
        for own in node_class.reservations
        if own.usable and own.instance_type == fact.name and own.zone in subnets
    )


def _capacity(fact: InstanceTypeFacts, node_class: NodeClass) -> Resources:
    kubelet = node_class.kubelet
    pods = DEFAULT_MAX_PODS if kubelet.max_pods is None else kubelet.max_pods
    if kubelet.pods_per_core:
        pods = min(pods, kubelet.pods_per_core * fact.vcpus)
    visible = fact.memory_mib - (ARM_FIRMWARE_MIB if fact.architectures[:1] == ("arm64",) else 0)
    return Resources(
        cpu_milli=fact.vcpus * 1000,
        memory_bytes=(visible - -(-visible * KERNEL_MEMORY_PERMILLE // 1000)) * _MIB,
        pods=pods,
        ephemeral_storage_bytes=node_class.root_volume_bytes or DEFAULT_ROOT_BYTES,
        extended=tuple(sorted((name, count) for name, count in fact.extended if count)),
    )


def _overhead(capacity: Resources, kubelet: KubeletSettings) -> Resources:
    return (
        kubelet.kube_reserved
        + kubelet.system_reserved
        + Resources(
            memory_bytes=_threshold(kubelet.eviction_memory, capacity.memory_bytes),
            ephemeral_storage_bytes=_threshold(kubelet.eviction_storage, capacity.ephemeral_storage_bytes),
        )
    )


def _threshold(text: str, capacity: int) -> int:
    """A hard eviction threshold in bytes.

    0 and 100 % switch it off, as in kubelet; so does a text that is neither a quantity nor a percentage, which the
    class reports as a fault of its own.
    """
    try:
        if not text.endswith("%"):
            return parse_amount(text)
        millis = parse_amount(text[:-1] + "e3") if text[:-1].replace(".", "", 1).isdigit() else 0
    except QuantityError:
        return 0
    return -(-capacity * millis // _WHOLE) if millis < _WHOLE else 0
