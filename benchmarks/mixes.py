"""Mixes of pods that packing is measured with, and what the Go program took for them.

``WORKLOADS`` in the environment may name a directory with an ``objects.json`` and a ``catalog.json`` in the formats of
`joinery plan` for each mix, as ``<mix>-<count>-<seed>``; what is not there is made here, of the same kinds.
"""

import math
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from agent.aws.shipped import shipped_catalog
from agent.core.catalog import Market, instance_types
from agent.kube.offline import objects
from agent.manifests import load_documents
from agent.manifests.catalog import parse_catalog
from agent.model.ec2 import Image, InstanceType, KubeletSettings, NodeClass, Subnet
from agent.model.kubernetes import Condition, Meta, NodePool, Pod
from agent.model.names import ClassName, Zone
from agent.model.plan import Cluster, Limits, Snapshot
from agent.model.resources import Resources
from benchmarks import constrained
from benchmarks.workloads import MIB, NOW, ZONES, fixed, pending_pod

UNBRAKED: Final = Limits(max_nodes=1_000_000, launches_per_minute=1_000_000)
GO_LOOP_SECONDS: Final = 0.95
"""What ``loop_seconds`` took where the Go program was measured."""


@dataclass(frozen=True)
class Mix:
    """A kind of workload, the bounds of its decision, and the Go program's answer to such pods."""

    name: str
    seconds: float
    gap_percent: float | None
    """None: the lower bound says nothing where rules, not resources, decide on the number of nodes."""
    go_seconds: float
    go_gap_percent: float | None
    count: int = 10_000


MIXES: Final = (
    Mix("karp", 0.6, 3, 12.20, 20),
    Mix("micro", 0.5, 3, 6.91, 24),
    Mix("vpa", 1.0, 3, 10.05, 19),
    Mix("mixed", 0.7, 3, 28.73, 20),
    Mix("wide", 1.0, 3, 77.07, 14),
    Mix("batch", 1.0, 4, 118.53, 15),
    Mix("diverse", 1.0, 10, 23.01, 67),
)
LARGER: Final = (Mix("diverse", 2.0, 10, 58.04, 64, 20_000), Mix("preferences", 0.5, None, 72.0, None, 4_000))
"""Measured, and not drawn."""

Shape = tuple[int, int, float]
"""Millicores, mebibytes, and how frequent it is."""


def snapshot(mix: str, count: int, seed: int = 1) -> Snapshot:
    """So many pending pods of a mix, one pool, and the types that it may buy."""
    given = os.environ.get("WORKLOADS")
    if given is not None and (there := Path(given) / f"{mix}-{count}-{seed}").is_dir():
        return _written(there)
    chance = random.Random(seed)
    if mix in constrained.MIXES:
        return _world(constrained.MIXES[mix](chance, count), constrained.ZONES, lambda _: constrained.types())
    made = _SHAPES[mix](chance, count)
    weights = [weight for *_, weight in made]
    picked = made if len(made) == count else chance.choices(made, weights, k=count)
    return _world(tuple(pending_pod(n, cpu, mib) for n, (cpu, mib, _) in enumerate(picked)), ZONES, _shipped)


def with_impossible(whole: Snapshot, count: int) -> Snapshot:
    """The same with pods that no type holds, each a little different."""
    more = tuple(pending_pod(len(whole.pods) + n, 1_000_000 + n, 100) for n in range(count))
    return msgspec.structs.replace(whole, pods=whole.pods + more)


def with_nodes(whole: Snapshot, count: int) -> Snapshot:
    """The same beside fixed nodes with running pods, in the zones of its classes."""
    zones = [subnet.zone for subnet in whole.classes[0].subnets]
    nodes, running = fixed(count, zones)
    return msgspec.structs.replace(whole, nodes=nodes, pods=whole.pods + running)


def _shipped(node_class: NodeClass) -> tuple[InstanceType, ...]:
    """Every compute, general and memory-optimised amd64 type of generation 5 and later, up to 64 cores."""
    shipped = shipped_catalog()
    facts = [
        t
        for t in shipped.types
        if t.architectures == ("amd64",)
        and not (t.bare_metal or t.extended)
        and t.vcpus <= 64
        and re.match(r"[cmr]([5-9]|\d\d)", t.name)
    ]
    market = Market({t.name: ZONES for t in facts}, dict(shipped.prices_nano_usd), region=shipped.region)
    return instance_types(facts, market, node_class)


