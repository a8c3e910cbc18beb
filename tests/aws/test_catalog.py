"""Instance types: what EC2 says and what ships agree."""

import msgspec
import pytest

from agent.aws import errors
from agent.aws.catalog import describe_catalog, facts_of
from agent.aws.shipped import LABEL, shipped_catalog
from tests.sim.server import ZONE_A, World


def test_what_ec2_describes_is_what_ships(world: World) -> None:
    shipped = {f.name: f for f in shipped_catalog().types}
    described = describe_catalog(world.session)
    assert len(described.types) > 50
    for facts in described.types:
        assert facts == shipped[facts.name]


def test_every_type_has_zones_and_they_differ(world: World) -> None:
    catalog = describe_catalog(world.session)
    assert set(catalog.zones) == {f.name for f in catalog.types}
    assert len(set(catalog.zones.values())) > 1
    assert all(ZONE_A[:-1] == z[:-1] for zones in catalog.zones.values() for z in zones)


def test_small_pages_are_all_read(world: World) -> None:
    whole = describe_catalog(world.session)
    world.server.ask("/_pages", {"limit": 30})
    assert describe_catalog(world.session) == whole


def test_a_missing_page_is_an_error_and_no_smaller_catalogue(world: World) -> None:
    world.server.fault("DescribeInstanceTypeOfferings", code="UnauthorizedOperation", status=403, times=-1)
    with pytest.raises(errors.Denied, match="ec2:DescribeInstanceTypeOfferings"):
        describe_catalog(world.session)


def test_labels_are_karpenters() -> None:
    facts = next(f for f in shipped_catalog().types if f.name == "t3.medium")
    assert (facts.vcpus, facts.memory_mib, facts.architectures) == (2, 4096, ("amd64",))
    assert (facts.max_interfaces, facts.ipv4_per_interface) == (3, 6)
    assert {k.removeprefix(LABEL): v for k, v in facts.labels.items()} == {
        "category": "t",
        "family": "t3",
        "generation": "3",
        "size": "medium",
        "cpu": "2",
        "memory": "4096",
        "capability-flex": "false",
        "cpu-manufacturer": "intel",
        "cpu-sustained-clock-speed-mhz": "2500",
        "ebs-bandwidth": "2085",
        "network-bandwidth": "256",
        "encryption-in-transit-supported": "false",
        "hypervisor": "nitro",
    }


@pytest.mark.parametrize(
    ("name", "devices"),
    [
        ("g5.12xlarge", {"nvidia.com/gpu": 4}),
        ("g4ad.xlarge", {"amd.com/gpu": 1}),
        ("inf2.24xlarge", {"aws.amazon.com/neuron": 6, "aws.amazon.com/neuroncore": 12}),
        ("t3.medium", {}),
    ],
)
def test_devices_are_those_of_the_makers_plugins(name: str, devices: dict[str, int]) -> None:
    assert dict(next(f for f in shipped_catalog().types if f.name == name).extended) == devices


@pytest.mark.parametrize(
    ("name", "category", "generation"),
    [("u-6tb1.metal", "u", "1"), ("m7i-flex.large", "m", "7"), ("r8gd.8xlarge", "r", "8")],
)
def test_category_and_generation_are_read_from_the_name(name: str, category: str, generation: str) -> None:
    info = {
        "InstanceType": name,
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 1024},
    }
    facts = facts_of(msgspec.convert(info, dict))  # type: ignore[arg-type]
    assert facts is not None
    labels = facts.labels
    assert (labels[f"{LABEL}category"], labels[f"{LABEL}generation"]) == (category, generation)
    assert labels[f"{LABEL}capability-flex"] == ("true" if "flex" in name else "false")


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"InstanceType": "x.large"},
        {"InstanceType": "m1.mac", "ProcessorInfo": {"SupportedArchitectures": ["x86_64_mac"]}},
        {"InstanceType": "z9.large", "ProcessorInfo": {"SupportedArchitectures": ["arm64"]}, "VCpuInfo": {}},
    ],
)
def test_a_type_that_is_new_or_incomplete_is_left_out_without_harm(info: dict[str, object]) -> None:
    assert facts_of(info) is None  # type: ignore[arg-type]


def test_the_shipped_table_is_whole() -> None:
    shipped = shipped_catalog()
    assert len(shipped.types) > 1300
    assert (shipped.region, shipped.date) == ("us-east-1", "2026-07")
    assert all(p > 0 for p in shipped.prices_nano_usd.values())
    assert shipped.prices_nano_usd[next(f.name for f in shipped.types if f.name == "t3.medium")] == 41_600_000


@pytest.mark.parametrize(
    ("name", "volumes"),
    [("t3.medium", 27), ("m5d.4xlarge", 25), ("c4.large", 40), ("m7i.48xlarge", 128), ("inf2.48xlarge", 27)],
)
def test_a_type_attaches_as_many_volumes_as_ec2_says_beside_one_network_interface(name: str, volumes: int) -> None:
    assert next(f for f in shipped_catalog().types if f.name == name).ebs_attachments == volumes


def test_of_a_type_without_a_figure_few_volumes_are_assumed() -> None:
    info = {
        "InstanceType": "z9.large",
        "ProcessorInfo": {"SupportedArchitectures": ["arm64"]},
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 1024},
    }
    facts = facts_of(info)  # type: ignore[arg-type]
    assert facts is not None
    assert facts.ebs_attachments == 20
