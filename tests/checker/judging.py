"""Whether a plan may be carried out: one sentence for each thing that is wrong with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.checker.binding import REQUIRED, Cluster, Stuck, carries, order, spreads
from tests.checker.buying import bought, limits, refused
from tests.checker.quantities import host_ports, plus, requests, short_of
from tests.checker.selecting import label_of, may_run, repelling
from tests.checker.volumes import attached, volume_fault
from tests.checker.worlds import Host, Where, World, key, owner, pending

Json = dict[str, Any]
MOST_CHOICES = 48
"""Combinations of what launches with an open zone may become that are looked at."""


@dataclass(frozen=True)
class Case:
    """A plan and what it was made from."""

    objects: Sequence[Json]
    catalogue: Json
    plan: Json
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of maxNodes, launchesPerMinute, maxPricePerHour and minValuesPolicy those that were set."""
    what: str = "all"


def faults(case: Case) -> list[str]:
    """Everything that is wrong with the plan; nothing when it may be carried out."""
    return list(_Judge(case).faults())


def arranged(case: Case, pick: Callable[[Json, Sequence[Host]], Host]) -> tuple[Cluster, list[tuple[Json, Where]]]:
    """The cluster with each launch as the node that is picked for it, and pods in an order of binding.

    Raises Stuck where there is none.
    """
    judge = _Judge(case)
    cluster = judge.cluster({w: pick(judge.launches[w[1]], variants) for w, variants in judge.variants.items()})
    return cluster, order(Cluster(cluster.hosts, cluster.namespaces, list(cluster.bound)), judge.wanted)


class _Judge:
    def __init__(self, case: Case) -> None:
        self._case = case
        self._world = World(case.objects, case.catalogue)
        self.launches = {str(a["id"]): a for a in case.plan["actions"] if a["action"] == "launch"}
        self._gone = {n for a in case.plan["actions"] if a["action"] == "disrupt" for n in a["nodes"]}
        self._gone_claims = {n for a in case.plan["actions"] if a["action"] == "disrupt" for n in a["nodeClaims"]}
        self._existing = {h.where: h for h in self._world.existing() if h.name not in self._gone}
        self._existing = {w: h for w, h in self._existing.items() if w[0] != "claim" or w[1] not in self._gone_claims}
        self.variants: dict[Where, list[Host]] = {}
        for number, launch in self.launches.items():
            pool = self._world.pools.get(launch["nodePool"])
            self.variants["launch", number] = list(self._world.variants(launch, pool)) if pool is not None else []
        self._placed = {k: _where(d) for k, d in case.plan["placements"].items()}
        self.wanted = [(self._world.pods[k], w) for k, w in sorted(self._placed.items()) if k in self._world.pods]

    def faults(self) -> Iterator[str]:
        yield from self._answers()
        yield from self._disruptions()
        for number, launch in self.launches.items():
            yield from bought(self._world, self._case, launch, self.variants["launch", number])
        yield from limits(self._world, self._case, self.launches.values())
        for where in sorted(set(self._placed.values())):
            yield from self._stay(where)
        if not any(where not in self._existing and where not in self.variants for _, where in self.wanted):
            yield from self._together()

    def _answers(self) -> Iterator[str]:
        """Every pod that needs a node is answered exactly once, and no other."""
        placed, refused_pods = set(self._placed), [u["pod"] for u in self._case.plan["unschedulable"]]
        asked = {k for k, p in self._world.pods.items() if pending(p)}
        leaving = {n for n, node in self._world.nodes.items() if self._world.leaving(node, self._world.claim_of(node))}
        movable = {
            k for k, p in self._world.pods.items() if p["spec"].get("nodeName") in self._gone | leaving and _moves(p)
        }
        for k in sorted(asked - placed - set(refused_pods)):
            if self._case.what != "disrupt":
                yield f"pod {k} is neither placed nor refused"
        for k in sorted(placed & set(refused_pods)):
            yield f"pod {k} is placed and refused"
        for k in sorted((placed | set(refused_pods)) - asked - movable):
            yield f"pod {k} needs no place"
        for k in sorted({k for k in refused_pods if refused_pods.count(k) > 1}):
            yield f"pod {k} is refused twice"
        for u in self._case.plan["unschedulable"]:
            if not u["reasons"] or not all(r["message"] for r in u["reasons"]):
                yield f"pod {u['pod']} is refused without a reason"
        listed = [(k, number) for number, launch in self.launches.items() for k in launch["pods"]]
        meant = [(k, w[1]) for k, w in self._placed.items() if w[0] == "launch"]
        for k, number in sorted(set(listed) ^ set(meant) | {x for x in listed if listed.count(x) > 1}):
            yield f"launch {number} and placements disagree on pod {k}"

    def _disruptions(self) -> Iterator[str]:
        for action in self._case.plan["actions"]:
            if action["action"] != "disrupt":
                continue
            for name in action["nodeClaims"]:
                if name not in self._world.claims:
                    yield f"there is no NodeClaim {name} to disrupt"
            for name in action["nodes"]:
                node = self._world.nodes.get(name)
                if node is None or self._world.claim_of(node) is None:
                    yield f"node {name} is disrupted and is not ours"
                moved = [p for p in self._world.on(name) if _moves(p)]
                if action["reason"] == "Empty" and moved:
                    yield f"node {name} is not empty: {key(moved[0])} runs there"
                for pod in moved:
                    if action["graceful"] and key(pod) not in self._placed:
                        yield f"pod {key(pod)} loses node {name} and gets no other place"

    def _stay(self, where: Where) -> Iterator[str]:
        """Whether the pods that are sent to a host may run there together, whatever a launch turns out to be."""
        pods = [pod for pod, on in self.wanted if on == where]
        if where in self._existing:
            claim = self._world.claims[where[1]] if where[0] == "claim" else {}
            asked = claim and not (claim.get("status") or {}).get("providerID")
            variants = self._world.futures(claim) if asked else [self._existing[where]]
        elif where in self.variants:
            variants = self.variants[where]
        else:
            yield f"pods are sent to {where[0]} {where[1]}, which takes none"
            return
        there = self._world.on(where[1]) if where[0] == "node" else []
        said = set()
        for host in variants:
            for text in itertools.chain(
                *(_alone(self._world, pod, host) for pod in pods), self._fits(host, pods, there)
            ):
                if text not in said:
                    said.add(text)
                    yield text

    def _fits(self, host: Host, pods: Sequence[Json], there: Sequence[Json]) -> Iterator[str]:
        load = plus(*(requests(p["spec"]) for p in (*pods, *there)))
        if (name := short_of(load, host.room)) is not None:
            yield f"{_named(host)} has too little {name} for its pods"
        yield from attached(self._world, host, [*pods, *there])

    def clusters(self) -> Iterator[Cluster]:
        """The cluster with the plan's launches as nodes, for each combination of domains that they may end up in."""
        rules = [p for p in self._world.pods.values() if carries(p)]
        keys = sorted({r["topologyKey"] for p in rules for r in _rules(p)} | {k for p in rules for k in _nodes(p)})
        choices = []
        for where, variants in self.variants.items():
            distinct = {tuple(label_of(h.labels, k) for k in keys): h for h in reversed(variants)}
            choices.append([(where, h) for h in reversed(list(distinct.values()))])
        for chosen in itertools.islice(itertools.product(*choices), MOST_CHOICES):
            yield self.cluster(dict(chosen))

    def cluster(self, launched: Mapping[Where, Host]) -> Cluster:
        """The cluster with these as the plan's launches, before its pods are bound."""
        standing = [(p, ("node", str(p["spec"].get("nodeName")))) for p in self._world.pods.values()]
        bound = [(p, w) for p, w in standing if w in self._existing and key(p) not in self._placed and _is_there(p)]
        return Cluster(self._existing | dict(launched), self._world.namespaces, bound)

    def _together(self) -> Iterator[str]:
        """Whether the scheduler binds the pods in some order, whatever launches turn out to be, and only those."""
        cluster = None
        for cluster in self.clusters() if self._is_sociable() else itertools.islice(self.clusters(), 1):
            try:
                order(cluster, self.wanted)
            except Stuck as stuck:
                yield f"no order of binding: {stuck}"
                return
        if cluster is not None:
            yield from refused(self._world, self._case, cluster)

    def _is_sociable(self) -> bool:
        """Whether any pod minds where others are."""
        return any(carries(p) or list(host_ports(p["spec"])) for p in self._world.pods.values())


