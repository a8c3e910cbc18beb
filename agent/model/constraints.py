"""What pods ask of each other, of their volumes and of the node they land on, beyond its labels and resources."""

from collections.abc import Iterable
from typing import Literal

import msgspec

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]


class Requirement(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One label requirement as written; ``agent.core.requirements`` holds the algebra."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()
    min_values: int | None = None


def named_value(requirements: Iterable[Requirement], key: str) -> str | None:
    """The one value of a label that requirements name; None where they name none, or several."""
    found = [entry.values for entry in requirements if entry.key == key and entry.operator == "In"]
    return found[0][0] if len(found) == 1 and len(found[0]) == 1 else None


Selector = tuple[Requirement, ...]
"""A label selector: its requirements hold together, an empty one selects everything."""


class PodAffinityTerm(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One term of pod affinity or anti-affinity: pods that are selected, and the topology they are looked for in.

    Terms with ``matchLabelKeys`` or ``mismatchLabelKeys`` have them in the selector already, as the API server merges
    them when the pod is created (kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node).
    """

    topology_key: str
    selector: Selector | None = None
    """None selects no pod."""
    namespaces: tuple[str, ...] = ()
    """Where pods are looked for; the pod's own namespace when it names none and selects none."""
    namespace_selector: Selector | None = None
    """Further namespaces, by their labels; None adds none."""
    weight: int = 0
    """1 to 100 of a preferred term; 0: required."""


class PreferredTerm(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A preferred node affinity: the requirements hold together."""

    weight: int
    requirements: tuple[Requirement, ...]


class TopologySpread(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A topology spread constraint, ``matchLabelKeys`` merged into its selector.

    Kubernetes: kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints.
    """

    topology_key: str
    max_skew: int
    selector: Selector | None = None
    """Which pods of the own namespace count; None counts none."""
    hard: bool = True
    """False: ScheduleAnyway."""
    min_domains: int | None = None
    honor_affinity: bool = True
    """nodeAffinityPolicy: only nodes that the pod's node selector and required node affinity allow are domains."""
    honor_taints: bool = False
    """nodeTaintsPolicy: only nodes whose taints the pod tolerates are domains."""


class HostPort(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A port that a pod takes on its node; an empty address means every address."""

    port: int
    protocol: str = "TCP"
    address: str = ""


class PodCount(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A number of pods, or a percentage of those expected."""

    amount: int
    is_percent: bool = False
