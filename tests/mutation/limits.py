"""Limits without one of the rules (section 12)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

BUYING: Final = "agent/core/buying.py"
PURCHASES: Final = "agent/core/purchases.py"
RESERVATIONS: Final = "agent/core/reservations.py"
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
            PURCHASES,
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
        Mutant(PURCHASES, "largest = {name: max(amount_of", "largest = {name: min(amount_of"),
        # So does a claim that is not launched yet.
        Mutant(
            USAGE,
            "largest[name] = max(largest.get(name, 0), amount)",
            "largest[name] = min(largest.get(name, amount), amount)",
        ),
    ),
    "12.4": (
        # Nodes of the same plan do not count, as in Karpenter.
        Mutant(PURCHASES, "return 1 if name == NODES else", "return 0 if name == NODES else"),
    ),
    "12.5": (
        # A limit must not be met exactly.
        Mutant(BUYING, "amount_of(kind, name) > limit:", "amount_of(kind, name) >= limit:"),
        # A type that lacks what is limited is left out.
        Mutant(
            BUYING,
            "            if name in own.shelf.capacity:\n",
            "            if name != NODES and name not in own.shelf.capacity:\n                return 0\n"
            "            if name in own.shelf.capacity:\n",
        ),
        # Only what every node has may be limited.
        Mutant(
            PURCHASES,
            "return 1 if name == NODES else kind.capacity.amount(name)",
            'return 1 if name == NODES else kind.capacity.amount(name) * (name in {"cpu", "memory"})',
        ),
    ),
}

RESERVED: Final[Mutants] = {
    "8.8": (
        # A full reservation ends the rounds, so that nobody's wish is dropped.
        Mutant("agent/core/packing.py", "return packing.progress > before", "return False"),
    ),
    "13.1": (
        # Launches of the same plan do not count.
        Mutant(RESERVATIONS, "self.left[name] -= places", "self.left[name] -= 0"),
        # The largest count holds.
        Mutant(RESERVATIONS, "min(places, left.get(name, places))", "max(places, left.get(name, places))"),
        # A full one is bought from.
        Mutant(
            RESERVATIONS,
            "wide or self.left.get(name, 1) < 1",
            "wide",
            (
                Mutant(
                    RESERVATIONS,
                    "full = union(mask for name, mask in space.reserved.items() if self.left.get(name, 1) < 1)",
                    "full = 0",
                ),
            ),
        ),
        # Of what a class finds all is launched into.
        Mutant("agent/core/catalog.py", "if own.usable and own.instance_type", "if own.instance_type"),
        # Claims on their way do not count.
        Mutant(RESERVATIONS, "                left[name] -= 1\n", "                left[name] -= 0\n"),
    ),
    "13.2": (
        # What is bought otherwise may fall back to a reservation.
        Mutant(RESERVATIONS, "mask & ~union(space.reserved.values())", "mask"),
    ),
    "13.3": (
        # Pods that were meant for a full reservation get nothing.
        Mutant("agent/core/packing.py", "return packing.progress > before", "return False"),
    ),
    "13.4": (
        # The launch does not name its reservation.
        Mutant("agent/core/composing.py", "chosen[names.RESERVATION] = frozenset({reservation})", "pass"),
    ),
}
