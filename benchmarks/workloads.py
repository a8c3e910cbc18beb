"""Worlds to measure on: pending pods of limited shapes, and clusters of many nodes and pods."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from agent.aws.shipped import shipped_catalog
from agent.core.catalog import Market, instance_types
from agent.model import names
from agent.model.ec2 import Image, NodeClass, Subnet
from agent.model.kubernetes import Condition, Meta, Node, NodePool, Pod
from agent.model.names import ClassName, NodeName, Zone
from agent.model.plan import Cluster, Snapshot
from agent.model.resources import Resources

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ZONES = tuple(Zone(f"us-east-1{letter}") for letter in "abc")
MIB = 1 << 20
CPUS = (50, 100, 100, 250, 250, 500, 1000, 2000)
MEMORY_MIB = (64, 128, 256, 512, 1024, 2048, 4096)
SHAPES = 128


def pending(count: int, seed: int = 1) -> tuple[Pod, ...]:
    """Pods of at most 128 shapes, small ones more often than large ones."""
    chance = random.Random(seed)
    shapes = [(chance.choice(CPUS), chance.choice(MEMORY_MIB)) for _ in range(SHAPES)]
    picked = [chance.choice(shapes) for _ in range(count)]
    return tuple(pending_pod(n, cpu, memory) for n, (cpu, memory) in enumerate(picked))


def pending_pod(number: int, cpu_milli: int, memory_mib: int, labels: dict[str, str] | None = None) -> Pod:
    """A pod that the scheduler found no node for."""
    meta = Meta(f"pod-{number}", "default", f"uid-{number}", labels=labels or {})
    return Pod(meta, Resources(cpu_milli, memory_mib * MIB, 1), unschedulable=True, owner_kind="ReplicaSet")


def world(pods: tuple[Pod, ...], nodes: int = 0) -> Snapshot:
    """One pool that may buy every current amd64 type of the shipped table, beside ``nodes`` fixed nodes."""
    there, running = fixed(nodes, ZONES)
    shipped = shipped_catalog()
    facts = [t for t in shipped.types if t.architectures == ("amd64",) and not t.bare_metal]
    market = Market({t.name: ZONES for t in facts}, dict(shipped.prices_nano_usd), region="us-east-1")
    made = NodeClass(
        Meta("default", uid="class"),
        "Ubuntu",
        tuple(Subnet(f"subnet-{z[-1]}", z, "", 1000) for z in ZONES),
        images=(Image("ami-1"),),
        conditions=(Condition("Ready", "True"),),
    )
    return Snapshot(
        now=NOW,
        cluster=Cluster("bench", "uid"),
        seed="bench",
        pods=pods + running,
        nodes=there,
        pools=(NodePool(Meta("default", uid="pool"), ClassName("default")),),
        classes=(made,),
        instance_types={ClassName("default"): instance_types(facts, market, made)},
        machines=(),
        machines_at=NOW,
    )


def fixed(count: int, zones: Sequence[Zone]) -> tuple[tuple[Node, ...], tuple[Pod, ...]]:
    """Nodes that are not ours, one zone after the other, and ten running pods on each, that leave little room."""
    nodes = tuple(_node(n, zones[n % len(zones)]) for n in range(count))
    return nodes, tuple(_running(n, k) for n in range(count) for k in range(10))


def _node(number: int, zone: Zone) -> Node:
    size = Resources(4000, 16384 * MIB, 110, 40 << 30)
    labels = {names.ZONE: str(zone), names.ARCH: "amd64", names.OS: "linux"}
    return Node(
        Meta(f"node-{number}", uid=f"node-{number}", labels=labels), capacity=size, allocatable=size, ready="True"
    )


def _running(node: int, number: int) -> Pod:
    return Pod(
        Meta(f"run-{node}-{number}", "default", f"run-{node}-{number}"),
        Resources(350, 1024 * MIB, 1),
        phase="Running",
        node_name=NodeName(f"node-{node}"),
        owner_kind="ReplicaSet",
    )


def node_object(number: int) -> dict[str, Any]:
    """A Node for the API server, Ready and with room."""
    room = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "metadata": {"name": f"bench-{number}", "labels": {"bench": "true"}},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def pod_object(number: int, nodes: int) -> dict[str, Any]:
    """A pod, bound to one of the nodes, of the size that real ones have on the wire."""
    environment = [{"name": f"VARIABLE_{n}", "value": "x" * 40} for n in range(30)]
    return {
        "metadata": {"name": f"bench-{number}", "labels": {"app": f"app-{number % 50}"}},
        "spec": {
            "nodeName": f"bench-{number % nodes}",
            "containers": [
                {
                    "name": "c",
                    "image": "registry.example/app",
                    "env": environment,
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                }
            ],
        },
    }
