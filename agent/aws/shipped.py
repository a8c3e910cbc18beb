"""The table of instance types and prices that ships with the agent.

Nothing of AWS is imported here, so that a plan of files need not wait for a client that it does not use.
"""

import functools
import re
from datetime import datetime
from importlib import resources
from typing import Final

import msgspec

from agent.model.ec2 import InstanceTypeFacts
from agent.model.names import InstanceTypeName, Zone

LABEL: Final = "karpenter.k8s.aws/instance-"
UNSTATED_ATTACHMENTS: Final = 20
"""Of a type for which EC2 gives no figure: as few as all but a few types have."""
_NAME: Final = re.compile(r"^([a-z]+)(?:-[0-9]+tb)?([0-9]+).*\.")
_ON_DEMAND, _SPOT = 1, 2


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One type of the shipped table; 0 and empty text mean that EC2 does not say."""

    arch: str
    vcpus: int
    memory_mib: int
    interfaces: int
    ipv4: int
    price_nano_usd: int
    usage: int
    """Bits: 1 on-demand, 2 spot."""
    cpu_manufacturer: str
    clock_mhz: int
    ebs_mbps: int
    network_mbps: int
    encryption_in_transit: int
    hypervisor: str
    attachments: int
    """EBS volumes, the root volume included; 0 where EC2 gives no figure."""
    labels: dict[str, str] = {}
    """What neither the name nor the columns give, by label name without the common prefix."""
    devices: dict[str, int] = {}
    store_gb: int = 0
    metal: bool = False


class _Table(msgspec.Struct, frozen=True):
    source: str
    date: str
    region: str
    types: dict[str, _Row]


class ShippedCatalog(msgspec.Struct, frozen=True):
    """The table that ships with the agent: for the sandbox, for plans without AWS, and as a fallback."""

    source: str
    date: str
    """Year and month of the prices."""
    region: str
    """Region of the prices; the facts hold everywhere."""
    types: tuple[InstanceTypeFacts, ...]
    prices_nano_usd: dict[InstanceTypeName, int]
    """On-demand, Linux, shared tenancy, per hour."""


class PriceTable(msgspec.Struct, frozen=True):
    """The prices of one region, and where they come from."""

    region: str
    date: str
    """Of the on-demand prices: a month for shipped ones, else the day they were read."""
    source: str
    exact: bool
    """False: prices of another region stand in, which rank types well and are wrong by some 10 to 50 %."""
    on_demand: dict[InstanceTypeName, int] = {}
    spot: dict[tuple[InstanceTypeName, Zone], int] = {}
    on_demand_at: datetime | None = None
    """When AWS last answered; None: never."""
    spot_at: datetime | None = None

    def price(self, instance_type: InstanceTypeName, zone: Zone, capacity_type: str) -> int | None:
        """Nano-dollars per hour; None when unknown, which means that it may not be bought.

        Before the first spot answer the on-demand price stands for spot, as in Karpenter: it is the ceiling of what
        AWS charges for spot. After it, a zone without a spot price has no spot capacity of the type.
        """
        if capacity_type != "spot" or self.spot_at is None:
            return self.on_demand.get(instance_type)
        return self.spot.get((instance_type, zone))


@functools.cache
def shipped_catalog() -> ShippedCatalog:
    """Read the shipped table, once."""
    table = msgspec.json.decode(resources.files("agent.aws").joinpath("instance_types.json").read_bytes(), type=_Table)
    return ShippedCatalog(
        source=table.source,
        date=table.date,
        region=table.region,
        types=tuple(_facts_of_row(name, row) for name, row in table.types.items()),
        prices_nano_usd={InstanceTypeName(n): r.price_nano_usd for n, r in table.types.items() if r.price_nano_usd > 0},
    )


def price_table(region: str) -> PriceTable:
    """The shipped prices for a region: its own, or those of the one region that ships, marked as not exact."""
    shipped = shipped_catalog()
    exact = region == shipped.region
    source = shipped.source if exact else f"{shipped.source}; prices of {shipped.region} stand in for {region}"
    return PriceTable(
        region=region, date=shipped.date, source=source, exact=exact, on_demand=dict(shipped.prices_nano_usd)
    )


def named_labels(name: str, vcpus: int, memory_mib: int) -> dict[str, str]:
    """Labels that follow from the name and the size."""
    family, _, size = name.partition(".")
    labels = {
        "family": family,
        "size": size,
        "cpu": str(vcpus),
        "memory": str(memory_mib),
        "capability-flex": "true" if "-flex" in family else "false",
    }
    if (parts := _NAME.match(name)) is not None:
        labels |= {"category": parts.group(1), "generation": parts.group(2)}
    return {LABEL + k: v for k, v in labels.items()}


def _facts_of_row(name: str, row: _Row) -> InstanceTypeFacts:
    columns = {
        "cpu-manufacturer": row.cpu_manufacturer,
        "cpu-sustained-clock-speed-mhz": str(row.clock_mhz or ""),
        "ebs-bandwidth": str(row.ebs_mbps or ""),
        "network-bandwidth": str(row.network_mbps or ""),
        "encryption-in-transit-supported": "true" if row.encryption_in_transit else "false",
        "hypervisor": row.hypervisor,
    }
    described = {LABEL + k: v for k, v in (columns | row.labels).items() if v}
    labels = named_labels(name, row.vcpus, row.memory_mib) | described
    return InstanceTypeFacts(
        name=InstanceTypeName(name),
        architectures=(row.arch,),
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        usage_classes=tuple(u for u, bit in (("on-demand", _ON_DEMAND), ("spot", _SPOT)) if row.usage & bit),
        labels=labels,
        extended=tuple(sorted(row.devices.items())),
        instance_store_gb=row.store_gb,
        max_interfaces=row.interfaces,
        ipv4_per_interface=row.ipv4,
        bare_metal=row.metal,
        ebs_attachments=row.attachments or UNSTATED_ATTACHMENTS,
    )
