"""The results as one table, with the machine that they were measured on."""

import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HEAD = ("what", "bound", "median", "min", "max", "runs", "")


@dataclass(frozen=True)
class Row:
    """One budget and what was measured; without a ``limit`` a value to look at."""

    what: str
    values: tuple[float, ...]
    unit: str
    limit: float | None = None
    digits: int = 2
    note: str = ""

    @property
    def within(self) -> bool:
        """Every run, not the median, is held to the bound."""
        return self.limit is None or max(self.values) <= self.limit

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        shown = [f"{f(self.values):.{self.digits}f}" for f in (statistics.median, min, max)]
        verdict = "" if self.limit is None else "within" if self.within else "MISSED"
        bound = "" if self.limit is None else f"≤ {self.limit:g} {self.unit}"
        what = self.what if self.limit is not None else f"{self.what} ({self.unit})"
        return (what, bound, *shown, str(len(self.values)), verdict)


def table(rows: Iterable[Row]) -> str:
    """A Markdown table with aligned columns."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEAD))]
    text = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def machine() -> str:
    """What and when: processor, cores, memory, Python, kernel, date, and how busy it was."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; "
        f"Python {platform.python_version()}, Linux {platform.release()}; "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {load}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
