"""From the start of the process to READY=1, and what is resident then."""

from collections.abc import Iterator

from benchmarks.cluster import Bench, Daemon
from benchmarks.report import Row

RUNS = 3
LARGE_NODES = 1000


def measure(bench: Bench) -> Iterator[Row]:
    """Cold starts on the cluster as it is."""
    ready, resident, highest = [], [], []
    for _ in range(RUNS):
        with Daemon(bench) as daemon:
            ready.append(daemon.ready_seconds)
            daemon.settle()
            resident.append(daemon.resident_mb())
            highest.append(daemon.resident_mb("VmHWM"))
    large = bench.nodes >= LARGE_NODES
    yield Row(f"cold sync, {bench.size}: process start to READY=1", tuple(ready), "s", 5 if large else None)
    yield Row(f"resident when settled, {bench.size}", tuple(resident), "MB", 300 if large else 120, 0)
    yield Row(f"resident at its highest, {bench.size}", tuple(highest), "MB", digits=0)
