"""Which nodes a pod may run on by itself: its node selector, its required node affinity and its volumes."""

from collections.abc import Iterable

from agent.core.requirements import Requirements
from agent.model.kubernetes import Pod


def alternatives(pod: Pod) -> tuple[Requirements, ...]:
    """What a pod and its volumes require of its node: it may run where any one of these holds. Empty: nowhere.

    The pod's own alternatives come first, and with each those of its volumes in their order (rule 11.4).
    """
    own = node_affinity(pod)
    if not pod.volume_terms:
        return own
    places = tuple(Requirements.of(term) for term in pod.volume_terms)
    found = (alternative & place for alternative in own for place in places)
    return tuple(alternative for alternative in found if alternative.conflict is None)


def node_affinity(pod: Pod) -> tuple[Requirements, ...]:
    """What a pod itself requires of its node, its volumes aside: alternatives. Empty: it can run nowhere.

    nodeSelector holds with every term of the required node affinity; the terms are alternatives, and a term without
    requirements matches nothing (Kubernetes' rule).
    """
    selector = Requirements.from_labels(pod.node_selector)
    if not pod.affinity_terms:
        return (selector,) if selector.conflict is None else ()
    found = (selector & Requirements.of(term) for term in pod.affinity_terms if term)
    return tuple(alternative for alternative in found if alternative.conflict is None)


def widest(found: Iterable[Requirements]) -> tuple[Requirements, ...]:
    """The alternatives without those that hold only where another one holds too; of equal ones the first stays."""
    kept: list[Requirements] = []
    for one in found:
        if not any(_implies(one, other) for other in kept):
            kept = [*(other for other in kept if not _implies(other, one)), one]
    return tuple(kept)


def _implies(one: Requirements, other: Requirements) -> bool:
    return all(one.get(key) <= values for key, values in other)
