"""Which nodes are empty and may go now. Other reasons to disrupt follow the same shape.

Empty means that no pod of it would need another node: DaemonSet, mirror and finished pods do not count, and a node
that this very decision promised to a pending pod is not empty.
"""

from collections import defaultdict
from datetime import datetime, timedelta

import msgspec

from agent.core.budgets import allowed_disruptions, next_change
from agent.core.pods import is_reschedulable, protected_until
from agent.core.world import World
from agent.model import names
from agent.model.kubernetes import Node, NodeClaim, NodePool
from agent.model.names import PoolName
from agent.model.reasons import Blocked, Reason

EMPTY_POLICIES = frozenset({"WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"})


class Candidate(msgspec.Struct, frozen=True):
    """A node that may go now; one that has not come yet is a claim alone."""

    claim: NodeClaim
    node: Node | None
    pool: PoolName
    reason: Reason


class Found(msgspec.Struct, frozen=True):
    """The nodes that go, those that something holds, and when time alone would change the answer."""

    candidates: tuple[Candidate, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    next_at: datetime | None = None


class Hold(msgspec.Struct, frozen=True):
    """What keeps a node, and until when if time ends it."""

    blocker: str
    message: str
    until: datetime | None = None


def empty_nodes(world: World, occupied: frozenset[str]) -> Found:
    """Every empty node that its pool's policy lets go, within the budgets.

    Args:
        world: The snapshot.
        occupied: Names of nodes that pending pods were just placed on.

    """
    chosen: list[Candidate] = []
    blocked: list[Blocked] = []
    times: list[datetime] = []
    spent: defaultdict[PoolName, int] = defaultdict(int)
    totals = counts(world)
    for claim, node, pool in sorted(_empty(world, occupied), key=lambda e: (e[2].name, e[0].meta.name)):
        hold = _held(world, claim, node, pool)
        if hold is None:
            hold = over_budget(world, pool, "Empty", totals.get(pool.name, (0, 0)), spent[pool.name])
        if hold is not None:
            blocked.append(Blocked(node.name, "Empty", hold.blocker, hold.message))
            times += [hold.until] if hold.until is not None else []
            continue
        spent[pool.name] += 1
        since = _idle_since(claim)
        idle = int((world.snapshot.now - since).total_seconds()) if since is not None else 0
        chosen.append(Candidate(claim, node, pool.name, Reason("Empty", f"node {node.name} is empty for {idle} s")))
    return Found(tuple(chosen), tuple(blocked), min(times, default=None))


def _empty(world: World, occupied: frozenset[str]) -> list[tuple[NodeClaim, Node, NodePool]]:
    found = []
    occupied |= {p.nominated_node for p in world.snapshot.pods if p.nominated_node is not None and p.node_name is None}
    for claim in world.snapshot.claims:
        node, pool = world.node_of(claim), world.pool.get(claim.pool) if claim.pool is not None else None
        if node is None or pool is None or pool.faults or pool.meta.deleted_at is not None or pool.replicas is not None:
            continue
        if claim.meta.deleted_at is not None or node.meta.deleted_at is not None or not claim.is_true("Initialized"):
            continue
        if pool.consolidation_policy not in EMPTY_POLICIES or {node.name, claim.name} & occupied:
            continue
        if claim.name in world.snapshot.busy or world.is_control_plane(node):
            continue
        if not any(is_reschedulable(p) for p in world.pods_on.get(node.name, ())):
            found.append((claim, node, pool))
    return found


def _held(world: World, claim: NodeClaim, node: Node, pool: NodePool) -> Hold | None:
    """What keeps an empty node, by name."""
    now = world.snapshot.now
    if "true" in (o.annotations.get(names.DO_NOT_DISRUPT) for o in (node.meta, claim.meta)):
        return Hold(f"Node {node.name}", f"node {node.name} is annotated {names.DO_NOT_DISRUPT}")
    for pod in world.pods_on.get(node.name, ()):
        until = protected_until(pod, now)
        if until is not None:
            ends = None if until == datetime.max.replace(tzinfo=now.tzinfo) else until
            return Hold(f"Pod {pod.key}", f"pod {pod.key} is annotated {names.DO_NOT_DISRUPT}", ends)
    if pool.consolidate_after_seconds is None:
        return Hold(f"NodePool {pool.name}", f"NodePool {pool.name} has consolidateAfter: Never")
    since = _idle_since(claim)
    ends = since + timedelta(seconds=pool.consolidate_after_seconds) if since is not None else None
    if ends is not None and now < ends:
        day = f"{ends:%Y-%m-%d} " if ends.date() != now.date() else ""
        wait = f"consolidateAfter of NodePool {pool.name} keeps it until {day}{ends:%H:%M:%S} UTC"
        return Hold(f"NodePool {pool.name}", wait, ends)
    return None


def _idle_since(claim: NodeClaim) -> datetime | None:
    """The later of the last pod event and initialisation."""
    initialized = claim.condition("Initialized")
    times = (claim.last_pod_event_at, initialized.last_transition if initialized is not None else None)
    return max((t for t in times if t is not None), default=None)


def counts(world: World) -> dict[PoolName, tuple[int, int]]:
    """Per pool: its initialised nodes, and those of them that are on their way out or not Ready (rule 21.3)."""
    found: dict[PoolName, tuple[int, int]] = {}
    for claim in world.snapshot.claims:
        if claim.pool is None or not claim.is_true("Initialized") or claim.is_true("InstanceTerminating"):
            continue
        total, going = found.get(claim.pool, (0, 0))
        found[claim.pool] = (total + 1, going + _is_going(world, claim))
    return found


def _is_going(world: World, claim: NodeClaim) -> bool:
    # What is under way counts although it shows nowhere yet: it may be this very disruption.
    if claim.meta.deleted_at is not None or claim.is_true("DisruptionReason") or claim.name in world.snapshot.busy:
        return True
    node = world.node_of(claim)
    return node is None or node.ready != "True" or node.has_taint(names.DISRUPTED_TAINT)


def over_budget(world: World, pool: NodePool, reason: str, totals: tuple[int, int], spent: int) -> Hold | None:
    """The budget that lets no further node of the pool go, given what ``counts`` says and what this plan lets go."""
    total, going = totals
    allowed, sentence = allowed_disruptions(pool, reason, world.snapshot.now, total, going + spent)
    return None if allowed > 0 else Hold(f"NodePool {pool.name}", sentence, next_change(pool, world.snapshot.now))
