"""Taking the least efficient nodes of an answer apart and packing their pods once more."""

from collections.abc import Sequence
from typing import Final

from agent.core.bins import Bin
from agent.core.steered import Style, steered
from agent.core.terrain import Terrain
from agent.core.weights import worth

SHARES: Final = (0.15, 0.3, 0.5)
"""Which part of the nodes is taken apart, in turn."""


def repacked(terrain: Terrain, bins: tuple[Bin, ...], styles: Sequence[Style]) -> tuple[Bin, ...]:
    """The bins, or cheaper ones for the same pods; as many rounds as there are styles."""
    problem = terrain.ground.problem
    for number, style in enumerate(styles):
        ranked = _worst_first(terrain, bins)
        taken = ranked[: max(2, round(len(ranked) * SHARES[number % len(SHARES)]))]
        counts = [0] * len(problem.demands)
        for found in taken:
            for n, count in found.content:
                counts[n] += count
        again = steered(terrain, style, counts)
        old, new = problem.price(taken), problem.price(again)
        if problem.placed(again) == problem.placed(taken) and (new, len(again)) < (old, len(taken)):
            bins = (*ranked[len(taken) :], *again)
    return bins


def _worst_first(terrain: Terrain, bins: Sequence[Bin]) -> list[Bin]:
    """By what the content is worth for the price."""
    space = terrain.ground.problem.space
    columns = sorted({c for group in terrain.groups for c in group.nets})
    nets = [[space.net(c)[d] for d in terrain.ground.dims] for c in columns]
    total = [sum(found.used[d] for found in bins) for d in terrain.ground.dims]
    prices = worth(total, [(space.columns[c].price, net) for c, net in zip(columns, nets, strict=True)]).prices
    rated = [
        (
            sum(found.used[d] * price for d, price in zip(terrain.ground.dims, prices, strict=True))
            / max(terrain.ground.problem.price((found,)), 1),
            n,
        )
        for n, found in enumerate(bins)
    ]
    return [bins[n] for _, n in sorted(rated)]
