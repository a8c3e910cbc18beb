"""One daemon: the real loop, actor, effects, caches, leadership and rotation, on virtual time and modelled edges."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from agent.aws.ec2 import Ec2
from agent.aws.ssm import Ssm
from agent.aws.templates import Templates
from agent.daemon.act import Actor, Hands
from agent.daemon.admitting import Admission
from agent.daemon.batch import BatchWindow
from agent.daemon.chores import Chores
from agent.daemon.classes import Classes
from agent.daemon.kinds import CLASSES, kinds
from agent.daemon.leadership import Leadership
from agent.daemon.loop import LONGEST_SLEEP, Loop, Wakeup
from agent.daemon.machines import Machines
from agent.daemon.observe import Observer
from agent.daemon.upkeep import Upkeep
from agent.join.published import Surroundings, TokenPolicy
from agent.join.rotation import LOCK_NAME, TokenRotation
from agent.join.userdata import RenderOptions
from agent.kube.api import KubeApi
from agent.kube.cache import Cache, Pace
from agent.kube.events import EventRecorder
from agent.kube.lease import LeaseLock
from agent.kube.times import Clock
from agent.model.actions import Action, ContinueLaunch, DisruptNode, Launch, TerminateMachine
from agent.model.plan import Lesson, Plan, Snapshot
from agent.model.reasons import Reason, ReasonCode
from agent.report.journal import Journal
from tests.virtual import history as h
from tests.virtual.awslink import aws_session
from tests.virtual.fibers import Fiber, Fibers, VirtualExecutor
from tests.virtual.kubelink import kube_api
from tests.virtual.line import Line

if TYPE_CHECKING:
    from tests.virtual.world import World

CYCLE_SECONDS = 0.02
COSTLY = (Launch, ContinueLaunch, DisruptNode, TerminateMachine)


class VirtualWakeup(Wakeup):
    """Wakes the loop's fiber. With nothing to come but the next round, a pure decision would only be made again: then
    it sleeps ``idle_seconds`` instead."""

    def __init__(self, fibers: Fibers, idle_seconds: float) -> None:
        super().__init__()
        self._fibers = fibers
        self._idle_seconds = idle_seconds
        self._waiting: Fiber | None = None
        self.cycles = 0

    def __call__(self) -> None:
        super().__call__()
        if self._waiting is not None:
            self._fibers.wake(self._waiting, self._fibers.now + CYCLE_SECONDS)

    def wait(self, seconds: float) -> None:
        self.cycles += 1
        if seconds >= LONGEST_SLEEP.total_seconds():
            seconds = self._idle_seconds
        self._fibers.sleep(CYCLE_SECONDS)
        if not self._event.is_set():
            self._waiting = self._fibers.current
            self._fibers.sleep(seconds)
            self._waiting = None
        self._event.clear()


class VirtualRecorder(EventRecorder):
    """Written by a fiber that is begun when there is something to write."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.api, process.clock, "virtual")
        self._process = process
        self._writing = False

    def publish(
        self, kind: str, name: str, reason: Reason, *, namespace: str = "", uid: str = "", warning: bool = True
    ) -> bool:
        told = super().publish(kind, name, reason, namespace=namespace, uid=uid, warning=warning)
        if self._queue.qsize() and not self._writing:
            self._writing = True
            self._process.spawn(self._drain, "events")
        return told

    def _drain(self) -> None:
        while self._queue.qsize():
            event = self._queue.get()
            assert event is not None
            self._write(event)
        self._writing = False


