"""kube-scheduler's filters that look at other pods: ports, pod (anti-)affinity, topology spread; and orders of binding.

Sources: kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node and .../topology-spread-constraints.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.checker.quantities import host_ports, ports_clash
from tests.checker.selecting import may_run, repelling, selects
from tests.checker.worlds import Host, Where, key

Json = dict[str, Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
MOST_STATES = 4000


def terms(pod: Json, kind: str) -> list[Json]:
    """Required terms of podAffinity or podAntiAffinity."""
    return ((pod["spec"].get("affinity") or {}).get(kind) or {}).get(REQUIRED) or []


def spreads(pod: Json) -> list[Json]:
    """The constraints that must hold."""
    listed = pod["spec"].get("topologySpreadConstraints") or ()
    return [c for c in listed if (c.get("whenUnsatisfiable") or "DoNotSchedule") == "DoNotSchedule"]


def carries(pod: Json) -> bool:
    return bool(spreads(pod) or terms(pod, "podAffinity") or terms(pod, "podAntiAffinity"))


def namespace(pod: Json) -> str:
    return pod["metadata"].get("namespace") or "default"


def labels(pod: Json) -> dict[str, str]:
    return pod["metadata"].get("labels") or {}


def _merged(rule: Json, own: Mapping[str, str]) -> Json | None:
    """The selector with matchLabelKeys and mismatchLabelKeys as the API server merges them."""
    selector = rule.get("labelSelector")
    if selector is None:
        return None
    added = [
        {"key": k, "operator": operator, "values": [own[k]]}
        for field_name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for k in rule.get(field_name) or ()
        if k in own
    ]
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *added]}


@dataclass
class Cluster:
    """Hosts and the pods that are bound to them."""

    hosts: dict[Where, Host]
    namespaces: Mapping[str, Mapping[str, str]]
    bound: list[tuple[Json, Where]] = field(default_factory=list)

    def with_host(self, host: Host) -> Cluster:
        """With one more node."""
        return Cluster({**self.hosts, host.where: host}, self.namespaces, self.bound)

    def refuses(self, pod: Json, where: Where) -> str | None:
        """Why the scheduler would not bind the pod there now."""
        return (
            self._port(pod, where) or self._anti(pod, where) or self._affinity(pod, where) or self._spread(pod, where)
        )

    def _domain(self, where: Where, topology: str) -> str | None:
        return self.hosts[where].labels.get(topology) if where in self.hosts else None

    def _port(self, pod: Json, where: Where) -> str | None:
        wanted = list(host_ports(pod["spec"]))
        taken = [(p["spec"], key(p)) for p, on in self.bound if on == where]
        taken += [(spec, "a DaemonSet") for spec in self.hosts[where].daemons]
        for spec, who in taken if wanted else ():
            for other in host_ports(spec):
                if any(ports_clash(one, other) for one in wanted):
                    return f"host port {other[1]} is taken by {who}"
        return None

    def _meant(self, term: Json, who: Json, other: Json) -> bool:
        """Whether a term of one pod selects another."""
        listed, chosen = term.get("namespaces") or [], term.get("namespaceSelector")
        if not listed and chosen is None:
            listed = [namespace(who)]
        where = namespace(other)
        if where not in listed and not selects(chosen, self.namespaces.get(where, {})):
            return False
        return selects(_merged(term, labels(who)), labels(other))

    def _anti(self, pod: Json, where: Where) -> str | None:
        for other, there in self.bound:
            for who, whom in ((pod, other), (other, pod)):
                for term in terms(who, "podAntiAffinity"):
                    domain = self._domain(where, term["topologyKey"])
                    if domain is None or self._domain(there, term["topologyKey"]) != domain:
                        continue
                    if self._meant(term, who, whom):
                        return f"anti-affinity of {key(who)} keeps {key(whom)} out of {term['topologyKey']} {domain}"
        return None

    def _affinity(self, pod: Json, where: Where) -> str | None:
        wanted = terms(pod, "podAffinity")
        if not wanted:
            return None
        for term in wanted:
            if self._domain(where, term["topologyKey"]) is None:
                return f"affinity: the node has no label {term['topologyKey']}"
        friends = [on for other, on in self.bound if all(self._meant(t, pod, other) for t in wanted)]
        missing = [
            t["topologyKey"]
            for t in wanted
            if not any(self._domain(on, t["topologyKey"]) == self._domain(where, t["topologyKey"]) for on in friends)
        ]
        if not missing:
            return None
        anywhere = any(self._domain(on, t["topologyKey"]) is not None for on in friends for t in wanted)
        if not anywhere and all(self._meant(t, pod, pod) for t in wanted):
            return None
        return f"affinity: no pod that it wants beside it is in the same {missing[0]}"

    def _spread(self, pod: Json, where: Where) -> str | None:
        rules = spreads(pod)
        topologies = [r["topologyKey"] for r in rules]
        whole = [h for h in self.hosts.values() if all(t in h.labels for t in topologies)]
        for rule in rules:
            topology = rule["topologyKey"]
            domain = self._domain(where, topology)
            if domain is None:
                return f"spread: the node has no label {topology}"
            selector = _merged(rule, labels(pod))
            eligible = {h.where: h.labels[topology] for h in whole if _counts(rule, pod, h)}
            counts = dict.fromkeys(eligible.values(), 0)
            for other, on in self.bound:
                going = other["metadata"].get("deletionTimestamp")
                if on in eligible and not going:
                    counts[eligible[on]] += _counted(rule, pod, other)
            least = min(counts.values(), default=0)
            if len(counts) < (rule.get("minDomains") or 1):
                least = 0
            skew = counts.get(domain, 0) + selects(selector, labels(pod)) - least
            if skew > rule["maxSkew"]:
                return f"spread: {topology} {domain} would have a skew of {skew}, over maxSkew {rule['maxSkew']}"
        return None


def _counts(rule: Json, pod: Json, host: Host) -> bool:
    """Whether nodeAffinityPolicy and nodeTaintsPolicy let the node take part."""
    if (rule.get("nodeAffinityPolicy") or "Honor") == "Honor" and not may_run(pod["spec"], host.labels, host.name):
        return False
    honoured = (rule.get("nodeTaintsPolicy") or "Ignore") == "Honor"
    return not honoured or repelling(host.taints, pod["spec"].get("tolerations") or ()) is None


def _counted(rule: Json, owner: Json, pod: Json) -> bool:
    """Whether a spread of one pod counts another."""
    return namespace(owner) == namespace(pod) and selects(_merged(rule, labels(owner)), labels(pod))


def _alike(pod: Json, where: Where) -> str:
    spec = pod["spec"]
    rules = (spec.get("affinity"), spec.get("topologySpreadConstraints"), spec.get("nodeSelector"))
    about = (namespace(pod), labels(pod), rules, spec.get("tolerations"), sorted(host_ports(spec)), where)
    return json.dumps(about, sort_keys=True)


class Stuck(Exception):  # noqa: N818 - a finding, not an error of the checker
    """No order of binding was found; the text says what the scheduler would say of the pods that remain."""


def order(cluster: Cluster, wanted: Sequence[tuple[Json, Where]]) -> list[tuple[Json, Where]]:
    """An order in which the scheduler would bind every pod where it is wanted. Raises Stuck."""
    groups: dict[str, list[tuple[Json, Where]]] = {}
    for pod, where in wanted:
        groups.setdefault(_alike(pod, where), []).append((pod, where))
    search = _Search(cluster, list(groups.values()))
    if not search.done([0] * len(groups)):
        raise Stuck(search.best_word if search.tried_all else "too many orders to try")
    return search.found


@dataclass
class _Search:
    """Depth first over how many pods of each group are bound; what led nowhere is not tried again."""

    cluster: Cluster
    groups: list[list[tuple[Json, Where]]]
    found: list[tuple[Json, Where]] = field(default_factory=list)
    best_word: str = ""
    _furthest: int = -1
    _dead: set[tuple[int, ...]] = field(default_factory=set)

    @property
    def tried_all(self) -> bool:
        """Whether what was not found is not there, and no order was left untried."""
        return len(self._dead) <= MOST_STATES

    def done(self, counts: list[int]) -> bool:
        if all(n == len(g) for n, g in zip(counts, self.groups, strict=True)):
            return True
        if tuple(counts) in self._dead or not self.tried_all:
            return False
        words = []
        for number in self._next(counts):
            pod, where = self.groups[number][counts[number]]
            word = self.cluster.refuses(pod, where)
            if word is not None:
                words.append(f"{key(pod)} on {where[0]} {where[1]}: {word}")
                continue
            self._bind(counts, number, pod, where)
            if self.done(counts):
                return True
            self._unbind(counts, number)
        if words and len(self.found) > self._furthest:
            self._furthest, self.best_word = len(self.found), "; ".join(words)
        self._dead.add(tuple(counts))
        return False

    def _next(self, counts: list[int]) -> Iterable[int]:
        """Who wants company first, since the first of a group may found it; then an even spread; the carefree last.

        A pod that a spread counts and that need not keep to it may come at any time, but then uses up the skew that
        those who keep to it need: it comes after them (kubernetes.io/docs/concepts/scheduling-eviction/
        topology-spread-constraints: every pod that the selector matches counts, whatever constraints it has itself).
        Otherwise all orders of what has nothing to do with them would be tried before it is moved.
        """
        waiting = [n for n, group in enumerate(self.groups) if counts[n] < len(group)]
        pods = {n: self.groups[n][0][0] for n in waiting}
        rules = [(rule, pod) for pod in pods.values() for rule in spreads(pod)]

        def turn(n: int) -> tuple[bool, bool, bool, int, int]:
            pod = pods[n]
            foreign = any(rule not in spreads(pod) and _counted(rule, owner, pod) for rule, owner in rules)
            return (not terms(pod, "podAffinity"), foreign, not carries(pod), counts[n], n)

        return sorted(waiting, key=turn)

    def _bind(self, counts: list[int], number: int, pod: Json, where: Where) -> None:
        self.cluster.bound.append((pod, where))
        self.found.append((pod, where))
        counts[number] += 1

    def _unbind(self, counts: list[int], number: int) -> None:
        self.cluster.bound.pop()
        self.found.pop()
        counts[number] -= 1
