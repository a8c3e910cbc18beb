"""`python -m benchmarks.hours [HOURS [FIRST_SEED]]`: random histories in virtual time, until so many hours were lived.

Each seed is most of a day of one cluster: pods come and go, EC2 runs out, answers are lost, watches stall, the daemon
is killed; then all heals, and the cluster must come to rest. Every invariant of `tests/virtual/invariants.py` is
looked at in every history.
"""

import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from benchmarks.report import machine
from tests.virtual.chaos import Lived, live_long

HOURS, FIRST_SEED = 10_000.0, 1
AT_ONCE = 2
"""Histories begun ahead for each process, so that none waits for its next."""


class Hours:
    """What was lived so far."""

    def __init__(self) -> None:
        self.hours = 0.0
        self.histories = 0
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._began = time.monotonic()
        self._busy = 0.0

    def add(self, lived: Lived, seconds: float) -> None:
        """Count one history."""
        self.hours += lived.hours
        self.histories += 1
        self.counts.update(lived.counts)
        self._busy += seconds
        self.violations += [f"seed {lived.seed}: {violation}" for violation in lived.violations]

    def told(self) -> str:
        """The result, as text."""
        wall = time.monotonic() - self._began
        speed = self.hours / max(self._busy, 1) * 3600
        lines = [
            f"{self.hours:,.0f} hours of {self.histories} clusters in {wall / 60:.1f} minutes",
            f"{speed:9,.0f} hours in an hour of one core",
            *(f"{number:9,d} {what}" for what, number in self.counts.items()),
            f"{len(self.violations):9,d} invariants that did not hold",
        ]
        return "\n".join([*lines, *self.violations[:20]])


def main(arguments: list[str]) -> int:
    """1 when an invariant did not hold; its seed is printed, for `python -m tests.virtual long SEED`."""
    wanted = float(arguments[0]) if arguments else HOURS
    seed = int(arguments[1]) if len(arguments) > 1 else FIRST_SEED
    hours = Hours()
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers) as pool:
        begun = [pool.submit(_timed, seed + n) for n in range(workers * AT_ONCE)]
        seed += len(begun)
        while begun:
            lived, seconds = begun.pop(0).result()
            before = hours.hours
            hours.add(lived, seconds)
            if hours.hours + len(begun) * lived.hours < wanted:
                begun.append(pool.submit(_timed, seed))
                seed += 1
            if before // 1000 != hours.hours // 1000 or lived.violations:
                print(f"{hours.hours:,.0f} hours, {len(hours.violations)} violations", flush=True)
    print(f"\n{machine()}\n\n{hours.told()}")
    return 1 if hours.violations else 0


def _timed(seed: int) -> tuple[Lived, float]:
    began = time.process_time()
    return live_long(seed), time.process_time() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
