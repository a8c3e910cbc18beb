"""The decision alone, in this process: no I/O. Time, memory, and price over the proven lower bound."""

import gc
import statistics
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from functools import cache

from msgspec.structs import replace

from agent.core.decide import decide
from agent.core.shelves import Shelves
from agent.model.plan import Plan, Snapshot
from benchmarks import mixes
from benchmarks.report import Row
from benchmarks.workloads import pending, world

RUNS = 5
MIB = 2**20
POD_COUNT = 10_000
SMALL_PENDING, SMALL_NODES, SMALL_MS = 50, 20, 5.0
EARLIER = (2, 3, 4)
"""Seeds of other pods, that a small cluster's daemon has decided on before."""
LARGE_NODES = 1_000
MEMORY_MIB = 150
GROWTH = (1_000, 5_000, 10_000, 20_000)
IMPOSSIBLE, DELAY_SECONDS = 1_000, 0.5
SEEDS = (1, 2, 3)


def measure() -> Iterator[Row]:
    """A small cluster; each mix on several seeds; growth, memory, impossible pods; all types there are; room there."""
    # First, because the daemon of a small cluster has no more in its memory than that.
    yield _every_type(SMALL_PENDING, SMALL_NODES)
    for mix in (*mixes.MIXES, *mixes.LARGER):
        yield from _mix(mix)
    yield from _growth()
    for name in ("micro", "vpa", "diverse"):
        peak = _peak_mib(mixes.snapshot(name, POD_COUNT))
        yield Row(f"decide, {POD_COUNT:,} pods, {name}: memory at its highest", (peak,), "MiB", MEMORY_MIB, 0)
    yield _impossible()
    yield _every_type(POD_COUNT, 0)
    large = mixes.with_nodes(mixes.snapshot("diverse", POD_COUNT), LARGE_NODES)
    yield Row(f"decide, {LARGE_NODES:,} nodes + {POD_COUNT:,} pods, diverse", _runs(large), "s")


def _mix(mix: mixes.Mix) -> Iterator[Row]:
    snapshots = [mixes.snapshot(mix.name, mix.count, seed) for seed in SEEDS]
    took = tuple(second for whole in snapshots for second in _runs(whole))
    go = mix.go_seconds * loop_seconds() / mixes.GO_LOOP_SECONDS
    what = f"decide, {mix.count:,} pods, {mix.name}"
    yield Row(f"{what} (Karpenter {go:.1f} s)", took, "s", mix.seconds)
    if mix.gap_percent is not None:
        gaps = tuple(gap_percent(decide(whole)) for whole in snapshots)
        note = f"(Karpenter {mix.go_gap_percent:.0f} %)"
        yield Row(f"{what}: price over the lower bound {note}", gaps, "%", mix.gap_percent)


def _growth() -> Iterator[Row]:
    for name in ("micro", "diverse"):
        for count in GROWTH:
            yield Row(f"decide, {count:,} pods, {name}", _runs(mixes.snapshot(name, count)), "s")


def _impossible() -> Row:
    """How much longer others wait for it that some pods fit nowhere."""
    good = mixes.snapshot("micro", POD_COUNT)
    whole = mixes.with_impossible(good, IMPOSSIBLE)
    longer = tuple(max(0.0, more - alone) for more, alone in zip(_runs(whole), _runs(good), strict=True))
    what = f"decide, {POD_COUNT:,} pods, micro: longer for {IMPOSSIBLE:,} different impossible ones"
    return Row(what, longer, "s", DELAY_SECONDS)


def _every_type(pods: int, nodes: int) -> Row:
    """Burstable types and the largest ones included."""
    snapshot = world(pending(pods), nodes)
    types = len(next(iter(snapshot.instance_types.values())))
    beside = f"{nodes} nodes + " if nodes else ""
    scale, unit, limit = (1000, "ms", SMALL_MS) if nodes else (1, "s", 1.0)
    running = tuple(p for p in snapshot.pods if p.node_name is not None)
    earlier = [replace(snapshot, pods=(*pending(pods, seed), *running)) for seed in EARLIER if nodes]
    took = tuple(second * scale for second in _runs(snapshot, earlier))
    return Row(f"decide, {beside}{pods:,} pending pods, {types} types", took, unit, limit)


def gap_percent(plan: Plan) -> float:
    """How much dearer the plan is than its lower bound."""
    return 100 * (plan.price.after / (plan.price.lower_bound or 1) - 1)


@cache
def loop_seconds() -> float:
    """How fast this machine is: ten million squares added up; the fastest of some runs, for all that is scaled."""
    return 10 * min(_million_squares() for _ in range(RUNS))


def _million_squares() -> float:
    began, total = time.process_time(), 0
    for i in range(1_000_000):
        total += i * i
    return time.process_time() - began


def median_seconds(snapshot: Snapshot) -> float:
    """Of several runs."""
    return statistics.median(_runs(snapshot))


def _runs(snapshot: Snapshot, earlier: Sequence[Snapshot] = ()) -> tuple[float, ...]:
    return tuple(_seconds(snapshot, earlier) for _ in range(RUNS))


def _seconds(snapshot: Snapshot, earlier: Sequence[Snapshot]) -> float:
    """One decision; ``earlier`` is what the daemon decided on before it, since the catalogue changed."""
    # The edge makes shelves when the catalogue changes, not for a decision.
    shelves = Shelves.of(snapshot.instance_types)
    for one in earlier:
        decide(one, shelves)
    gc.collect()
    began = time.perf_counter()
    decide(snapshot, shelves)
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
