"""Equal pods are decided together: what packing costs grows with the number of shapes, not of pods."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from agent.core.requirements import Requirements, alternatives
from agent.core.taints import untolerated
from agent.model.constraints import Requirement
from agent.model.kubernetes import Pod, Taint, Toleration
from agent.model.names import PodKey
from agent.model.resources import Resources


class _Signature(msgspec.Struct, frozen=True, gc=False):
    requests: Resources
    selector: tuple[tuple[str, str], ...]
    terms: tuple[tuple[Requirement, ...], ...]
    volume_terms: tuple[tuple[Requirement, ...], ...]
    tolerations: tuple[Toleration, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Pods that ask the same in every way that matters to where they may go."""

    example: Pod
    requests: Resources
    keys: tuple[PodKey, ...]
    """In order of name."""
    alternatives: tuple[Requirements, ...]
    """The node must satisfy one of them."""
    _taints: dict[tuple[Taint, ...], Taint | None] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many pods there are."""
        return len(self.keys)

    def repelled_by(self, taints: tuple[Taint, ...]) -> Taint | None:
        """The first taint that these pods do not tolerate."""
        if not taints:
            return None
        if taints not in self._taints:
            self._taints[taints] = untolerated(self.example.tolerations, taints)
        return self._taints[taints]


def shapes(pods: Iterable[Pod]) -> tuple[Shape, ...]:
    """Group pods into shapes, in an order that does not depend on theirs: the largest first (Karpenter's rule 8.1)."""
    groups: defaultdict[_Signature, list[Pod]] = defaultdict(list)
    for pod in pods:
        groups[_signature(pod)].append(pod)
    found = (_shape(group) for group in groups.values())
    return tuple(sorted(found, key=lambda s: (-s.requests.cpu_milli, -s.requests.memory_bytes, s.keys)))


def _shape(group: list[Pod]) -> Shape:
    ordered = sorted(group, key=lambda pod: pod.key)
    requests = ordered[0].requests
    if not requests.pods:
        requests = requests + Resources(pods=1)
    return Shape(ordered[0], requests, tuple(pod.key for pod in ordered), alternatives(ordered[0]))


def _signature(pod: Pod) -> _Signature:
    return _Signature(
        pod.requests, tuple(sorted(pod.node_selector.items())), pod.affinity_terms, pod.volume_terms, pod.tolerations
    )
