"""What a pool's status says, and whether its joins fail so often that it only tries now and then."""

from collections import Counter
from datetime import datetime, timedelta

import msgspec

from agent.core.world import World, target
from agent.model import names
from agent.model.actions import Action, SetProtectedMode, WritePoolStatus
from agent.model.kubernetes import Condition, NodePool
from agent.model.names import PoolName
from agent.model.plan import Notice
from agent.model.reasons import Reason
from agent.model.resources import ZERO, Resources

JOIN_FAILURES = 10
"""Joins that must fail in a row before a pool only tries now and then."""
FIRST_TRIAL = timedelta(minutes=10)
LAST_TRIAL = timedelta(hours=1)
MOST_DOUBLINGS = 8


class Protection(msgspec.Struct, frozen=True):
    """What the annotation joinery.sh/protected-mode holds; a join, `joinery resume` or an edit ends it."""

    until: datetime
    trial: int
    pool_generation: int
    class_generation: int


def protection(world: World, pool: NodePool) -> Protection | None:
    """The pool's protected mode, unless the pool or its class was changed since it began."""
    text = pool.meta.annotations.get(names.PROTECTED)
    if not text:
        return None
    try:
        held = msgspec.json.decode(text, type=Protection)
    except msgspec.DecodeError:
        return None
    same = held.pool_generation == pool.meta.generation and held.class_generation == _class_generation(world, pool)
    return held if same else None


def encode_protection(world: World, pool: NodePool, until: datetime, trial: int) -> str:
    """The annotation's text."""
    return msgspec.json.encode(Protection(until, trial, pool.meta.generation, _class_generation(world, pool))).decode()


def protect(world: World, failures: dict[PoolName, int], joined: frozenset[PoolName]) -> tuple[Action, ...]:
    """Begin, prolong or end protected mode, given joins that failed in a row and pools of which a node just joined."""
    actions: list[Action] = []
    for pool in world.snapshot.pools:
        held = protection(world, pool)
        if names.PROTECTED in pool.meta.annotations and (pool.name in joined or held is None):
            why = Reason("ProtectedMode", f"NodePool {pool.name} buys again: " + _why_ended(pool, joined))
            actions.append(SetProtectedMode(reason=why, pool=target(pool.meta), until=None))
        elif failures.get(pool.name, 0) >= JOIN_FAILURES + (held.trial if held else 0):
            actions.append(_begin(world, pool, held))
    return tuple(actions)


def _begin(world: World, pool: NodePool, held: Protection | None) -> SetProtectedMode:
    trial = held.trial + 1 if held else 1
    wait = min(FIRST_TRIAL * 2 ** min(trial - 1, MOST_DOUBLINGS), LAST_TRIAL)
    until = world.snapshot.now + wait
    failed = JOIN_FAILURES + trial - 1
    sentence = (
        f"{failed} joins of NodePool {pool.name} failed in a row; one trial launch at {until:%H:%M:%S} "
        f"UTC; the instances' console output says why they failed, `joinery resume {pool.name}` ends the wait"
    )
    annotation = encode_protection(world, pool, until, trial)
    return SetProtectedMode(
        reason=Reason("ProtectedMode", sentence),
        pool=target(pool.meta),
        until=until,
        trial=trial,
        annotation=annotation,
    )


def _why_ended(pool: NodePool, joined: frozenset[PoolName]) -> str:
    return "a node joined" if pool.name in joined else "the pool or its EC2NodeClass was changed"


def _class_generation(world: World, pool: NodePool) -> int:
    found = world.node_class.get(pool.node_class)
    return found.meta.generation if found else 0


def statuses(world: World) -> tuple[Action, ...]:
    """Write the status of every pool whose status is not what it should be."""
    counts: Counter[PoolName] = Counter()
    totals: dict[PoolName, Resources] = {}
    for claim in world.snapshot.claims:
        if claim.pool is not None and claim.meta.deleted_at is None:
            counts[claim.pool] += 1
            totals[claim.pool] = totals.get(claim.pool, ZERO) + claim.capacity
    actions = []
    for pool in world.snapshot.pools:
        conditions = _conditions(world, pool)
        now = {(c.type, c.status, c.reason, c.message) for c in pool.conditions}
        written = {(c.type, c.status, c.reason, c.message) for c in conditions} <= now
        wanted = (counts[pool.name], totals.get(pool.name, ZERO))
        stamped = pool.meta.annotations.get(names.NODEPOOL_HASH) == pool.hash
        if wanted != (pool.node_count, pool.resources) or not written or not stamped:
            actions.append(
                WritePoolStatus(
                    reason=Reason("StatusChanged", f"NodePool {pool.name} has {wanted[0]} nodes"),
                    pool=target(pool.meta),
                    node_count=wanted[0],
                    resources=wanted[1],
                    conditions=conditions,
                    hash="" if stamped else pool.hash,
                    hash_version=pool.hash_version,
                )
            )
    return tuple(actions)


def _conditions(world: World, pool: NodePool) -> tuple[Condition, ...]:
    """Karpenter's three: ValidationSucceeded and NodeClassReady, and Ready when both hold."""
    if pool.faults:
        valid = Condition("ValidationSucceeded", "False", "NodePoolValidationFailed", "; ".join(pool.faults))
    else:
        valid = Condition("ValidationSucceeded", "True", "ValidationSucceeded", "; ".join(pool.notes))
    ready = _class_ready(world, pool)
    cause = next((c for c in (valid, ready) if c.status != "True"), None)
    if cause is None:
        return (valid, ready, Condition("Ready", "True", "Ready"))
    return (valid, ready, Condition("Ready", cause.status, cause.reason, cause.message))


def _class_ready(world: World, pool: NodePool) -> Condition:
    name = f"EC2NodeClass {pool.node_class}"
    node_class = world.node_class.get(pool.node_class)
    if node_class is None:
        return Condition("NodeClassReady", "False", "NodeClassNotFound", f"{name} does not exist")
    if node_class.meta.deleted_at is not None:
        return Condition("NodeClassReady", "False", "NodeClassTerminating", f"{name} is being deleted")
    if node_class.ready:
        return Condition("NodeClassReady", "True", "NodeClassReady")
    cause = next((c for c in node_class.conditions if c.type == "Ready"), None)
    if cause is None or cause.status != "False":
        return Condition("NodeClassReady", "False", "NodeClassReadinessUnknown", f"{name} is not resolved yet")
    return Condition("NodeClassReady", "False", cause.reason or "NodeClassNotReady", f"{name}: {cause.message}")


def notices(world: World) -> tuple[Notice, ...]:
    """Faults of pools, classes and overlays that passed the CRD's schema, so that `kubectl describe` shows them."""
    found = []
    for pool in world.snapshot.pools:
        if pool.faults:
            reason = Reason("NodePoolNotReady", "; ".join(pool.faults))
            found.append(Notice("NodePool", pool.name, reason, uid=pool.meta.uid))
    for node_class in world.snapshot.classes:
        if node_class.faults:
            reason = Reason("NodeClassNotReady", "; ".join(node_class.faults))
            found.append(Notice("EC2NodeClass", node_class.name, reason, uid=node_class.meta.uid))
    for overlay in world.snapshot.overlays:
        if overlay.faults:
            reason = Reason("NodeOverlayNotReady", "; ".join(overlay.faults))
            found.append(Notice("NodeOverlay", overlay.meta.name, reason, uid=overlay.meta.uid))
    return tuple(found)
