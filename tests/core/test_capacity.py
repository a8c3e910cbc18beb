"""What a class's kubelet settings and disks leave of an instance type, as it shows in plans."""

from typing import Any

import pytest

from agent.aws.shipped import shipped_catalog
from agent.core.catalog import Market, instance_types
from agent.core.decide import decide
from agent.model.ec2 import InstanceType, KubeletSettings
from agent.model.names import ClassName, InstanceTypeName
from agent.model.plan import Plan
from agent.model.resources import Resources
from tests.build import GIB, ZONE_A, node_class, pod, snapshot

NAME = InstanceTypeName("m5.large")
MIB = 1 << 20


def offered(kubelet: KubeletSettings = KubeletSettings(), **fields: Any) -> tuple[InstanceType, ...]:  # noqa: B008 - frozen
    market = Market(zones={NAME: (ZONE_A,)}, on_demand={NAME: 100_000_000})
    return instance_types(shipped_catalog().types, market, node_class(kubelet=kubelet, **fields))


def planned(kubelet: KubeletSettings, count: int, cpu: str = "10m", memory: str = "1Mi") -> Plan:
    pods = tuple(pod(f"w{n}", cpu=cpu, memory=memory) for n in range(count))
    return decide(snapshot(pods=pods, instance_types={ClassName("default"): offered(kubelet)}))


@pytest.mark.parametrize(
    ("kubelet", "most"),
    [
        (KubeletSettings(), 110),
        (KubeletSettings(max_pods=20), 20),
        (KubeletSettings(pods_per_core=8), 16),
        (KubeletSettings(max_pods=10, pods_per_core=8), 10),
        (KubeletSettings(max_pods=30, pods_per_core=0), 30),
    ],
)
def test_a_node_takes_as_many_pods_as_max_pods_and_pods_per_core_allow(kubelet: KubeletSettings, most: int) -> None:
    (kind,) = offered(kubelet)
    assert kind.allocatable.pods == most
    assert len(planned(kubelet, most).launches) == 1
    assert len(planned(kubelet, most + 1).launches) == 2


def test_reserved_resources_are_not_for_pods() -> None:
    assert len(planned(KubeletSettings(), 1, cpu="2", memory="1Gi").launches) == 1
    reserved = KubeletSettings(kube_reserved=Resources(cpu_milli=70), system_reserved=Resources(memory_bytes=GIB))
    assert planned(reserved, 1, cpu="2", memory="1Gi").launches == ()
    assert len(planned(reserved, 1, cpu="1930m", memory="1Gi").launches) == 1
    whole, less = offered()[0].allocatable, offered(reserved)[0].allocatable
    assert whole.memory_bytes - less.memory_bytes == GIB


@pytest.mark.parametrize(("threshold", "kept"), [("100Mi", 100 * MIB), ("0", 0), ("1Gi", GIB)])
def test_the_eviction_threshold_is_not_for_pods(threshold: str, kept: int) -> None:
    (kind,) = offered(KubeletSettings(eviction_memory=threshold))
    assert kind.capacity.memory_bytes - kind.allocatable.memory_bytes == kept


def test_a_percentage_of_eviction_is_of_the_capacity() -> None:
    (kind,) = offered(KubeletSettings(eviction_memory="10%"))
    assert kind.overhead.memory_bytes == -(-kind.capacity.memory_bytes // 10)


def test_disks_of_the_class_take_places_for_volumes() -> None:
    assert offered()[0].ebs_attachments == 26
    assert offered(volumes=3)[0].ebs_attachments == 24


def test_the_root_disk_is_the_ephemeral_storage() -> None:
    (kind,) = offered(root_volume_bytes=50 * GIB)
    assert kind.capacity.ephemeral_storage_bytes == 50 * GIB
