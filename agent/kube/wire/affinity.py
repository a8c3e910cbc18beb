"""Affinity and topology spread on the wire: what a pod asks of its node and of the pods around it.

Sources: kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node and .../topology-spread-constraints.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from agent.kube.wire.objects import LabelSelector, WireFault, WireRequirement
from agent.model import names
from agent.model.constraints import (
    Operator,
    PodAffinityTerm,
    PreferredTerm,
    Requirement,
    Selector,
    TopologySpread,
)

REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_FIELD_OPERATORS: Final[Mapping[str, Operator]] = {"In": "In", "NotIn": "NotIn"}
"""Of ``matchFields``, of which Kubernetes has no others."""


class PodLabels(msgspec.Struct):
    """What terms are completed with: the pod's own namespace and labels."""

    namespace: str
    labels: Mapping[str, str]


class Term(msgspec.Struct, gc=False, rename="camel"):
    """A node selector term."""

    match_expressions: tuple[WireRequirement, ...] | None = None
    match_fields: tuple[WireRequirement, ...] | None = None

    def model(self) -> tuple[Requirement, ...] | None:
        """Its requirements; None when one has an operator or a field that the engine does not know."""
        try:
            asked = tuple(r.model() for r in self.match_expressions or ())
        except WireFault:
            return None
        fields = tuple(_field(r) for r in self.match_fields or ())
        known = tuple(r for r in fields if r is not None)
        return (*asked, *known) if len(known) == len(fields) else None


def _field(wire: WireRequirement) -> Requirement | None:
    """The only field there is, the node's name, said of its host name label: it is the same on all that join here."""
    operator = _FIELD_OPERATORS.get(wire.operator or "")
    if wire.key != "metadata.name" or operator is None:
        return None
    return Requirement(names.HOSTNAME, operator, wire.values or ())


class NodeSelector(msgspec.Struct, gc=False, rename="camel"):
    """Alternatives: a node has to satisfy one of the terms."""

    node_selector_terms: tuple[Term, ...] | None = None

    def model(self) -> tuple[tuple[Requirement, ...], ...]:
        """The terms that are known; one without any requirement matches no node and is left out."""
        terms = (t.model() for t in self.node_selector_terms or ())
        return tuple(term for term in terms if term)

    def unsupported(self, path: str) -> Iterator[str]:
        """What label requirements cannot say: other fields, unknown operators, and terms that match no node at all."""
        path = f"{path}.nodeSelectorTerms"
        terms = self.node_selector_terms or ()
        if any(_field(r) is None for t in terms for r in t.match_fields or ()):
            yield f"{path}[].matchFields"
        if any(Term(t.match_expressions).model() is None for t in terms):
            yield f"{path}[].matchExpressions[].operator"
        if not any(t.match_expressions or t.match_fields for t in terms):
            yield f"{path} (all empty: they match no node)"


class _WeightedTerm(msgspec.Struct, gc=False):
    weight: int | None = None
    preference: Term | None = None

    def model(self) -> PreferredTerm | None:
        """None: it asks nothing, or something that the engine does not know, which a preference may."""
        asked = self.preference.model() if self.preference is not None else None
        return PreferredTerm(self.weight or 1, asked) if asked else None


class _NodeAffinity(msgspec.Struct, gc=False):
    required: NodeSelector | None = msgspec.field(default=None, name=REQUIRED)
    preferred: tuple[_WeightedTerm, ...] | None = msgspec.field(default=None, name=PREFERRED)


class _PodTerm(msgspec.Struct, gc=False, rename="camel"):
    topology_key: str | None = None
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] | None = None
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] | None = None
    mismatch_label_keys: tuple[str, ...] | None = None

    def model(self, pod: PodLabels, weight: int = 0) -> PodAffinityTerm:
        """As the engine has it. Raises ``WireFault`` for a selector that nobody understands."""
        selector = selected(self.label_selector, self.match_label_keys, pod)
        if selector is not None:
            selector = merged(selector, self.mismatch_label_keys, "NotIn", pod)
        spaces = self.namespace_selector.model() if self.namespace_selector is not None else None
        listed = tuple(sorted(set(self.namespaces or ())))
        if not listed and spaces is None:
            listed = (pod.namespace,)
        return PodAffinityTerm(self.topology_key or "", selector, listed, spaces, weight)


class _WeightedPodTerm(msgspec.Struct, gc=False, rename="camel"):
    weight: int | None = None
    pod_affinity_term: _PodTerm | None = None


