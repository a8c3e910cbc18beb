"""What a class's nodes of every instance type would be.

Allocatable follows kubelet's own arithmetic (kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources):
capacity less kubeReserved, systemReserved and the hard eviction thresholds. There is no EKS in it: a kubeadm node
reserves what its kubelet configuration says, and runs 110 pods unless told otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from agent.core.quantity import QuantityError, parse_amount
from agent.core.requirements import Requirements
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import (
    Image,
    InstanceType,
    InstanceTypeFacts,
    KubeletSettings,
    NodeClass,
    Offering,
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


def instance_types(
    facts: Sequence[InstanceTypeFacts], market: Market, node_class: NodeClass
) -> tuple[InstanceType, ...]:
    """Every type that some image of the class fits and some subnet of it can hold, by name."""
    subnets = best_subnets(node_class.subnets)
    found = (_instance_type(fact, market, node_class, subnets) for fact in facts)
    return tuple(sorted((t for t in found if t is not None), key=lambda t: t.name))


def best_subnets(subnets: Iterable[Subnet]) -> dict[Zone, Subnet]:
    """The subnet with the most free addresses of every zone; of equals the first by id."""
    best: dict[Zone, Subnet] = {}
    for subnet in sorted(subnets, key=lambda s: (-s.free_addresses, s.id)):
        best.setdefault(subnet.zone, subnet)
    return best


def fits(image: Image, described: Requirements) -> bool:
    """Whether nodes that are so described can boot the image."""
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
    architectures = sorted({i.architecture for i in node_class.images if fits(i, requirements)})
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
