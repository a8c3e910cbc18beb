"""Equal pods are decided together: what packing costs grows with the number of shapes, not of pods."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter

import msgspec

from agent.core.hosts import HostRule
from agent.core.requirements import Requirements
from agent.core.taints import untolerated
from agent.core.topology.levels import Ladder, Level
from agent.model.kubernetes import Pod, Taint
from agent.model.names import PodKey
from agent.model.resources import Resources


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """All but amounts that matters to where pods may go, and what they mean to others: many shapes share it."""

    example: Pod
    levels: tuple[Level, ...]
    """What they ask, with all of their preferences first and with none last."""
    hosts: tuple[HostRule, ...]
    """Per level: what is about one node."""
    matches: frozenset[int]
    """The selectors that they are counted by, those of their host ports included."""
    _taints: dict[tuple[tuple[Taint, ...], bool], Taint | None] = field(default_factory=dict)

    @classmethod
    def of(cls, example: Pod, ladder: Ladder) -> "Rules":
        """Those of one pod."""
        levels, selectors = ladder.levels(example), ladder.selectors
        caps, ports = selectors.ports(example.host_ports)
        matches = frozenset(selectors.matched(example)) | ports
        return cls(example, levels, tuple(level.host(matches, caps, selectors.at_host) for level in levels), matches)

    def repelled_by(self, taints: tuple[Taint, ...], *, soft: bool = False) -> Taint | None:
        """The first taint that these pods do not tolerate; with ``soft``, PreferNoSchedule is one of them."""
        if not taints:
            return None
        if (taints, soft) not in self._taints:
            self._taints[taints, soft] = untolerated(self.example.tolerations, taints, soft=soft)
        return self._taints[taints, soft]


class Shape(msgspec.Struct, frozen=True, gc=False):
    """Pods that ask the same in every way that matters to where they may go, and mean the same to others."""

    rules: Rules
    requests: Resources
    keys: tuple[PodKey, ...]
    """In order of name."""

    @property
    def count(self) -> int:
        """How many pods there are."""
        return len(self.keys)

    @property
    def example(self) -> Pod:
        """A pod that asks all this but for the amounts."""
        return self.rules.example

    @property
    def levels(self) -> tuple[Level, ...]:
        """What they ask, with all of their preferences first and with none last."""
        return self.rules.levels

    @property
    def hosts(self) -> tuple[HostRule, ...]:
        """Per level: what is about one node."""
        return self.rules.hosts

    @property
    def matches(self) -> frozenset[int]:
        """The selectors that they are counted by."""
        return self.rules.matches

    @property
    def required(self) -> Level:
        """What they ask when every preference is dropped."""
        return self.rules.levels[-1]

    @property
    def alternatives(self) -> tuple[Requirements, ...]:
        """What they require of their node: one of these."""
        return self.required.alternatives


def shapes(pods: Iterable[Pod], ladder: Ladder) -> tuple[Shape, ...]:
    """Group pods into shapes, in an order that does not depend on theirs: the largest first (Karpenter's rule 8.1)."""
    named = sorted(((pod.key, pod) for pod in pods), key=itemgetter(0))
    asked = [(key, pod, ladder.levels(pod)) for key, pod in named]
    known: dict[object, Rules] = {}
    groups: defaultdict[tuple[Rules, Resources], list[PodKey]] = defaultdict(list)
    # Every selector has its number by now, so that pods can be matched.
    for key, pod, levels in asked:
        same = (id(levels), ladder.selectors.matched(pod), pod.tolerations, pod.host_ports)
        rules = known.get(same)
        if rules is None:
            rules = known[same] = Rules.of(pod, ladder)
        groups[rules, pod.requests].append(key)
    made = (Shape(rules, _with_slot(requests), tuple(keys)) for (rules, requests), keys in groups.items())
    return tuple(sorted(made, key=lambda s: (-s.requests.cpu_milli, -s.requests.memory_bytes, s.keys)))


def _with_slot(requests: Resources) -> Resources:
    return requests if requests.pods else requests + Resources(pods=1)
