"""The objects of a case, indexed, and every host that a pod may be sent to, as it will be when the pod comes."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tests.checker.quantities import Amounts, amounts, plus, requests
from tests.checker.selecting import DAEMON_TOLERATIONS, holds, may_run, mentioned, repelling

Json = dict[str, Any]
POOL, CLASS = "karpenter.sh/nodepool", "karpenter.k8s.aws/ec2nodeclass"
ZONE, TYPE = "topology.kubernetes.io/zone", "node.kubernetes.io/instance-type"
CAPACITY_TYPE, HOSTNAME = "karpenter.sh/capacity-type", "kubernetes.io/hostname"
RESERVATION = "karpenter.k8s.aws/capacity-reservation-id"
JOINED = {"karpenter.sh/registered": "true", "karpenter.sh/initialized": "true"}
DISRUPTED = "karpenter.sh/disrupted"
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
PASSING = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "karpenter.sh/unregistered")
"""Taints that a node loses by itself before it is initialised."""
Where = tuple[str, str]
"""("node", name), ("claim", name) or ("launch", id)."""


@dataclass(frozen=True)
class Host:
    """A node, now or soon."""

    where: Where
    name: str
    labels: Mapping[str, str]
    taints: tuple[Json, ...] = ()
    room: Mapping[str, Any] = field(default_factory=dict)
    """Allocatable less the DaemonSets' pods that are still to come."""
    daemons: tuple[Json, ...] = ()
    """Their specs."""
    kind: str = ""
    """Instance type."""
    price: float = 0.0


def reservation_of(offering: Json) -> str | None:
    """The capacity reservation that instances of the offering are launched into."""
    return next((str(e["values"][0]) for e in offering.get("requirements", ()) if e["key"] == RESERVATION), None)


def reserved_by(requirements: Iterable[Json] | None) -> set[str]:
    """The capacity reservations that a launch or claim names. One that names none is never launched into any."""
    return {v for e in requirements or () if e["key"] == RESERVATION and e["operator"] == "In" for v in e["values"]}


def key(pod: Json) -> str:
    return f"{pod['metadata'].get('namespace') or 'default'}/{pod['metadata']['name']}"


def owner(pod: Json) -> str:
    return next((o["kind"] for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), "")


def condition(obj: Json, kind: str) -> Json:
    return next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == kind), {})


