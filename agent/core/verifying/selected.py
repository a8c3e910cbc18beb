"""Which pods a selector selects, asked pod by pod."""

from collections.abc import Iterable, Mapping
from typing import Final

from agent.core.requirements import value_set
from agent.model.constraints import PodAffinityTerm, Selector
from agent.model.kubernetes import Pod

_NAME: Final = "kubernetes.io/metadata.name"

Set = tuple[tuple[Selector | None, frozenset[str]], ...]
"""Pods that each of these selectors selects in its namespaces."""


class Everyone:
    """The namespaces that there are, with their labels."""

    def __init__(self, labels: Mapping[str, Mapping[str, str]], pods: Iterable[Pod]) -> None:
        """Read the names of namespaces that have pods too: not every reader of objects knows them all."""
        every = {pod.meta.namespace for pod in pods} | set(labels)
        self._labels = {name: {_NAME: name, **labels.get(name, {})} for name in every}

    def selected(self, terms: Iterable[PodAffinityTerm], own: str) -> Set:
        """What these terms of a pod in the namespace ``own`` select together."""
        return tuple((term.selector, self._namespaces(term, own)) for term in terms)

    def _namespaces(self, term: PodAffinityTerm, own: str) -> frozenset[str]:
        if term.namespace_selector is None:
            return frozenset(term.namespaces or (own,))
        wanted = term.namespace_selector
        return frozenset(term.namespaces) | {name for name, labels in self._labels.items() if _fits(wanted, labels)}


def is_selected(pod: Pod, wanted: Set) -> bool:
    """Whether the pod is one of them."""
    return all(
        selector is not None and pod.meta.namespace in namespaces and _fits(selector, pod.meta.labels)
        for selector, namespaces in wanted
    )


def _fits(selector: Selector, labels: Mapping[str, str]) -> bool:
    return all(value_set(entry).allows(labels.get(entry.key)) for entry in selector)
