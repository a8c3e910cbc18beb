"""Who is in which domain: pods that run, and those that this plan has given a place.

Three tables for each topology key and selector: all pods that are selected (affinity and anti-affinity look at every
node), pods whose required anti-affinity selects such pods (they keep them out: Karpenter's rule 10.16), and for
each spread constraint its own, because its policies say which nodes are domains at all (rules 10.3 to 10.5).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.core.nodeaffinity import node_affinity, widest
from agent.core.requirements import Requirements, normalized
from agent.core.rooms import Room
from agent.core.shapes import Rules
from agent.core.taints import tolerates
from agent.core.topology.levels import Spread
from agent.model import names
from agent.model.kubernetes import Pod, Taint, Toleration

Domains = dict[str, int]
"""How many pods there are in each domain of a key."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which nodes are domains for a spread constraint."""

    alternatives: tuple[Requirements, ...] = ()
    """nodeAffinityPolicy Honor: what the pods require of a node; empty: nothing."""
    tolerations: tuple[Toleration, ...] | None = None
    """nodeTaintsPolicy Honor: what the pods tolerate; None: taints do not matter."""
    keys: tuple[str, ...] = ()
    """Labels that a node needs: the keys of all required spread constraints of the pods."""

    @property
    def decisive(self) -> frozenset[str]:
        """Labels of a node that decide whether it is one of them; the NodePool stands for its taints."""
        return (self.affine | self.plain) - {names.HOSTNAME}

    @property
    def affine(self) -> frozenset[str]:
        """Those of them that node affinity is about."""
        return frozenset(key for asked in self.alternatives for key, _ in asked)

    @property
    def plain(self) -> frozenset[str]:
        """Those of them that matter whatever node affinity says."""
        return frozenset(self.keys) | ({names.NODEPOOL} if self.tolerations is not None else frozenset())

    def tolerates(self, taints: tuple[Taint, ...]) -> bool:
        """Whether a node with these taints can be one of them."""
        return self.tolerations is None or tolerates(self.tolerations, taints)

    def passes(self, room: Room) -> bool:
        """Whether a node is one of them, or may turn out to be."""
        if not self.tolerates(room.taints):
            return False
        if any(room.decides(key) and room.value(key) is None for key in self.keys):
            return False
        return not self.alternatives or any(room.described.incompatible(asked) is None for asked in self.alternatives)


@dataclass(slots=True)
class Group:
    """The domains of one spread constraint and the pods that it counts in each."""

    key: str
    number: int
    filter: Filter
    domains: Domains = field(default_factory=dict)
    unsure: Domains = field(default_factory=dict)
    """Of those pods the ones on nodes that may turn out to be no domain."""
    max_skew: int = 1 << 30
    """The least of all its owners."""
    affine: bool = True
    """Whether nodes differ in what node affinity says of them: otherwise no label need be known for that."""
    _passed: dict[str, bool] = field(default_factory=dict)

    @property
    def plain(self) -> frozenset[str]:
        """Labels that decide whether a node is a domain, but for those that node affinity is about."""
        return self.filter.plain - {names.HOSTNAME}

    @property
    def decisive(self) -> frozenset[str]:
        """Labels that decide whether a node is a domain."""
        return self.filter.decisive if self.affine else self.plain

    def certainly(self, room: Room) -> bool | None:
        """Whether pods on this node are counted; None: it is not known of the node yet."""
        found = self.counts(room)
        asked = self.filter
        open_ = found and self.affine and not all(map(room.decides, asked.affine))
        return None if open_ and not any(map(room.promises, asked.alternatives)) else found

    def counts(self, room: Room) -> bool:
        """Whether pods on this node are counted, or may turn out to be."""
        if room.name not in self._passed:
            self._passed[room.name] = self.filter.passes(room)
        return self._passed[room.name]

    def least(self, min_domains: int) -> int:
        """Pods in the emptiest domain; none where there are fewer domains than there should be (rule 10.7)."""
        if not self.domains or len(self.domains) < min_domains:
            return 0
        if not self.unsure:
            return min(self.domains.values())
        return min(pods - self.unsure.get(value, 0) for value, pods in self.domains.items())


