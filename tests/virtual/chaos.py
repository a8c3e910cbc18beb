"""Random histories from a seed: a cluster lives for a while, things go wrong, then they stop and it must come right.

One seed is one history, whatever the machine: replay it with ``python -m tests.virtual SEED``.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from tests.virtual import weather
from tests.virtual.history import Launched, Record, Terminated
from tests.virtual.invariants import Violation
from tests.virtual.land import Joining
from tests.virtual.line import Call, Mishap
from tests.virtual.process import Process
from tests.virtual.scenarios import budget
from tests.virtual.world import Still, World

APPS = ("scan", "web", "batch")
APPROVALS = "/api/v1/namespaces/joinery-system/configmaps/joinery-approvals"
Prepare = Callable[[Process], object]


class Lived(NamedTuple):
    """A history from its seed."""

    seed: int
    violations: list[Violation]
    hours: float
    told: tuple[str, ...]
    """What was done to it."""
    digest: int
    """Of everything that was recorded; equal for equal seeds."""
    counts: Counter[str]
    """Launches, terminations, deaths of the daemon, requests that went wrong, and what else was done to it."""


class Chaos:
    """One random life of a cluster."""

    def __init__(self, world: World, seed: int, prepare: Prepare) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.told: list[str] = []
        self._prepare = prepare
        self._undo: list[Callable[[], object]] = []
        self.rate = 0.0
        self.kinds: tuple[Mishap, ...] = ()
        self.mishaps = 0

    def live(self, seconds: float, pace_seconds: float) -> None:
        """Begin, let things go wrong for a while, one each ``pace_seconds`` on average, and stop."""
        world = self.world
        self._shape()
        world.supervise("one", self._started)
        world.run(self.random.uniform(5, 40))
        self._work()
        end = world.fibers.now + seconds
        while world.fibers.now < end:
            self._something()
            world.run(self.random.expovariate(1 / pace_seconds))

    def heal(self) -> None:
        """No faults any more, and work that fits."""
        while self._undo:
            self._undo.pop()()
        self.rate = 0.0
        world = self.world
        world.land.stuck.clear()
        world.land.joining = lambda _: Joining()
        for name in list(world.land.deployments):
            world.land.deploy(name, 0)
        world.land.deploy("last", self.random.randint(0, 3))
        # The operator has read the brake's Event.
        until = (world.cluster.now() + timedelta(hours=2)).isoformat()
        world.cluster.put(APPROVALS, {"metadata": {}, "data": {"adoptUntil": until}})
        world.expect_token_after(300.0)
        for process in world.processes:
            process.clock_offset = timedelta(0)

    def for_a_while(self, undo: Callable[[], object], told: str) -> None:
        """Something that is undone after a random time, at the latest when all is healed."""
        self.tell(told)
        done: list[bool] = []

        def once() -> None:
            if not done:
                done.append(True)
                undo()

        self._undo.append(once)
        self.world.fibers.after(self.random.uniform(20, 400), once)

    def tell(self, text: str) -> None:
        self.told.append(f"{self.world.fibers.now:8.1f} {text}")

    def _something(self) -> None:
        if self.random.random() < 0.3:
            self._work()
        else:
            self.random.choice(weather.EVENTS)(self)

    def _work(self) -> None:
        name = self.random.choice(APPS)
        about: dict[str, Any] = {}
        if name not in self.world.land.deployments:
            about = {"cpu": self.random.choice(("300m", "1", "1500m")), "grace_seconds": self.random.choice((1, 30))}
            if self.random.random() < 0.2:
                about["annotations"] = {"karpenter.sh/do-not-disrupt": "true"}
            if self.random.random() < 0.4:
                budget(self.world, name, self.random.choice((0, 1, 1, 2)))
        replicas = self.random.choice((0, 0, 1, 2, 3, 5, 8))
        self.tell(f"deploy {name} {replicas}")
        self.world.land.deploy(name, replicas, **about)

    def _shape(self) -> None:
        """The pool, as somebody might have written it."""
        budgets = self.random.choice(([{"nodes": "10%"}], [{"nodes": "1"}], [{"nodes": "50%"}], [{"nodes": "100%"}]))
        after = self.random.choice(("0s", "30s", "2m"))
        limits = {"cpu": self.random.choice((6, 12, 20)), "memory": "40Gi"}
        self.world.pool(
            disruption={"consolidationPolicy": "WhenEmpty", "consolidateAfter": after, "budgets": budgets},
            limits=limits,
        )
        if self.random.random() < 0.6:
            self.world.template(terminationGracePeriod=self.random.choice(("1m", "5m")))

    def _started(self, process: Process) -> None:
        process.line.mishap = self._mishap
        self._prepare(process)

    def _mishap(self, _: Call) -> Mishap | None:
        if not self.kinds or self.random.random() >= self.rate:
            return None
        self.mishaps += 1
        return self.random.choice(self.kinds)


def live(
    seed: int,
    seconds: float = 2400.0,
    prepare: Prepare = lambda _: None,
    *,
    pace_seconds: float = 60.0,
    **settings: Any,
) -> Lived:
    """Live one history to its end, and check it."""
    about = {"registrationTimeoutSeconds": 240, "launchTimeoutSeconds": 120, "maxNodes": 15} | settings
    with World(seed=seed, **about) as world:
        chaos = Chaos(world, seed, prepare)
        chaos.live(seconds, pace_seconds)
        chaos.heal()
        found = _settled(world)
        record = world.record.history
        told, counts = tuple(chaos.told), _counts(chaos, record)
        return Lived(seed, found, world.fibers.now / 3600, told, _digest(record), counts)


def live_long(seed: int) -> Lived:
    """Most of a day, with something every quarter of an hour."""
    return live(seed, 20 * 3600.0, pace_seconds=900.0)


def _counts(chaos: Chaos, record: list[Record]) -> Counter[str]:
    found = Counter(
        {
            "launches": sum(isinstance(r, Launched) and r.ours for r in record),
            "terminations": sum(isinstance(r, Terminated) for r in record),
            "deaths of the daemon": len(chaos.world.processes) - 1,
            "requests that went wrong": chaos.mishaps,
        }
    )
    worked = sum("deploy " in text for text in chaos.told)
    found["changes of what runs"] = worked
    found["faults and changes by hand"] = len(chaos.told) - worked
    return found


def _settled(world: World) -> list[Violation]:
    try:
        world.settle()
    except Still as error:
        world.close()
        return [*world.violations(), Violation("rest-at-last", world.fibers.now, str(error))]
    return world.violations()


def _digest(history: list[Record]) -> int:
    return zlib.crc32(b"\n".join(repr(record).encode() for record in history))
