"""Draws worlds. The same draws give the same world, whether hypothesis makes them or a seed does."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

from tests.checker.quantities import amounts
from tests.worlds import objects
from tests.worlds.asking import demands
from tests.worlds.objects import ARCH, CAPACITY_TYPE, NAMESPACES, RESERVATION, TYPE, ZONE, ZONES

Json = dict[str, Any]
T = TypeVar("T")
PLAIN = frozenset({"selectors", "affinity", "taints", "sizes", "daemons", "limits", "nodes", "claims", "weights"})
TOPOLOGY = frozenset({"spread", "pod-affinity", "anti-affinity", "ports", "domains", "preferences"})
EVERYTHING = PLAIN | TOPOLOGY | {"volumes", "reservations"}
SUPPORTED = EVERYTHING
"""What the laws are tried with."""
TEAM, SIZE = "example.com/team", "example.com/size"
TAINT = {"key": "workload", "value": "ai", "effect": "NoSchedule"}
UNLOVED = {"key": "old", "effect": "PreferNoSchedule"}
BOOTING = {"key": "example.com/agent-not-ready", "effect": "NoSchedule"}
DIVERSE: tuple[Json, ...] = (
    {"key": TYPE, "operator": "Exists", "minValues": 2},
    {"key": TYPE, "operator": "Exists", "minValues": 2},
    {"key": CAPACITY_TYPE, "operator": "Exists", "minValues": 2},
)
DAEMONS_OF: tuple[dict[str, str], ...] = (
    {ARCH: "amd64"},
    {ZONE: ZONES[0]},
    {CAPACITY_TYPE: "spot"},
    {ZONE: ZONES[1], CAPACITY_TYPE: "on-demand"},
)
_NOT_A = {"matchExpressions": [{"key": ZONE, "operator": "NotIn", "values": [ZONES[0]]}]}
OUTSIDE_A: Json = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_NOT_A]}}}


@dataclass(frozen=True)
class World:
    """Objects and catalogue of one question."""

    name: str
    objects: list[Json] = field(repr=False)
    catalogue: Json = field(repr=False)
    features: frozenset[str] = field(repr=False)


def seeded(seed: int, features: frozenset[str] = SUPPORTED) -> World:
    """The world of a seed."""
    return make(random.Random(seed), features, f"seeded({seed})")


def make(draw: random.Random, features: frozenset[str] = SUPPORTED, name: str = "drawn") -> World:
    """One world."""
    types = [_type(draw, n) for n in range(draw.randint(3, 6))]
    daemons = [_daemon(draw, n) for n in range(draw.choice((0, 1, 1, 2)))] if "daemons" in features else []
    pools = [_pool(draw, n, features) for n in range(draw.choice((1, 1, 2, 3)))]
    nodes = _nodes(draw, types, pools, features)
    pods, volumes = demands(draw, features, draw.randint(1, 6))
    there = _settled(draw, nodes, daemons, features)
    if "reservations" in features:
        _reserve(draw, types, [o for o in nodes if o["kind"] == "NodeClaim"], pods)
    spaces = [objects.namespace(name) for name in NAMESPACES]
    listed = [*spaces, *pools, *daemons, *nodes, *volumes, *there, *pods]
    catalogue = {"apiVersion": "joinery.sh/v1alpha1", "kind": "InstanceTypeCatalog", "instanceTypes": types}
    return World(name, listed, catalogue, features)


def _type(draw: random.Random, number: int) -> Json:
    cpu = draw.choice((2, 4, 8))
    gib = cpu * draw.choice((2, 4, 8))
    arch = draw.choice(("amd64", "amd64", "arm64"))
    capacity = {
        "cpu": str(cpu),
        "memory": f"{gib}Gi",
        "pods": draw.choice(("8", "20", "110")),
        "ephemeral-storage": "20Gi",
    }
    if draw.randint(0, 4) == 0:
        capacity["nvidia.com/gpu"] = draw.choice(("1", "2"))
    dollars = Fraction(cpu * 20 + gib * 3 + draw.randint(0, 30), 1000)
    offerings = []
    for zone in ZONES[: draw.randint(2, 3)]:
        for capacity_type, share in (("on-demand", Fraction(1)), ("spot", Fraction(draw.randint(30, 60), 100))):
            if draw.randint(0, 5):
                price = float(round(dollars * share, 4))
                available = draw.randint(0, 9) > 0
                offer = {"zone": zone, "capacityType": capacity_type, "price": price, "available": available}
                offerings.append(offer)
    requirements: list[Json] = [
        {"key": ARCH, "operator": "In", "values": [arch]},
        # Of some types a label is open until something asks for it.
        {
            "key": "kubernetes.io/os",
            "operator": "In",
            "values": draw.choice((["linux"], ["linux"], ["linux", "windows"])),
        },
    ]
    if draw.randint(0, 2):
        requirements.append({"key": SIZE, "operator": "In", "values": [str(cpu)]})
    return {
        "name": f"t{number}.{cpu}x{gib}",
        "capacity": capacity,
        "overhead": {"cpu": "100m", "memory": "300Mi"},
        "requirements": requirements,
        "offerings": offerings,
    }


def _daemon(draw: random.Random, number: int) -> Json:
    spec = objects.containers({"cpu": f"{draw.choice((1, 4, 10, 15, 40, 90)) * 10}m", "memory": "48Mi"})
    spec |= draw.choice(({}, {}, *({"nodeSelector": own} for own in DAEMONS_OF), {"affinity": OUTSIDE_A}))
    tolerations = draw.choice(([], [{"operator": "Exists"}]))
    return objects.daemonset(f"agent-{number}", spec | {"tolerations": tolerations})


def _pool(draw: random.Random, number: int, features: frozenset[str]) -> Json:
    requirements: list[Json] = []
    if draw.randint(0, 2) == 0:
        values = draw.sample(ZONES, draw.randint(1, 2))
        requirements.append({"key": ZONE, "operator": "In", "values": sorted(values)})
    if draw.randint(0, 3) == 0:
        requirements.append({"key": CAPACITY_TYPE, "operator": "In", "values": [draw.choice(("spot", "on-demand"))]})
    if draw.randint(0, 2) == 0:
        requirements.append({"key": TEAM, "operator": "In", "values": ["blue", "red"]})
    if draw.randint(0, 4) == 0:
        requirements.append({"key": SIZE, "operator": "Gt", "values": ["2"]})
    if draw.randint(0, 5) == 0:
        requirements.append(draw.choice(DIVERSE))
    template: Json = {"requirements": requirements}
    if "taints" in features and number and draw.randint(0, 1):
        template["taints"] = [draw.choice((TAINT, TAINT, UNLOVED))]
    if "taints" in features and draw.randint(0, 2) == 0:
        template["startupTaints"] = [BOOTING]
    spec: Json = {}
    if "limits" in features and draw.randint(0, 4) == 0:
        spec["limits"] = draw.choice(
            ({"cpu": "12"}, {"memory": "40Gi"}, {"nodes": "2"}, {"cpu": "20", "memory": "64Gi"})
        )
    if "weights" in features and draw.randint(0, 1):
        spec["weight"] = draw.choice((1, 10))
    # A label of the template and a requirement on it would be two words for one thing.
    labels = {"example.com/tier": "burst"} if draw.randint(0, 2) == 0 else {}
    return objects.pool(f"pool-{number}", template, labels, **spec)


def _nodes(draw: random.Random, types: list[Json], pools: list[Json], features: frozenset[str]) -> list[Json]:
    """Fixed nodes, nodes of ours, and claims whose nodes are on their way."""
    found: list[Json] = []
    if "nodes" in features:
        for number in range(draw.randint(0, 3)):
            labels = {ZONE: draw.choice(ZONES), ARCH: "amd64", "kubernetes.io/os": "linux"}
            room = {"cpu": draw.choice(("1", "2", "3500m")), "memory": "8Gi", "pods": "12", "ephemeral-storage": "8Gi"}
            found.append(objects.node(f"fixed-{number}", labels, room, [TAINT] if draw.randint(0, 3) == 0 else []))
    if "claims" in features:
        for number in range(draw.choice((0, 0, 1, 2))):
            found += _owned(draw, number, draw.choice(types), draw.choice(pools))
    return found


def _owned(draw: random.Random, number: int, kind: Json, pool: Json) -> list[Json]:
    name, template = f"owned-{number}", pool["spec"]["template"]
    offering = draw.choice(kind["offerings"] or [{"zone": ZONES[0], "capacityType": "on-demand"}])
    labels = {e["key"]: e["values"][0] for e in kind["requirements"]} | template["metadata"]["labels"]
    labels |= {
        ZONE: offering["zone"],
        CAPACITY_TYPE: offering["capacityType"],
        TYPE: kind["name"],
        objects.POOL: pool["metadata"]["name"],
        objects.CLASS: "default",
    }
    room = {n: v for n, v in kind["capacity"].items() if n not in {"cpu", "memory"}}
    room |= {n: _text(amounts(kind["capacity"])[n] - amounts(kind["overhead"])[n]) for n in ("cpu", "memory")}
    taints = template["spec"].get("taints", [])
    if draw.randint(0, 2) == 0:
        made = objects.claim(name, labels, kind, room)
        made["spec"]["taints"] = taints
        return [made]
    instance = f"i-{number:08x}"
    made = objects.claim(name, labels, kind, room, instance)
    made["spec"]["taints"] = taints
    joined = labels | {"karpenter.sh/registered": "true", "karpenter.sh/initialized": "true"}
    return [made, objects.node(instance, joined, room, list(taints), made["status"]["providerID"])]


def _settled(draw: random.Random, nodes: list[Json], daemons: list[Json], features: frozenset[str]) -> list[Json]:
    """Pods that run on the nodes already: some of the DaemonSets', and others of every kind where they hold."""
    found: list[Json] = []
    for one in nodes:
        if one["kind"] != "Node":
            continue
        name = one["metadata"]["name"]
        open_daemons = [d for d in daemons if not {"nodeSelector", "affinity"} & d["spec"]["template"]["spec"].keys()]
        for daemon in open_daemons if draw.randint(0, 1) and not one["spec"]["taints"] else ():
            template = daemon["spec"]["template"]
            own = f"{daemon['metadata']['name']}-{name}"
            made = objects.pod(own, "shop", template["spec"], template["metadata"]["labels"])
            found.append(objects.running(made, name, daemon))
        for number in range(draw.randint(0, 2)):
            spec = objects.containers({"cpu": "250m", "memory": "256Mi"})
            if "anti-affinity" in features and number == 0 and draw.randint(0, 3) == 0:
                term = {"topologyKey": objects.HOSTNAME, "labelSelector": {"matchLabels": {"app": "a"}}}
                spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
            labels = {"app": draw.choice(("a", "b", "old"))} if spec.get("affinity") is None else {"app": "old"}
            found.append(objects.running(objects.pod(f"old-{name}-{number}", "shop", spec, labels), name))
    return found


