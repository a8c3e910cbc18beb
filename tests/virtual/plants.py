"""Bugs on purpose, each laid around the real daemon from outside: they show that the checker sees what it must."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec
import structlog

from agent.model import actions as a
from agent.model import names
from agent.model.kubernetes import Pod
from agent.model.names import ClaimName, InstanceId, NodeName
from agent.model.plan import Memory, Plan, Snapshot
from agent.model.reasons import Reason
from tests.virtual.process import Process

WHY = Reason("Orphaned", "a planted bug")
Edit = Callable[[Snapshot], Snapshot]
Rewrite = Callable[[Plan, Snapshot], Iterable[a.Action]]


class Plant(NamedTuple):
    """A bug, and the invariant that it breaks."""

    lay: Callable[[Process], None]
    breaks: str


class _Observer:
    """Hands out what the real one saw, changed."""

    def __init__(self, real: Any, edit: Edit) -> None:
        self._real = real
        self._edit = edit
        self.last: Snapshot | None = None

    def snapshot(self, now: datetime, seed: str, memory: Memory) -> Snapshot:
        self.last = self._edit(self._real.snapshot(now, seed, memory))
        return self.last


class _Ec2:
    """The real EC2 with one method changed."""

    def __init__(self, real: Any, **changed: Any) -> None:
        self._real = real
        self._changed = changed

    def __getattr__(self, name: str) -> Any:
        return self._changed.get(name) or getattr(self._real, name)


def seeing(process: Process, edit: Edit) -> _Observer:
    """Let it decide from something else than what there is."""
    observer = _Observer(process.loop.observer, edit)
    process.loop.observer = cast("Any", observer)
    return observer


def doing(process: Process, rewrite: Rewrite) -> None:
    """Let it carry out something else than what was decided."""
    observer, carry_out = seeing(process, lambda s: s), process.actor.carry_out

    def changed(plan: Plan) -> tuple[a.Action, ...]:
        assert observer.last is not None
        return carry_out(msgspec.structs.replace(plan, actions=tuple(rewrite(plan, observer.last))))

    process.actor.carry_out = changed  # type: ignore[method-assign]  # that is the plant


def hands(process: Process, **changed: Any) -> None:
    process.actor.hands = replace(process.hands, **changed)


def sent_twice(process: Process) -> None:
    def twice(request: Any, token: str) -> Any:
        process.ec2.create_fleet(request, token)
        return process.ec2.create_fleet(request, token[:-1] + "x")

    hands(process, ec2=_Ec2(process.ec2, create_fleet=twice))


def token_ignored(process: Process) -> None:
    def other(request: Any, _: str) -> Any:
        return process.ec2.create_fleet(request, f"{process.random.getrandbits(64):x}")

    hands(process, ec2=_Ec2(process.ec2, create_fleet=other))


def orphans_forgotten(process: Process) -> None:
    doing(process, lambda plan, _: [x for x in plan.actions if not _is_about_orphans(x)])


def _is_about_orphans(action: a.Action) -> bool:
    return isinstance(action, a.AdoptMachine) or (isinstance(action, a.TerminateMachine) and action.claim is None)


def own_writes_unread(process: Process) -> None:
    process.cache.wrote = lambda *_: None  # type: ignore[method-assign]
    process.cache.deleted = lambda *_: None  # type: ignore[method-assign]
    process.loop.observer = replace(process.loop.observer, drafts=tuple)


def fence_open(process: Process) -> None:
    hands(process, fence=lambda: None)
    process.loop.leading = lambda: True


def strangers_terminated(process: Process) -> None:
    def rewrite(plan: Plan, snapshot: Snapshot) -> Iterable[a.Action]:
        ours = {m.id for m in snapshot.machines or () if m.is_ours(snapshot.cluster.name, snapshot.cluster.uid)}
        strange = [m.id for m in snapshot.machines or () if m.id not in ours and m.alive]
        return [*plan.actions, *(a.TerminateMachine(WHY, InstanceId(i)) for i in strange[:1])]

    def terminate(instance: str) -> None:
        process.ec2._session.once().terminate_instances(InstanceIds=[instance])

    doing(process, rewrite)
    hands(process, ec2=_Ec2(process.ec2, terminate=terminate))


def budgets_of_pods_bypassed(process: Process) -> None:
    def deleted(action: a.Action) -> a.Action:
        if isinstance(action, a.EvictPod):
            return a.DeletePod(action.reason, action.pod, action.node, action.claim, 30)
        return action

    doing(process, lambda plan, _: map(deleted, plan.actions))


def pinned_pods_moved(process: Process) -> None:
    def freed(pod: Pod) -> Pod:
        kept = {k: v for k, v in pod.meta.annotations.items() if k != names.DO_NOT_DISRUPT}
        return msgspec.structs.replace(pod, meta=msgspec.structs.replace(pod.meta, annotations=kept))

    seeing(process, lambda s: msgspec.structs.replace(s, pods=tuple(map(freed, s.pods))))


def node_deleted_first(process: Process) -> None:
    def rewrite(plan: Plan, _: Snapshot) -> Iterable[a.Action]:
        for action in plan.actions:
            if isinstance(action, a.BeginTermination) and action.node is not None:
                yield a.DeleteNode(action.reason, action.node)
            yield action

    doing(process, rewrite)


def undrained(process: Process) -> None:
    def rewrite(plan: Plan, snapshot: Snapshot) -> Iterable[a.Action]:
        found = {c.name: c for c in snapshot.claims}
        for action in plan.actions:
            claim = found.get(ClaimName(action.claim.name)) if isinstance(action, a.BeginTermination) else None
            if isinstance(action, a.BeginTermination) and claim is not None and claim.provider_id is not None:
                instance = InstanceId(claim.provider_id.rpartition("/")[2])
                yield a.TerminateMachine(action.reason, instance, action.claim, claim.uid, NodeName(""))
            else:
                yield action

    doing(process, rewrite)


def secret_logged(process: Process) -> None:
    tend, log = process.chores.tend_token, structlog.get_logger("planted")

    def told(rotation: Any, leading: Any) -> None:
        tend(rotation, leading)
        published = process.world.cloud.parameters.get(process.world.settings.token_parameter, ["none yet"])
        log.info("token", value=published[-1])

    process.chores.tend_token = told  # type: ignore[method-assign]


def brake_off(process: Process) -> None:
    def rewrite(plan: Plan, _: Snapshot) -> Iterable[a.Action]:
        return [*plan.actions, *(a.TerminateMachine(WHY, i) for i in plan.memory.orphans)]

    doing(process, rewrite)


def doubt_ignored(process: Process) -> None:
    process.cache.synced = lambda: True  # type: ignore[method-assign]


def budgets_of_pools_ignored(process: Process) -> None:
    def edit(snapshot: Snapshot) -> Snapshot:
        free = tuple(msgspec.structs.replace(p, budgets=()) for p in snapshot.pools)
        return msgspec.structs.replace(snapshot, pools=free)

    seeing(process, edit)


def token_unrepaired(process: Process) -> None:
    tend, once = process.chores.tend_token, list[bool]()

    def first_only(rotation: Any, leading: Any) -> None:
        if not once:
            tend(rotation, leading)
        once.append(True)

    process.chores.tend_token = first_only  # type: ignore[method-assign]


PLANTS: dict[str, Plant] = {
    "sent_twice": Plant(sent_twice, "one-instance-per-claim"),
    "token_ignored": Plant(token_ignored, "one-instance-per-claim"),
    "orphans_forgotten": Plant(orphans_forgotten, "no-orphan"),
    "own_writes_unread": Plant(own_writes_unread, "within-limits"),
    "fence_open": Plant(fence_open, "one-writer"),
    "strangers_terminated": Plant(strangers_terminated, "foreign-spared"),
    "budgets_of_pods_bypassed": Plant(budgets_of_pods_bypassed, "pods-respected"),
    "pinned_pods_moved": Plant(pinned_pods_moved, "pods-respected"),
    "node_deleted_first": Plant(node_deleted_first, "instance-before-node"),
    "undrained": Plant(undrained, "drained-first"),
    "secret_logged": Plant(secret_logged, "no-secret-told"),
    "brake_off": Plant(brake_off, "sweep-braked"),
    "doubt_ignored": Plant(doubt_ignored, "whole-view"),
    "budgets_of_pools_ignored": Plant(budgets_of_pools_ignored, "budget-kept"),
    "token_unrepaired": Plant(token_unrepaired, "token-works"),
}
