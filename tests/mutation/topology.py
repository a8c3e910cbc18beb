"""Spread and affinity without one of the rules (section 10)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

CHECKS: Final = "agent/core/topology/checks.py"
COUNTS: Final = "agent/core/topology/counts.py"
DEALING: Final = "agent/core/topology/dealing.py"
LEVELS: Final = "agent/core/topology/levels.py"
OFFERS: Final = "agent/core/topology/offers.py"
SCENE: Final = "agent/core/topology/scene.py"
STANDING: Final = "agent/core/standing.py"
SELECTORS: Final = "agent/core/topology/selectors.py"

TOPOLOGY: Final[Mutants] = {
    "10.1": (
        # Offerings that nobody can have are domains.
        Mutant("agent/core/shelf.py", "if offering.available\n", "if offering.zone\n"),
        # Domains of nodes that are there are none.
        Mutant(COUNTS, "if not room.going and value is not None and group", "if False and value is not None and group"),
        # Of labels that only a pool has no value is a domain.
        Mutant(OFFERS, "found |= own.base.by_key[key].distinct()", "found |= set()"),
    ),
    "10.2": (
        # A node without the key will do.
        Mutant(CHECKS, "if value is None or group.domains.get(value, 0)", "if value and group.domains.get(value, 0)"),
        # Nobody is told which.
        Mutant("agent/core/topology/blocking.py", "if key in needed and all(", "if not needed and all("),
    ),
    "10.3": (
        # Running pods do not count.
        Mutant(COUNTS, "add(group.domains, value, 1)", "add(group.domains, value, 0)"),
        # Finished ones do.
        Mutant(STANDING, "if p.node_name is not None and not p.is_finished)", "if p.node_name is not None)"),
        # Terminating ones do.
        Mutant(COUNTS, "if not pod.going and group", "if group"),
        # Those that stay on a node that is going do not.
        Mutant(COUNTS, "if not pod.going and group", "if not pod.going and not pod.room.going and group"),
    ),
    "10.4": (
        # nodeAffinityPolicy is Ignore, whatever is written.
        Mutant(COUNTS, "widest(node_affinity(owner)) if written.honor_affinity else ()", "()"),
        # It is Honor, whatever is written.
        Mutant(COUNTS, " if written.honor_affinity else ()", ""),
        # Affinity too looks only at nodes that some waiting pod may run on.
        Mutant(
            SCENE,
            "counts.see(self.rooms, self.running)",
            "counts.see(self.rooms, [own for own in self.running if any("
            "own.room.promises(asked) for shape in self.shapes for asked in shape.alternatives)])",
        ),
        # What only decides whether a node is a domain stays open.
        Mutant(COUNTS, "| own).union(*deciding)", "| own)"),
    ),
    "10.5": (
        # nodeTaintsPolicy is Ignore, whatever is written.
        Mutant(COUNTS, "owner.tolerations if written.honor_taints else None", "None"),
        # It is Honor, whatever is written.
        Mutant(COUNTS, "owner.tolerations if written.honor_taints else None", "owner.tolerations"),
        # Of pools taints never matter.
        Mutant(OFFERS, "                if wanted.tolerates(own.pool.taints)\n", ""),
    ),
    "10.6": (
        # Every maxSkew is 1.
        Mutant(CHECKS, "+ own - least > skew", "+ own - least > 1"),
        # The emptiest domain is looked for among all, also those that the pods cannot use.
        Mutant(OFFERS, "for asked in wanted.alternatives or (Requirements(),):", "for asked in (Requirements(),):"),
    ),
    "10.7": (
        # minDomains is not looked at.
        Mutant(COUNTS, "if not self.domains or len(self.domains) < min_domains:", "if not self.domains:"),
        # The minDomains of one pod counts for all with equal selectors, as in Karpenter.
        Mutant(
            COUNTS,
            "    max_skew: int = 1 << 30\n",
            "    max_skew: int = 1 << 30\n    min_domains: int = 0\n",
            (
                Mutant(
                    SCENE,
                    "group.max_skew = min(group.max_skew, spread.written.max_skew)",
                    "group.max_skew, group.min_domains = spread.written.max_skew, "
                    "max(group.min_domains, spread.written.min_domains or 0)",
                ),
                Mutant(
                    CHECKS,
                    "[group.least(domains) for _, group, _, _, domains in self.spread]",
                    "[group.least(group.min_domains) for _, group, _, _, _ in self.spread]",
                ),
            ),
        ),
    ),
    "10.8": (
        # A spread over hosts caps nothing.
        Mutant(
            LEVELS, "_lower(caps if spread.written.hard else wishes, spread.number, spread.written.max_skew)", "pass"
        ),
        # Pods that run do not count.
        Mutant(SCENE, "hosts[room.name].plus(_host(pod, own, selectors), 1)", "hosts[room.name].plus(HostRule(), 1)"),
    ),
    "10.9": (
        # Skew is that of the whole: while one domain has too many, none takes any.
        Mutant(
            CHECKS,
            "group.domains.get(value, 0) + own - least > skew",
            "max(*group.domains.values(), group.domains.get(value, 0) + own) - least > skew",
        ),
    ),
    "10.10": (
        # A pod counts for its own spreads, selected or not.
        Mutant(
            LEVELS,
            "counted = tuple(sorted(matches & at_host))",
            "counted = tuple(sorted(matches & at_host | {own.number for own in self.spread}))",
        ),
        Mutant(CHECKS, "int(s.number in rules.matches)", "1"),
        # No selector selects everything.
        Mutant(
            SELECTORS,
            "o.selector is not None and namespace",
            "namespace",
            (
                Mutant(
                    SELECTORS,
                    "and _selects(o.selector, labels) for o in own",
                    "and _selects(o.selector or (), labels) for o in own",
                ),
            ),
        ),
        # An empty one selects nothing.
        Mutant(SELECTORS, "o.selector is not None and namespace", "o.selector and namespace"),
    ),
    "10.11": (
        # Keys are not merged into the selector.
        Mutant(
            "agent/kube/wire/affinity.py", "for k in keys or () if k in pod.labels)", "for k in () if k in pod.labels)"
        ),
        # They are merged a second time.
        Mutant("agent/kube/wire/affinity.py", "*(r for r in wanted if r not in selector)", "*wanted"),
    ),
    "10.12": (
        # Nobody may be the first.
        Mutant(CHECKS, "if own.number in self.rules.matches and not", "if own.number in () and not"),
        # Whoever comes first begins, whether it selects itself or not.
        Mutant(CHECKS, "if own.number in self.rules.matches and not", "if not"),
        # Everybody begins anew, whoever is there.
        Mutant(CHECKS, "and not counts.total(own.number, own.keys)", "and True"),
        # Where most of the group could be is not asked.
        Mutant(DEALING, "members = self._members(begun, offers)", "members = self._members(begun, offers)[:0]"),
    ),
    "10.13": (
        # A group begins where its first pod does best.
        Mutant(DEALING, "members = self._members(begun, offers)", "members = self._members(begun, offers)[:0]"),
    ),
    "10.14": (
        # By other keys than the host name nothing is kept apart.
        Mutant(CHECKS, "for key, table in empty if key != names.HOSTNAME)", "for key, table in empty if not key)"),
        # By host nothing is.
        Mutant(LEVELS, "_lower(caps if own.lasting else wishes, own.number, int(own.number in matches))", "pass"),
    ),
    "10.15": (
        # Whoever gets a new node is seen by others only in the next pass.
        Mutant(DEALING, "count(deal.entries, several)", "count(deal.entries, 0)"),
    ),
    "10.16": (
        # What runs keeps nobody out of its domain.
        Mutant(COUNTS, "add(self.guards[key, number], pod.room.value(key), 1)", "pass"),
        # Nor off its node.
        Mutant(
            SCENE, "for key, number in keeps_out if key == names.HOSTNAME}", "for key, number in keeps_out if not key}"
        ),
        # What comes with this plan keeps nobody off its node.
        Mutant("agent/core/hosts.py", "if selector in self.caps:", "if selector in ():"),
        # What is only preferred keeps others out.
        Mutant(LEVELS, "_lower(caps if own.lasting else wishes, own.number", "_lower(caps, own.number"),
        Mutant(CHECKS, "if a.lasting and a.key", "if a.key"),
    ),
    "10.17": (
        # The list is not read.
        Mutant(SELECTORS, "found = set(term.namespaces)", "found = set[str]()"),
        # The selector is not read.
        Mutant(SELECTORS, "if term.namespace_selector is not None:", "if False:"),
        # Without both every namespace is meant.
        Mutant(SELECTORS, "found = {own}", "found = set(self.namespaces)"),
    ),
    "10.18": (
        # The scheduler's built-in default holds: no more than three on a host, if it can be.
        Mutant(
            LEVELS,
            "for s in pod.spread if not s.hard]",
            "for s in pod.spread or (TopologySpread(names.HOSTNAME, 3, (), hard=False),) if not s.hard]",
        ),
    ),
    "10.19": (
        # Zones of volumes are the pod's own affinity.
        Mutant(
            COUNTS,
            "widest(node_affinity(owner))",
            "widest(alternatives(owner))",
            (Mutant(COUNTS, "import node_affinity, widest\n", "import alternatives, widest\n"),),
        ),
    ),
    "10.20": (
        # What a pod asks of others stays what it asked at first.
        Mutant(CHECKS, "level, matches = rules.levels[at],", "level, matches = rules.levels[0],"),
    ),
}
