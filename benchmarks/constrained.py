"""Pods with rules about each other, and the made-up types that Karpenter's own benchmark offers them."""

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec.structs import replace

from agent.model import names
from agent.model.constraints import PodAffinityTerm, PreferredTerm, Requirement, Selector, TopologySpread
from agent.model.ec2 import CapacityType, InstanceType, Offering
from agent.model.kubernetes import Pod
from agent.model.names import InstanceTypeName, Zone
from agent.model.resources import Resources
from benchmarks.workloads import MIB, pending_pod

ZONES: Final = (Zone("test-zone-1"), Zone("test-zone-2"), Zone("test-zone-3"))
CPUS: Final = (100, 250, 500, 1000, 1500)
MEMORY_MIB: Final = (100, 256, 512, 1024, 2048, 4096)
LETTERS: Final = "abcdefg"
TYPES: Final = 400


def types() -> tuple[InstanceType, ...]:
    """1 to 400 cores with 2 GiB each, for a price in proportion; two of three zones sell spot too, for the same."""
    spot: tuple[tuple[CapacityType, Zone], ...] = (("spot", ZONES[0]), ("spot", ZONES[1]))
    on_demand: tuple[tuple[CapacityType, Zone], ...] = tuple(("on-demand", zone) for zone in ZONES)
    found = []
    for cores in range(1, TYPES + 1):
        memory = 2 * cores << 30
        nano_usd = 100_000_000 * cores + memory // 10
        name = InstanceTypeName(f"fake-it-{cores - 1}")
        found.append(
            InstanceType(
                name,
                Resources(1000 * cores, memory, 10 * cores),
                Resources(100, 10 * MIB),
                (Requirement(names.ARCH, "In", ("amd64",)), Requirement(names.OS, "In", ("linux",))),
                tuple(Offering(zone, kind, nano_usd) for kind, zone in (*spot, *on_demand)),
            )
        )
    return tuple(found)


def diverse(chance: random.Random, count: int) -> tuple[Pod, ...]:
    """A fifth each: plain, spread over zones, spread over nodes, affine by zone, and apart from each other by node."""
    groups = (_plain, partial(_spread, names.ZONE), partial(_spread, names.HOSTNAME), _affine, _apart)
    return tuple(groups[n * len(groups) // count](chance, n) for n in range(count))


def preferences(_: random.Random, count: int) -> tuple[Pod, ...]:
    """Equal pods that would like a zone, and neither a zone nor a node with one of their own."""
    own = _labelled("app", "nginx")
    away = (PodAffinityTerm(names.ZONE, own, weight=10), PodAffinityTerm(names.HOSTNAME, own, weight=1))
    zone = (PreferredTerm(1, (Requirement(names.ZONE, "In", (ZONES[0],)),)),)
    pods = (pending_pod(n, 500, 1024, {"app": "nginx"}) for n in range(count))
    return tuple(replace(pod, preferred_terms=zone, preferred_anti_affinity=away) for pod in pods)


def _sized(chance: random.Random, number: int, key: str, value: str) -> Pod:
    return pending_pod(number, chance.choice(CPUS), chance.choice(MEMORY_MIB), {key: value})


def _plain(chance: random.Random, number: int) -> Pod:
    return _sized(chance, number, "my-label", chance.choice(LETTERS))


def _spread(key: str, chance: random.Random, number: int) -> Pod:
    counted = _labelled("my-label", chance.choice(LETTERS))
    return replace(_plain(chance, number), spread=(TopologySpread(key, 1, counted),))


def _affine(chance: random.Random, number: int) -> Pod:
    letter = chance.choice(LETTERS)
    near = PodAffinityTerm(names.ZONE, _labelled("my-affinity", letter))
    return replace(_sized(chance, number, "my-affinity", letter), affinity=(near,))


def _apart(chance: random.Random, number: int) -> Pod:
    away = PodAffinityTerm(names.HOSTNAME, _labelled("app", "nginx"))
    return replace(_sized(chance, number, "app", "nginx"), anti_affinity=(away,))


def _labelled(key: str, value: str) -> Selector:
    return (Requirement(key, "In", (value,)),)


MIXES: Final[dict[str, Callable[[random.Random, int], tuple[Pod, ...]]]] = {
    "diverse": diverse,
    "preferences": preferences,
}
