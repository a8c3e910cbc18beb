"""What the stand-ins share: where the machine's state is, and the record of how they were called."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

STATE = Path("/run/stand-ins")


def called() -> tuple[str, list[str]]:
    """Records this call; returns the name it was called by and its arguments."""
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    with (STATE / "calls.log").open("a") as log:
        log.write(shlex.join([name, *arguments]) + "\n")
    return name, arguments


def machine() -> dict[str, Any]:
    """The facts of the machine that the test wrote."""
    facts: dict[str, Any] = json.loads((STATE / "machine.json").read_text())
    return facts


def lines(name: str) -> list[str]:
    """The lines of a state file; none when it was never written."""
    path = STATE / name
    return path.read_text().splitlines() if path.exists() else []


def add_line(name: str, line: str) -> None:
    """Adds a line to a state file unless it is there."""
    if line not in lines(name):
        with (STATE / name).open("a") as file:
            file.write(line + "\n")


def remove_line(name: str, line: str) -> None:
    """Removes a line from a state file."""
    (STATE / name).write_text("".join(f"{kept}\n" for kept in lines(name) if kept != line))
