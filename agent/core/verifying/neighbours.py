"""Whether every pod may be where it is sent beside all others: affinity, anti-affinity, spread and host ports.

The plan's placements are gone through in their order, as kube-scheduler would bind them one by one once all nodes of
the plan are there. Sources: kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints and
.../assign-pod-node. Pods that DaemonSets will have on new nodes are left aside.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.core.inputs import PackingInput, PackingResult
from agent.core.nodeaffinity import node_affinity
from agent.core.requirements import Requirements, normalized
from agent.core.verifying.faults import PlanInvalid
from agent.core.verifying.selected import Everyone, Set, is_selected
from agent.core.verifying.sites import Site, sites
from agent.model.constraints import PodAffinityTerm
from agent.model.kubernetes import Pod, Toleration
from agent.model.names import PodKey
from agent.model.plan import Placement

_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


@dataclass(slots=True)
class _Table:
    """How many pods of a set there are in each domain of a key."""

    key: str
    selected: Set
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    passing: frozenset[str] | None = None
    """Of a spread constraint: the names of the nodes that are domains."""
    domains: frozenset[str] = frozenset()
    """Those that will last: one that is not among the counts has no pod."""


class _Spread(NamedTuple):
    table: _Table
    itself: bool
    max_skew: int
    min_domains: int


class _Rules(NamedTuple):
    """What pods of one kind require of others."""

    spread: tuple[_Spread, ...]
    near: tuple[_Table, ...]
    itself: bool
    """Selected by its own affinity."""
    apart: tuple[_Table, ...]
    guarded: tuple[_Table, ...]
    """Its own anti-affinity, where those that come later look for it: counts who keeps them out, not who is there."""


_NONE = _Rules((), (), False, (), ())


class _Bound(NamedTuple):
    """A pod as it is bound: what it requires, where it is counted, and where anti-affinity of others keeps it out."""

    pod: Pod
    rules: _Rules
    counted: tuple[_Table, ...]
    kept_out: tuple[_Table, ...]


def check_neighbours(asked: PackingInput, result: PackingResult, pods: Mapping[PodKey, Pod]) -> None:
    """Bind every placed pod in order.

    Raises:
        PlanInvalid: naming the pod and the rule.
    """
    placed = [pods[p.pod] for p in result.placements]
    there, ruled = asked.shelves.latest(_there, asked.bound)
    if not ruled and not any(map(_has_rules, placed)):
        return
    binding = _Binding(asked, sites(asked, result), [*there, *placed])
    nodes = [*(pod.node_name or "" for pod in there), *map(_name, result.placements)]
    for number, (bound, name) in enumerate(zip(binding.bound, nodes, strict=True)):
        if number >= len(there):
            binding.bind(bound, binding.sites[name])
        elif name in binding.sites:
            binding.count(bound, binding.sites[name])


def _there(bound: Iterable[Pod]) -> tuple[tuple[Pod, ...], bool]:
    """Pods that run, and whether any of them has rules."""
    running = tuple(p for p in bound if p.node_name is not None and not p.is_finished)
    return running, any(map(_has_rules, running))


def _has_rules(pod: Pod) -> bool:
    return bool(pod.affinity or pod.anti_affinity or pod.spread or pod.host_ports)


def _name(placement: Placement) -> str:
    return placement.node or placement.claim or f"launch {placement.launch}"


class _Binding:
    """The cluster as pods are bound, one after the other."""

    def __init__(self, asked: PackingInput, there: dict[str, Site], pods: Sequence[Pod]) -> None:
        self.sites = there
        self._everyone = Everyone(asked.namespaces, pods)
        self._tables: dict[object, _Table] = {}
        self._guards: dict[tuple[str, Set], _Table] = {}
        self._rules: dict[object, _Rules] = {}
        self._labelled: dict[object, int] = {}
        self._counted: dict[int, tuple[tuple[_Table, ...], tuple[_Table, ...]]] = {}
        self._passed: dict[object, frozenset[str]] = {}
        self._ports: defaultdict[tuple[str, str, int], set[str]] = defaultdict(set)
        # All tables are there before it is asked which of them count a pod.
        found = [(pod, labels := self._number(pod), self._of(pod, labels)) for pod in pods]
        self.bound = [_Bound(pod, rules, *self._counted_in(pod, labels)) for pod, labels, rules in found]

    def bind(self, bound: _Bound, site: Site) -> None:
        """Let a pod come, if every rule allows it at this moment."""
        pod, rules, _, kept_out = bound
        for spread in rules.spread:
            _check_spread(pod, site, spread)
        if rules.near:
            _check_near(pod, site, rules)
        for table in (*rules.apart, *kept_out):
            if table.counts.get(site.value(table.key) or ""):
                raise PlanInvalid(f"pod {pod.key} on {site.name}: anti-affinity forbids it in this {table.key}")
        if pod.host_ports:
            self._take_ports(pod, site)
        self.count(bound, site)

    def count(self, bound: _Bound, site: Site) -> None:
        """Count a pod where it is."""
        pod = bound.pod
        for table in bound.counted:
            value = site.value(table.key)
            counts = table.passing is None or (pod.meta.deleted_at is None and site.name in table.passing)
            if value is not None and counts:
                table.counts[value] += 1
        for table in bound.rules.guarded:
            value = site.value(table.key)
            table.counts[value or ""] += value is not None
        for port in pod.host_ports:
            self._ports[site.name, port.protocol, port.port].add(port.address)

    def _take_ports(self, pod: Pod, site: Site) -> None:
        for port in pod.host_ports:
            taken = self._ports[site.name, port.protocol, port.port]
            clash = taken if port.address in _ANY_ADDRESS else taken & ({port.address} | _ANY_ADDRESS)
            if clash:
                raise PlanInvalid(f"pod {pod.key} on {site.name}: host port {port.port} is taken")

    def _number(self, pod: Pod) -> int:
        """Equal for pods of the same namespace and labels."""
        return self._labelled.setdefault((pod.meta.namespace, *pod.meta.labels.items()), len(self._labelled))

    def _of(self, pod: Pod, labels: int) -> _Rules:
        if not (pod.affinity or pod.anti_affinity or pod.spread):
            return _NONE
        nodes = _nodes(pod) if pod.spread else None
        kind = (labels, pod.affinity, pod.anti_affinity, pod.spread, nodes)
        found = self._rules.get(kind)
        if found is None:
            found = self._rules[kind] = self._made(pod)
        return found

    def _made(self, pod: Pod) -> _Rules:
        own = pod.meta.namespace
        together = self._everyone.selected(pod.affinity, own)
        return _Rules(
            tuple(self._spread(pod)),
            tuple(self._table(key, together) for key in dict.fromkeys(_key(t) for t in pod.affinity)),
            is_selected(pod, together),
            tuple(self._table(_key(t), self._everyone.selected([t], own)) for t in pod.anti_affinity),
            tuple(self._guard(_key(t), self._everyone.selected([t], own)) for t in pod.anti_affinity),
        )

    def _table(self, key: str, selected: Set) -> _Table:
        return self._tables.setdefault((key, selected), _Table(key, selected))

    def _guard(self, key: str, selected: Set) -> _Table:
        return self._guards.setdefault((key, selected), _Table(key, selected))

    def _spread(self, pod: Pod) -> Iterable[_Spread]:
        hard = [s for s in pod.spread if s.hard]
        keys = frozenset(normalized(s.topology_key) for s in hard)
        for written in hard:
            selected: Set = ((written.selector, frozenset({pod.meta.namespace})),)
            nodes = node_affinity(pod) if written.honor_affinity and (pod.node_selector or pod.affinity_terms) else None
            tolerations = pod.tolerations if written.honor_taints else None
            key = normalized(written.topology_key)
            table = self._tables.setdefault((key, selected, keys, nodes, tolerations), _Table(key, selected))
            if table.passing is None:
                table.passing = self._passing(keys, nodes, tolerations)
                lasting = (site for name in table.passing if not (site := self.sites[name]).going)
                table.domains = frozenset(value for site in lasting if (value := site.value(key)) is not None)
            yield _Spread(table, is_selected(pod, selected), written.max_skew, written.min_domains or 0)

    def _passing(
        self,
        keys: frozenset[str],
        nodes: tuple[Requirements, ...] | None,
        tolerations: tuple[Toleration, ...] | None,
    ) -> frozenset[str]:
        key = (keys, nodes, tolerations)
        if key not in self._passed:
            found = (site.name for site in self.sites.values() if _passes(site, keys, nodes, tolerations))
            self._passed[key] = frozenset(found)
        return self._passed[key]

    def _counted_in(self, pod: Pod, labels: int) -> tuple[tuple[_Table, ...], tuple[_Table, ...]]:
        """The tables that the pod is counted in, and those that say where it is kept out."""
        found = self._counted.get(labels)
        if found is None:
            own = tuple(table for table in self._tables.values() if is_selected(pod, table.selected))
            guards = tuple(table for table in self._guards.values() if is_selected(pod, table.selected))
            found = self._counted[labels] = own, guards
        return found


def _nodes(pod: Pod) -> object:
    return (tuple(pod.node_selector.items()), pod.affinity_terms, pod.tolerations)


def _key(term: PodAffinityTerm) -> str:
    return normalized(term.topology_key)


def _passes(
    site: Site,
    keys: Iterable[str],
    nodes: tuple[Requirements, ...] | None,
    tolerations: tuple[Toleration, ...] | None,
) -> bool:
    """Whether a node is a domain of a spread constraint, by its policies."""
    if any(map(site.lacks, keys)):
        return False
    if tolerations is not None and not site.is_tolerated(tolerations):
        return False
    return nodes is None or any(map(site.may_be, nodes))


def _check_near(pod: Pod, site: Site, rules: _Rules) -> None:
    total = not rules.itself or any(any(table.counts.values()) for table in rules.near)
    for table in rules.near:
        value = site.value(table.key)
        if value is None or (total and not table.counts[value]):
            raise PlanInvalid(f"pod {pod.key} on {site.name}: no pod that it has affinity to is in its {table.key}")


def _check_spread(pod: Pod, site: Site, spread: _Spread) -> None:
    table = spread.table
    value = site.value(table.key)
    if value is None:
        raise PlanInvalid(f"pod {pod.key} on {site.name}: its node has no certain {table.key} to be spread over")
    count = table.counts.get(value, 0) + spread.itself
    if count <= spread.max_skew:
        return
    full = table.domains <= table.counts.keys() and len(table.counts) >= spread.min_domains
    least = min(table.counts.values()) if full else 0
    if count - least > spread.max_skew:
        sentence = f"{count} pods here, {least} in the emptiest domain, and maxSkew is {spread.max_skew}"
        raise PlanInvalid(f"pod {pod.key} on {site.name}: topology spread on {table.key}: {sentence}")
