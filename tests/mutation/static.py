"""Static pools without one of the rules (section 14)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

ENGINE: Final = "agent/core/static.py"
SURPLUS: Final = "agent/core/surplus.py"

STATIC: Final[Mutants] = {
    "14.1": (
        # It may be asked like any other.
        Mutant("agent/core/templates.py", "if pool.replicas is not None:", "if False:"),
        # Its empty nodes go.
        Mutant("agent/core/disruption.py", " or pool.replicas is not None:", ":"),
    ),
    "14.2": (
        # It is not filled.
        Mutant(ENGINE, "lacking = (pool.replicas or 0) - sum(", "lacking = 0 - sum("),
        # Claims without a node do not count.
        Mutant(
            ENGINE,
            "pair.claim is not None and pair.claim.pool == pool.name",
            "pair.node is not None and pair.claim is not None and pair.claim.pool == pool.name",
        ),
        # Those that are being deleted do.
        Mutant(ENGINE, " and pair.claim.meta.deleted_at is None\n", "\n"),
        # Its limits do not hold.
        Mutant(
            ENGINE,
            "buying = Buying.of(asked)",
            "free = tuple(msgspec.structs.replace(p, limits={}) for p in asked.pools)\n"
            "    buying = Buying.of(msgspec.structs.replace(asked, pools=free))",
        ),
        # Nobody is told that they do.
        Mutant(
            ENGINE,
            "return launches, buying.held.get(pool.name) or buying.reservations.refusal(pool, space, members)",
            "return launches, None",
        ),
        # It is filled though it is not ready.
        Mutant(ENGINE, "reason = unready(pool, asked)", "reason = None"),
    ),
    "14.3": (
        # Nothing is scaled down.
        Mutant(SURPLUS, "max(0, len(going) - (pool.replicas or 0))", "0"),
        # The first by name go first.
        Mutant(SURPLUS, "key=lambda c: _disturbance(world, c))", "key=lambda c: c.name)"),
        # Claims without an instance are as good as others,
        Mutant(SURPLUS, "if claim.provider_id is None:", "if False:"),
        # empty nodes too,
        Mutant(SURPLUS, "else 2 if moved else 1", "else 2"),
        # and protected ones.
        Mutant(SURPLUS, "rank = 3 if protected or annotated else", "rank ="),
        # What moving costs is not asked,
        Mutant(SURPLUS, "return rank, cost * _lifetime_left(claim, now), claim.name", "return rank, 0.0, claim.name"),
        # nor for how long.
        Mutant(SURPLUS, "return rank, cost * _lifetime_left(claim, now), claim.name", "return rank, cost, claim.name"),
        # Budgets are not asked, as in Karpenter.
        Mutant(SURPLUS, 'if claim.is_true("Initialized"):', "if False:"),
    ),
    "14.4": (
        # Claims are written as those for pods are.
        Mutant(ENGINE, 'if launch.pods or launch.reason.code != "Static":', "if launch:"),
    ),
}
