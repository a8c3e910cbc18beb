"""What earlier decisions worked out of things that seldom change, for later ones to use again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from agent.core.shelf import Shelf
from agent.model.ec2 import InstanceType
from agent.model.names import ClassName

_Made = TypeVar("_Made")
_Entry = tuple[Callable[..., Any], tuple[object, ...], Any]
"""What made something, of what, and that."""
MOST_KEPT: Final = 16
"""So much is kept at most beside the shelves of classes: what pools, classes and refusals made of these."""


@dataclass(slots=True)
class Shelves:
    """The shelf of every class, made when its types change, and what was made of shelves, pools and classes.

    It only saves effort: what is kept depends on nothing but what it was made of, which is looked at by value, and is
    the same as if it were made anew.
    """

    _made: dict[ClassName, Shelf] = field(default_factory=dict)
    _adjusted: dict[ClassName, tuple[tuple[InstanceType, ...], object, tuple[InstanceType, ...]]] = field(
        default_factory=dict
    )
    _kept: list[_Entry] = field(default_factory=list)
    """The last that was used first."""
    _latest: dict[Callable[..., Any], tuple[tuple[object, ...], Any]] = field(default_factory=dict)
    """Of each maker: what it made something of last, and that."""
    _nodes: dict[str, tuple[tuple[object, ...], Any]] = field(default_factory=dict)
    _before: dict[str, tuple[tuple[object, ...], Any]] = field(default_factory=dict)
    """What was made for each node in this decision, and in the one before."""

    @classmethod
    def of(cls, types: dict[ClassName, tuple[InstanceType, ...]]) -> "Shelves":
        """All shelves of a catalogue."""
        made = cls()
        for name, listed in types.items():
            made.shelf(name, listed)
        return made

    def begin(self) -> None:
        """A new decision: what was made for nodes that the last one did not see is forgotten."""
        self._before, self._nodes = self._nodes, {}

    def shelf(self, name: ClassName, types: tuple[InstanceType, ...]) -> Shelf:
        """The shelf of a class."""
        held = self._made.get(name)
        if held is None or (held.source is not types and held.source != types):
            # What was made of the old one will not be asked for again, and would keep all its types alive.
            self._kept.clear()
            held = self._made[name] = Shelf.of(types)
        return held

    def adjusted(
        self,
        name: ClassName,
        given: tuple[tuple[InstanceType, ...], object],
        adjust: Callable[[], tuple[InstanceType, ...]],
    ) -> tuple[InstanceType, ...]:
        """Types of a class in which something was replaced; the same object as long as ``given`` is the same.

        Args:
            name: The class.
            given: The types, and by what they are adjusted.
            adjust: Makes the adjusted ones.

        """
        held = self._adjusted.get(name)
        if held is None or held[0] is not given[0] or held[1] != given[1]:
            held = self._adjusted[name] = (*given, adjust())
        return held[2]

    def kept(self, make: Callable[..., _Made], *given: object) -> _Made:
        """What ``make`` makes of these, by position; as long as all of it is equal, the same object.

        What was not used for the longest is forgotten.
        """
        entry = self._held(make, given) or (make, given, make(*given))
        self._kept.insert(0, entry)
        del self._kept[MOST_KEPT:]
        found: _Made = entry[2]
        return found

    def _held(self, make: Callable[..., Any], given: tuple[object, ...]) -> _Entry | None:
        for at, entry in enumerate(self._kept):
            if entry[0] == make and entry[1] == given:
                return self._kept.pop(at)
        return None

    def latest(self, make: Callable[..., _Made], *given: object) -> _Made:
        """As ``kept``, of which only the last is: what is made of the whole cluster is large, and what was is gone."""
        held = self._latest.get(make)
        if held is None or held[0] != given:
            held = self._latest[make] = (given, make(*given))
        found: _Made = held[1]
        return found

    def of_node(self, name: str, make: Callable[..., _Made], *given: object) -> _Made:
        """What ``make`` makes of these for a node, by position; as long as all of it is equal, the same object."""
        held = self._nodes.get(name) or self._before.get(name)
        if held is None or held[0] != given:
            held = (given, make(*given))
        self._nodes[name] = held
        found: _Made = held[1]
        return found
