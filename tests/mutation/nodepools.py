"""What is done for pools without one of the rules (section 19)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

POOLS: Final = "agent/core/pools.py"
TEMPLATES: Final = "agent/core/templates.py"

NODEPOOLS: Final[Mutants] = {
    "19.1": (
        # A pool buys though its class is not ready.
        Mutant(TEMPLATES, "if node_class is not None and not node_class.ready:", "if False:"),
        # It says nothing of its class.
        Mutant(
            POOLS, "ready = _class_ready(world, pool)", 'ready = Condition("NodeClassReady", "True", "NodeClassReady")'
        ),
    ),
    "19.2": (
        # A pool with faults buys.
        Mutant(TEMPLATES, "if pool.faults:", "if False:"),
        # It says that it is valid.
        Mutant(POOLS, "    if pool.faults:\n        valid", "    if False:\n        valid"),
    ),
    "19.3": (
        # Whatever the template says, its hash is the same.
        Mutant("agent/manifests/hashes.py", "return _hash(template)", "return _hash(HASH_VERSION)"),
        # The pool does not carry it.
        Mutant(POOLS, "stamped = pool.meta.annotations.get(names.NODEPOOL_HASH) == pool.hash", "stamped = True"),
        # Claims do not.
        Mutant("agent/core/composing.py", "    if pool.hash:\n", "    if not pool.hash:\n"),
    ),
    "19.4": (
        # Nodes that are going count.
        Mutant(POOLS, "if claim.pool is not None and claim.meta.deleted_at is None:", "if claim.pool is not None:"),
        # What nodes have does not.
        Mutant(POOLS, "totals.get(claim.pool, ZERO) + claim.capacity", "ZERO"),
        # It is written once.
        Mutant(POOLS, "if wanted != (pool.node_count, pool.resources) or not written", "if not written"),
        # It is written each time.
        Mutant(POOLS, "if wanted != (pool.node_count, pool.resources) or not written", "if True or not written"),
        # What there is none of is left out.
        Mutant("agent/daemon/act/status.py", 'resources |= dict.fromkeys(BASE, "0")', "pass"),
    ),
    "19.5": (
        # A pool that is being deleted buys.
        Mutant(TEMPLATES, "if pool.meta.deleted_at is not None:", "if False:"),
        # Its claims stay behind.
        Mutant("agent/kube/wire/cluster.py", "if draft.pool_uid:", "if False:"),
    ),
}
