"""What there is before the first pod is given a place: shapes, room, and who is where."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from agent.core.hosts import EMPTY, HostRule, HostState
from agent.core.inputs import PackingInput
from agent.core.placing import Place
from agent.core.requirements import normalized
from agent.core.rooms import Room, rooms
from agent.core.shapes import Rules, Shape, shapes
from agent.core.standing import Standing
from agent.core.taints import SOFT
from agent.core.templates import daemon_pods
from agent.core.topology.counts import Counts, Filter, Running
from agent.core.topology.dealing import Dealing
from agent.core.topology.levels import Ladder
from agent.core.topology.offers import Offers
from agent.core.topology.selectors import Selectors, known_namespaces
from agent.model import names
from agent.model.kubernetes import Pod
from agent.model.names import PodKey
from agent.model.resources import Resources

_KeepsOut = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """Shapes of the pods that are to be placed, the rooms, and the pods that run."""

    shapes: tuple[Shape, ...]
    rooms: tuple[Room, ...]
    running: tuple[Running, ...]
    daemon_pods: tuple[Pod, ...]
    """One of each DaemonSet."""
    daemons: tuple[HostRule, ...]
    """What these mean to others on a new node."""
    hosts: dict[str, HostState]
    """Per room in which any rule about one node holds: its pods' counts and caps."""
    selectors: Selectors
    total: Resources
    """What all pods ask together."""

    @classmethod
    def of(cls, asked: PackingInput, pods: Sequence[Pod]) -> "Scene":
        """Number the selectors of all rules, then tell pods apart by them."""
        daemons, standing = daemon_pods(asked), asked.shelves.latest(Standing.of, asked.bound)
        there = rooms(asked, standing.on, daemons)
        inhabited = (*(p.meta.namespace for p in pods), *standing.namespaces)
        selectors = Selectors(known_namespaces(asked.namespaces, inhabited))
        soft = any(
            t.effect == SOFT for own in (*(p.taints for p in asked.pools), *(r.taints for r in there)) for t in own
        )
        ladder = Ladder(selectors, asked.limits.preference_policy == "Respect", soft)
        # Selectors are numbered in an order that does not depend on that of the pods.
        for pod in (*standing.ruled, *daemons):
            _keeps_out(pod, selectors)
        grouped = shapes(pods, ladder)
        by_name = {room.name: room for room in there}
        running, hosts = [], defaultdict[str, HostState](HostState)
        for pod in standing.running if selectors.select_any else standing.ruled:
            room, matches = by_name.get(pod.node_name or ""), selectors.matched(pod)
            if room is None or not (matches or pod.anti_affinity or pod.host_ports):
                continue
            own = _keeps_out(pod, selectors)
            hosts[room.name] = hosts[room.name].plus(_host(pod, own, selectors), 1)
            if matches or own:
                running.append(Running(room, matches, own, pod.meta.deleted_at is not None))
        rules = tuple(_host(pod, _keeps_out(pod, selectors), selectors) for pod in daemons)
        total = Resources.total(shape.requests * shape.count for shape in grouped)
        return cls(grouped, there, tuple(running), daemons, rules, dict(hosts), selectors, total)

    def promising(self, seats: Mapping[PodKey, str]) -> "Scene":
        """The scene with rooms, by name, that are promised to these pods as well."""
        promised = defaultdict[str, list[PodKey]](list)
        for key, name in seats.items():
            promised[name].append(key)
        there = tuple(
            structs.replace(room, promised=(*room.promised, *sorted(promised[room.name]))) for room in self.rooms
        )
        return replace(self, rooms=there)

    def counts(self, everything: Offers) -> Counts:
        """Who is where now.

        The domains of a spread are those of nodes that are there and of all that pools could have (Karpenter's rule
        10.1).
        """
        counts = Counts(self.selectors.keys_of, self.selectors.at_host)
        for rules in dict.fromkeys(shape.rules for shape in self.shapes):
            for spread in {s for level in rules.levels for s in level.spread if s.key != names.HOSTNAME}:
                group = counts.group(spread, rules.example)
                group.max_skew = min(group.max_skew, spread.written.max_skew)
        for group in counts.groups.values():
            group.domains.update(dict.fromkeys(sorted(everything.universe(group.key, group.filter)), 0))
            group.affine = not (everything.all_are(group.filter.alternatives) and self._all_known(group.filter))
        counts.vague |= self._vague(counts, everything)
        counts.see(self.rooms, self.running)
        return counts

    def _vague(self, counts: Counts, everything: Offers) -> set[Rules]:
        """Rules of pods for which a node can be had only if it may stay open whether spreads of others count them.

        A NodePool with minValues has no node of just one capacity type, say.
        """
        asked = {
            rules: (known, some)
            for rules in dict.fromkeys(shape.rules for shape in self.shapes)
            if (known := counts.definite(rules, -1)) != (some := counts.definite(rules, -1, vague=True))
        }
        found = set[Rules]()
        for shape in (own for own in self.shapes if own.rules in asked):
            all_known, any_known = (any(everything.of(shape, -1, keys)) for keys in asked[shape.rules])
            found |= {shape.rules} if any_known and not all_known else set()
        return found

    def _all_known(self, wanted: Filter) -> bool:
        """Whether it is known of every room if it is what node affinity asks."""
        return all(
            all(map(room.decides, wanted.affine)) or any(map(room.promises, wanted.alternatives)) for room in self.rooms
        )

    def dealing(self, everything: Offers) -> Dealing:
        """Everything is to be placed yet."""
        places = tuple(
            Place(room, room.free, self.hosts.get(room.name, EMPTY))
            for room in self.rooms
            if not room.going and not room.free.overdrawn
        )
        left = {number: list(shape.keys) for number, shape in enumerate(self.shapes)}
        return Dealing(self.shapes, self.counts(everything), places, left)


def _keeps_out(pod: Pod, selectors: Selectors) -> _KeepsOut:
    """Keys and selectors of a pod's required anti-affinity."""
    if not pod.anti_affinity:
        return ()
    found = []
    for term in pod.anti_affinity:
        key = normalized(term.topology_key)
        found.append((key, selectors.number([selectors.looked(term, pod.meta.namespace)], [key])))
    return tuple(found)


def _host(pod: Pod, keeps_out: _KeepsOut, selectors: Selectors) -> HostRule:
    """What a pod that is there already means to those that come onto its node."""
    caps, ports = selectors.ports(pod.host_ports)
    matches = (frozenset(selectors.matched(pod)) | ports) & selectors.at_host
    caps |= {number: int(number in matches) for key, number in keeps_out if key == names.HOSTNAME}
    return HostRule(tuple(sorted(matches)), tuple(sorted(caps.items())))
