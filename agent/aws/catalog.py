"""Which instance types EC2 has: their facts, labels and devices, and the zones that offer them.

Labels are Karpenter's ``karpenter.k8s.aws/instance-*``, computed from DescribeInstanceTypes as Karpenter's
reference on labels says. What EC2 does not tell (network baselines of older answers) comes from the shipped table.
"""

import functools
from typing import TYPE_CHECKING, Final

import msgspec

from agent.aws.errors import mapped
from agent.aws.session import AwsSession
from agent.aws.shipped import LABEL, UNSTATED_ATTACHMENTS, named_labels, shipped_catalog
from agent.model.ec2 import InstanceTypeFacts
from agent.model.names import InstanceTypeName, Zone

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import GpuDeviceInfoTypeDef, InstanceTypeInfoTypeDef

_ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}
_GPU_DEVICES: Final = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "habana": "habana.ai/gaudi"}
_SHARED_ATTACHMENTS: Final = 27
"""Where volumes and network interfaces share places: 28, less the one interface that we ask for (EC2 User Guide,
"Amazon EBS volume limits", November 2026)."""


class Catalog(msgspec.Struct, frozen=True):
    """What a region offers: the facts of each type, and the zones that have it."""

    types: tuple[InstanceTypeFacts, ...]
    zones: dict[InstanceTypeName, tuple[Zone, ...]]


@functools.cache
def _shipped_bandwidths() -> dict[str, str]:
    key = f"{LABEL}network-bandwidth"
    return {f.name: f.labels[key] for f in shipped_catalog().types if key in f.labels}


def describe_catalog(session: AwsSession) -> Catalog:
    """Ask EC2 for every type that can run Linux nodes here, and for the zones of each.

    Raises:
        AwsError: either call failed; half a catalogue would look like types that are gone.
    """
    ec2 = session.client("ec2")
    types: dict[InstanceTypeName, InstanceTypeFacts] = {}
    filters = [
        {"Name": "supported-virtualization-type", "Values": ["hvm"]},
        {"Name": "processor-info.supported-architecture", "Values": list(_ARCHITECTURES)},
    ]
    with mapped("ec2:DescribeInstanceTypes"):
        for page in ec2.get_paginator("describe_instance_types").paginate(
            Filters=filters,  # type: ignore[arg-type]  # a dict literal is what the call takes
            PaginationConfig={"PageSize": 100},
        ):
            for info in page["InstanceTypes"]:
                if (facts := facts_of(info)) is not None:
                    types[facts.name] = facts
    zones: dict[InstanceTypeName, set[Zone]] = {}
    with mapped("ec2:DescribeInstanceTypeOfferings"):
        for offered in ec2.get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone", PaginationConfig={"PageSize": 1000}
        ):
            for offering in offered["InstanceTypeOfferings"]:
                name = InstanceTypeName(offering.get("InstanceType", ""))
                zones.setdefault(name, set()).add(Zone(offering.get("Location", "")))
    return Catalog(
        types=tuple(types[n] for n in sorted(types) if n in zones),
        zones={n: tuple(sorted(z)) for n, z in zones.items() if n in types},
    )


def facts_of(info: "InstanceTypeInfoTypeDef") -> InstanceTypeFacts | None:
    """The facts of one type of EC2's answer; None for one that we cannot use or whose answer lacks the essentials."""
    name = info.get("InstanceType")
    processor = info.get("ProcessorInfo", {})
    architectures = tuple(_ARCHITECTURES[a] for a in processor.get("SupportedArchitectures", ()) if a in _ARCHITECTURES)
    vcpus = info.get("VCpuInfo", {}).get("DefaultVCpus", 0)
    memory = info.get("MemoryInfo", {}).get("SizeInMiB", 0)
    if not name or not architectures or vcpus <= 0 or memory <= 0:
        return None
    network, ebs = info.get("NetworkInfo", {}), info.get("EbsInfo", {})
    cards = {c.get("NetworkCardIndex", 0): c for c in network.get("NetworkCards", ())}
    card = cards.get(network.get("DefaultNetworkCardIndex", 0), {})
    return InstanceTypeFacts(
        name=InstanceTypeName(name),
        architectures=architectures,
        vcpus=vcpus,
        memory_mib=memory,
        usage_classes=tuple(u for u in ("on-demand", "spot") if u in info.get("SupportedUsageClasses", ())),
        labels=named_labels(name, vcpus, memory) | _described_labels(info),
        extended=tuple(sorted(_devices(info).items())),
        instance_store_gb=info.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0),
        max_interfaces=card.get("MaximumNetworkInterfaces") or network.get("MaximumNetworkInterfaces", 0),
        ipv4_per_interface=network.get("Ipv4AddressesPerInterface", 0),
        bare_metal=info.get("BareMetal", False),
        ebs_attachments=_attachments(
            ebs.get("MaximumEbsAttachments", 0),
            info.get("Hypervisor", ""),
            shared=ebs.get("AttachmentLimitType") != "dedicated",
        ),
    )


