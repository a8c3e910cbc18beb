"""`python -m benchmarks [NAME…]`: measure the budgets (all, or those named) and print one table."""

import sys
from collections.abc import Callable, Iterable

from benchmarks import deciding, idling, joining, launching, planning, syncing
from benchmarks.cluster import Bench
from benchmarks.report import Row, machine, table

SMALL, LARGE = (20, 200), (1_000, 10_000)
Measure = Callable[[Bench], Iterable[Row]]
SMALL_MEASURES: dict[str, Measure] = {
    "sync": syncing.measure,
    "launch": launching.measure,
    "idle": idling.measure,
    "join": joining.measure,
}
LARGE_MEASURES: dict[str, Measure] = {
    "sync-large": syncing.measure,
    "launch-large": launching.measure,
    "idle-large": idling.measure,
}
ALONE: dict[str, Callable[[], Iterable[Row]]] = {"decide": deciding.measure, "plan": planning.measure}
"""What needs no cluster."""
NAMES = (*ALONE, *SMALL_MEASURES, *LARGE_MEASURES)


def main(wanted: list[str]) -> int:
    """0 when every bound holds, 1 when one is missed, 64 when a name is unknown."""
    if unknown := set(wanted) - set(NAMES):
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 64
    chosen = set(wanted or NAMES)
    rows: list[Row] = []
    try:
        _measure(chosen, rows)
    finally:
        # What was measured before something failed is worth seeing too.
        print(f"\n{machine()}\n\n{table(rows)}")
    return 0 if all(row.within for row in rows) else 1


def _measure(chosen: set[str], rows: list[Row]) -> None:
    for name, alone in ALONE.items():
        if name in chosen:
            print(name, flush=True)
            rows += alone()
    if not chosen - ALONE.keys():
        return
    with Bench() as bench:
        for size, measures in ((SMALL, SMALL_MEASURES), (LARGE, LARGE_MEASURES)):
            wanted = [name for name in measures if name in chosen]
            if wanted:
                bench.fill(*size)
            for name in wanted:
                print(name, flush=True)
                rows += measures[name](bench)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