def _reserve(draw: random.Random, types: list[Json], claims: list[Json], pods: list[Json]) -> None:
    """Capacity reservations of some types: with room for a few or for all, near to free as Karpenter has them, or not.

    Claims on their way may be for one, and some pods will have nothing else.
    """
    made: list[str] = []
    for kind in draw.sample(types, draw.choice((0, 1, 2, 2))):
        prices = [offer["price"] for offer in kind["offerings"]]
        for zone in draw.sample(ZONES, draw.choice((1, 1, 2))):
            made.append(draw.choice((f"cr-{len(made)}", f"cr-{len(made)}", *made)))
            offer = {
                "zone": zone,
                "capacityType": "reserved",
                "price": draw.choice((0.0, 1.2e-8, 3e-8, max(prices, default=0.1))),
                "available": draw.randint(0, 9) > 0,
                "requirements": [{"key": RESERVATION, "operator": "In", "values": [made[-1]]}],
            }
            kind["offerings"].append(offer | draw.choice(({}, *({"reservationCapacity": n} for n in (0, 1, 1, 2, 3)))))
            for claim in claims:
                labels = claim["metadata"]["labels"]
                if (labels[TYPE], labels[ZONE]) == (kind["name"], zone) and draw.randint(0, 1):
                    pin = {CAPACITY_TYPE: "reserved", RESERVATION: made[-1]}
                    kept = [e for e in claim["spec"]["requirements"] if e["key"] not in pin]
                    kept += [{"key": k, "operator": "In", "values": [v]} for k, v in pin.items()]
                    claim["metadata"]["labels"], claim["spec"]["requirements"] = labels | pin, kept
    chosen: dict[str, Json] = {}
    for pod in pods if made else ():
        group = pod["metadata"]["name"].partition("-")[0]
        if group not in chosen:
            wanted = draw.choice(({CAPACITY_TYPE: "reserved"}, {RESERVATION: draw.choice(made)}))
            chosen[group] = (
                {"nodeSelector": wanted} if "affinity" not in pod["spec"] and draw.randint(0, 3) == 0 else {}
            )
        pod["spec"] = chosen[group] | pod["spec"]


def _text(value: Fraction) -> str:
    """A quantity in thousandths."""
    return f"{int(value * 1000)}m"
