"""The registry of effects, and the policy that an error's type is."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from agent.aws import errors as aws
from agent.daemon.act import EFFECTS, Actor, Fenced, Hands
from agent.daemon.act import executor as executing
from agent.daemon.batch import BatchWindow
from agent.daemon.loop import Loop, Wakeup
from agent.daemon.machines import Machines
from agent.daemon.observe import Observer
from agent.kube import errors as kube
from agent.model import actions as a
from agent.model.names import ClaimName, ClassName, InstanceTypeName, NodeName, PoolName, Zone
from agent.model.plan import Plan, Snapshot
from agent.model.reasons import Reason
from agent.model.resources import ZERO
from agent.report.journal import Publisher
from tests.build import NOW, snapshot

ACT = Path(executing.__file__).parent
REASON = Reason("Unused", "a test")


def test_every_write_to_the_world_is_a_registered_effect() -> None:
    """A function that writes but is no effect would escape the fence and the crash tests."""
    writes = re.compile(
        r"hands\.(api\.(create|replace|merge_patch|json_patch|delete|evict)|ec2\.(create_fleet|terminate))"
    )
    for module in ACT.glob("*.py"):
        name, decorated = "", False
        for line in module.read_text().splitlines():
            if line.startswith("@effect"):
                decorated = True
            elif line.startswith("def "):
                name = line[4:].partition("(")[0]
                effectful = decorated
                decorated = False
            elif writes.search(line) and not line.lstrip().startswith("#"):
                assert effectful or name == "_patched_node", f"{module.name}: {name} writes but is no effect"


def test_the_registry_knows_all_effects() -> None:
    assert len(EFFECTS) >= 20
    assert {"create_claim", "write_intent", "create_fleet", "terminate_instance", "evict_pod"} <= EFFECTS.keys()


def test_every_kind_of_action_has_somebody_to_carry_it_out() -> None:
    kinds = {t for t in vars(a).values() if isinstance(t, type) and issubclass(t, a.Act) and t is not a.Act}
    assert kinds == set(executing.CARRIERS)


@dataclass
class Told:
    """Stands where Events are told."""

    said: list[str] = field(default_factory=list)

    def publish(self, _kind: str, _name: str, reason: Reason, **_: object) -> None:
        self.said.append(reason.message)


@dataclass
class World:
    """Hands of which only the clock, the fence and one effect matter."""

    now: datetime = NOW
    outcome: Callable[[], None] = lambda: None
    calls: int = 0
    events: Told = field(default_factory=Told)
    random: Random = field(default_factory=lambda: Random(1))

    def clock(self) -> datetime:
        return self.now

    @property
    def templates(self) -> "World":
        return self

    def delete(self, _template_id: str) -> None:
        self.calls += 1
        self.outcome()

    @property
    def api(self) -> "World":
        return self

    def create(self, _path: str, _body: object) -> bytes:
        self.calls += 1
        self.outcome()
        return b""

    def fence(self) -> None:
        return None

    def checkpoint(self, _name: str, _moment: str) -> None:
        return None


def run(world: World, actor: Actor, seconds: float = 0.0) -> None:
    world.now = NOW + timedelta(seconds=seconds)
    actor.carry_out(Plan(now=world.now, actions=(a.DeleteTemplate(REASON, "lt-1"),)))
    actor.settle(5.0)


def actor_for(world: World) -> Actor:
    return Actor(cast("Hands", world), lambda: None, workers=2)


def raising(error: Exception) -> Callable[[], None]:
    def outcome() -> None:
        raise error

    return outcome


@pytest.mark.parametrize(
    ("error", "rests"),
    [
        (kube.Retryable("down"), (0.4, 1.0)),
        (aws.Throttled("slow down", code="RequestLimitExceeded", operation="ec2:X"), (0.4, 1.0)),
        (kube.Retryable("later", retry_after_seconds=7.0), (6.9, 7.1)),
        (kube.Denied("no"), (59.0, 61.0)),
        (aws.Denied("no", code="UnauthorizedOperation", operation="ec2:X"), (59.0, 61.0)),
        (kube.Conflict("changed"), (0.1, 0.3)),
    ],
)
def test_how_long_an_object_rests_is_said_by_the_type_of_its_error(
    error: Exception, rests: tuple[float, float]
) -> None:
    world = World(outcome=raising(error))
    actor = actor_for(world)
    run(world, actor)
    run(world, actor, rests[0])
    assert world.calls == 1
    run(world, actor, rests[1])
    assert world.calls == 2
    actor.close()


def test_rests_grow_with_every_failure_and_end_with_a_success() -> None:
    world = World(outcome=raising(kube.Retryable("down")))
    actor = actor_for(world)
    at = 0.0
    for _ in range(5):
        run(world, actor, at)
        at += 61.0
    due = actor.next_at()
    assert due is not None
    assert timedelta(seconds=7) < due - world.now <= timedelta(seconds=16)
    world.outcome = lambda: None
    run(world, actor, at + 61.0)
    assert actor.next_at() is None
    actor.close()


def test_what_the_fence_holds_back_is_not_an_error_and_is_tried_again_at_once() -> None:
    world = World(outcome=raising(Fenced("another leads")))
    actor = actor_for(world)
    run(world, actor)
    run(world, actor)
    assert world.calls == 2
    assert world.events.said == []
    actor.close()


def test_an_error_that_nobody_foresaw_reaches_the_loop() -> None:
    world = World(outcome=raising(ZeroDivisionError()))
    actor = actor_for(world)
    actor.carry_out(Plan(now=NOW, actions=(a.DeleteTemplate(REASON, "lt-1"),)))
    with pytest.raises(ZeroDivisionError):
        actor.settle(5.0)
    assert actor.busy() == ()
    actor.close()


def test_whoever_is_woken_by_an_effect_that_ended_finds_nothing_under_way() -> None:
    """Woken a moment earlier, the loop would find the object busy and sleep on, until something else happens."""
    found: list[tuple[str, ...]] = []
    woken = threading.Event()

    def wake() -> None:
        actor.collect()
        found.append(actor.busy())
        woken.set()

    actor = Actor(cast("Hands", World()), wake, workers=2)
    actor.carry_out(Plan(now=NOW, actions=(a.DeleteTemplate(REASON, "lt-1"),)))
    assert woken.wait(5.0)
    assert found == [()]
    actor.close()


def test_two_actions_on_one_object_never_run_at_once() -> None:
    action: Any = a.DeleteTemplate(REASON, "lt-1")
    assert executing.object_of(action) == "lt-1"
    world = World()
    actor = actor_for(world)
    started = actor.carry_out(Plan(now=NOW, actions=(action, action)))
    assert len(started) == 1
    actor.settle(5.0)
    actor.close()


@dataclass
class Watching:
    """Stands where the loop looks at the world; notes what counted as under way each time."""

    actor: Actor
    looks: list[tuple[str, ...]] = field(default_factory=list)
    interval_seconds: float = 0.0

    def snapshot(self, now: datetime, _seed: str, _memory: object) -> Snapshot:
        self.looks.append(self.actor.busy())
        return snapshot(now=now, busy=self.actor.busy())

    def publish(self, *_: object) -> None:
        return None


def test_a_cycle_after_an_effect_that_ended_looks_at_its_object_again() -> None:
    ended = threading.Event()
    actor = Actor(cast("Hands", World()), ended.set, workers=2)
    world = Watching(actor)
    loop = Loop(
        observer=cast("Observer", world),
        actor=actor,
        machines=cast("Machines", world),
        batch=BatchWindow(timedelta(seconds=1), timedelta(seconds=10)),
        publisher=cast("Publisher", world),
        leading=lambda: True,
        upkeep=lambda _: (),
        clock=lambda: NOW,
        progress=lambda _: None,
        wakeup=Wakeup(),
        health=lambda: None,
    )
    actor.carry_out(Plan(now=NOW, actions=(a.DeleteTemplate(REASON, "lt-1"),)))
    assert ended.wait(5.0)
    loop.cycle()
    assert world.looks == [()]
    actor.close()


def test_a_refused_eviction_does_not_hold_up_the_deletion_at_the_deadline() -> None:
    pod = a.Target("web", "uid-web", "1", "default")
    evict = a.EvictPod(REASON, pod, NodeName("i-1"), ClaimName("workers-1"))
    delete = a.DeletePod(REASON, pod, NodeName("i-1"), ClaimName("workers-1"))
    assert executing.object_of(evict) != executing.object_of(delete)


def _launch(name: str, pool: str) -> a.Launch:
    draft = a.ClaimDraft(ClaimName(name), PoolName(pool), "uid", ClassName("default"), (), ZERO, {}, {}, (), ())
    return a.Launch(REASON, 0, draft, (), InstanceTypeName("t3.large"), Zone("a"), "on-demand", 1, ())


def test_a_pool_whose_claim_was_refused_rests_although_the_next_claim_has_another_name() -> None:
    world = World(outcome=raising(kube.Denied("nodeclaims is forbidden")))
    actor = actor_for(world)
    for seconds, name, pool, calls in ((0, "w-1", "w", 1), (5, "w-2", "w", 1), (5, "v-1", "v", 2), (61, "w-3", "w", 3)):
        world.now = NOW + timedelta(seconds=seconds)
        actor.carry_out(Plan(now=world.now, actions=(_launch(name, pool),)))
        actor.settle(5.0)
        assert world.calls == calls, name
    actor.close()
