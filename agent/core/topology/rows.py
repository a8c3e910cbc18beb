"""Room that is there in order, and which of it still holds pods that ask for so much."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.placing import Place
from agent.model.resources import Resources

_BLOCK: Final = 32


@dataclass(slots=True)
class _Block:
    places: Sequence[Place]
    most: Resources
    """No place of the block has more of anything left: room only shrinks."""

    def holding(self, requests: Resources) -> list[Place]:
        """The places that hold so much; when there is none, what the block has at most is looked at anew."""
        if not requests.fits_in(self.most):
            return []
        found = [place for place in self.places if requests.fits_in(place.free)]
        if not found:
            self.most = _most([place.free for place in self.places])
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """Places, looked through in blocks: most shapes find none in a cluster that is full, and many shapes ask.

    To be made anew when a place got room back.
    """

    blocks: tuple[_Block, ...]
    _found: dict[Resources, list[Place]] = field(default_factory=dict)
    """What held so much when it was asked last: nothing else does later."""

    @classmethod
    def of(cls, places: Sequence[Place]) -> "Row":
        """A row of places in this order."""
        parts = (places[at : at + _BLOCK] for at in range(0, len(places), _BLOCK))
        return cls(tuple(_Block(part, _most([place.free for place in part])) for part in parts))

    def holding(self, requests: Resources) -> list[Place]:
        """The places that hold so much, in order."""
        known = self._found.get(requests)
        if known is None:
            found = [place for block in self.blocks for place in block.holding(requests)]
        else:
            found = [place for place in known if requests.fits_in(place.free)]
        self._found[requests] = found
        return found.copy()


def _most(rooms: Sequence[Resources]) -> Resources:
    """Of each resource the largest amount."""
    names = sorted({name for room in rooms for name, _ in room.extended})
    return Resources(
        max(room.cpu_milli for room in rooms),
        max(room.memory_bytes for room in rooms),
        max(room.pods for room in rooms),
        max(room.ephemeral_storage_bytes for room in rooms),
        tuple((name, max(room.amount(name) for room in rooms)) for name in names),
    )
