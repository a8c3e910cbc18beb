"""The decision alone, in this process: no I/O."""

import gc
import time
import tracemalloc
from collections.abc import Iterator

from agent.core.decide import decide
from agent.model.plan import Snapshot
from benchmarks.report import Row
from benchmarks.workloads import pending, world

RUNS = 5
MIB = 2**20
CASES = ((10_000, 0, 1.0, 1.0), (1_000, 0, 1.0, 1.0), (50, 20, 0.005, 1000.0))
"""Pending pods, nodes, bound in seconds, and by what to multiply for the unit shown."""


def measure() -> Iterator[Row]:
    """Pending pods of at most 128 shapes against every current amd64 type."""
    for pods, nodes, limit, scale in CASES:
        snapshot = world(pending(pods), nodes)
        types = len(next(iter(snapshot.instance_types.values())))
        beside = f"{nodes} nodes + " if nodes else ""
        what = f"decide, {beside}{pods:,} pending pods, {types} types"
        took = tuple(_seconds(snapshot) * scale for _ in range(RUNS))
        yield Row(what, took, "s" if scale == 1 else "ms", limit * scale if pods != 1_000 else None)
        if pods == 10_000:
            yield Row(f"{what}: memory at its highest", (_peak_mib(snapshot),), "MiB", 150, 0)


def _seconds(snapshot: Snapshot) -> float:
    gc.collect()
    began = time.perf_counter()
    decide(snapshot)
    return time.perf_counter() - began


def _peak_mib(snapshot: Snapshot) -> float:
    """Beyond the snapshot itself."""
    gc.collect()
    tracemalloc.start()
    try:
        decide(snapshot)
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()
