"""`python -m benchmarks [NAME…]`: measure the budgets (all, or those named) and print one table."""

import sys
from collections.abc import Callable, Iterable

from benchmarks import deciding, idling, joining, launching, syncing
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
NAMES = ("decide", *SMALL_MEASURES, *LARGE_MEASURES)


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
    if "decide" in chosen:
        print("decide", flush=True)
        rows += deciding.measure()
    if not chosen - {"decide"}:
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