def _where(destination: Json) -> Where:
    for name, kind in (("launch", "launch"), ("node", "node"), ("nodeClaim", "claim")):
        if name in destination:
            return kind, str(destination[name])
    raise ValueError(f"{destination} is no destination")


def _moves(pod: Json) -> bool:
    """Whether the pod needs another node when its own goes."""
    return owner(pod) not in {"DaemonSet", "Node"} and not pod["metadata"].get("deletionTimestamp")


def _is_there(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}


def _rules(pod: Json) -> list[Json]:
    affinity = pod["spec"].get("affinity") or {}
    found = [t for kind in ("podAffinity", "podAntiAffinity") for t in (affinity.get(kind) or {}).get(REQUIRED) or ()]
    return [*found, *(pod["spec"].get("topologySpreadConstraints") or ())]


def _nodes(pod: Json) -> Iterator[str]:
    """Labels that decide whether a node is a domain of the pod's spreads."""
    if spreads(pod):
        spec = pod["spec"]
        required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED) or {}
        yield from spec.get("nodeSelector") or {}
        yield from (e["key"] for t in required.get("nodeSelectorTerms") or () for e in t.get("matchExpressions") or ())


def _alone(world: World, pod: Json, host: Host) -> Iterator[str]:
    """What keeps one pod from one host, whoever else is there."""
    spec = pod["spec"]
    taint = repelling(host.taints, spec.get("tolerations") or ())
    if taint is not None:
        yield f"pod {key(pod)} does not tolerate the taint {taint['key']} of {_named(host)}"
    if not may_run(spec, host.labels, host.name):
        yield f"pod {key(pod)} may not run on {_named(host)} by its node selector or affinity"
    word = volume_fault(world, pod, host)
    if word is not None:
        yield f"pod {key(pod)} may not run on {_named(host)}: {word}"


def _named(host: Host) -> str:
    return f"{host.where[0]} {host.where[1]}" + (f" as {host.kind}" if host.kind else "")
