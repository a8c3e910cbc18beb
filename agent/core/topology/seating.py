"""Who has which place: pods on room that is there, and the order in which all were given one."""

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.placing import Place
from agent.core.shapes import Rules, Shape
from agent.core.topology.cells import Deal, Seat
from agent.core.topology.checks import Checks, Values, count
from agent.core.topology.counts import Counts
from agent.model.names import PodKey


@dataclass(slots=True)
class Seating:
    """What waits, what has a place, and the counts of who is where."""

    shapes: Sequence[Shape]
    counts: Counts
    places: Sequence[Place]
    left: dict[int, list[PodKey]]
    """Pods of each shape that have no place yet, in order of name."""
    seats: dict[PodKey, Seat] = field(default_factory=dict)
    order: dict[PodKey, None] = field(default_factory=dict)
    """Pods as they were given a place, the last time that they were."""
    returned: bool = False
    """Some were given a place and lost it again."""
    _checks: dict[tuple[Rules, int], Checks] = field(default_factory=dict)

    def checks(self, number: int, at: int) -> Checks:
        """What decides on domains for pods of a shape at a level."""
        rules = self.shapes[number].rules
        found = self._checks.get((rules, at))
        if found is None:
            found = self._checks[rules, at] = Checks.of(rules, at, self.counts)
        return found

    def disturbs(self, number: int) -> bool:
        """Whether pods of a shape are counted by spreads that they need not keep to."""
        checks = self.checks(number, len(self.shapes[number].levels) - 1)
        own = [id(group) for _, group, *_ in checks.spread]
        return any(id(group) not in own for _, group in checks.groups)

    def taken(self, number: int, several: int) -> list[PodKey]:
        """The first pods of a shape, which wait no longer."""
        keys = self.left[number][:several]
        del self.left[number][:several]
        self.order.update(dict.fromkeys(keys))
        return keys

    def seat(self, number: int, at: int, where: tuple[Values, Place], keys: Sequence[PodKey]) -> None:
        """Give pods of a shape, that wait no longer, room that is there."""
        values, place = where
        shape = self.shapes[number]
        place.take(shape, shape.hosts[at], len(keys))
        count(self.checks(number, at).entries(values, lambda group: group.certainly(place.room)), len(keys))
        self.order.update(dict.fromkeys(keys))
        self.seats.update(dict.fromkeys(keys, Seat(number, place)))

    def unseat(self, key: PodKey) -> None:
        """Let a pod wait again that was given room by all that is required; what it meant to others there stays."""
        seat = self.seats.pop(key)
        shape, place = self.shapes[seat.shape], seat.place
        checks = self.checks(seat.shape, len(shape.levels) - 1)
        place.free = place.free + shape.requests
        values = tuple(map(place.room.value, checks.keys))
        count(checks.entries(values, lambda group: group.certainly(place.room)), -1)
        del self.order[key]
        insort(self.left[seat.shape], key)

    def hold_back(self, late: Collection[PodKey]) -> dict[int, list[PodKey]]:
        """Let these pods not even wait, as far as they have no place; by shape they are returned."""
        found = {}
        for number, keys in self.left.items() if late else ():
            away = [key for key in keys if key in late]
            if away:
                found[number] = away
                self.left[number] = [key for key in keys if key not in late]
        return found

    def admit(self, late: Mapping[int, Sequence[PodKey]]) -> None:
        """Let pods wait that were held back."""
        for number, keys in late.items():
            self.left[number] = sorted([*self.left[number], *keys])

    def give_back(self, deal: Deal, keys: Sequence[PodKey]) -> None:
        """Take pods out of a deal: no node was bought for them."""
        self.returned = True
        gone = set(keys)
        deal.keys = [key for key in deal.keys if key not in gone]
        self.left[deal.shape] = sorted([*self.left[deal.shape], *keys])
        count(deal.entries, -len(keys))
        for key in keys:
            del self.order[key]

    def in_turn(self) -> list[int]:
        """Groups that must be together, the largest first, then what is constrained, then what is only counted.

        What waits for others comes after them; what no rule is about takes what is left.
        """
        waiting: defaultdict[Rules, list[int]] = defaultdict(list)
        for number, keys in self.left.items():
            if keys:
                waiting[self.shapes[number].rules].append(number)
        groups: dict[int, int] = {}
        for rules, numbers in waiting.items():
            for own in rules.levels[0].affinity[:1]:
                groups[own.number] = groups.get(own.number, 0) + sum(len(self.left[n]) for n in numbers)
        found: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
        for numbers in waiting.values():
            found[self._turn(numbers[0], groups)] += numbers
        return [number for turn in sorted(found) for number in sorted(found[turn])]

    def _turn(self, number: int, groups: dict[int, int]) -> tuple[int, int, int]:
        shape = self.shapes[number]
        level = shape.levels[0]
        if level.affinity:
            own = level.affinity[0].number
            return (0, -groups[own], own) if own in shape.matches else (3, 0, 0)
        if level.keys:
            return (1, 0, 0)
        return (2, 0, 0) if self.checks(number, 0).keys else (4, 0, 0)
