"""Equal pods are decided together: what packing costs grows with the number of shapes, not of pods."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.core.hosts import HostRule
from agent.core.requirements import Requirements
from agent.core.taints import untolerated
from agent.core.topology.levels import Ladder, Level
from agent.model.kubernetes import Pod, Taint
from agent.model.names import PodKey
from agent.model.resources import Resources


@dataclass(frozen=True, slots=True)
class Shape:
    """Pods that ask the same in every way that matters to where they may go, and mean the same to others."""

    example: Pod
    requests: Resources
    keys: tuple[PodKey, ...]
    """In order of name."""
    levels: tuple[Level, ...]
    """What they ask, with all of their preferences first and with none last."""
    hosts: tuple[HostRule, ...]
    """Per level: what is about one node."""
    matches: frozenset[int]
    """The selectors that they are counted by, those of their host ports included."""
    _taints: dict[tuple[tuple[Taint, ...], bool], Taint | None] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many pods there are."""
        return len(self.keys)

    @property
    def required(self) -> Level:
        """What they ask when every preference is dropped."""
        return self.levels[-1]

    @property
    def alternatives(self) -> tuple[Requirements, ...]:
        """What they require of their node: one of these."""
        return self.required.alternatives

    def repelled_by(self, taints: tuple[Taint, ...], *, soft: bool = False) -> Taint | None:
        """The first taint that these pods do not tolerate; with ``soft``, PreferNoSchedule is one of them."""
        if not taints:
            return None
        if (taints, soft) not in self._taints:
            self._taints[taints, soft] = untolerated(self.example.tolerations, taints, soft=soft)
        return self._taints[taints, soft]


def shapes(pods: Iterable[Pod], ladder: Ladder) -> tuple[Shape, ...]:
    """Group pods into shapes, in an order that does not depend on theirs: the largest first (Karpenter's rule 8.1)."""
    asked = [(pod, ladder.levels(pod)) for pod in sorted(pods, key=lambda pod: pod.key)]
    groups: defaultdict[object, list[Pod]] = defaultdict(list)
    found: dict[object, tuple[Level, ...]] = {}
    # Every selector has its number by now, so that pods can be matched.
    for pod, levels in asked:
        key = (pod.requests, id(levels), ladder.selectors.matched(pod), pod.tolerations, pod.host_ports)
        groups[key].append(pod)
        found[key] = levels
    made = (_shape(group, found[key], ladder) for key, group in groups.items())
    return tuple(sorted(made, key=lambda s: (-s.requests.cpu_milli, -s.requests.memory_bytes, s.keys)))


def _shape(group: list[Pod], levels: tuple[Level, ...], ladder: Ladder) -> Shape:
    first = group[0]
    requests = first.requests if first.requests.pods else first.requests + Resources(pods=1)
    caps, ports = ladder.selectors.ports(first.host_ports)
    matches = frozenset(ladder.selectors.matched(first)) | ports
    hosts = tuple(level.host(matches, caps, ladder.selectors.at_host) for level in levels)
    return Shape(first, requests, tuple(pod.key for pod in group), levels, hosts, matches)