class PodTerms(msgspec.Struct, gc=False):
    """``podAffinity`` or ``podAntiAffinity``."""

    required: tuple[_PodTerm, ...] | None = msgspec.field(default=None, name=REQUIRED)
    preferred: tuple[_WeightedPodTerm, ...] | None = msgspec.field(default=None, name=PREFERRED)

    def hard(self, pod: PodLabels) -> tuple[PodAffinityTerm, ...]:
        """The required terms that are known."""
        if not self.required:
            return ()
        return tuple(term for t in self.required if (term := _known(t, pod)) is not None)

    def soft(self, pod: PodLabels) -> tuple[PodAffinityTerm, ...]:
        """The preferred terms that are known."""
        if not self.preferred:
            return ()
        terms = (_known(t.pod_affinity_term, pod, t.weight or 1) for t in self.preferred)
        return tuple(term for term in terms if term is not None)

    def is_unknown(self, pod: PodLabels) -> bool:
        """Whether a required term has a selector that nobody understands."""
        return any(_known(t, pod) is None for t in self.required or ())


def _known(wire: _PodTerm | None, pod: PodLabels, weight: int = 0) -> PodAffinityTerm | None:
    try:
        return wire.model(pod, weight) if wire is not None else None
    except WireFault:
        return None


NO_TERMS: Final = PodTerms()


class Affinity(msgspec.Struct, gc=False, rename="camel"):
    """``spec.affinity``."""

    node_affinity: _NodeAffinity | None = None
    pod_affinity: PodTerms | None = None
    pod_anti_affinity: PodTerms | None = None

    def required_nodes(self) -> tuple[tuple[Requirement, ...], ...]:
        """Required node affinity."""
        node = self.node_affinity
        return node.required.model() if node is not None and node.required is not None else ()

    def preferred_nodes(self) -> tuple[PreferredTerm, ...]:
        """Preferred node affinity."""
        terms = (self.node_affinity.preferred if self.node_affinity is not None else None) or ()
        return tuple(term for t in terms if (term := t.model()) is not None)

    def unsupported(self, pod: PodLabels) -> Iterator[str]:
        """Field paths of what is required and not understood."""
        for kind, terms in (("podAffinity", self.pod_affinity), ("podAntiAffinity", self.pod_anti_affinity)):
            if terms is not None and terms.is_unknown(pod):
                yield f"spec.affinity.{kind}.{REQUIRED}[].labelSelector"
        if self.node_affinity is not None and self.node_affinity.required is not None:
            yield from self.node_affinity.required.unsupported(f"spec.affinity.nodeAffinity.{REQUIRED}")


NO_AFFINITY: Final = Affinity()


class Spread(msgspec.Struct, gc=False, rename="camel"):
    """``topologySpreadConstraints[]``."""

    topology_key: str | None = None
    max_skew: int | None = None
    when_unsatisfiable: str | None = None
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    match_label_keys: tuple[str, ...] | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None

    @property
    def hard(self) -> bool:
        """Unset means DoNotSchedule; a value that nobody knows yet is no weaker."""
        return self.when_unsatisfiable != "ScheduleAnyway"

    def model(self, pod: PodLabels) -> TopologySpread | None:
        """As the engine has it; None when its selector is not understood."""
        try:
            selector = selected(self.label_selector, self.match_label_keys, pod)
        except WireFault:
            return None
        return TopologySpread(
            self.topology_key or "",
            max(1, self.max_skew or 1),
            selector,
            self.hard,
            self.min_domains,
            honor_affinity=self.node_affinity_policy != "Ignore",
            honor_taints=self.node_taints_policy == "Honor",
        )


def selected(wire: LabelSelector | None, keys: tuple[str, ...] | None, pod: PodLabels) -> Selector | None:
    """A selector with ``matchLabelKeys`` merged into it; None selects nothing. Raises ``WireFault``."""
    return merged(wire.model(), keys, "In", pod) if wire is not None else None


def merged(
    selector: Selector, keys: tuple[str, ...] | None, operator: Literal["In", "NotIn"], pod: PodLabels
) -> Selector:
    """With the pod's own value of each key, unless the API server has merged it already; keys it lacks are ignored."""
    wanted = (Requirement(k, operator, (pod.labels[k],)) for k in keys or () if k in pod.labels)
    return (*selector, *(r for r in wanted if r not in selector))
