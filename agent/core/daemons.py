"""On which columns DaemonSets will run.

A DaemonSet may select what only the offering decides, the zone or the capacity type. A launch becomes any of its types
in any of its zones, so it names only zones and capacity types between which no such DaemonSet makes a difference.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from agent.core.columns import ColumnLabels
from agent.core.nodeaffinity import alternatives
from agent.core.requirements import Requirements
from agent.core.shelf import union
from agent.core.taints import tolerates
from agent.model import names
from agent.model.kubernetes import Pod

BOUGHT: Final = (names.ZONE, names.CAPACITY_TYPE)
"""Labels that the offering decides."""


def divided(own: ColumnLabels, allowed: int, daemons: Sequence[Pod]) -> list[tuple[int, int]]:
    """The columns by which DaemonSets, as bits, will run on their nodes."""
    parts = [(0, allowed)]
    for number, terms in _running(own, daemons):
        reach = union(own.matching(asked) for asked in terms)
        split = [(running | 1 << number, mask & reach) for running, mask in parts]
        split += [(running, mask & ~reach) for running, mask in parts]
        parts = [(running, mask) for running, mask in split if mask]
    return parts


def apart(own: ColumnLabels, daemons: Sequence[Pod]) -> list[int]:
    """Sets of columns that one launch may name together; none where all may.

    Each is of some zones and some capacity types, all of their combinations: a claim cannot say more.
    """
    sets = [own.template.shelf.every]
    for _, terms in _running(own, daemons):
        for key, values in (entry for asked in terms for entry in asked if entry[0] in BOUGHT):
            reach = own.columns(key, values)
            sets = [part for whole in sets for part in (whole & reach, whole & ~reach) if part]
    return sets if len(sets) > 1 else []


def _running(own: ColumnLabels, daemons: Sequence[Pod]) -> Iterator[tuple[int, tuple[Requirements, ...]]]:
    """The DaemonSets that the pool's taints let in, and the alternatives of what each asks of its node."""
    for number, daemon in enumerate(daemons):
        if tolerates(daemon.tolerations, own.template.pool.taints):
            yield number, alternatives(daemon)
