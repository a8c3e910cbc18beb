"""A sound plan, to be spoilt in one place at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.checker import Case, faults
from tests.worlds import objects
from tests.worlds.objects import ARCH, CAPACITY_TYPE, TYPE, ZONE

Json = dict[str, Any]
A, B, C = objects.ZONES
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class Scene:
    """A sound plan to spoil: web-0 goes onto a node that is there, web-1 and web-2 onto one that is bought."""

    def __init__(self) -> None:
        self.settings: Json = {}
        self.catalogue: Json = {"instanceTypes": [_type("small", 2, A, B), _type("large", 4, A, B)]}
        template = {"requirements": [{"key": CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]}]}
        template["startupTaints"] = [{"key": "booting", "effect": "NoSchedule"}]
        agent = objects.daemonset("agent", objects.containers({"cpu": "100m"}) | {"tolerations": []})
        room = {"cpu": "1500m", "memory": "4Gi", "pods": "10"}
        there = objects.pod("old", "shop", objects.containers({"cpu": "500m"}), {"app": "old"})
        self.objects: list[Json] = [
            *(objects.namespace(name) for name in objects.NAMESPACES),
            objects.pool("default", template, {"tier": "web"}),
            agent,
            objects.node("n-a", {ZONE: A, ARCH: "amd64"}, room, []),
            objects.node("n-b", {ZONE: B, ARCH: "amd64"}, room, [{"key": "fixed", "effect": "NoSchedule"}]),
            objects.running(there, "n-a"),
            *(objects.pod(f"web-{n}", "shop", objects.containers({"cpu": "800m"}), {"app": "web"}) for n in range(3)),
        ]
        self.plan: Json = {
            "actions": [self._launch()],
            "placements": {
                "shop/web-0": {"node": "n-a"},
                "shop/web-1": {"launch": 0},
                "shop/web-2": {"launch": 0},
            },
            "unschedulable": [],
            "blocked": [],
            "pricePerHour": {"before": 0.0, "after": 0.05, "lowerBound": None},
        }

    @staticmethod
    def _launch() -> Json:
        labels = {objects.POOL: "default", objects.CLASS: "default", "tier": "web"}
        return {
            "action": "launch",
            "id": 0,
            "nodePool": "default",
            "nodeClass": "default",
            "instanceType": "small",
            "zone": A,
            "capacityType": "on-demand",
            "price": 0.05,
            "instanceTypes": ["small", "large"],
            "requirements": [
                {"key": CAPACITY_TYPE, "operator": "In", "values": ["on-demand"]},
                {"key": TYPE, "operator": "In", "values": ["small", "large"]},
            ],
            "labels": labels,
            "annotations": {},
            "taints": [],
            "startupTaints": [{"key": "booting", "value": "", "effect": "NoSchedule"}],
            "requests": {"cpu": "1700m", "pods": "3"},
            "pods": ["shop/web-1", "shop/web-2"],
            "reason": "Provisioned",
        }

    @property
    def launch(self) -> Json:
        found: Json = self.plan["actions"][0]
        return found

    @property
    def pool(self) -> Json:
        return self.named("NodePool", "default")

    def named(self, kind: str, name: str) -> Json:
        return next(o for o in self.objects if o["kind"] == kind and o["metadata"]["name"] == name)

    def spec(self, name: str) -> Json:
        found: Json = self.named("Pod", name)["spec"]
        return found

    def webs(self) -> list[Json]:
        return [self.spec(f"web-{n}") for n in range(3)]

    def fix_zone(self, zone: str) -> None:
        """The launch may only come in this zone."""
        self.launch["requirements"].append({"key": ZONE, "operator": "In", "values": [zone]})
        self.launch["zone"] = zone

    def mount(self, name: str, pod: str, zone: str) -> None:
        self.objects += [objects.volume(name, zone), objects.volume_claim(name, name)]
        self.spec(pod).setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name}})

    def faults(self) -> list[str]:
        return faults(Case(self.objects, self.catalogue, self.plan, self.settings))


def _type(name: str, cpu: int, *zones: str) -> Json:
    price = cpu * 0.025
    offerings = [
        {"zone": zone, "capacityType": capacity_type, "price": price * share, "available": True}
        for zone in zones
        for capacity_type, share in (("on-demand", 1), ("spot", 0.5))
    ]
    return {
        "name": name,
        "capacity": {"cpu": str(cpu), "memory": f"{cpu * 2}Gi", "pods": "8"},
        "overhead": {"cpu": "100m", "memory": "100Mi"},
        "requirements": [{"key": ARCH, "operator": "In", "values": ["amd64"]}],
        "offerings": offerings,
    }


def affinity(kind: str, app: str, topology: str, **more: Any) -> Json:
    term = {"topologyKey": topology, "labelSelector": {"matchLabels": {"app": app}}, **more}
    return {kind: {REQUIRED: [term]}}


def spread(topology: str, skew: int = 1, **more: Any) -> Json:
    rule = {"topologyKey": topology, "maxSkew": skew, "whenUnsatisfiable": "DoNotSchedule"}
    return rule | {"labelSelector": {"matchLabels": {"app": "web"}}} | more


def needs(key: str, operator: str, *values: str) -> Json:
    term = {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}


Spoil = Callable[[Scene], Any]


@dataclass
class Broken:
    """Ways to spoil the plan, each with the sentence that must then be said of it."""

    ways: list[tuple[str, Spoil, str]] = field(default_factory=list)

    def __call__(self, sentence: str) -> Callable[[Spoil], Spoil]:
        def keep(spoil: Spoil) -> Spoil:
            self.ways.append((getattr(spoil, "__name__", ""), spoil, sentence))
            return spoil

        return keep


def rejected(spoil: Spoil, sentence: str) -> bool:
    """Whether the spoilt plan is rejected with the sentence."""
    scene = Scene()
    before = copy.deepcopy((scene.objects, scene.plan, scene.catalogue, scene.settings))
    spoil(scene)
    assert before != (scene.objects, scene.plan, scene.catalogue, scene.settings), "nothing was spoilt"
    found = scene.faults()
    assert any(sentence in text for text in found), found
    return True
