"""Whether a pod may come into a domain now: kube-scheduler's filters, on counts.

Rules are those of the Kubernetes documentation on topology spread constraints and on affinity between pods, where they
are silent those of kube-scheduler: a pod counts for required affinity when all terms select it, and the first of a
group that must be together may come anywhere, if it is selected by its own terms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.core.shapes import Rules
from agent.core.topology.counts import Counts, Domains, Group
from agent.core.topology.levels import Affinity
from agent.model import names

Values = tuple[str | None, ...]
"""A domain of each of some keys; None where a node has none."""
Entry = tuple[Domains, str]
"""A table, and the domain in it that a pod is counted in."""


@dataclass(frozen=True, slots=True)
class Checks:
    """The tables that matter to pods of the same rules at one level, by position of their key in ``keys``."""

    rules: Rules
    keys: tuple[str, ...]
    """Labels other than the host name of which these pods need a definite value: the topology keys of their own rules,
    those by which others count them (Karpenter's rule 10.15 counts a pod only once its domain is definite), and, where
    such nodes can be had, those that decide whether a spread counts their node at all."""
    spread: tuple[tuple[int, Group, int, int, int], ...]
    """Key, group, 1 if it counts these pods themselves, maxSkew, minDomains."""
    affinity: tuple[Affinity, ...]
    near: tuple[tuple[int, Domains, int], ...]
    """Key and table of what must be there, by the number of the affinity."""
    empty: tuple[tuple[int, Domains], ...]
    """Key and table of what must not."""
    counted: tuple[tuple[int, Domains], ...]
    """Where these pods are counted once they have a place; the key -1 is the host name."""
    groups: tuple[tuple[int, Group], ...]
    """Spread constraints, their own or others', that count these pods."""

    @classmethod
    def of(cls, rules: Rules, at: int, counts: Counts) -> "Checks":
        """Look the tables up once; they grow in place."""
        level, matches = rules.levels[at], sorted(rules.matches)
        groups, keys = counts.counting(rules), counts.definite(rules, at, vague=rules in counts.vague)
        position = {key: n for n, key in enumerate(keys)} | {names.HOSTNAME: -1}
        counted = [(key, counts.pods[key, n]) for n in matches for key in sorted(counts.keys_of.get(n, ()))]
        counted += [(names.HOSTNAME, counts.pods[names.HOSTNAME, n]) for n in matches if n in counts.at_host]
        kept_out = [a for a in level.anti_affinity if a.lasting and a.key != names.HOSTNAME]
        counted += [(a.key, counts.guards[a.key, a.number]) for a in kept_out]
        empty = [(a.key, counts.pods[a.key, a.number]) for a in level.anti_affinity]
        empty += [(key, counts.guards[key, n]) for n in matches for key in sorted(counts.keys_of.get(n, ()))]
        return cls(
            rules=rules,
            keys=keys,
            spread=tuple(
                (
                    position[s.key],
                    counts.group(s, rules.example),
                    int(s.number in rules.matches),
                    s.written.max_skew,
                    s.written.min_domains or 0,
                )
                for s in level.spread
                if s.key != names.HOSTNAME
            ),
            affinity=level.affinity,
            near=tuple((position[k], counts.pods[k, a.number], a.number) for a in level.affinity for k in a.keys),
            empty=tuple((position[key], table) for key, table in empty if key != names.HOSTNAME),
            counted=tuple((position[key], table) for key, table in counted),
            groups=tuple((position[g.key], g) for g in groups),
        )

    @property
    def indifferent(self) -> bool:
        """Whether one more pod does not change where the next may come, so that all go the same way."""
        return not (self.spread or self.empty or self.groups)

    def begins(self, counts: Counts) -> frozenset[int]:
        """Affinities of which these pods may be the first: nobody is there yet, and they select themselves."""
        return frozenset(
            own.number
            for own in self.affinity
            if own.number in self.rules.matches and not counts.total(own.number, own.keys)
        )

    def leasts(self) -> list[int]:
        """Per spread constraint: the pods in the emptiest domain."""
        return [group.least(domains) for _, group, _, _, domains in self.spread]

    def allows(self, values: Values, leasts: Sequence[int], begun: frozenset[int]) -> bool:
        """Whether one more pod may come into these domains."""
        for (at, group, own, skew, _), least in zip(self.spread, leasts, strict=True):
            value = values[at]
            if value is None or group.domains.get(value, 0) + own - least > skew:
                return False
        for at, table, number in self.near:
            if at < 0:
                continue
            value = values[at]
            if value is None or (number not in begun and not table.get(value)):
                return False
        return not (self.empty and any(table.get(values[at] or "") for at, table in self.empty))

    def emptiest(self) -> list[int]:
        """Per spread constraint that counts these pods: the pods in its emptiest domain."""
        return [group.least(0) for _, group in self.groups]

    def crowding(self, values: Values, emptiest: Sequence[int]) -> tuple[int, int]:
        """How many constraints, also those of others only, one more pod would break, and how many pods are counted."""
        broken = pods = 0
        for (at, group), least in zip(self.groups, emptiest, strict=True):
            count = group.domains.get(values[at] or "", 0)
            pods += count
            broken += count + 1 - least > group.max_skew
        return broken, pods

    def entries(self, values: Values, passes: Callable[[Group], bool | None]) -> tuple[Entry, ...]:
        """Where a pod in these domains is counted.

        ``passes`` says of which spread constraints its node is a domain; None: it may become one.
        """
        placed = [(table, "" if at < 0 else values[at]) for at, table in self.counted]
        for at, group in self.groups:
            verdict = passes(group)
            placed += [(group.domains, values[at])] if verdict is not False else []
            placed += [(group.unsure, values[at])] if verdict is None else []
        return tuple((table, value) for table, value in placed if value is not None)


def count(entries: Sequence[Entry], pods: int) -> None:
    """Count so many more pods, or with a negative number less."""
    for table, value in entries:
        table[value] = table.get(value, 0) + pods
