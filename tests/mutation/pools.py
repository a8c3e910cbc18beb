"""Pools and existing nodes without one of the rules (section 6)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

_ROOMS: Final = "agent/core/rooms.py"
_TEMPLATES: Final = "agent/core/templates.py"

POOLS: Final[Mutants] = {
    "6.1": (
        Mutant("agent/core/packing.py", "[p for p in group if unusable(p, asked) is None]", "list(group)"),
        Mutant(
            _TEMPLATES,
            "    if pool.meta.deleted_at is not None:\n        return Reason",
            "    if pool.meta.deleted_at is not None and pool.faults:\n        return Reason",
        ),
        Mutant(
            _TEMPLATES,
            "if node_class is not None and not node_class.ready:",
            "if node_class is not None and node_class.faults:",
        ),
    ),
    "6.2": (
        Mutant(_TEMPLATES, "{pool.weight for pool in pools}, reverse=True)", "{pool.weight for pool in pools})"),
        # As in Karpenter.
        Mutant(
            _TEMPLATES,
            "return tuple(tuple(sorted((p for p in pools if p.weight == w), key=lambda p: p.name)) for w in weights)",
            "return tuple((p,) for w in weights for p in sorted(pools, key=lambda p: p.name)[::-1] if p.weight == w)",
        ),
    ),
    "6.3": (
        Mutant(
            "agent/core/topology/offers.py",
            "for number in range(len(self.shops)) if",
            "for number in range(len(self.shops[:1])) if",
        ),
    ),
    "6.4": (
        Mutant(_TEMPLATES, "return normalized_labels(pool.labels) | {", "return {"),
        Mutant(_TEMPLATES, "Requirements.of(pool.requirements) & every & host", "every & host"),
        Mutant(_TEMPLATES, 'labels | {names.REGISTERED: "true", names.INITIALIZED: "true"}', "labels"),
        Mutant(
            _TEMPLATES,
            "frozenset({names.HOSTNAME, names.REGISTERED, names.INITIALIZED})",
            "frozenset({names.HOSTNAME})",
        ),
    ),
    "6.5": (
        Mutant(_ROOMS, "(not r.initialized, not r.is_node, r.name)", "(not r.is_node, r.name)"),
        Mutant(_ROOMS, "(not r.initialized, not r.is_node, r.name)", "(not r.initialized, not r.is_node)"),
        Mutant(
            "agent/core/inputs.py",
            "    found += [Pair(node) for node in world.snapshot.nodes if node.name not in taken]\n",
            "",
        ),
        Mutant(_ROOMS, "msgspec.structs.replace(room, going=True) if is_leaving(pair) else room", "room"),
    ),
    "6.6": (
        Mutant(_ROOMS, "        taints = lasting(taints, claim)\n", ""),
        Mutant(_ROOMS, "if claim is not None and starting:", "if claim is not None:"),
        Mutant(_ROOMS, "{**labels, **claim.meta.labels}, (", "labels, ("),
        Mutant(_ROOMS, "(*taints, *claim.taints)", "taints"),
    ),
    "6.7": (
        Mutant(_ROOMS, "        total = _reported(node.allocatable, claim.allocatable)\n", ""),
        Mutant(_ROOMS, "if claim is not None and starting:", "if claim is not None:"),
    ),
    "6.8": (
        Mutant(_ROOMS, "if due != ZERO:", "if due != due:"),
        Mutant(
            _ROOMS,
            "free -= _positive(due - Resources.total(pod.requests for pod in pods if pod.is_daemon))",
            "free -= due",
        ),
        Mutant(
            "agent/core/standing.py", "if p.node_name is not None and not p.is_finished)", "if p.node_name is not None)"
        ),
    ),
    "6.9": (
        Mutant(_ROOMS, "and any(map(runs, wanted)):", "and wanted:"),
        # As in Karpenter.
        Mutant(_ROOMS, "any(map(runs, wanted)):", "any(map(runs, wanted[:1])):"),
        Mutant(_ROOMS, "if tolerates((*daemon.tolerations, *DAEMON_TOLERATIONS), taints) and", "if"),
    ),
}
