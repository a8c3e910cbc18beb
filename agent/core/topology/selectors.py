"""Which pods a term of affinity, anti-affinity or spread means. Every distinct such set of pods gets a number.

Pods are then told apart by the numbers that they match, not by their labels, so that shapes stay few.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.core.requirements import value_set
from agent.model import names
from agent.model.constraints import HostPort, PodAffinityTerm, Requirement, Selector
from agent.model.kubernetes import Pod

_NAMESPACE: Final = "kubernetes.io/metadata.name"
"""The label with its own name that every namespace carries."""
_ANYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


@dataclass(frozen=True, slots=True)
class Looked:
    """Pods with certain labels in certain namespaces."""

    selector: Selector | None
    namespaces: frozenset[str]


@dataclass(slots=True)
class Selectors:
    """Numbers for sets of pods. All are made before any pod is matched, because that is remembered."""

    namespaces: Mapping[str, Mapping[str, str]]
    """Labels of each namespace."""
    at_host: set[int] = field(default_factory=set)
    """Numbers that a rule about one node is about."""
    keys_of: dict[int, set[str]] = field(default_factory=dict)
    """Per number: the topology keys, other than the host name, whose domains are counted for it."""
    _numbers: dict[object, int] = field(default_factory=dict)
    _looked: dict[int, tuple[Looked, ...]] = field(default_factory=dict)
    _labels: tuple[str, ...] | None = None
    _memo: dict[tuple[str, tuple[str | None, ...]], tuple[int, ...]] = field(default_factory=dict)

    def number(self, together: Iterable[Looked], keys: Iterable[str]) -> int:
        """The number of the pods that all of these select, looked for in the domains of these keys.

        Required affinity has one number for all its terms: kube-scheduler counts a pod for them only if it is
        selected by every one.
        """
        looked = tuple(dict.fromkeys(together))
        number = self._named(frozenset(looked))
        self._looked[number] = looked
        for key in keys:
            if key == names.HOSTNAME:
                self.at_host.add(number)
            else:
                self.keys_of.setdefault(number, set()).add(key)
        return number

    def looked(self, term: PodAffinityTerm, own: str) -> Looked:
        """What a term of a pod in the namespace ``own`` selects (Karpenter's rule 10.17)."""
        found = set(term.namespaces)
        if term.namespace_selector is not None:
            found |= {n for n, labels in self.namespaces.items() if _selects(term.namespace_selector, labels)}
        elif not found:
            found = {own}
        return Looked(term.selector, frozenset(found))

    def matched(self, pod: Pod) -> tuple[int, ...]:
        """The numbers that a pod is counted by, ascending; those of its host ports are not among them."""
        if not self._looked:
            return ()
        if self._labels is None:
            self._labels = tuple(
                sorted({r.key for own in self._looked.values() for o in own for r in o.selector or ()})
            )
        labels, namespace = pod.meta.labels, pod.meta.namespace
        key = (namespace, tuple(map(labels.get, self._labels)))
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = tuple(
                number
                for number, own in self._looked.items()
                if all(
                    o.selector is not None and namespace in o.namespaces and _selects(o.selector, labels) for o in own
                )
            )
        return found

    @property
    def select_any(self) -> bool:
        """Whether any pod can be matched at all."""
        return bool(self._looked)

    def text(self, number: int) -> str:
        """The labels that a number stands for, as a person writes them."""
        written = [entry for own in self._looked.get(number, ()) for entry in own.selector or ()]
        return ",".join(map(as_written, written)) or "any labels"

    def ports(self, wanted: tuple[HostPort, ...]) -> tuple[dict[int, int], frozenset[int]]:
        """What host ports forbid on a node, as caps, and the numbers that their pod is counted by.

        Two pods clash over a port and protocol when their addresses are equal or one of them is every address
        (Karpenter's rule 11.8): so a pod is counted under the port, under its address, and, when it takes them all, as
        one that does.
        """
        matches: set[int] = set()
        others: set[int] = set()
        for port in wanted:
            every = port.address in _ANYWHERE
            taken, greedy = self._port(port, "taken"), self._port(port, "every")
            own = taken if every else self._port(port, port.address)
            matches |= {taken, greedy} if every else {taken, own}
            others |= {taken} if every else {own, greedy}
        return {number: int(number in matches) for number in others}, frozenset(matches)

    def _port(self, port: HostPort, what: str) -> int:
        number = self._named((port.protocol, port.port, what))
        self.at_host.add(number)
        return number

    def _named(self, name: object) -> int:
        return self._numbers.setdefault(name, len(self._numbers))


def known_namespaces(labels: Mapping[str, Mapping[str, str]], inhabited: Iterable[str]) -> dict[str, Mapping[str, str]]:
    """Labels of every namespace, also ``inhabited`` ones that were not read: those have the label with their name."""
    found: dict[str, Mapping[str, str]] = {name: {_NAMESPACE: name} for name in dict.fromkeys(inhabited)}
    return found | {name: {_NAMESPACE: name, **own} for name, own in labels.items()}


def _selects(selector: Iterable[Requirement], labels: Mapping[str, str]) -> bool:
    return all(value_set(entry).allows(labels.get(entry.key)) for entry in selector)


def as_written(entry: Requirement) -> str:
    """A requirement as a person writes it."""
    if entry.operator == "In" and len(entry.values) == 1:
        return f"{entry.key}={entry.values[0]}"
    values = f" [{', '.join(entry.values)}]" if entry.values else ""
    return f"{entry.key} {entry.operator}{values}"
