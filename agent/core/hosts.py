"""Rules about the pods of one node: host-name anti-affinity, spread and affinity, and host ports.

All of them are counts. A selector is a number that stands for "pods that such a term selects" (or "pods that take such
a port"); a rule says which selectors a pod is counted by, how many of each it bears on its node, and of which it needs
one. A cap holds for the node as it is in the end, not only at the moment that its pod comes, so that the order in which
the scheduler binds the pods does not matter: that covers the anti-affinity of pods that came first as well
(kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node), and is stricter for a spread than it has to be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec


class HostRule(msgspec.Struct, frozen=True, gc=False):
    """What pods of one shape mean to the others on their node."""

    matches: tuple[int, ...] = ()
    """Selectors that they are counted by."""
    caps: tuple[tuple[int, int], ...] = ()
    """(selector, how many counted pods there may be on the node, themselves included when they are counted)."""
    needs: tuple[int, ...] = ()
    """Selectors of which the node must have a pod before they come."""
    wishes: tuple[tuple[int, int], ...] = ()
    """Like caps, but looked at only when they come: what is merely preferred keeps nobody out afterwards."""


FREE = HostRule()


class HostState(msgspec.Struct, frozen=True, gc=False):
    """The counts and caps of one node."""

    counts: Mapping[int, int] = {}
    caps: Mapping[int, int] = {}

    def room(self, rule: HostRule, limit: int) -> int:
        """How many more pods under the rule may come, at most ``limit``."""
        counts = self.counts
        for selector in rule.needs:
            if not counts.get(selector):
                return 0
        for selector in rule.matches:
            if selector in self.caps:
                limit = min(limit, self.caps[selector] - counts.get(selector, 0))
        for selector, cap in (*rule.caps, *rule.wishes) if rule.wishes else rule.caps:
            if selector in rule.matches:
                limit = min(limit, cap - counts.get(selector, 0))
            elif counts.get(selector, 0) > cap:
                return 0
        return max(limit, 0)

    def bears(self, other: "HostState") -> bool:
        """Whether the caps of both nodes leave room for the pods of both on one."""
        if not (self.caps or other.caps):
            return True
        return all(
            self.counts.get(selector, 0) + other.counts.get(selector, 0) <= cap
            for caps in (self.caps, other.caps)
            for selector, cap in caps.items()
        )

    def plus(self, rule: HostRule, count: int) -> "HostState":
        """With so many more pods under the rule."""
        if not (rule.matches or rule.caps) or not count:
            return self
        counts, caps = dict(self.counts), dict(self.caps)
        for selector in rule.matches:
            counts[selector] = counts.get(selector, 0) + count
        for selector, cap in rule.caps:
            caps[selector] = min(cap, caps.get(selector, cap))
        return HostState(counts, caps)


EMPTY = HostState()
_ANY = 1 << 62
"""More than there are pods."""


@dataclass(slots=True)
class Neighbours:
    """What rules say of nodes with certain pods on them: few such states recur on many nodes, so each is asked once.

    Answers are kept by identity, of values that are kept with them: to compare rules and counts would cost as much as
    the answer.
    """

    _rooms: dict[tuple[int, int], int] = field(default_factory=dict)
    _states: dict[tuple[int, int, int], HostState] = field(default_factory=dict)
    _kept: list[tuple[HostState, HostRule]] = field(default_factory=list)

    def room(self, state: HostState, rule: HostRule) -> int:
        """How many more pods under the rule may come."""
        key = (id(state), id(rule))
        found = self._rooms.get(key)
        if found is None:
            self._kept.append((state, rule))
            found = self._rooms[key] = state.room(rule, _ANY)
        return found

    def plus(self, state: HostState, rule: HostRule, count: int) -> HostState:
        """With so many more pods under the rule."""
        key = (id(state), id(rule), count)
        found = self._states.get(key)
        if found is None:
            self._kept.append((state, rule))
            found = self._states[key] = state.plus(rule, count)
        return found
