"""What pods of a world ask: sizes in every way of writing them, places, company, ports and volumes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.worlds import objects
from tests.worlds.objects import ARCH, CAPACITY_TYPE, HOSTNAME, ZONE, ZONES

Json = dict[str, Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
APPS = ("a", "b", "c")


def demands(draw: random.Random, features: frozenset[str], groups: int) -> tuple[list[Json], list[Json]]:
    """Pending pods in groups of equal ones, and the volumes that they mount."""
    pods: list[Json] = []
    volumes: list[Json] = []
    if "volumes" in features:
        volumes.append(objects.storage_class(draw.choice(((), ZONES[:2]))))
    for number in range(groups):
        space = draw.choice(("shop", "shop", "lab"))
        labels = {"app": draw.choice(APPS), "version": draw.choice(("1", "2"))}
        spec = _sized(draw, features)
        for feature, asked in ASKING.items():
            if feature in features:
                asked(draw, spec, labels)
        for one in range(draw.choice((1, 1, 2, 3, 5))):
            name = f"p{number}-{one}"
            own = dict(spec)
            if "volumes" in features and space == "shop" and number % 3 == 0:
                volumes += _mount(draw, name, own)
            pods.append(objects.pod(name, space, own, dict(labels)))
    return pods, volumes


def _sized(draw: random.Random, features: frozenset[str]) -> Json:
    requests = {
        "cpu": draw.choice(("50m", "300m", "0.7", "1", "1300m", "1900m")),
        "memory": draw.choice(("64Mi", "500M", "1.5Gi", "0", "3Gi")),
    }
    spec = objects.containers(requests)
    if "sizes" not in features:
        return spec
    way = draw.randint(0, 9)
    if way == 0:
        spec["initContainers"] = [_container("setup", cpu="1500m", memory="128Mi")]
    elif way == 1:
        spec["initContainers"] = [
            {**_container("sidecar", cpu="100m", memory="100Mi"), "restartPolicy": "Always"},
            _container("setup", cpu="1200m", memory="64Mi"),
        ]
    elif way == 2:
        spec |= {"runtimeClassName": objects.RUNTIME_CLASS, "overhead": objects.OVERHEAD}
    elif way == 3:
        spec["resources"] = {"requests": {"cpu": "1100m", "memory": "3Gi"}}
        spec["containers"][0]["resources"] = {"requests": {"cpu": "300m", "memory": "500Mi"}}
    elif way == 4:
        spec["containers"][0]["resources"] = {"limits": {"cpu": "600m", "memory": "700Mi"}}
    elif way == 5:
        limits = {"nvidia.com/gpu": "1"}
        spec["containers"][0]["resources"] = {"requests": requests | limits, "limits": limits}
    elif way == 6:
        spec["containers"][0]["resources"]["requests"] = requests | {"ephemeral-storage": "2Gi"}
    return spec


def _container(name: str, **requests: str) -> Json:
    return {"name": name, "image": "pause", "resources": {"requests": requests}}


def _selectors(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    del labels
    if draw.randint(0, 2) == 0:
        spec["nodeSelector"] = draw.choice(
            (
                {ARCH: draw.choice(("amd64", "arm64"))},
                {ZONE: draw.choice(ZONES)},
                {CAPACITY_TYPE: draw.choice(("spot", "on-demand"))},
                {"example.com/team": draw.choice(("red", "blue"))},
                {"example.com/tier": "burst"},
                {"example.com/size": draw.choice(("4", "8"))},
                {"kubernetes.io/os": "linux", "topology.kubernetes.io/zone": ZONES[0]},
            )
        )


def _node_affinity(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    del labels
    if draw.randint(0, 3):
        return
    entries = (
        {"key": ZONE, "operator": "In", "values": sorted(draw.sample(ZONES, 2))},
        {"key": ZONE, "operator": "NotIn", "values": [draw.choice(ZONES)]},
        {"key": ARCH, "operator": "Exists"},
        {"key": "example.com/team", "operator": "DoesNotExist"},
        {"key": "example.com/team", "operator": "NotIn", "values": ["red"]},
        {"key": "example.com/size", "operator": "Gt", "values": ["3"]},
        {"key": "example.com/size", "operator": "Lt", "values": ["6"]},
        {"key": CAPACITY_TYPE, "operator": "In", "values": ["spot"]},
    )
    terms = [{"matchExpressions": draw.sample(entries, draw.randint(1, 2))} for _ in range(draw.randint(1, 3))]
    _affinity(spec, "nodeAffinity")[REQUIRED] = {"nodeSelectorTerms": terms}


def _tolerations(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    del labels
    if draw.randint(0, 2) == 0:
        spec["tolerations"] = [
            draw.choice(
                (
                    {"key": "workload", "operator": "Exists"},
                    {"key": "workload", "operator": "Equal", "value": "ai", "effect": "NoSchedule"},
                    {"operator": "Exists"},
                    {"key": "workload", "operator": "Equal", "value": "other"},
                )
            )
        ]


def _spread(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    if draw.randint(0, 2):
        return
    rules = []
    for topology in draw.choice(((ZONE,), (ZONE,), (HOSTNAME,), (ZONE, HOSTNAME))):
        rule: Json = {
            "topologyKey": topology,
            "maxSkew": draw.choice((1, 1, 2)),
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": draw.choice((labels["app"], labels["app"], "b"))}},
        }
        way = draw.randint(0, 7)
        if way == 0:
            rule["minDomains"] = 2
        elif way == 1:
            rule["matchLabelKeys"] = ["version"]
        elif way == 2:
            rule["nodeTaintsPolicy"] = "Honor"
        elif way == 3:
            rule["nodeAffinityPolicy"] = "Ignore"
        rules.append(rule)
    spec["topologySpreadConstraints"] = rules


def _pod_affinity(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    if draw.randint(0, 4):
        return
    app = draw.choice((labels["app"], labels["app"], "old"))
    term = {"topologyKey": draw.choice((ZONE, ZONE, HOSTNAME)), "labelSelector": {"matchLabels": {"app": app}}}
    _affinity(spec, "podAffinity")[REQUIRED] = [term | _spaces(draw)]


def _anti_affinity(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    if draw.randint(0, 3):
        return
    app = draw.choice((labels["app"], labels["app"], "b"))
    expression = {"key": "app", "operator": "In", "values": [app]}
    term = {"topologyKey": draw.choice((HOSTNAME, HOSTNAME, ZONE)), "labelSelector": {"matchExpressions": [expression]}}
    _affinity(spec, "podAntiAffinity")[REQUIRED] = [term | _spaces(draw)]


def _spaces(draw: random.Random) -> Json:
    """Mostly the own namespace."""
    return draw.choice(
        (
            {},
            {},
            {},
            {"namespaces": ["shop", "lab"]},
            {"namespaceSelector": {}},
            {"namespaceSelector": {"matchLabels": {"team": "research"}}},
        )
    )


def _ports(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    del labels
    if draw.randint(0, 5) == 0:
        port = {"containerPort": 8080, "hostPort": draw.choice((8080, 9090)), "protocol": draw.choice(("TCP", "UDP"))}
        if draw.randint(0, 2) == 0:
            port["hostIP"] = draw.choice(("127.0.0.1", "10.0.0.1"))
        spec["containers"][0]["ports"] = [port]


def _domains(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    """Now and then a rule about another label than zone and host name."""
    if draw.randint(0, 9):
        return
    rule = {"topologyKey": CAPACITY_TYPE, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    spec["topologySpreadConstraints"] = [rule | {"labelSelector": {"matchLabels": {"app": labels["app"]}}}]


def _preferences(draw: random.Random, spec: Json, labels: Mapping[str, str]) -> None:
    """What a pod would like, and what no plan may refuse it for."""
    if draw.randint(0, 3):
        return
    weight, like = draw.choice((1, 50, 100)), {"matchLabels": {"app": draw.choice((labels["app"], "b"))}}
    way = draw.randint(0, 3)
    if way == 0:
        entry = {"key": ZONE, "operator": "In", "values": [draw.choice(ZONES)]}
        _affinity(spec, "nodeAffinity")[PREFERRED] = [{"weight": weight, "preference": {"matchExpressions": [entry]}}]
    elif way == 1:
        rule = {"topologyKey": draw.choice((ZONE, HOSTNAME)), "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
        spec.setdefault("topologySpreadConstraints", []).append(rule | {"labelSelector": like})
    else:
        term = {"topologyKey": draw.choice((ZONE, HOSTNAME)), "labelSelector": like}
        kind = "podAffinity" if way == 2 else "podAntiAffinity"
        _affinity(spec, kind)[PREFERRED] = [{"weight": weight, "podAffinityTerm": term}]


def _affinity(spec: Json, kind: str) -> Json:
    found: Json = spec.setdefault("affinity", {}).setdefault(kind, {})
    return found


def _mount(draw: random.Random, name: str, spec: Json) -> list[Json]:
    """A claim of the pod's own, bound in a zone, still to be bound, or, of a group's fourth pod, just being bound.

    The volume objects that it takes.
    """
    spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    if draw.randint(0, 2) == 0:
        return [objects.volume_claim(name)]
    claim = objects.volume_claim(name, name, is_bound=not name.endswith("-3"))
    return [objects.volume(name, draw.choice(ZONES)), claim]


ASKING: dict[str, Callable[[random.Random, Json, Mapping[str, str]], None]] = {
    "selectors": _selectors,
    "affinity": _node_affinity,
    "taints": _tolerations,
    "spread": _spread,
    "domains": _domains,
    "pod-affinity": _pod_affinity,
    "anti-affinity": _anti_affinity,
    "ports": _ports,
    "preferences": _preferences,
}
