"""One embedded EC2 for all cases of a worker, and the table that is printed at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.stage import SharedEc2

MOMENTS = ("before", "cut", "lost", "after")
SECONDS = 600
"""A case waits for Leases to run out and for jobs that come each minute; five cases run at once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real processes take longer than what the other tests are held to."""
    for item in items:
        if "/tests/crash/" in str(item.path):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedEc2]:
    shared = SharedEc2(log=Path(tmp_path_factory.mktemp("ec2")) / "ec2.log")
    yield shared
    shared.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print effect, moment and result, from what the cases have recorded."""
    table: defaultdict[str, dict[str, str]] = defaultdict(dict)
    total: Counter[str] = Counter()
    said = []
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "case":
                    effect, moment = value
                    table[effect][moment] = "well" if outcome == "passed" else "FAILED"
                elif name == "counts":
                    total.update(value)
                elif name == "said":
                    said.append(value)
    if table:
        terminalreporter.section("killed at each effect: what became of it")
        terminalreporter.write_line(f"{'effect':32s}" + "".join(f"{m:>8s}" for m in MOMENTS))
        for effect in sorted(table):
            cells = "".join(f"{table[effect].get(m, ''):>8s}" for m in MOMENTS)
            terminalreporter.write_line(f"{effect:32s}{cells}")
        cases = sum(len(row) for row in table.values())
        counted = ", ".join(
            f"{total[n]} {n}" for n in ("launches", "double launches", "orphans", "foreign terminations")
        )
        terminalreporter.write_line(f"{cases} cases: {counted}")
    for line in said:
        terminalreporter.write_line(line)
