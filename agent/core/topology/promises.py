"""A claim names the pods that it was bought for, and they get its room before all others.

Without that, packing anew in another order would now and then find no place for one of them, and buy a second node
for what is on its way already.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.core.hosts import HostState
from agent.core.placing import Place
from agent.core.topology.cells import without
from agent.core.topology.seating import Seating
from agent.model.names import PodKey

_Wanted = tuple[PodKey, int, Place]
"""A pod, its shape and the room that it was promised."""


@dataclass(slots=True)
class Promises:
    """Pods that room on a claim is reserved for because they may not come yet: they wait for others."""

    seating: Seating
    _held: dict[PodKey, tuple[int, Place]] = field(default_factory=dict)
    _came: list[tuple[PodKey, Place, HostState]] = field(default_factory=list)
    """Those that were seated, and what their room was like before."""

    def reserve(self) -> None:
        """Keep every promise that can be kept now, and room for all others.

        In which order they were made is not known. In the order of dealing a pod that a spread merely counts may take
        the last step that the spread allows; so where some cannot come, those that no foreign spread counts are let in
        first.
        """
        wanted = self._wanted()
        self._let_in(wanted)
        waiting = len(self._held)
        if waiting:
            self._take_back()
            self._let_in(sorted(wanted, key=lambda own: self.seating.disturbs(own[1])))
        if len(self._held) > waiting:
            self._take_back()
            self._let_in(wanted)

    def _wanted(self) -> list[_Wanted]:
        """In the order of dealing."""
        seating = self.seating
        if not any(place.room.promised for place in seating.places):
            return []
        turn = {number: n for n, number in enumerate(seating.in_turn())}
        number_of = {key: number for number, keys in seating.left.items() for key in keys}
        asked = (
            (key, number_of[key], place)
            for place in seating.places
            for key in place.room.promised
            if key in number_of and self._suits(number_of[key], place)
        )
        return sorted(asked, key=lambda own: (turn[own[1]], own[0]))

    def _suits(self, number: int, place: Place) -> bool:
        shape = self.seating.shapes[number]
        return place.room.accepts(shape.rules, shape.required)

    def _let_in(self, wanted: Iterable[_Wanted]) -> None:
        for key, number, place in wanted:
            if key not in self._held and self.seating.shapes[number].requests.fits_in(place.free):
                self._hold(key, number, place)
        while self.keep():
            pass

    def _take_back(self) -> None:
        """As if nobody had come."""
        self.release()
        for key, place, host in reversed(self._came):
            self.seating.unseat(key)
            place.host = host
        self._came.clear()

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
        self._came.append((key, place, place.host))
        self.seating.seat(number, at, (values, place), [key])
        return True