@dataclass(frozen=True, slots=True)
class Running:
    """A pod that runs, as others count it."""

    room: Room
    matches: tuple[int, ...]
    keeps_out: tuple[tuple[str, int], ...]
    """Keys and selectors of its required anti-affinity."""
    going: bool


@dataclass(slots=True)
class Counts:
    """The tables, which grow as pods are given places."""

    keys_of: Mapping[int, set[str]]
    """Per selector: the topology keys, other than the host name, that it is counted by."""
    at_host: set[int]
    """Selectors that rules about one node are about; for these all nodes together are one domain without a name."""
    pods: defaultdict[tuple[str, int], Domains] = field(default_factory=lambda: defaultdict(dict))
    guards: defaultdict[tuple[str, int], Domains] = field(default_factory=lambda: defaultdict(dict))
    groups: dict[tuple[str, int, Filter], Group] = field(default_factory=dict)
    by_number: defaultdict[tuple[str, int], list[Group]] = field(default_factory=lambda: defaultdict(list))
    vague: set[Rules] = field(default_factory=set)
    """Of pods for which no node can be had of which it is known whether all spreads of others count it."""

    def counting(self, rules: Rules) -> list[Group]:
        """Spread constraints that count such pods, their own or others'."""
        keys = ((key, n) for n in sorted(rules.matches) for key in sorted(self.keys_of.get(n, ())))
        return [group for own in keys for group in self.by_number[own]]

    def definite(self, rules: Rules, at: int, *, vague: bool = False) -> tuple[str, ...]:
        """Labels of which such pods need a definite value; ``vague``: whether others count them may stay open."""
        own = {key for n in rules.matches for key in self.keys_of.get(n, ())}
        deciding = (group.plain if vague else group.decisive for group in self.counting(rules))
        return tuple(sorted((rules.levels[at].keys | own).union(*deciding)))

    def group(self, spread: Spread, owner: Pod) -> Group:
        """The group of a constraint of a pod; made, without domains, when it is asked for first."""
        written = spread.written
        asked = widest(node_affinity(owner)) if written.honor_affinity else ()
        keys = {normalized(s.topology_key) for s in owner.spread if s.hard} if written.hard else set()
        wanted = Filter(
            asked if any(a.by_key for a in asked) else (),
            owner.tolerations if written.honor_taints else None,
            tuple(sorted(keys - {spread.key, names.HOSTNAME})),
        )
        key = (spread.key, spread.number, wanted)
        if key not in self.groups:
            found = self.groups[key] = Group(spread.key, spread.number, wanted)
            self.by_number[spread.key, spread.number].append(found)
        return self.groups[key]

    def total(self, number: int, keys: Iterable[str]) -> int:
        """How many pods there are in any domain of these keys."""
        return sum(sum(self.pods[key, number].values()) for key in keys)

    def see(self, rooms: Iterable[Room], running: Iterable[Running]) -> None:
        """Count what runs, and the domains of the nodes that are there."""
        for room in rooms:
            for group in self.groups.values():
                value = room.value(group.key)
                if not room.going and value is not None and group.counts(room):
                    group.domains.setdefault(value, 0)
        for pod in running:
            for key, number in pod.keeps_out:
                add(self.guards[key, number], pod.room.value(key), 1)
            for number in pod.matches:
                add(self.pods[names.HOSTNAME, number], "", int(number in self.at_host))
                for key in self.keys_of.get(number, ()):
                    self._see(pod, key, number)

    def _see(self, pod: Running, key: str, number: int) -> None:
        value = pod.room.value(key)
        add(self.pods[key, number], value, 1)
        # A pod that is going counts for affinity, but no longer for a spread (kube-scheduler's rule). One that nothing
        # may evict counts for as long as it is there, also on a node that is going.
        for group in self.by_number.get((key, number), ()):
            if not pod.going and group.counts(pod.room):
                add(group.domains, value, 1)


def add(domains: Domains, value: str | None, count: int) -> None:
    """Count pods in a domain; a node without the key is in none."""
    if value is not None:
        domains[value] = domains.get(value, 0) + count
