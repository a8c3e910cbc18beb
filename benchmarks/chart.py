"""`python -m benchmarks.chart FILE`: time and price of one decision for each mix, beside Karpenter's, as an SVG."""

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.core.decide import decide
from benchmarks.deciding import POD_COUNT, gap_percent, loop_seconds, median_seconds
from benchmarks.mixes import GO_LOOP_SECONDS, MIXES, snapshot

LEFT, TOP, BAR, STEP, WIDTH = 70, 62, 11, 40, 300
GAP_BETWEEN = 90
OURS, THEIRS = "#2a6fbb", "#b9c2cc"
Pair = tuple[float, float]


def chart(names: Sequence[str], seconds: Sequence[Pair], gaps: Sequence[Pair]) -> str:
    """Two panels of bars, ours above Karpenter's; times on a logarithmic scale."""
    height = TOP + STEP * len(names) + 40
    whole = 2 * (LEFT + WIDTH) + GAP_BETWEEN
    font = 'font-family="sans-serif" font-size="12" fill="#222"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {height}" {font}>',
        f'<rect width="{whole}" height="{height}" fill="#fff"/>',
        f'<rect x="{LEFT}" y="12" width="11" height="11" fill="{OURS}"/>',
        f'<text x="{LEFT + 17}" y="22">Joinery</text>',
        f'<rect x="{LEFT + 80}" y="12" width="11" height="11" fill="{THEIRS}"/>',
        f'<text x="{LEFT + 97}" y="22">Karpenter, scaled to this machine</text>',
    )
    second = LEFT + WIDTH + GAP_BETWEEN
    body = [*_panel(LEFT, names, seconds, f"seconds for {POD_COUNT:,} pods (logarithmic)", "s")]
    body += _panel(second, names, gaps, "price over the proven lower bound", "%")
    return "\n".join([*head, *body, "</svg>"]) + "\n"


def _panel(left: int, names: Sequence[str], pairs: Sequence[Pair], title: str, unit: str) -> Iterator[str]:
    yield f'<text x="{left}" y="{TOP - 16}" font-weight="bold">{title}</text>'
    most = max(max(pair) for pair in pairs)
    for row, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        y = TOP + row * STEP
        yield f'<text x="{left - 8}" y="{y + BAR + 4}" text-anchor="end">{name}</text>'
        for n, (value, colour) in enumerate(zip(pair, (OURS, THEIRS), strict=True)):
            width = _width(value, most, logarithmic=unit == "s")
            top = y + n * (BAR + 2)
            yield f'<rect x="{left}" y="{top}" width="{width:.0f}" height="{BAR}" fill="{colour}"/>'
            yield f'<text x="{left + width + 5:.0f}" y="{top + BAR - 1}" font-size="11">{value:.3g} {unit}</text>'


def _width(value: float, most: float, *, logarithmic: bool) -> float:
    least = 0.05
    if logarithmic:
        return max(1.0, WIDTH * math.log(max(value, least) / least) / math.log(most / least))
    return max(1.0, WIDTH * value / most)


def main(arguments: list[str]) -> int:
    """Measure and write; 64 for wrong usage."""
    if len(arguments) != 1:
        print("usage: python -m benchmarks.chart FILE", file=sys.stderr)
        return 64
    speed = loop_seconds() / GO_LOOP_SECONDS
    snapshots = [snapshot(mix.name, mix.count) for mix in MIXES]
    seconds = [(median_seconds(whole), mix.go_seconds * speed) for mix, whole in zip(MIXES, snapshots, strict=True)]
    gaps = [(gap_percent(decide(whole)), mix.go_gap_percent or 0) for mix, whole in zip(MIXES, snapshots, strict=True)]
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(chart([mix.name for mix in MIXES], seconds, gaps))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
