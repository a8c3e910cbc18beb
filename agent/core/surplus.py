"""Which nodes of static pools are too many: which of them go, in what order, and what holds them (rule 14.3)."""

from collections import Counter
from datetime import datetime

from agent.core.disruption import Candidate, Found, Hold, counts, over_budget
from agent.core.pods import eviction_cost, is_reschedulable, protected_until
from agent.core.world import World
from agent.model import names
from agent.model.kubernetes import NodeClaim, NodePool
from agent.model.names import PoolName
from agent.model.reasons import Blocked, Reason


def surplus(world: World) -> Found:
    """The claims of static pools beyond their replicas, the least disturbing first, within the budgets."""
    chosen: list[Candidate] = []
    blocked: list[Blocked] = []
    times: list[datetime] = []
    totals, spent = counts(world), Counter[PoolName]()
    for pool in sorted(world.snapshot.pools, key=lambda p: p.name):
        going = _too_many(world, pool)
        for claim in sorted(going, key=lambda c: _disturbance(world, c))[: max(0, len(going) - (pool.replicas or 0))]:
            node = world.node_of(claim)
            hold: Hold | None = None
            if claim.is_true("Initialized"):
                # A node that never became one disturbs nobody, and budgets do not count it (rule 21.3).
                hold = over_budget(world, pool, "Static", totals.get(pool.name, (0, 0)), spent[pool.name])
                spent[pool.name] += hold is None
            if hold is not None:
                blocked.append(Blocked(node.name if node else claim.name, "Static", hold.blocker, hold.message))
                times += [hold.until] if hold.until is not None else []
                continue
            sentence = f"NodePool {pool.name} keeps {pool.replicas} of {len(going)} nodes"
            chosen.append(Candidate(claim, node, pool.name, Reason("Static", sentence)))
    return Found(tuple(chosen), tuple(blocked), min(times, default=None))


def _too_many(world: World, pool: NodePool) -> list[NodeClaim]:
    """The pool's claims that are not going, if there are more than its replicas; none while one is being worked on.

    What is under way may be the very removal that brings the number down.
    """
    if pool.replicas is None or pool.faults or pool.meta.deleted_at is not None:
        return []
    own = [c for c in world.snapshot.claims if c.pool == pool.name]
    active = [c for c in own if c.meta.deleted_at is None and not c.is_true("DisruptionReason")]
    return [] if any(c.name in world.snapshot.busy for c in own) else active


def _disturbance(world: World, claim: NodeClaim) -> tuple[int, float, str]:
    """Not launched, empty, without protected pods, then what moving its pods costs for as long as it would live."""
    if claim.provider_id is None:
        return 0, 0.0, claim.name
    node, now = world.node_of(claim), world.snapshot.now
    pods = world.pods_on.get(node.name, ()) if node is not None else ()
    protected = any(protected_until(p, now) is not None for p in pods)
    annotated = node is not None and node.meta.annotations.get(names.DO_NOT_DISRUPT) == "true"
    moved = [p for p in pods if is_reschedulable(p)]
    rank = 3 if protected or annotated else 2 if moved else 1
    cost = 1.0 + sum(max(0.0, eviction_cost(p)) for p in moved)
    return rank, cost * _lifetime_left(claim, now), claim.name


def _lifetime_left(claim: NodeClaim, now: datetime) -> float:
    """The share of ``expireAfter`` that is left, 1 without one: a node that is about to go anyway goes first."""
    created = claim.meta.created_at
    if not claim.expire_after_seconds or created is None:
        return 1.0
    return min(1.0, max(0.0, 1.0 - (now - created).total_seconds() / claim.expire_after_seconds))