def _attachments(stated: int, hypervisor: str, *, shared: bool) -> int:
    """EBS volumes beside one network interface; of some accelerated types EC2's figure forgets the interface."""
    if not stated:
        return UNSTATED_ATTACHMENTS
    return min(stated, _SHARED_ATTACHMENTS) if shared and hypervisor == "nitro" else stated


def _described_labels(info: "InstanceTypeInfoTypeDef") -> dict[str, str]:
    processor, network = info.get("ProcessorInfo", {}), info.get("NetworkInfo", {})
    labels = {
        "hypervisor": info.get("Hypervisor", ""),
        "cpu-manufacturer": _kebab(processor.get("Manufacturer", "")),
        "encryption-in-transit-supported": "true" if network.get("EncryptionInTransitSupported") else "false",
    }
    if clock := processor.get("SustainedClockSpeedInGhz"):
        labels["cpu-sustained-clock-speed-mhz"] = str(round(clock * 1000))
    ebs = info.get("EbsInfo", {})
    if ebs.get("EbsOptimizedSupport") == "default" and (
        bandwidth := ebs.get("EbsOptimizedInfo", {}).get("MaximumBandwidthInMbps")
    ):
        labels["ebs-bandwidth"] = str(bandwidth)
    if baseline := _network_baseline(info):
        labels["network-bandwidth"] = baseline
    store = info.get("InstanceStorageInfo", {})
    if store.get("NvmeSupport") not in {None, "unsupported"} and (size := store.get("TotalSizeInGB")):
        labels["local-nvme"] = str(size)
    labels |= _device_labels(info)
    return {LABEL + k: v for k, v in labels.items() if v}


def _network_baseline(info: "InstanceTypeInfoTypeDef") -> str:
    """Baseline in Mbit/s: the published table first, because EC2's own answer came later and rounds."""
    if known := _shipped_bandwidths().get(str(info.get("InstanceType", ""))):
        return known
    cards = info.get("NetworkInfo", {}).get("NetworkCards", ())
    total = sum(c.get("BaselineBandwidthInGbps", 0.0) for c in cards)
    return str(round(total * 1000)) if total else ""


def _device_labels(info: "InstanceTypeInfoTypeDef") -> dict[str, str]:
    labels: dict[str, str] = {}
    gpus = info.get("GpuInfo", {}).get("Gpus", ())
    if len(gpus) == 1:
        labels |= {
            "gpu-name": _kebab(gpus[0].get("Name", "")),
            "gpu-manufacturer": _kebab(gpus[0].get("Manufacturer", "")),
            "gpu-count": str(_count(gpus[0])),
            "gpu-memory": str(gpus[0].get("MemoryInfo", {}).get("SizeInMiB", 0)),
        }
    inference = info.get("InferenceAcceleratorInfo", {}).get("Accelerators", ())
    neuron = info.get("NeuronInfo", {}).get("NeuronDevices", ())
    if len(neuron) == 1:
        labels |= {
            "accelerator-name": _kebab(neuron[0].get("Name", "")),
            "accelerator-manufacturer": "aws",
            "accelerator-count": str(neuron[0].get("Count", 0)),
        }
    elif len(inference) == 1 and not neuron:
        labels |= {
            "accelerator-name": _kebab(inference[0].get("Name", "")),
            "accelerator-manufacturer": _kebab(inference[0].get("Manufacturer", "")),
            "accelerator-count": str(inference[0].get("Count", 0)),
        }
    return labels


def _devices(info: "InstanceTypeInfoTypeDef") -> dict[str, int]:
    """Extended resources that the makers' device plugins announce. EFA is not among them: we ask for no EFA card."""
    devices: dict[str, int] = {}
    for gpu in info.get("GpuInfo", {}).get("Gpus", ()):
        if resource := _GPU_DEVICES.get(_kebab(gpu.get("Manufacturer", ""))):
            devices[resource] = devices.get(resource, 0) + _count(gpu)
    neuron = info.get("NeuronInfo", {}).get("NeuronDevices", ())
    if neuron:
        devices["aws.amazon.com/neuron"] = sum(d.get("Count", 0) for d in neuron)
        cores = neuron[0].get("CoreInfo", {}).get("Count", 0)
        devices["aws.amazon.com/neuroncore"] = neuron[0].get("Count", 0) * cores
    return {k: v for k, v in devices.items() if v}


def _count(gpu: "GpuDeviceInfoTypeDef") -> int:
    return gpu.get("Count", 0)


def _kebab(text: str) -> str:
    return text.lower().replace(" ", "-")