def finished(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def pending(pod: Json) -> bool:
    """By the plan's format: no node, and the scheduler has found none or has never looked."""
    status = pod.get("status") or {}
    scheduled = condition(pod, "PodScheduled")
    return (
        not pod["spec"].get("nodeName")
        and not status.get("nominatedNodeName")
        and not pod["metadata"].get("deletionTimestamp")
        and not finished(pod)
        and owner(pod) not in {"DaemonSet", "Node"}
        and (not scheduled or scheduled.get("reason") == "Unschedulable")
        and not pod["spec"].get("schedulingGates")
    )


class World:
    """Objects by kind."""

    def __init__(self, objects: Iterable[Json], catalogue: Json) -> None:
        self._by_kind: dict[str, list[Json]] = {}
        for obj in objects:
            self._by_kind.setdefault(obj["kind"], []).append(obj)
        self.types = {t["name"]: t for t in catalogue["instanceTypes"]}
        self.pods = {key(p): p for p in self.all("Pod")}
        self.pools = {p["metadata"]["name"]: p for p in self.all("NodePool")}
        self.claims = {c["metadata"]["name"]: c for c in self.all("NodeClaim")}
        self.nodes = {n["metadata"]["name"]: n for n in self.all("Node")}

    def all(self, kind: str) -> list[Json]:
        return self._by_kind.get(kind, [])

    def named(self, kind: str, name: str, namespace: str | None = None) -> Json | None:
        for obj in self.all(kind):
            meta = obj["metadata"]
            if meta["name"] == name and (namespace is None or (meta.get("namespace") or "default") == namespace):
                return obj
        return None

    @cached_property
    def namespaces(self) -> dict[str, dict[str, str]]:
        """Labels of namespaces; each has its name as one of them, as the API server sees to."""
        listed = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in self.all("Namespace")}
        return {n: {"kubernetes.io/metadata.name": n, **labels} for n, labels in listed.items()}

    @cached_property
    def domain_keys(self) -> set[str]:
        """Keys by whose values pods are spread, or sought or kept apart."""
        written = re.findall(r'"topologyKey": "([^"]+)"', json.dumps([p["spec"] for p in self.pods.values()]))
        return {ZONE, CAPACITY_TYPE, TYPE, *written}

    def claim_of(self, node: Json) -> Json | None:
        provider = node["spec"].get("providerID")
        for claim in self.claims.values():
            if provider and (claim.get("status") or {}).get("providerID") == provider:
                return claim
        named = self.claims.get(node["metadata"]["name"])
        return named if named is not None and POOL in (node["metadata"].get("labels") or {}) else None

    def on(self, node: str) -> list[Json]:
        return [p for p in self.pods.values() if p["spec"].get("nodeName") == node and not finished(p)]

    def places(self, launches: Iterable[Json]) -> dict[str, int]:
        """What is left of each capacity reservation that is counted, by the least that the catalogue says of it.

        EC2's count has in it what runs: the launches, and claims without a registered node, come on top.
        """
        left: dict[str, int] = {}
        for offering in (o for t in self.types.values() for o in t["offerings"]):
            name, places = reservation_of(offering), offering.get("reservationCapacity")
            if name is not None and places is not None and offering.get("available", True):
                left[name] = min(places, left.get(name, places))
        coming = [c for c in self.claims.values() if condition(c, "Registered").get("status") != "True"]
        asked = [*(c["spec"].get("requirements") for c in coming), *(launch["requirements"] for launch in launches)]
        for name in (name for requirements in asked for name in reserved_by(requirements)):
            if name in left:
                left[name] -= 1
        return left

    def leaving(self, node: Json | None, claim: Json | None) -> bool:
        """Whether the node takes no pods any more."""
        for obj in (node, claim):
            if obj is not None and obj["metadata"].get("deletionTimestamp"):
                return True
        if claim is not None and any(
            condition(claim, c).get("status") == "True" for c in ("DisruptionReason", "InstanceTerminating")
        ):
            return True
        return node is not None and any(t["key"] == DISRUPTED for t in node["spec"].get("taints") or ())

    def existing(self) -> Iterator[Host]:
        """Nodes and claims in flight that take pods."""
        taken = set()
        for node in self.nodes.values():
            claim = self.claim_of(node)
            if claim is not None:
                taken.add(claim["metadata"]["name"])
            if not self.leaving(node, claim):
                yield self._of_node(node, claim)
        for name, claim in self.claims.items():
            if name not in taken and not self.leaving(None, claim):
                launched = (claim.get("status") or {}).get("providerID")
                yield self._of_claim(claim) if launched else self._of_request(claim)

    def _of_node(self, node: Json, claim: Json | None) -> Host:
        name, taints = node["metadata"]["name"], list(node["spec"].get("taints") or ())
        if node["spec"].get("unschedulable"):
            taints.append(CORDONED)
        if claim is not None and condition(claim, "Initialized").get("status") != "True":
            passing = {(t["key"], t["effect"]) for t in claim["spec"].get("startupTaints") or ()}
            taints = [t for t in taints if (t["key"], t["effect"]) not in passing and t["key"] not in PASSING]
        labels = {HOSTNAME: name} | (node["metadata"].get("labels") or {})
        there = {p["metadata"].get("ownerReferences", [{}])[0].get("uid") for p in self.on(name)}
        coming = self._daemons(labels, name, taints, without=there)
        room = amounts(node["status"]["allocatable"])
        return Host(("node", name), name, labels, tuple(taints), _less(room, coming), tuple(coming))

    def _of_claim(self, claim: Json) -> Host:
        name, taints = claim["metadata"]["name"], list(claim["spec"].get("taints") or ())
        labels = dict(claim["metadata"].get("labels") or {}) | JOINED | {HOSTNAME: f"host-of-{name}"}
        for entry in claim["spec"].get("requirements") or ():
            if entry["operator"] == "In" and len(entry["values"]) == 1:
                labels.setdefault(entry["key"], entry["values"][0])
        coming = self._daemons(labels, labels[HOSTNAME], taints)
        room = amounts((claim.get("status") or {}).get("allocatable") or claim["spec"]["resources"]["requests"])
        return Host(("claim", name), labels[HOSTNAME], labels, tuple(taints), _less(room, coming), tuple(coming))

    def _of_request(self, claim: Json) -> Host:
        """What is common to all that may become of a claim of which nothing is known but what is asked.

        A label that all have, of whatever value, is there: nodes are selected by that as well. Where its value is a
        domain of a rule, the domain is not known.
        """
        variants = self.futures(claim)
        common = {
            k: v
            for k, v in variants[0].labels.items()
            if all(h.labels.get(k) == v for h in variants)
            or (k not in self.domain_keys and all(k in h.labels for h in variants))
        }
        return replace(variants[0], labels=common)

    def futures(self, claim: Json) -> list[Host]:
        """Every node that a claim may become that is not launched; of room it is only known what it asks for."""
        name, spec, labels = claim["metadata"]["name"], claim["spec"], claim["metadata"].get("labels") or {}
        asked = spec.get("requirements") or []
        kinds = [value for entry in asked if entry["key"] == TYPE for value in entry["values"]]
        launch = {"id": name, "requirements": asked, "instanceTypes": kinds, "labels": labels}
        room = amounts(spec["resources"]["requests"])
        return [
            replace(host, where=("claim", name), room=_less(room, host.daemons))
            for host in self.variants(launch, self.pools[labels[POOL]])
        ]

    def _daemons(
        self, labels: Mapping[str, str], node: str, taints: list[Json], without: Iterable[str | None] = ()
    ) -> list[Json]:
        """Specs of the DaemonSets' pods that the node will have beside those it has."""
        held = set(without)
        found = []
        for daemonset in self.all("DaemonSet"):
            spec = daemonset["spec"]["template"]["spec"]
            tolerations = (*(spec.get("tolerations") or ()), *DAEMON_TOLERATIONS)
            if daemonset["metadata"].get("uid") in held or repelling(taints, tolerations) is not None:
                continue
            if may_run(spec, labels, node):
                found.append(spec)
        return found

    def variants(self, launch: Json, pool: Json) -> Iterator[Host]:
        """Every node that the launch may end up as: each listed type with each offering that it still allows."""
        asked = launch["requirements"]
        for name in launch["instanceTypes"]:
            for offering in self.types[name]["offerings"] if name in self.types else ():
                named = reservation_of(offering) in {None, *reserved_by(asked)}
                if offering.get("available", True) and named:
                    yield from self.as_nodes(
                        self.types[name], offering, asked, _Marks(launch["labels"], pool, str(launch["id"]))
                    )

    def as_nodes(self, kind: Json, offering: Json, asked: list[Json], marks: _Marks) -> Iterator[Host]:
        """Nodes of a type and an offering under these requirements, one for each set of labels it may have."""
        fixed = {TYPE: kind["name"], ZONE: offering["zone"], CAPACITY_TYPE: offering["capacityType"]}
        host = f"host-of-launch-{marks.number}"
        open_labels: dict[str, list[str | None]] = {RESERVATION: [None]}
        for entry in (*kind.get("requirements", ()), *offering.get("requirements", ())):
            open_labels[entry["key"]] = list(entry["values"]) if entry["operator"] == "In" else [None]
        for name, value in (fixed | dict(marks.labels) | JOINED | {HOSTNAME: host}).items():
            if name in open_labels and name in marks.labels and value not in open_labels[name]:
                return
            open_labels[name] = [value]
        for entry in asked:
            possible = open_labels.setdefault(entry["key"], [None])
            open_labels[entry["key"]] = [v for v in possible if holds(entry, v)]
        keys = self._keys_that_matter
        simple = {k: v if k in keys or k in marks.labels or len(v) < 2 else v[:1] for k, v in open_labels.items()}
        taints = marks.pool["spec"]["template"]["spec"].get("taints") or []
        for values in itertools.product(*simple.values()):
            labels = {k: v for k, v in zip(simple, values, strict=True) if v is not None}
            coming = self._daemons(labels, host, taints)
            room = plus(amounts(kind["capacity"]), {n: -v for n, v in amounts(kind.get("overhead")).items()})
            yield Host(
                ("launch", marks.number),
                host,
                labels,
                tuple(taints),
                _less(room, coming),
                tuple(coming),
                kind["name"],
                offering["price"],
            )

    @cached_property
    def _keys_that_matter(self) -> set[str]:
        specs = [p["spec"] for p in self.pods.values()]
        specs += [d["spec"]["template"]["spec"] for d in self.all("DaemonSet")]
        return {k for spec in specs for k in mentioned(spec)}


@dataclass(frozen=True)
class _Marks:
    """What the pool and the claim give to a node."""

    labels: Mapping[str, str]
    pool: Json
    number: str = ""


def marks(pool: Json, chosen: Mapping[str, str] | None = None) -> _Marks:
    """Those of any node of the pool, and some that a claim chooses."""
    template = pool["spec"]["template"]
    own = {POOL: pool["metadata"]["name"], CLASS: template["spec"]["nodeClassRef"]["name"]}
    return _Marks(dict(chosen or {}) | own | ((template.get("metadata") or {}).get("labels") or {}), pool)


def _less(room: Amounts, daemons: Iterable[Json]) -> Amounts:
    return plus(room, *({n: -v for n, v in requests(spec).items()} for spec in daemons))
