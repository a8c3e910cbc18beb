"""The cheapest nodes for a few pods, proven: every way to share them out is looked at.

By dynamic programming over what is left of the demands. Some node holds a unit of the last demand of which anything is
left, so what is left costs the least, over all contents of that node, of the node and of the rest without it. Equal
pods are one demand, so that even a hundred of one kind leave few states to look at.
"""

from dataclasses import dataclass
from math import prod
from typing import Final

from agent.core.bins import Bin
from agent.core.fields import Fields
from agent.core.growing import Ground, Growing

MOST_STATES: Final = 256
"""Pairs of them are looked at, which takes a few milliseconds: eight different pods, or two kinds of fifteen each."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What one node can hold."""

    packed: int
    """Units of each demand, in fields."""
    price: int
    node: Growing


def cheapest(ground: Ground) -> tuple[Bin, ...] | None:
    """Nodes for all that fits anywhere, of equal prices the fewest; None: there are too many states to look at.

    Also None where minValues, or pods that need others beside them, make it matter in which order a node is filled.
    """
    if ground.proven is None:
        ground.proven = _found(ground)
    return ground.proven


def _found(ground: Ground) -> tuple[Bin, ...] | None:
    problem = ground.problem
    counts = [d.count if columns else 0 for d, columns in zip(problem.demands, ground.single, strict=True)]
    if problem.floors or problem.followers or prod(count + 1 for count in counts) > MOST_STATES:
        return None
    fields = Fields.holding(len(counts), max(counts))
    chosen = _chosen(_contents(ground, counts, fields), _states(counts, fields), fields)
    left, bins = fields.packed(counts), list[Bin]()
    while left:
        content = chosen.get(left)
        if content is None:
            return None
        bins.append(content.node.done())
        left -= content.packed
    return tuple(bins)


def _contents(ground: Ground, counts: list[int], fields: Fields) -> list[list[_Content]]:
    """By the last demand that they hold: all that a node can hold."""
    smaller: list[tuple[int, Growing]] = [(0, Growing(ground, -1))]
    found = []
    for number, count in enumerate(counts):
        grown = []
        for packed, node in smaller:
            fuller = node
            for units in range(1, count + 1):
                fuller = fuller.copied()
                if not fuller.add(number, 1):
                    break
                grown.append((packed + (units << number * fields.width), fuller))
        smaller += grown
        found.append([_Content(packed, node.price(), node) for packed, node in grown])
    return found


def _states(counts: list[int], fields: Fields) -> list[int]:
    """All that can be left, ascending: what is left of it without a node comes before it."""
    found = [0]
    for number, count in enumerate(counts):
        found = [(units << number * fields.width) + state for units in range(count + 1) for state in found]
    return found


def _chosen(contents: list[list[_Content]], states: list[int], fields: Fields) -> dict[int, _Content]:
    """For each state that can be served: a node that the cheapest way to serve it begins with."""
    guard, least, chosen = fields.guard, {0: (0, 0)}, dict[int, _Content]()
    for state in states[1:]:
        room, best = state | guard, None
        for content in contents[(state.bit_length() - 1) // fields.width]:
            if (room - content.packed) & guard == guard:
                rest = least.get(state - content.packed)
                if rest is not None:
                    cost = (rest[0] + content.price, rest[1] + 1)
                    if best is None or cost < best:
                        best, chosen[state] = cost, content
        if best is not None:
            least[state] = best
    return chosen
