"""The one decision thread: observe, decide, act, once per cycle; then sleep until something changes.

A cycle begins when a cache, EC2, the Lease or an effect says that something is new, or when the last decision
said that time alone would change it.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import structlog

from agent.core.decide import decide
from agent.core.memory import absorb
from agent.core.pods import is_pending
from agent.core.shelves import Shelves
from agent.daemon.act import Actor
from agent.daemon.batch import BatchWindow
from agent.daemon.machines import Machines
from agent.daemon.observe import NotYet, Observer
from agent.model.actions import Action
from agent.model.plan import Lesson, Memory, Plan, Snapshot
from agent.report.journal import Publisher

log = structlog.get_logger(__name__)

SETTLE_SECONDS = 0.02
"""How long to gather changes that come together before looking at them."""
LONGEST_SLEEP = timedelta(seconds=10)
"""A cycle at least this often: it feeds the watchdog and finds what no event told."""
MOVING_SECONDS = 2.0
RESTING_SECONDS = 60.0
"""Between looks at EC2: while instances come or go, and while nothing moves."""


class Wakeup:
    """Lets any thread start the next cycle."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> None:
        """Wake the loop."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Sleep until woken, at most this long; wakes that come together count as one."""
        if self._event.wait(seconds):
            self._event.wait(0)
            self._event.clear()


@dataclass
class Loop:
    """Runs cycles until told to stop."""

    observer: Observer
    actor: Actor | None
    """None: decide and publish, and write nothing (`--dry-run`)."""
    machines: Machines
    batch: BatchWindow
    publisher: Publisher
    leading: Callable[[], bool]
    upkeep: Callable[[Snapshot], tuple[Action, ...]]
    clock: Callable[[], datetime]
    progress: Callable[[str], None]
    """Told after each cycle that the loop lives, and its sentence; feeds the watchdog."""
    wakeup: Wakeup
    health: Callable[[], BaseException | None]
    """The error of a thread that died, if one did."""
    seed: Callable[[], str] = lambda: secrets.token_hex(8)
    """Random text for each cycle, from which new claims are named."""
    stopping: threading.Event = field(default_factory=threading.Event)
    memory: Memory = field(default_factory=Memory)
    shelves: Shelves = field(default_factory=Shelves)
    """What the last decision made of the instance types."""
    _lessons: list[Lesson] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, lesson: Lesson) -> None:
        """Take in what an effect learnt; called by the effects' threads."""
        with self._lock:
            self._lessons.append(lesson)
        self.wakeup()

    def run(self) -> None:
        """Cycle until ``stopping`` is set. Raises when a thread that the loop depends on has died."""
        while not self.stopping.is_set():
            sleep = LONGEST_SLEEP
            try:
                sleep = self.cycle()
            except Exception:
                log.exception("cycle.failed")
                self.publisher.waiting("the last cycle failed; see the log")
            if (dead := self.health()) is not None:
                raise RuntimeError("a thread that decisions depend on has died") from dead
            self.wakeup.wait(max(SETTLE_SECONDS, sleep.total_seconds()))

    def cycle(self) -> timedelta:
        """One cycle; returns how long nothing need be done unless something changes."""
        now = self.clock()
        if self.actor is not None:
            # What has ended is no longer under way for the snapshot that is about to be taken.
            self.actor.collect()
        memory = self._learnt()
        try:
            snapshot = self._observed(now, memory)
        except NotYet as reason:
            self.publisher.waiting(str(reason))
            self.progress(str(reason))
            return timedelta(seconds=1)
        plan = decide(snapshot, self.shelves)
        leads = self.actor is None or self.leading()
        if leads:
            # Upkeep forgets what it has asked for once, so it is asked by who will carry it out.
            plan = msgspec.structs.replace(plan, actions=(*plan.actions, *self.upkeep(snapshot)))
        self.memory = plan.memory
        if snapshot.provision:
            self.batch.decided()
        started: tuple[Action, ...] = ()
        if self.actor is not None and leads:
            started = self.actor.carry_out(plan)
        self._pace(snapshot, plan)
        self.publisher.publish(snapshot, plan, started)
        self.progress(f"{len(snapshot.nodes)} nodes, {len(snapshot.claims)} claims, {len(started)} actions begun")
        return self._sleep(plan)

    def _observed(self, now: datetime, memory: Memory) -> Snapshot:
        snapshot = self.observer.snapshot(now, self.seed(), memory)
        # The window is shown the very pods that are decided on: one that came in between would skip it.
        closed = self.batch.offer((p.meta.uid for p in snapshot.pods if is_pending(p)), now)
        return msgspec.structs.replace(snapshot, provision=snapshot.provision and closed)

    def _learnt(self) -> Memory:
        with self._lock:
            lessons, self._lessons = self._lessons, []
        memory = self.memory
        for lesson in lessons:
            memory = absorb(memory, lesson)
        return memory

    def _pace(self, snapshot: Snapshot, plan: Plan) -> None:
        """Look at EC2 often while a claim is on its way in or out or an instance has no claim."""
        moving = any(c.meta.deleted_at is not None or not c.is_true("Registered") for c in snapshot.claims)
        self.machines.interval_seconds = MOVING_SECONDS if moving or plan.memory.orphans else RESTING_SECONDS

    def _sleep(self, plan: Plan) -> timedelta:
        now = self.clock()
        rest = self.actor.next_at() if self.actor is not None else None
        times = [t for t in (plan.next_at, self.batch.closes_at(), rest) if t is not None]
        return min([LONGEST_SLEEP, *(max(t - now, timedelta(0)) for t in times)])
