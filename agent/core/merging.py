"""Fewer nodes for the same money."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Final

from agent.core.bins import Bin
from agent.core.growing import Ground, Growing

MOST_PAIRS: Final = 2000
"""Pairs of contents that are tried at most: beyond that it would take longer than it is worth."""
_PAIR: Final = 2

_Key = tuple[tuple[tuple[int, int], ...], int]
_Groups = dict[_Key, list[Bin]]


def merged(ground: Ground, bins: Sequence[Bin]) -> tuple[Bin, ...]:
    """Put two nodes into one wherever that costs no more: of equal prices, fewer nodes are better.

    Bins of equal content are many and distinct ones few, so pairs are tried by content.
    """
    groups: _Groups = {}
    for found in bins:
        groups.setdefault((found.content, found.mask), []).append(found)
    tries = MOST_PAIRS
    pair = _next_pair(ground, groups, tries)
    while pair is not None:
        one, other, both, tries = pair
        for key in (one, other):
            groups[key].pop()
            if not groups[key]:
                del groups[key]
        groups.setdefault((both.content, both.mask), []).append(both)
        pair = _next_pair(ground, groups, tries)
    return tuple(found for key in sorted(groups) for found in groups[key])


def _next_pair(ground: Ground, groups: _Groups, tries: int) -> tuple[_Key, _Key, Bin, int] | None:
    """The first two contents that one node holds for no more money, and how many tries are left."""
    for one, other in combinations_with_replacement(sorted(groups), 2):
        if one == other and len(groups[one]) < _PAIR:
            continue
        if tries <= 0:
            return None
        tries -= 1
        both = _together(ground, groups[one][0], groups[other][0])
        if both is not None:
            return one, other, both, tries
    return None


def _together(ground: Ground, one: Bin, other: Bin) -> Bin | None:
    """Both bins' pods on one node that costs no more than the two; None when there is none."""
    problem, space = ground.problem, ground.problem.space
    used = tuple(a + b for a, b in zip(one.used, other.used, strict=True))
    mask, price = one.mask & other.mask & space.fits(used), problem.price((one, other))
    if not mask or space.price(mask) > price or not one.host.bears(other.host):
        return None
    counts = Counter(dict(one.content)) + Counter(dict(other.content))
    node = Growing(ground, -1)
    # What needs others beside it comes after them.
    for number in sorted(counts, key=lambda n: (bool(problem.demands[n].host.needs), n)):
        if node.add(number, counts[number]) < counts[number]:
            return None
    found = node.done()
    return found if problem.price((found,)) <= price else None
