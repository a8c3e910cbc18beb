"""What a pod asks, with all of its preferences at first, then with one less at a time.

A preference counts as required until it is dropped, in Karpenter's order (rule 8.6): the heaviest preferred affinity
to pods, then anti-affinity, then to nodes, then ScheduleAnyway spreads in their order, then taints with
PreferNoSchedule. Unlike there, alternatives of the required node affinity are tried at every level, and a preferred
anti-affinity is checked but keeps nobody else away.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from agent.core.hosts import FREE, HostRule
from agent.core.nodeaffinity import alternatives
from agent.core.requirements import Requirements, normalized
from agent.core.topology.selectors import Looked, Selectors
from agent.model import names
from agent.model.constraints import PodAffinityTerm, PreferredTerm, TopologySpread
from agent.model.kubernetes import Pod

_Term = TypeVar("_Term", PodAffinityTerm, PreferredTerm)


@dataclass(frozen=True, slots=True)
class Affinity:
    """A pod must come where one with this number is, in the domain of every key."""

    number: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AntiAffinity:
    """A pod must not come into a domain where one with this number is."""

    number: int
    key: str
    lasting: bool
    """Required: keeps such pods out once it is there itself."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread over the domains of a key."""

    number: int
    key: str
    written: TopologySpread


@dataclass(frozen=True, slots=True)
class Level:
    """All that a pod asks while it keeps some of its preferences; each holds as if it were required."""

    alternatives: tuple[Requirements, ...]
    """The node must satisfy one of them."""
    affinity: tuple[Affinity, ...] = ()
    anti_affinity: tuple[AntiAffinity, ...] = ()
    spread: tuple[Spread, ...] = ()
    minds_soft_taints: bool = False
    """PreferNoSchedule keeps it away."""

    @property
    def keys(self) -> frozenset[str]:
        """The topology keys, other than the host name, of its rules."""
        found = {key for own in self.affinity for key in own.keys}
        found |= {own.key for own in self.anti_affinity} | {own.key for own in self.spread}
        return frozenset(found - {names.HOSTNAME})

    def host(self, matches: frozenset[int], ports: dict[int, int], at_host: set[int]) -> HostRule:
        """The part of it that is about one node."""
        caps, wishes = dict(ports), dict[int, int]()
        for own in self.anti_affinity:
            if own.key == names.HOSTNAME:
                _lower(caps if own.lasting else wishes, own.number, int(own.number in matches))
        for spread in self.spread:
            if spread.key == names.HOSTNAME:
                _lower(caps if spread.written.hard else wishes, spread.number, spread.written.max_skew)
        needs = tuple(own.number for own in self.affinity if names.HOSTNAME in own.keys)
        counted = tuple(sorted(matches & at_host))
        if not (counted or caps or wishes or needs):
            return FREE
        return HostRule(counted, tuple(sorted(caps.items())), needs, tuple(sorted(wishes.items())))


@dataclass(slots=True)
class Ladder:
    """Makes the levels of pods; equal ones are made once."""

    selectors: Selectors
    respect: bool
    """preferencePolicy; taints with PreferNoSchedule are minded whatever it says (Karpenter's rule 8.9)."""
    soft_taints: bool
    """Some node or pool has such a taint."""
    _memo: dict[object, tuple[Level, ...]] = field(default_factory=dict)

    def levels(self, pod: Pod) -> tuple[Level, ...]:
        """From all preferences to none. The last is what is required."""
        of_pods = (pod.meta.namespace, _asked_of_pods(pod)) if has_rules(pod) else None
        key = (asked_of_nodes(pod), of_pods)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = tuple(self._made(pod))
        return found

    def _made(self, pod: Pod) -> Iterator[Level]:
        own = pod.meta.namespace
        required = Level(
            alternatives(pod),
            tuple(self._required(pod)),
            tuple(self._anti(term, own) for term in pod.anti_affinity),
            tuple(self._spread(s, own) for s in pod.spread if s.hard),
            self.soft_taints,
        )
        if self.respect:
            likes = [self._affinity([t], own) for t in _heaviest(pod.preferred_affinity)]
            dislikes = [self._anti(term, own) for term in _heaviest(pod.preferred_anti_affinity)]
            wanted = [Requirements.of(term.requirements) for term in _heaviest(pod.preferred_terms)]
            anyway = [self._spread(s, own) for s in pod.spread if not s.hard]
            preferred: tuple[list[Any], ...] = (likes, dislikes, wanted, anyway)
            while any(preferred):
                found = _with(required, (likes, dislikes, anyway), wanted)
                if found is not None:
                    yield found
                next(filter(None, preferred)).pop(0)
        yield required
        if self.soft_taints:
            yield replace(required, minds_soft_taints=False)

    def _required(self, pod: Pod) -> Iterator[Affinity]:
        if pod.affinity:
            yield self._affinity(pod.affinity, pod.meta.namespace)

    def _affinity(self, terms: Sequence[PodAffinityTerm], own: str) -> Affinity:
        keys = tuple(dict.fromkeys(normalized(term.topology_key) for term in terms))
        return Affinity(self.selectors.number((self.selectors.looked(t, own) for t in terms), keys), keys)

    def _anti(self, term: PodAffinityTerm, own: str) -> AntiAffinity:
        key = normalized(term.topology_key)
        return AntiAffinity(self.selectors.number([self.selectors.looked(term, own)], [key]), key, not term.weight)

    def _spread(self, written: TopologySpread, own: str) -> Spread:
        key = normalized(written.topology_key)
        looked = Looked(written.selector, frozenset({own}))
        return Spread(self.selectors.number([looked], [key]), key, written)


def has_rules(pod: Pod) -> bool:
    """Whether it asks anything about other pods."""
    return bool(
        pod.anti_affinity or pod.spread or pod.affinity or pod.preferred_anti_affinity or pod.preferred_affinity
    )


def asked_of_nodes(pod: Pod) -> object:
    """All that a pod says of its node but for amounts, as a key."""
    selector = tuple(sorted(pod.node_selector.items())) if pod.node_selector else ()
    return (selector, pod.affinity_terms, pod.preferred_terms, pod.volume_terms)


def _asked_of_pods(pod: Pod) -> object:
    return (pod.affinity, pod.anti_affinity, pod.preferred_affinity, pod.preferred_anti_affinity, pod.spread)


def _with(
    required: Level,
    kept: tuple[Iterable[Affinity], Iterable[AntiAffinity], Iterable[Spread]],
    wanted: Sequence[Requirements],
) -> Level | None:
    """The level with these preferences; None where the wanted node contradicts all that is required."""
    both = required.alternatives
    if wanted:
        both = tuple(together for own in both if (together := own & wanted[0]).conflict is None)
    if not both:
        return None
    likes, dislikes, anyway = kept
    return replace(
        required,
        alternatives=both,
        affinity=(*required.affinity, *likes),
        anti_affinity=(*required.anti_affinity, *dislikes),
        spread=(*required.spread, *anyway),
    )


def _heaviest(terms: Iterable[_Term]) -> list[_Term]:
    return sorted(terms, key=lambda term: -term.weight)


def _lower(caps: dict[int, int], number: int, cap: int) -> None:
    caps[number] = min(cap, caps.get(number, cap))
