"""The record of a daemon that observes, on disk: appended to, bounded, and never in the way of a decision."""

from pathlib import Path
from typing import Final

import msgspec
import structlog

from agent.model.actions import Action
from agent.model.plan import Plan, Snapshot
from agent.report.journal import Publisher
from agent.report.observed import STILL, Line, line

log = structlog.get_logger(__name__)

MOST_BYTES: Final = 8 << 20
"""Of one file; the one before it is kept, so that twice as much is the most there is."""
OLDER: Final = ".1"


class Observing:
    """Keeps what each decision wants, when that changes, and passes the cycle on."""

    def __init__(self, publisher: Publisher, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._publisher = publisher
        self._path = path
        self._most_bytes = most_bytes
        self._last: Line | None = None
        self._fault = ""

    def publish(self, snapshot: Snapshot, plan: Plan, started: tuple[Action, ...]) -> None:
        """Tell of one cycle."""
        self._publisher.publish(snapshot, plan, started)
        found = line(snapshot, plan, self._last)
        if self._last is None or not found.same(self._last) or found.at - self._last.at >= STILL:
            self._keep(found)

    def waiting(self, sentence: str) -> None:
        """Tell that no decision is possible."""
        self._publisher.waiting(sentence)

    def _keep(self, found: Line) -> None:
        text = msgspec.json.encode(found) + b"\n"
        try:
            if self._path.exists() and self._path.stat().st_size + len(text) > self._most_bytes:
                self._path.replace(self._path.with_name(self._path.name + OLDER))
            with self._path.open("ab") as file:
                file.write(text)
        except OSError as error:
            fault = f"{self._path}: {error.strerror or error}"
            if fault != self._fault:
                log.warning("record.unwritable", why=f"what is observed cannot be kept: {fault}; observing goes on")
            self._fault = fault
            return
        self._fault = ""
        self._last = found


def read(path: Path) -> tuple[list[Line], int]:
    """The lines of a record and of the file before it, oldest first, and how many could not be read.

    A line that was torn by a crash or a full disk is left out. Raises ``OSError`` when there is no record to read.
    """
    found: list[Line] = []
    torn = 0
    older = path.with_name(path.name + OLDER)
    texts = [older.read_bytes()] if older.exists() else []
    texts.append(path.read_bytes())
    for text in b"".join(texts).splitlines():
        try:
            found.append(msgspec.json.decode(text, type=Line))
        except msgspec.MsgspecError:
            torn += 1
    return found, torn
