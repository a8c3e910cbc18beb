"""A terminal's coloured text as an SVG: ``joinery demo | python -m agent.sim.demo.picture > demo.svg``.

Only the colours that ``terminal`` uses are known. The result depends on nothing but the text: no date, no fonts from
elsewhere, no script.
"""

import re
import sys
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from agent.sim.demo.terminal import RESET, STYLES

FONT_PIXELS: Final = 13
LINE_PIXELS: Final = 18
COLUMN_PIXELS: Final = 7.85
MARGIN_PIXELS: Final = 20
BAR_PIXELS: Final = 30
WIDEST: Final = 118
"""Columns; what is longer goes on in the next line, as in a terminal."""

_COLOURS: Final = {
    "bold": 'fill="#ffffff" font-weight="bold"',
    "dim": 'fill="#8b949e"',
    "good": 'fill="#56d364"',
    "bad": 'fill="#ff7b72" font-weight="bold"',
    "money": 'fill="#e3b341"',
    "name": 'fill="#79c0ff"',
}
_CODE: Final = re.compile("(\x1b\\[[0-9;]*m)")
_BY_CODE: Final = {code: name for name, code in STYLES.items()}

Span = tuple[str, str]
"""A style and a piece of text in it."""


def spans(line: str) -> Iterator[Span]:
    """The pieces of a line; the style is empty where there is none."""
    style = ""
    for part in _CODE.split(line):
        if part == RESET:
            style = ""
        elif part in _BY_CODE:
            style = _BY_CODE[part]
        elif part:
            yield style, part


def wrapped(line: str) -> Iterator[list[Span]]:
    """A line as the rows that it takes."""
    row: list[Span] = []
    room = WIDEST
    for style, text in spans(line):
        rest = text
        while len(rest) > room:
            yield [*row, (style, rest[:room])]
            rest, row, room = rest[room:], [], WIDEST
        row.append((style, rest))
        room -= len(rest)
    yield row


def svg(text: str, title: str) -> str:
    """The whole picture."""
    rows = [row for line in text.rstrip("\n").split("\n") for row in wrapped(line)]
    width = round(WIDEST * COLUMN_PIXELS) + 2 * MARGIN_PIXELS
    height = BAR_PIXELS + len(rows) * LINE_PIXELS + 2 * MARGIN_PIXELS
    font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    dots = enumerate(("#ff5f57", "#febc2e", "#28c840"))
    name = escape(title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{name}">',
        f"<title>{name}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
        *(f'<circle cx="{22 + 18 * n}" cy="18" r="5.5" fill="{colour}"/>' for n, colour in dots),
        f'<g font-family="{font}" font-size="{FONT_PIXELS}" fill="#c9d1d9" xml:space="preserve">',
    ]
    for number, row in enumerate(rows):
        y = BAR_PIXELS + MARGIN_PIXELS + number * LINE_PIXELS
        if row:
            lines.append(f'<text x="{MARGIN_PIXELS}" y="{y}">{"".join(_tspan(*span) for span in row)}</text>')
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _tspan(style: str, text: str) -> str:
    return f"<tspan {_COLOURS[style]}>{escape(text)}</tspan>" if style else escape(text)


if __name__ == "__main__":
    sys.stdout.write(svg(sys.stdin.read(), "make demo: a queue fills, nodes are bought, join, and go again"))
