"""A claim names the pods that it was bought for, and they get its room before all others.

Without that, packing anew in another order would now and then find no place for one of them, and buy a second node
for what is on its way already.
"""

from bisect import insort
from dataclasses import dataclass, field

from agent.core.placing import Place
from agent.core.topology.cells import without
from agent.core.topology.seating import Seating
from agent.model.names import PodKey


@dataclass(slots=True)
class Promises:
    """Pods that room on a claim is reserved for because they may not come yet: they wait for others."""

    seating: Seating
    _held: dict[PodKey, tuple[int, Place]] = field(default_factory=dict)

    def reserve(self) -> None:
        """Keep every promise that can be kept now, in the order of dealing, and room for all others."""
        seating = self.seating
        if not any(place.room.promised for place in seating.places):
            return
        turn = {number: n for n, number in enumerate(seating.in_turn())}
        number_of = {key: number for number, keys in seating.left.items() for key in keys}
        asked = [(key, place) for place in seating.places for key in place.room.promised if key in number_of]
        for key, place in sorted(asked, key=lambda own: (turn[number_of[own[0]]], own[0])):
            shape = seating.shapes[number_of[key]]
            if (
                key not in self._held
                and place.room.accepts(shape.rules, shape.required)
                and shape.requests.fits_in(place.free)
            ):
                self._hold(key, number_of[key], place)
        while self.keep():
            pass

    def keep(self) -> bool:
        """Seat those that may come by now; whether any did."""
        before = len(self._held)
        for key, (number, place) in list(self._held.items()):
            self._let_go(key)
            if not self._kept(number, key, place):
                self._hold(key, number, place)
        return len(self._held) < before

    def release(self) -> bool:
        """Reserve nothing any more; whether anything was."""
        some = bool(self._held)
        for key in list(self._held):
            self._let_go(key)
        return some

    def _hold(self, key: PodKey, number: int, place: Place) -> None:
        self._held[key] = number, place
        self.seating.left[number].remove(key)
        place.free = place.free - self.seating.shapes[number].requests

    def _let_go(self, key: PodKey) -> None:
        number, place = self._held.pop(key)
        place.free = place.free + self.seating.shapes[number].requests
        insort(self.seating.left[number], key)

    def _kept(self, number: int, key: PodKey, place: Place) -> bool:
        shape, at = self.seating.shapes[number], len(self.seating.shapes[number].levels) - 1
        checks = self.seating.checks(number, at)
        begun = checks.begins(self.seating.counts)
        values = tuple(place.room.value(k) for k in checks.keys)
        if not place.times(shape, without(shape.hosts[at], begun), 1) or not all(map(place.room.decides, checks.keys)):
            return False
        if not checks.allows(values, checks.leasts(), begun):
            return False
        self.seating.left[number].remove(key)
        self.seating.seat(number, at, (values, place), [key])
        return True