class Process:
    """A daemon from its start to its end."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.fibers = world.fibers
        self.random = random.Random(f"{world.seed}/{name}")
        self.line = Line(world.fibers, name)
        self.clock_offset = timedelta(0)
        self.api: KubeApi = kube_api(world.cluster, self.line, world.weather, world.record)
        session = aws_session(world.cloud, self.line, world.record)
        self.wakeup = VirtualWakeup(world.fibers, world.idle_seconds)
        self.time = Clock(self._monotonic, self.clock, self.random.random, self._wait)
        self.cache = Cache(
            self.api,
            kinds(world.settings.namespace),
            wake=self._wake,
            pace=Pace(clock=self.time),
        )
        self.ec2 = Ec2(session, world.settings.cluster_name, world.identity.uid)
        self.machines = Machines(self.ec2, self.clock, self._look_soon)
        resolver: Any = world.resolver
        self.classes = Classes(resolver, lambda: self.cache.items(CLASSES), RenderOptions(), self.clock)
        self.classes.facts = world.facts
        lease = self._lock("joinery", world.settings.lease_duration_seconds)
        self.leadership = Leadership(lease, self._wake)
        self.events = VirtualRecorder(self)
        self.templates = Templates(session, world.settings.cluster_name, world.identity.uid)
        self.upkeep = Upkeep(self.classes, self.templates, self.clock)
        self.chores = Chores(world.settings, self.api, self.classes, self.upkeep)
        surroundings = Surroundings(self.clock, self._sleep, self.random, self._step)
        self.rotation = TokenRotation(
            self.api, Ssm(session), self._lock(LOCK_NAME), TokenPolicy.of(world.settings), surroundings
        )
        self.hands = self._hands()
        self.actor = Actor(self.hands, self.wakeup, pool=VirtualExecutor(world.fibers, name))
        self.journal = Telling(self)
        self.loop = self._loop()
        self._looker: Fiber | None = None
        self._classer: Fiber | None = None

    # How it runs.

    def start(self) -> None:
        """As ``Daemon._start``: every thread a fiber, every job one too."""
        for kind, watcher in self.cache._watchers.items():
            self.spawn(watcher._run, f"watch-{kind}")
        self._looker = self.spawn(self._look, "machines")
        self.spawn(lambda: self._every(self.leadership.compete), "lease")
        self._classer = self.spawn(self._resolve, "classes")
        self.spawn(lambda: self._job(60.0, self._tend_token), "token")
        self.spawn(lambda: self._job(600.0, self.chores.list_templates), "templates")
        self.spawn(self.loop.run, "loop")

    def kill(self) -> None:
        """kill -9, from outside."""
        self.line.kill()

    def spawn(self, function: Callable[[], object], name: str) -> Fiber:
        return self.fibers.spawn(function, f"{self.name}/{name}", self.name)

    def clock(self) -> datetime:
        return self.world.cluster.now() + self.clock_offset

    @property
    def synced(self) -> bool:
        return all(w.store.synced for w in self.cache._watchers.values())

    def _look(self) -> None:
        while True:
            self.machines.look()
            if not self.machines._due.is_set():
                self._sleep(self.machines.interval_seconds)
            self.machines._due.clear()

    def _look_soon(self) -> None:
        self.wakeup()
        if self.machines._due.is_set() and self._looker is not None:
            self.fibers.wake(self._looker)

    def _resolve(self) -> None:
        while True:
            if self.classes.refresh():
                self.wakeup()
            self._sleep(5.0 if not self.classes.resolved() else self.world.idle_seconds * 2)

    def _tend_token(self) -> None:
        self.chores.tend_token(self.rotation, self.leadership.leading)

    def _every(self, step: Callable[[], float]) -> None:
        while True:
            self._sleep(step())

    def _job(self, seconds: float, job: Callable[[], object]) -> None:
        self._sleep(1.0)
        while True:
            job()
            self._sleep(seconds)

    def _wake(self) -> None:
        self.wakeup()
        if self._classer is not None and self.classes.outdated():
            self.fibers.wake(self._classer)

    def _sleep(self, seconds: float) -> None:
        self.line.check()
        self.fibers.sleep(seconds)

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        self._sleep(seconds)
        return event.is_set()

    def _monotonic(self) -> float:
        return self.fibers.now

    def _step(self, text: str) -> None:
        moment, _, step = text.partition(" ")
        self.line.at(step, moment)

    # What it is made of.

    def _lock(self, name: str, duration_seconds: int = 15) -> LeaseLock:
        lock = LeaseLock(self.api, self.world.settings.namespace, name, self.name, duration_seconds=duration_seconds)
        lock.clock = self.time
        return lock

    def _hands(self) -> Hands:
        world = self.world
        return Hands(
            api=self.api,
            ec2=self.ec2,
            templates=self.templates,
            cache=self.cache,
            machines=self.machines,
            events=self.events,
            cluster=world.identity,
            blueprint=self.classes.blueprint,
            review=Admission(self.cache, self.ec2, world.identity, world.settings.node_name, self.clock),
            clock=self.clock,
            fence=self.leadership.fence,
            learn=self._learn,
            capacity_error_seconds=world.settings.capacity_error_seconds,
            checkpoint=self.line.at,
            random=self.random,
        )

    def _loop(self) -> Loop:
        world = self.world
        observer = Observer(
            cache=self.cache,
            machines=self.machines,
            market=cast("Any", world.market),
            classes=self.classes,
            cluster=world.identity,
            limits=world.settings.limits,
            busy=self.actor.busy,
            drafts=self.actor.drafts,
        )
        return Loop(
            observer=observer,
            actor=self.actor,
            machines=self.machines,
            batch=BatchWindow(
                timedelta(seconds=world.settings.batch_idle_seconds),
                timedelta(seconds=world.settings.batch_max_seconds),
            ),
            publisher=self.journal,
            leading=self.leadership.leading,
            upkeep=self.upkeep.actions,
            clock=self.clock,
            progress=lambda _: None,
            wakeup=self.wakeup,
            health=lambda: self.cache.failed,
            seed=lambda: f"{self.random.getrandbits(64):016x}",
        )

    def _learn(self, lesson: Lesson) -> None:
        self.loop.learn(lesson)


class Telling(Journal):
    """The real journal; it also records what was begun, and whether the view was whole."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.events)
        self._process = process
        self.codes: set[ReasonCode] = set()

    def publish(self, snapshot: Snapshot, plan: Plan, started: tuple[Action, ...]) -> None:
        record = self._process.world.record
        for action in started:
            if isinstance(action, COSTLY):
                record.add(
                    h.Begun(
                        at=self._process.fibers.now,
                        process=self._process.name,
                        action=type(action).__name__,
                        synced=self._process.synced,
                    )
                )
        super().publish(snapshot, plan, started)