def _world(
    pods: tuple[Pod, ...], zones: tuple[Zone, ...], types: Callable[[NodeClass], tuple[InstanceType, ...]]
) -> Snapshot:
    made = NodeClass(
        Meta("default", uid="class"),
        "Ubuntu",
        tuple(Subnet(f"subnet-{z[-1]}", z, "", 10_000) for z in zones),
        images=(Image("ami-1"),),
        kubelet=KubeletSettings(kube_reserved=Resources(100, 600 * MIB)),
        conditions=(Condition("Ready", "True"),),
    )
    return Snapshot(
        now=NOW,
        cluster=Cluster("bench", "uid"),
        limits=UNBRAKED,
        seed="bench",
        pods=pods,
        pools=(NodePool(Meta("default", uid="pool"), ClassName("default")),),
        classes=(made,),
        instance_types={ClassName("default"): types(made)},
        machines=(),
        machines_at=NOW,
    )


def _written(there: Path) -> Snapshot:
    documents = load_documents((there / "objects.json").read_text(), "objects.json").documents
    found = objects(documents, ())
    catalog = there / "catalog.json"
    types = parse_catalog(load_documents(catalog.read_text(), catalog.name), catalog.name).types
    return Snapshot(
        now=NOW,
        cluster=Cluster("bench", "uid"),
        limits=UNBRAKED,
        seed="bench",
        pods=found.pods,
        pools=found.pools,
        classes=found.classes,
        instance_types={pool.node_class: types for pool in found.pools},
        machines=(),
        machines_at=NOW,
    )


def _spread(chance: random.Random, median: float, sigma: float) -> float:
    return median * math.exp(chance.gauss(0, sigma))


def _clipped(amount: float, step: int, least: int, most: int) -> int:
    return max(least, min(most, round(amount / step) * step))


def _log_normal(
    chance: random.Random, shapes: int, cpu: tuple[float, float], ratio: tuple[float, float]
) -> list[Shape]:
    """Cores around a median, mebibytes per core around another; every frequency the same."""
    found = []
    for _ in range(shapes):
        cores = _clipped(_spread(chance, *cpu), 25, 25, 30_000)
        found.append((cores, _clipped(cores / 1000 * _spread(chance, *ratio), 64, 64, 200_000), 1.0))
    return found


def _micro(chance: random.Random, _: int) -> list[Shape]:
    """150 small services, few of which have most of the pods."""
    own = _log_normal(chance, 150, (300, 0.9), (2600, 0.8))
    return [(min(cpu, 8000), mib, 1 / (rank + 1) ** 1.1) for rank, (cpu, mib, _) in enumerate(own)]


def _mixed(chance: random.Random, _: int) -> list[Shape]:
    """300 services of very different size."""
    own = _log_normal(chance, 300, (500, 1.2), (3000, 0.9))
    return [(cpu, mib, chance.gammavariate(0.4, 1)) for cpu, mib, _ in own]


def _vpa(chance: random.Random, count: int) -> list[Shape]:
    """Every pod different, as a vertical autoscaler leaves them."""
    own = [(_spread(chance, 300, 1.0), _spread(chance, 2800, 0.8)) for _ in range(count)]
    return [(_clipped(c, 1, 25, 14_000), _clipped(c / 1000 * per, 1, 64, 100_000), 1.0) for c, per in own]


def _karp(chance: random.Random, _: int) -> list[Shape]:
    """The small grid of sizes of Karpenter's own benchmark."""
    cpus, mibs = (100, 250, 500, 1000, 1500), (100, 256, 512, 1024, 2048, 4096)
    return [(chance.choice(cpus), chance.choice(mibs), 1.0) for _ in range(42)]


def _wide(chance: random.Random, _: int) -> list[Shape]:
    """30 services from a quarter of a core to eight cores, in equal numbers."""
    cpus = [240 + round(7660 * n / 29, -1) for n in range(30)]
    return [(int(cpu), round(cpu / 1000 * chance.choice((1024, 2048, 3500, 4096, 7000))), 1.0) for cpu in cpus]


def _batch(chance: random.Random, _: int) -> list[Shape]:
    """60 kinds of jobs of 1 to 16 cores."""
    cpus = (1000, 2000, 3000, 4000, 6000, 7500, 8000, 12_000, 15_000, 16_000)
    ratios = (1500, 1900, 2048, 3800, 4096, 7000, 7600)
    found = []
    for _ in range(60):
        cpu = chance.choice(cpus)
        found.append((cpu, round(cpu / 1000 * chance.choice(ratios)), chance.expovariate(1)))
    return found


_SHAPES: Final[dict[str, Callable[[random.Random, int], list[Shape]]]] = {
    "micro": _micro,
    "mixed": _mixed,
    "vpa": _vpa,
    "karp": _karp,
    "wide": _wide,
    "batch": _batch,
}
