"""A cluster in virtual time with the real daemon in it, for one fault at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.model import names
from tests.virtual import history as h
from tests.virtual.cloud import Instance
from tests.virtual.kubernetes import NODES, PODS, Json
from tests.virtual.line import Call, Mishap
from tests.virtual.process import Process
from tests.virtual.world import World

HOUR = 3600.0
BOTH = [{"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]}]


@dataclass
class Wire:
    """What the daemon asks for, counted, and what becomes of it."""

    calls: Counter[str] = field(default_factory=Counter)
    fault: Callable[[Call], Mishap | None] = lambda _: None

    def __call__(self, call: Call) -> Mishap | None:
        self.calls[call.action] += 1
        return self.fault(call)


@contextmanager
def cluster(wire: Wire | None = None, **settings: Any) -> Iterator[World]:
    """A world with a daemon that has begun; its pool lets empty nodes go at once."""
    line = wire or Wire()

    def prepare(process: Process) -> None:
        process.line.mishap = line

    with World(seed=1, **settings) as world:
        world.pool(
            disruption={"consolidationPolicy": "WhenEmpty", "consolidateAfter": "0s", "budgets": [{"nodes": "100%"}]}
        )
        world.supervise("one", prepare)
        world.run(20)
        yield world


def settled(world: World) -> list[str]:
    """Run on until nothing happens any more; every invariant that did not hold."""
    world.settle()
    return [str(v) for v in world.violations()]


def ours(world: World) -> list[Instance]:
    return [i for i in world.cloud.alive() if world.record.ours(i)]


def launched(world: World) -> int:
    """Instances of ours that ever began to run."""
    return sum(r.ours for r in world.record.history if isinstance(r, h.Launched))


def terminated(world: World) -> list[str]:
    return [r.instance for r in world.record.history if isinstance(r, h.Terminated)]


def nodes(world: World) -> list[Json]:
    """Nodes that the daemon has registered."""
    return [n for n in world.cluster.items(NODES) if names.REGISTERED in n["metadata"].get("labels", {})]


def running(world: World, app: str = "") -> int:
    pods = [p for p in world.cluster.items(PODS) if not app or p["metadata"]["labels"]["app"] == app]
    return sum("nodeName" in p["spec"] and "deletionTimestamp" not in p["metadata"] for p in pods)
