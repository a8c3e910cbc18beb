"""What the daemon costs when nothing happens: processor time, and what it writes."""

import time
from collections.abc import Iterator

from benchmarks.cluster import Bench, Daemon
from benchmarks.launching import buy_and_give_back
from benchmarks.report import Row

SECONDS = 60
WINDOWS = 2
EXPECTED = "update leases"


def measure(bench: Bench) -> Iterator[Row]:
    """Minutes of rest, and one in which the kubelets' heartbeats come in."""
    with Daemon(bench) as daemon:
        daemon.settle()
        # Rest after work: what was bought and given back must leave nothing that is written again and again.
        buy_and_give_back(bench, 0)
        time.sleep(10)
        quiet, others = [], 0
        for _ in range(WINDOWS):
            quiet.append(_share(daemon))
            now = time.time()
            written = bench.writes(now - SECONDS, now)
            others += sum(n for what, n in written.items() if what != EXPECTED)
            print(f"  written in {SECONDS} s of rest: {dict(written)}", flush=True)
        spent, began = daemon.cpu_seconds, time.monotonic()
        bench.beat(SECONDS)
        beaten = (daemon.cpu_seconds - spent) / (time.monotonic() - began) * 100
    yield Row(f"idle, {bench.size}: share of a core", tuple(quiet), "%", 1)
    yield Row(f"idle, {bench.size}: writes but of the Lease", (others,), "writes", 0, 0)
    yield Row(f"with kubelets' status heartbeats, {bench.size}: share of a core", (beaten,), "%")


def _share(daemon: Daemon) -> float:
    spent, began = daemon.cpu_seconds, time.monotonic()
    time.sleep(SECONDS)
    return (daemon.cpu_seconds - spent) / (time.monotonic() - began) * 100
