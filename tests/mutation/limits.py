"""Limits without one of the rules (section 12)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

BUYING: Final = "agent/core/buying.py"
USAGE: Final = "agent/core/usage.py"

LIMITS: Final[Mutants] = {
    "12.1": (
        # A node that is being deleted counts no longer, as in Karpenter.
        Mutant(
            BUYING,
            "            if claim.pool in used:\n",
            "            if claim.pool in used and claim.meta.deleted_at is None:\n",
        ),
        # A node counts as what pods can have of it.
        Mutant(
            BUYING,
            "kind.capacity.amount(name)",
            "kind.allocatable.amount(name)",
            (Mutant(BUYING, "own.shelf.capacity[name].above(rest)", "own.shelf.allocatable[name].above(rest)"),),
        ),
        # Nodes that are there do not count.
        Mutant(BUYING, "_add(used[claim.pool], possible(claim, asked))", "_add(used[claim.pool], {})"),
        # Those of other pools do too.
        Mutant(
            BUYING,
            "            if claim.pool in used:\n                _add(used[claim.pool], possible(claim, asked))",
            "            for own in used.values():\n                _add(own, possible(claim, asked))",
        ),
    ),
    "12.2": (
        # Types beyond the limit are left in.
        Mutant(
            BUYING,
            "                found &= ~own.shelf.capacity[name].above(rest)",
            "                found &= own.shelf.every",
            (
                Mutant(
                    BUYING, "if any(self.used[pool][n] + more > limits[n] for n, more in growth.items()):", "if False:"
                ),
            ),
        ),
        # A spent pool leaves it to no other.
        Mutant(
            "agent/core/topology/offers.py",
            "for number in range(len(self.shops)) if",
            "for number in range(len(self.shops))[:1] if",
        ),
    ),
    "12.3": (
        # A launch counts as the least that it may become.
        Mutant(BUYING, "largest = {name: max(_amount", "largest = {name: min(_amount"),
        # So does a claim that is not launched yet.
        Mutant(
            USAGE,
            "largest[name] = max(largest.get(name, 0), amount)",
            "largest[name] = min(largest.get(name, amount), amount)",
        ),
    ),
    "12.4": (
        # Nodes of the same plan do not count, as in Karpenter.
        Mutant(BUYING, "return 1 if name == NODES else", "return 0 if name == NODES else"),
    ),
    "12.5": (
        # A limit must not be met exactly.
        Mutant(BUYING, "_amount(kind, name) > limit:", "_amount(kind, name) >= limit:"),
        # A type that lacks what is limited is left out.
        Mutant(
            BUYING,
            "            if name in own.shelf.capacity:\n",
            "            if name != NODES and name not in own.shelf.capacity:\n                return 0\n"
            "            if name in own.shelf.capacity:\n",
        ),
        # Only what every node has may be limited.
        Mutant(
            BUYING,
            "return 1 if name == NODES else kind.capacity.amount(name)",
            'return 1 if name == NODES else kind.capacity.amount(name) * (name in {"cpu", "memory"})',
        ),
    ),
}
