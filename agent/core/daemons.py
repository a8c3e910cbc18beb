"""On which columns DaemonSets will run, and what a launch may name for it.

A DaemonSet may select what only the offering decides, the zone or the capacity type. A launch becomes any of its types
in any of its zones, so these must all hold its pods beside the DaemonSets that will run there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.columns import ColumnLabels
from agent.core.nodeaffinity import alternatives
from agent.core.requirements import Requirements
from agent.core.shelf import Shelf, union
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


@dataclass(frozen=True, slots=True)
class Together:
    """Which columns of one pool a launch may name together; sets are of the shelf's columns."""

    shelf: Shelf
    allowed: int
    """Those of the pool, lately refused ones too: a request that is repeated may name them again."""
    sets: tuple[int, ...]
    """By zones and capacity types between which no DaemonSet makes a difference; a single one where none does."""
    held: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, own: ColumnLabels, allowed: int, daemons: Sequence[Pod]) -> "Together":
        """Divide the columns of a pool; of each set a claim can name all zones and all capacity types."""
        sets = [allowed]
        for _, terms in _running(own, daemons):
            for key, values in (entry for asked in terms for entry in asked if entry[0] in BOUGHT):
                reach = own.columns(key, values)
                sets = [part for whole in sets for part in (whole & reach, whole & ~reach) if part]
        return cls(own.template.shelf, allowed, tuple(sets))

    @property
    def whole(self) -> bool:
        """Whether a launch may name any columns that hold its pods."""
        return len(self.sets) <= 1

    def chosen(self, mask: int) -> int:
        """Of columns that hold the pods, those that a launch of the cheapest names.

        All its zones and capacity types where its types hold the pods in each; else those in which the same DaemonSets
        run.
        """
        if self.whole:
            return mask
        first = mask & -mask
        alike = mask & next(own for own in self.sets if own & first)
        everywhere = self._everywhere(mask)
        return alike if alike & ~everywhere else everywhere

    def choices(self, mask: int) -> tuple[tuple[int, int], ...]:
        """All that a launch might name of columns that hold the pods, and of which columns it is what holds them."""
        if self.whole:
            return ((mask, self.allowed),)
        return (*((mask & own, own) for own in self.sets if mask & own), (self._everywhere(mask), self.allowed))

    def _everywhere(self, mask: int) -> int:
        """Columns of types that hold the pods wherever they are offered, in the zones and as the mask has it."""
        if mask not in self.held:
            reach = self.allowed
            for table in (self.shelf.by_zone, self.shelf.by_capacity_type):
                reach &= union(own for own in table.values() if own & mask)
            self.held[mask] = union(
                own & mask
                for own in self.shelf.by_type.values()
                # Of a type in one set all columns hold the pods, or none.
                if own & mask and all(own & mask & part for part in self.sets if own & reach & part)
            )
        return self.held[mask]


def _running(own: ColumnLabels, daemons: Sequence[Pod]) -> Iterator[tuple[int, tuple[Requirements, ...]]]:
    """The DaemonSets that the pool's taints let in, and the alternatives of what each asks of its node."""
    for number, daemon in enumerate(daemons):
        if tolerates(daemon.tolerations, own.template.pool.taints):
            yield number, alternatives(daemon)
