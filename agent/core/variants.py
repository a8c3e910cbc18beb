"""Several ways of filling new nodes, of which the cheapest is taken; of a few pods the cheapest that there is.

First-fit decreasing is always among them, so that the answer is never dearer than it. Steering is tried with nodes of
all sizes and with smaller ones only, because which rounds better depends on the demands; where few pods share a node,
also by patterns, or with each of the largest demands as a node's first pod. The worst nodes of the best answer are
packed once more.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from agent.core.bins import Bin, Problem
from agent.core.exact import cheapest
from agent.core.firstfit import first_fit
from agent.core.growing import Ground
from agent.core.merging import merged
from agent.core.patterns.generating import generated, suits
from agent.core.repacking import repacked
from agent.core.steered import Style, steered
from agent.core.terrain import TYPICAL_OF_MANY, Terrain

PLAIN: Final = (Style(0.75), Style(1.0))
HEADS: Final = Style(1.0, heads=8)
"""Trying several first pods pays when few pods share a node, and costs most when many do."""
FEW_PODS: Final = 20
"""So many pods share a node when few do."""
FEW_NODES: Final = 300
"""So few nodes are packed in all styles."""
FORCED: Final = (Style(1.0),)
"""Where rules force most of the nodes, their sizes follow, and styles hardly differ: the worst are packed once more."""
FEW_UNITS: Final = 100
FEW: Final = (Style(1.0, heads=2), Style(0.5))
"""So few are packed in these alone: an answer in milliseconds is worth more than the last percent of a few nodes."""
FEWEST_UNITS: Final = 20
FEWEST: Final = (Style(1.0),)
"""Of so few one style is enough, because first-fit on types of all sizes finds what it misses."""
MANY_DEMANDS: Final = 2000
"""So many demands are packed in one style, and of few columns."""
MANY: Final = Style(0.75, columns=2)
REPACKED: Final = (Style(1.0), Style(0.75), Style(0.5))
REPACKED_FEW: Final = (HEADS, Style(0.75), Style(0.5, heads=8))
"""Styles in which the least efficient nodes are packed once more."""
QUARTERS: Final = (1, 2, 4, 8, 16)
"""What a node costs at least where too many would be bought: so many quarters of what all cost for each allowed."""
CEILINGS: Final = (1.0, 0.5)
"""First-fit is tried with any type, and with types of at most half the price of the dearest."""
FEW_CEILINGS: Final = (1.0, 0.5, 0.06, 0.015)
"""Where there is little to fit, much smaller ones are tried as well."""


def cheapest_bins(ground: Ground) -> tuple[Bin, ...]:
    """The cheapest of all variants that need no more nodes than may be bought; of equal ones that with the fewest."""
    problem = ground.problem
    if not problem.demands:
        return ()
    proven = cheapest(ground)
    if proven is not None and len(proven) <= problem.most_nodes:
        return merged(ground, [problem.widened(b) for b in proven])
    found = _steered(ground) if not problem.floors and problem.space.dearest else []
    beaten = _whole_price(ground, found)
    variants = _first_fits(ground, beaten) + found
    if all(len(v) > problem.most_nodes for v in found):
        variants += _with_fewer(ground, min(variants, key=problem.price))
    most = max(problem.placed(v) for v in variants)
    whole = [
        (max(0, len(v) - problem.most_nodes), problem.price(v), len(v), n, v)
        for n, v in enumerate(variants)
        if problem.placed(v) == most
    ]
    best = min(whole, key=lambda w: w[:4])[4]
    return merged(ground, [problem.widened(b) for b in best])


def _first_fits(ground: Ground, beaten: int | None) -> list[tuple[Bin, ...]]:
    """First-fit under each ceiling. One node for everything is found again under all ceilings that it keeps to."""
    problem = ground.problem
    order, dearest = range(len(problem.demands)), problem.space.dearest
    found = list[tuple[Bin, ...]]()
    for share in _ceilings(problem):
        if not (found and len(found[-1]) == 1 and problem.price(found[-1]) <= dearest * share):
            found.append(first_fit(ground, order, problem.space.cheaper(share), beaten))
    return found


def _ceilings(problem: Problem) -> tuple[float, ...]:
    if sum(d.count for d in problem.demands) <= FEW_UNITS:
        return FEW_CEILINGS
    return CEILINGS if len(problem.demands) <= MANY_DEMANDS else CEILINGS[:1]


def _whole_price(ground: Ground, variants: Sequence[tuple[Bin, ...]]) -> int | None:
    """The least price of those that serve all that can be served, with as many nodes as may be bought."""
    problem = ground.problem
    most = sum(d.count * d.size for d, columns in zip(problem.demands, ground.single, strict=True) if columns)
    prices = (problem.price(v) for v in variants if len(v) <= problem.most_nodes and problem.placed(v) == most)
    return min(prices, default=None)


def _with_fewer(ground: Ground, bins: tuple[Bin, ...]) -> list[tuple[Bin, ...]]:
    """Variants of nodes that cost so much at least that not too many are needed."""
    problem = ground.problem
    if problem.floors or not bins or not problem.space.dearest or problem.most_nodes < 1:
        return []
    each = problem.price(bins) // problem.most_nodes
    terrain, counts = Terrain.of(ground), [d.count for d in problem.demands]
    tried: list[tuple[Bin, ...]] = []

    def suffices(quarters: int) -> bool:
        tried.append(steered(terrain, Style(least=each * quarters // 4), counts))
        return len(tried[-1]) <= problem.most_nodes

    # The more a node costs at least, the fewer there are and the more they cost together: the least that suffices.
    bisect_left(QUARTERS, True, key=suffices)
    return tried


def _steered(ground: Ground) -> list[tuple[Bin, ...]]:
    """Variants of steering, and the cheapest of them with its worst nodes packed once more."""
    problem = ground.problem
    counts = [d.count for d in problem.demands]
    if len(counts) > MANY_DEMANDS:
        return [steered(Terrain.of(ground, TYPICAL_OF_MANY), MANY, counts)]
    terrain = Terrain.of(ground)
    if sum(counts) <= FEW_UNITS:
        return [steered(terrain, style, counts) for style in (FEWEST if sum(counts) <= FEWEST_UNITS else FEW)]
    first = steered(terrain, PLAIN[0], counts)
    if terrain.forced_nodes * 2 > len(first):
        return [first, repacked(terrain, first, FORCED)]
    found = [first, *(steered(terrain, style, counts) for style in PLAIN[1:])]
    pods, nodes = sum(problem.placed(v) for v in found), sum(map(len, found))
    if pods > FEW_PODS * nodes:
        return [*found, repacked(terrain, _cheapest(problem, found), REPACKED)]
    # Patterns come out well whatever they begin with, so that many nodes need no other style.
    if nodes <= FEW_NODES * len(found) or not suits(terrain):
        found.append(steered(terrain, HEADS, counts))
        found.append(repacked(terrain, _cheapest(problem, found), REPACKED_FEW))
    return [*found, generated(terrain, _cheapest(problem, found), found, HEADS)]


def _cheapest(problem: Problem, found: Iterable[tuple[Bin, ...]]) -> tuple[Bin, ...]:
    """Of those that place the most pods."""
    return min(found, key=lambda v: (-problem.placed(v), problem.price(v), len(v)))
