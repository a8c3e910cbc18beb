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
    if "decide" in chosen:
        print("decide", flush=True)
        rows += deciding.measure()
    if chosen - {"decide"}:
        with Bench() as bench:
            rows += _all(bench, SMALL, {n: m for n, m in SMALL_MEASURES.items() if n in chosen})
            rows += _all(bench, LARGE, {n: m for n, m in LARGE_MEASURES.items() if n in chosen})
    print(f"\n{machine()}\n\n{table(rows)}")
    return 0 if all(row.within for row in rows) else 1


def _all(bench: Bench, size: tuple[int, int], measures: dict[str, Measure]) -> list[Row]:
    if not measures:
        return []
    bench.fill(*size)
    rows: list[Row] = []
    for name, measure in measures.items():
        print(name, flush=True)
        rows += measure(bench)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
