"""How the story looks: coloured and alive on a terminal, plain lines everywhere else (NO_COLOR, pipes)."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Final, TextIO

RESET: Final = "\x1b[0m"
STYLES: Final = {
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "good": "\x1b[32m",
    "bad": "\x1b[1;31m",
    "money": "\x1b[33m",
    "name": "\x1b[36m",
}
SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
INDENT: Final = " " * 11
_CLEAR: Final = "\r\x1b[2K"
_NARROW: Final = 60
_SHOWN_PER_SECOND: Final = 10


class Terminal:
    """Lines that stay, and on a terminal one line below them that changes."""

    def __init__(self, out: TextIO | None = None, *, colour: bool | None = None, live: bool | None = None) -> None:
        self._out = out or sys.stdout
        terminal = self._out.isatty() and os.environ.get("TERM", "") != "dumb"
        self._live = terminal if live is None else live
        self._colour = _wants_colour(terminal=terminal) if colour is None else colour
        self._began = time.monotonic()
        self._drawn = False

    def paint(self, text: str, style: str) -> str:
        """The text in a style, or as it is where there are no colours."""
        return f"{STYLES[style]}{text}{RESET}" if self._colour and style else text

    def line(self, text: str = "") -> None:
        """A line that stays."""
        self._wipe()
        self._out.write(f"{text}\n")
        self._out.flush()

    def say(self, sentence: str, style: str = "") -> None:
        """Something that happened, with the time since the beginning."""
        stamp = self.paint(f"{time.monotonic() - self._began:7.1f} s", "dim")
        self.line(f"{stamp}  {self.paint(sentence, style)}")

    def note(self, text: str, style: str = "dim") -> None:
        """A line that belongs to the one above it."""
        self.line(f"{INDENT}{self.paint(text, style)}")

    def command(self, text: str, remark: str = "") -> None:
        """What a person would type here."""
        self.line()
        self.line(self.paint(f"$ {text}", "bold") + (self.paint(f"   # {remark}", "dim") if remark else ""))

    def heading(self, text: str) -> None:
        """The title of a part."""
        self.line()
        self.line(self.paint(text, "bold"))

    def table(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Columns under their heads, numbers to the right; the last column is not padded."""
        widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        for number, row in enumerate(rows):
            cells = [
                c.rjust(w) if _is_number(rows, i) else c.ljust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ]
            self.note("  ".join(cells).rstrip(), "dim" if number == 0 else "")

    def progress(self, text: str) -> None:
        """What is being waited for; shown on terminals only, on the line that changes."""
        if not self._live:
            return
        spin = SPINNER[int(time.monotonic() * _SHOWN_PER_SECOND) % len(SPINNER)]
        width = max(_NARROW, _columns()) - 1
        shown = f"        {spin}  {text}"[:width]
        self._out.write(_CLEAR + self.paint(shown, "name"))
        self._out.flush()
        self._drawn = True

    def _wipe(self) -> None:
        if self._drawn:
            self._out.write(_CLEAR)
            self._drawn = False


def _wants_colour(*, terminal: bool) -> bool:
    """NO_COLOR wins (no-color.org), then CLICOLOR_FORCE, then whether somebody looks."""
    if os.environ.get("NO_COLOR"):
        return False
    return terminal or os.environ.get("CLICOLOR_FORCE", "0") != "0"


def _is_number(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    return all(r[column][:1].isdigit() or r[column][:1] == "$" for r in rows[1:])


def _columns() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100
