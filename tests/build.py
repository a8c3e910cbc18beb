"""Builders: model values with defaults, so that a test says only what matters to it."""

from datetime import UTC, datetime
from typing import Any

from agent.core.quantity import parse_resources
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import Image, InstanceType, Machine, NodeClass, Offering, Subnet
from agent.model.kubernetes import Condition, Meta, Node, NodeClaim, NodePool, Pod, Taint
from agent.model.names import (
    ClassName,
    InstanceId,
    InstanceTypeName,
    NodeName,
    PoolName,
    ProviderId,
    Zone,
)
from agent.model.plan import Cluster, Snapshot
from agent.model.resources import Resources

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
CLUSTER = Cluster("team", "uid-of-kube-system", "ap-northeast-2")
ZONE_A, ZONE_C = Zone("ap-northeast-2a"), Zone("ap-northeast-2c")
GIB = 1 << 30


def meta(name: str, **fields: Any) -> Meta:
    about: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "resource_version": "1", "created_at": NOW}
    return Meta(**(about | fields))


def amounts(cpu: str = "1", memory: str = "2Gi", **others: str) -> Resources:
    return parse_resources({"cpu": cpu, "memory": memory, "pods": "1", **others})


def pod(name: str = "web", *, cpu: str = "1", memory: str = "2Gi", node: str = "", **fields: Any) -> Pod:
    placed: dict[str, Any] = {"node_name": NodeName(node), "phase": "Running"} if node else {"unschedulable": True}
    about: dict[str, Any] = {
        "meta": meta(name, namespace="default"),
        "requests": amounts(cpu, memory),
        "owner_kind": "ReplicaSet",
    }
    return Pod(**(about | placed | fields))


def instance_type(
    name: str = "t3.large", cpu: int = 2, gib: int = 8, price: float = 0.104, zones: tuple[Zone, ...] = (ZONE_A, ZONE_C)
) -> InstanceType:
    return InstanceType(
        name=InstanceTypeName(name),
        capacity=Resources(cpu * 1000, gib * GIB, 110, 40 * GIB),
        overhead=Resources(memory_bytes=100 << 20),
        requirements=(Requirement(names.ARCH, "In", ("amd64",)), Requirement(names.OS, "In", ("linux",))),
        offerings=tuple(Offering(z, "on-demand", round(price * 1e9)) for z in zones),
    )


TYPES = (
    instance_type("t3.medium", 2, 4, 0.052),
    instance_type("t3.large", 2, 8, 0.104),
    instance_type("t3.xlarge", 4, 16, 0.208),
)


def node_class(name: str = "default", **fields: Any) -> NodeClass:
    about: dict[str, Any] = {
        "meta": meta(name, generation=1),
        "ami_family": "Ubuntu",
        "subnets": (Subnet("subnet-a", ZONE_A, "", 100), Subnet("subnet-c", ZONE_C, "", 200)),
        "security_groups": ("sg-1",),
        "images": (Image("ami-1"),),
        "conditions": (Condition("Ready", "True", "Ready"),),
    }
    return NodeClass(**(about | fields))


def pool(name: str = "workers", **fields: Any) -> NodePool:
    about: dict[str, Any] = {
        "meta": meta(name, generation=1),
        "node_class": ClassName("default"),
        "consolidation_policy": "WhenEmpty",
        "consolidate_after_seconds": 30,
        "hash": "1",
        "hash_version": "v",
    }
    return NodePool(**(about | fields))


def machine(number: int = 1, *, claim: str = "workers-1", **fields: Any) -> Machine:
    tags = {
        names.TAG_CLUSTER: CLUSTER.name,
        names.TAG_CLUSTER_UID: CLUSTER.uid,
        names.TAG_MANAGED: "true",
        names.TAG_CLAIM: claim,
        names.TAG_CLAIM_UID: f"uid-{claim}",
        names.TAG_POOL: "workers",
        names.TAG_CLASS: "default",
    }
    about: dict[str, Any] = {
        "id": InstanceId(f"i-{number:017x}"),
        "instance_type": InstanceTypeName("t3.large"),
        "zone": ZONE_A,
        "state": "running",
        "launched_at": NOW,
        "tags": tags,
    }
    return Machine(**(about | fields))


def conditions(*true: str, at: datetime = NOW) -> tuple[Condition, ...]:
    return tuple(Condition(kind, "True", kind, "", at) for kind in true)


def claim(name: str = "workers-1", *, instance: Machine | None = None, **fields: Any) -> NodeClaim:
    """A claim; with ``instance`` one that knows its instance."""
    recorded: dict[str, Any] = {}
    if instance is not None:
        recorded = {
            "provider_id": instance.provider_id,
            "capacity": TYPES[1].capacity,
            "allocatable": TYPES[1].allocatable,
            "conditions": conditions("Launched"),
        }
    about: dict[str, Any] = {
        "meta": meta(
            name,
            finalizers=(names.TERMINATION_FINALIZER,),
            labels={
                names.NODEPOOL: "workers",
                names.INSTANCE_TYPE: "t3.large",
                names.ZONE: ZONE_A,
                names.CAPACITY_TYPE: "on-demand",
            },
        ),
        "node_class": ClassName("default"),
        "requests": amounts("1", "2Gi"),
        "pool": PoolName("workers"),
    }
    return NodeClaim(**(about | recorded | fields))


def node(instance: Machine, **fields: Any) -> Node:
    """The node of an instance, just registered by its kubelet."""
    about: dict[str, Any] = {
        "meta": meta(instance.id),
        "provider_id": ProviderId(instance.provider_id),
        "taints": (Taint(names.UNREGISTERED_TAINT, "NoExecute"),),
        "capacity": TYPES[1].capacity,
        "allocatable": TYPES[1].allocatable,
        "ready": "True",
    }
    return Node(**(about | fields))


def snapshot(**fields: Any) -> Snapshot:
    """A world with one pool and one class; EC2 was looked at just now."""
    about: dict[str, Any] = {
        "now": NOW,
        "cluster": CLUSTER,
        "seed": "seed",
        "pools": (pool(),),
        "classes": (node_class(),),
        "instance_types": {ClassName("default"): TYPES},
        "machines": (),
        "machines_at": NOW,
    }
    return Snapshot(**(about | fields))
