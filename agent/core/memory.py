"""What is remembered from one cycle to the next, and when it is forgotten."""

from datetime import timedelta

import msgspec

from agent.core.lifecycle import VISIBLE_AFTER, Step, intent_of
from agent.core.observed import seen_memory
from agent.core.orphans import BRAKE_WINDOW, Sweep
from agent.core.world import World
from agent.model.kubernetes import NodeClaim
from agent.model.names import ClaimName, ClaimUid, PoolName
from agent.model.plan import Lesson, Memory

LAUNCH_WINDOW = timedelta(minutes=1)


def remembered(world: World, steps: dict[ClaimName, Step], swept: Sweep) -> Memory:
    """The memory after a decision: what is over is dropped, what was seen is counted."""
    snapshot, memory = world.snapshot, world.snapshot.memory
    alive = {c.uid for c in snapshot.claims}
    looked = snapshot.machines_at is not None and snapshot.machines is not None
    fresh = looked and (memory.lookups_at is None or snapshot.machines_at > memory.lookups_at)  # type: ignore[operator]
    return msgspec.structs.replace(
        memory,
        capacity_errors=tuple(e for e in memory.capacity_errors if e.until > snapshot.now),
        answers={k: v for k, v in memory.answers.items() if k in alive},
        sent_at={k: v for k, v in memory.sent_at.items() if k in alive},
        empty_lookups=_lookups(world) if fresh else memory.empty_lookups,
        lookups_at=snapshot.machines_at if fresh else memory.lookups_at,
        launches=tuple(t for t in memory.launches if snapshot.now - t < LAUNCH_WINDOW),
        orphans=swept.orphans,
        terminated=tuple(t for t in memory.terminated if snapshot.now - t < BRAKE_WINDOW),
        join_failures=_failures(world, steps),
        given_up=_given_up(world, steps),
        seen_memory_bytes=seen_memory(world),
    )


def absorb(memory: Memory, lesson: Lesson) -> Memory:
    """Add what an effect learnt."""
    changed: dict[str, object] = {}
    if lesson.answer is not None:
        uid, answer = lesson.answer
        changed["answers"] = memory.answers | {uid: answer}
    if lesson.sent is not None:
        uid, at = lesson.sent
        changed["sent_at"] = memory.sent_at | {uid: at}
        changed["empty_lookups"] = {k: v for k, v in memory.empty_lookups.items() if k != uid}
    if lesson.capacity_errors:
        changed["capacity_errors"] = (*memory.capacity_errors, *lesson.capacity_errors)
    if lesson.terminated is not None:
        changed["terminated"] = (*memory.terminated, lesson.terminated)
    if lesson.launched is not None:
        changed["launches"] = (*memory.launches, lesson.launched)
    return msgspec.structs.replace(memory, **changed)


def _lookups(world: World) -> dict[ClaimUid, int]:
    """Looks in a row that showed no instance of a claim that has, or may have, one."""
    counted = {}
    for claim in world.snapshot.claims:
        if claim.uid and _expects_instance(claim) and world.machine_of(claim) is None and _is_visible(world, claim):
            counted[claim.uid] = world.snapshot.memory.empty_lookups.get(claim.uid, 0) + 1
    return counted


def _expects_instance(claim: NodeClaim) -> bool:
    return claim.provider_id is not None or intent_of(claim) is not None


def _is_visible(world: World, claim: NodeClaim) -> bool:
    """Whether a look of that age would show what was sent last."""
    sent, at = world.snapshot.memory.sent_at.get(claim.uid), world.snapshot.machines_at
    return sent is None or (at is not None and at - sent >= VISIBLE_AFTER)


def _given_up(world: World, steps: dict[ClaimName, Step]) -> tuple[ClaimUid, ...]:
    alive = {c.uid for c in world.snapshot.claims}
    failed = {world.claim[name].uid for name, step in steps.items() if step.joined is False}
    return tuple(sorted(failed | alive.intersection(world.snapshot.memory.given_up)))


def _failures(world: World, steps: dict[ClaimName, Step]) -> dict[PoolName, int]:
    """Joins of each pool that failed in a row. A pool that has left protected mode begins anew."""
    counts, counted = dict(world.snapshot.memory.join_failures), world.snapshot.memory.given_up
    for name, step in steps.items():
        pool = world.claim[name].pool
        if pool is not None and step.joined is not None and (step.joined or world.claim[name].uid not in counted):
            counts[pool] = 0 if step.joined else counts.get(pool, 0) + 1
    return {k: v for k, v in counts.items() if v and k in world.pool}
