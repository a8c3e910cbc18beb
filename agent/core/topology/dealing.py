"""Which domain each pod goes to, decided on counts before anything is packed.

Pods are given to room that is there or to a domain in which nodes are to be bought, one after the other, each where
kube-scheduler would let it come at that moment; so the order in which they were given is one in which they can be
bound. Then every (shape, domain) is a plain demand for packing.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.core.hosts import EMPTY
from agent.core.placing import Place
from agent.core.shapes import Shape
from agent.core.topology.cells import Cell, Deal, Seat, rank, without
from agent.core.topology.checks import Checks, Values, count
from agent.core.topology.counts import Counts
from agent.core.topology.offers import Offer, Offers, may_pass
from agent.model.names import PodKey


@dataclass(slots=True)
class Dealing:
    """Gives pods to places and domains, and keeps the counts of who is where."""

    shapes: Sequence[Shape]
    counts: Counts
    places: Sequence[Place]
    left: dict[int, list[PodKey]]
    """Pods of each shape that have no place yet, in order of name."""
    start: dict[int, int] = field(default_factory=dict)
    """The level that a shape is tried at first: what an earlier one did not give it, it does not give it later."""
    seats: dict[PodKey, Seat] = field(default_factory=dict)
    held: dict[PodKey, tuple[int, Place]] = field(default_factory=dict)
    """Pods that room is reserved for: shape, and the place that was bought for them."""
    order: dict[PodKey, None] = field(default_factory=dict)
    """Pods as they were given a place, the last time that they were."""
    returned: bool = False
    """Some were given a place and lost it again."""
    _load: dict[Values, int] = field(default_factory=dict)
    _by_keys: dict[tuple[str, ...], dict[Values, list[Place]]] = field(default_factory=dict)
    _checks: dict[tuple[int, int], Checks] = field(default_factory=dict)

    def checks(self, number: int, at: int) -> Checks:
        """What decides on domains for pods of a shape at a level."""
        if (number, at) not in self._checks:
            self._checks[number, at] = Checks.of(self.shapes[number], at, self.counts)
        return self._checks[number, at]

    def keep_promises(self) -> None:
        """Give claims the pods that they were bought for, wherever they may come, in the order of dealing.

        Room stays reserved for those that may not come yet, because they wait for others.
        """
        turn = {number: n for n, number in enumerate(self._in_turn())}
        number_of = {key: number for number, keys in self.left.items() for key in keys}
        asked = [(key, place) for place in self.places for key in place.room.promised if key in number_of]
        for key, place in sorted(asked, key=lambda own: (turn[number_of[own[0]]], own[0])):
            shape = self.shapes[number_of[key]]
            if (
                key not in self.held
                and place.room.accepts(shape, shape.required)
                and shape.requests.fits_in(place.free)
            ):
                self.held[key] = number_of[key], place
                self.left[number_of[key]].remove(key)
                place.free = place.free - shape.requests
        while self._keep():
            pass

    def _keep(self) -> bool:
        """Seat pods that room is reserved for, as far as they may come by now; whether any did."""
        before = len(self.held)
        for key, (number, place) in list(self.held.items()):
            self._release(key)
            if not self._kept(number, key, place):
                self.held[key] = number, place
                self.left[number].remove(key)
                place.free = place.free - self.shapes[number].requests
        return len(self.held) < before

    def _release(self, key: PodKey) -> None:
        number, place = self.held.pop(key)
        place.free = place.free + self.shapes[number].requests
        insort(self.left[number], key)

    def _kept(self, number: int, key: PodKey, place: Place) -> bool:
        shape, at = self.shapes[number], len(self.shapes[number].levels) - 1
        checks = self.checks(number, at)
        begun = checks.begins(self.counts)
        values = tuple(place.room.value(k) for k in checks.keys)
        if not place.times(shape, without(shape.hosts[at], begun), 1) or not all(map(place.room.decides, checks.keys)):
            return False
        if not checks.allows(values, checks.leasts(), begun):
            return False
        self.left[number].remove(key)
        self._seat(number, at, (values, place), [key])
        return True

    def deal(self, offers: Offers) -> list[Deal]:
        """Give what is left to room and domains; what finds neither stays left. The deals are to be bought."""
        deals: list[Deal] = []
        progress = True
        while progress:
            progress = False
            for number in self._in_turn():
                before = len(self.left[number])
                for at in range(self.start.get(number, 0), len(self.shapes[number].levels)):
                    if self.left[number]:
                        self._level(number, at, offers, deals)
                progress |= len(self.left[number]) < before
            progress |= self._keep()
            if not progress and self.held:
                progress = True
                for key in list(self.held):
                    self._release(key)
        return deals

    def give_back(self, deal: Deal, keys: Sequence[PodKey]) -> None:
        """Take pods out of a deal: no node was bought for them."""
        self.returned = True
        gone = set(keys)
        deal.keys = [key for key in deal.keys if key not in gone]
        self.left[deal.shape] = sorted([*self.left[deal.shape], *keys])
        count(deal.entries, -len(keys))
        for key in keys:
            del self.order[key]

    def _in_turn(self) -> list[int]:
        """Groups that must be together, the largest first, then what is constrained, then what is only counted.

        What waits for others comes after them; what no rule is about takes what is left.
        """
        groups: dict[int, int] = {}
        for number, keys in self.left.items():
            for own in self.shapes[number].levels[0].affinity[:1]:
                groups[own.number] = groups.get(own.number, 0) + len(keys)
        return sorted((n for n, keys in self.left.items() if keys), key=lambda n: (*self._turn(n, groups), n))

    def _turn(self, number: int, groups: dict[int, int]) -> tuple[int, int, int]:
        shape = self.shapes[number]
        level = shape.levels[0]
        if level.affinity:
            own = level.affinity[0].number
            return (0, -groups[own], own) if own in shape.matches else (3, 0, 0)
        if level.keys:
            return (1, 0, 0)
        return (2, 0, 0) if self.checks(number, 0).keys else (4, 0, 0)

    def _level(self, number: int, at: int, offers: Offers, deals: list[Deal]) -> None:
        """Give pods of a shape to all that a level allows."""
        checks = self.checks(number, at)
        cells = self._open_cells(number, at, offers, deals)
        begun = checks.begins(self.counts) if cells else frozenset[int]()
        if begun:
            self._begin(number, at, (cells, offers), deals)
            begun = checks.begins(self.counts)
        while cells and self.left[number]:
            cell = self._best(number, at, cells, begun)
            if cell is None:
                return
            several = len(self.left[number]) if checks.indifferent and not begun else 1
            if cell.places:
                place = cell.places[-1]
                rule = without(self.shapes[number].hosts[at], begun)
                several = place.times(self.shapes[number], rule, several)
                self._seat(number, at, (cell.values, place), self._taken(number, several))
            elif cell.offer is not None:
                self._add(self._opened(number, at, (cell, cell.offer, offers), deals), several)
            begun = begun and checks.begins(self.counts)

    def _open_cells(self, number: int, at: int, offers: Offers, deals: Sequence[Deal]) -> list[Cell]:
        """Every domain with room, or with something to buy, for a pod of the shape."""
        shape, keys = self.shapes[number], self.checks(number, at).keys
        cells: dict[Values, Cell] = {}
        for values, places in self._grouped(keys).items():
            usable = [p for p in places if shape.requests.fits_in(p.free) and p.room.accepts(shape, shape.levels[at])]
            if usable:
                cells[values] = Cell(values, usable[::-1])
        if self._may_be_bought(number, at, deals):
            for found in offers.of(shape, at, keys):
                for values, offer in found.items():
                    cell = cells.setdefault(values, Cell(values, []))
                    cell.offer = cell.offer or offer
                if found and not keys:
                    break
        return list(cells.values())

    def reachable(self, number: int, at: int, offers: Offers) -> list[Values]:
        """Every domain with room, or with something to buy, for a pod of the shape, whatever its rules about others."""
        return [cell.values for cell in self._open_cells(number, at, offers, ())]

    def _grouped(self, keys: tuple[str, ...]) -> dict[Values, list[Place]]:
        """Rooms by their domains; one of which a domain is not known yet takes no pods that it matters to."""
        if keys not in self._by_keys:
            found: dict[Values, list[Place]] = {}
            for place in self.places:
                if all(map(place.room.decides, keys)):
                    found.setdefault(tuple(map(place.room.value, keys)), []).append(place)
            self._by_keys[keys] = found
        return self._by_keys[keys]

    def _may_be_bought(self, number: int, at: int, deals: Sequence[Deal]) -> bool:
        """Whether a new node can be what the rules of one node ask: also what must be there comes onto new nodes."""
        rule = self.shapes[number].hosts[at]
        if not rule.needs:
            return bool(EMPTY.room(rule, 1))
        begun = self.checks(number, at).begins(self.counts)
        coming = {n for own in deals for n in own.host.matches}
        return bool(EMPTY.room(without(rule, rule.needs), 1)) and all(n in begun or n in coming for n in rule.needs)

    def _best(self, number: int, at: int, cells: Iterable[Cell], begun: frozenset[int]) -> Cell | None:
        """Of the domains that the next pod may come into: room that is there first, then what costs least."""
        checks, shape = self.checks(number, at), self.shapes[number]
        rule, leasts = without(shape.hosts[at], begun), checks.leasts()
        best: tuple[tuple[object, ...], Cell] | None = None
        for cell in cells:
            if not checks.allows(cell.values, leasts, begun):
                continue
            while cell.places and not cell.places[-1].times(shape, rule, 1):
                cell.places.pop()
            if not cell.places and cell.offer is None:
                continue
            found = rank(cell, checks, self._load.get(cell.values, 0))
            if best is None or found < best[0]:
                best = found, cell
        return best[1] if best is not None else None

    def _opened(self, number: int, at: int, chosen: tuple[Cell, Offer, Offers], deals: list[Deal]) -> Deal:
        """The deal of a domain in which something is bought."""
        cell, offer, offers = chosen
        if cell.deal is None:
            checks, space = self.checks(number, at), offers.space(offer.shelf)
            entries = checks.entries(cell.values, lambda group: may_pass(space, group.filter, offer))
            host = self.shapes[number].hosts[at]
            cell.deal = Deal(number, at, offer, checks.keys, cell.values, host, entries)
            deals.append(cell.deal)
        return cell.deal

    def _taken(self, number: int, several: int) -> list[PodKey]:
        keys = self.left[number][:several]
        del self.left[number][:several]
        self.order.update(dict.fromkeys(keys))
        return keys

    def _add(self, deal: Deal, several: int) -> None:
        deal.keys += self._taken(deal.shape, several)
        count(deal.entries, several)
        self._load[deal.values] = self._load.get(deal.values, 0) + several

    def _seat(self, number: int, at: int, where: tuple[Values, Place], keys: Sequence[PodKey]) -> None:
        values, place = where
        shape = self.shapes[number]
        place.take(shape, shape.hosts[at], len(keys))
        count(self.checks(number, at).entries(values, lambda group: group.counts(place.room)), len(keys))
        self.order.update(dict.fromkeys(keys))
        self.seats.update((key, Seat(number, place)) for key in keys)

    def _begin(self, number: int, at: int, chosen: tuple[list[Cell], Offers], deals: list[Deal]) -> None:
        """Choose where a group that must be together is: where most of its pods could be."""
        cells, offers = chosen
        checks = self.checks(number, at)
        begun = checks.begins(self.counts)
        members = self._members(begun, offers)
        for cell in cells:
            own = dict(zip(checks.keys, cell.values, strict=True))
            cell.votes = sum(
                pods
                for pods, domains in members
                if any(all(own.get(key, value) == value for key, value in domain.items()) for domain in domains)
            )
        if any(n in begun for n in self.shapes[number].hosts[at].needs):
            self._on_one_node(number, at, chosen, deals)

    def _members(self, begun: frozenset[int], offers: Offers) -> list[tuple[int, list[dict[str, str | None]]]]:
        """For each shape of a group: how many of its pods wait, and the domains that they could come into."""
        found = []
        for number, waiting in self.left.items():
            at = len(self.shapes[number].levels) - 1
            if waiting and any(own.number in begun for own in self.shapes[number].levels[at].affinity):
                keys = self.checks(number, at).keys
                cells = self._open_cells(number, at, offers, ())
                found.append((len(waiting), [dict(zip(keys, cell.values, strict=True)) for cell in cells]))
        return found

    def _on_one_node(self, number: int, at: int, chosen: tuple[list[Cell], Offers], deals: list[Deal]) -> None:
        """Put as many as one node holds onto it: onto room that is there if none that can be bought holds more."""
        cells, offers = chosen
        shape, checks = self.shapes[number], self.checks(number, at)
        begun, leasts = checks.begins(self.counts), checks.leasts()
        rule, waiting = without(shape.hosts[at], begun), len(self.left[number])
        options: list[tuple[int, int, int, Cell]] = []
        for n, cell in enumerate(cells):
            if checks.allows(cell.values, leasts, begun):
                cell.places.sort(key=lambda place: place.times(shape, rule, waiting))
                there = cell.places[-1].times(shape, rule, waiting) if cell.places else 0
                new = offers.most(cell.offer, shape, EMPTY.room(rule, waiting)) if cell.offer is not None else 0
                options += [(-cell.votes, -most, at, cell) for most, at in ((there, n), (new, len(cells) + n)) if most]
        if options:
            _, most, where, cell = min(options, key=lambda option: option[:3])
            several = self._in_a_row(checks, cell.values, -most)
            if where < len(cells):
                self._seat(number, at, (cell.values, cell.places[-1]), self._taken(number, several))
            elif cell.offer is not None:
                deal = self._opened(number, at, (cell, cell.offer, offers), deals)
                deal.host, deal.size = rule, several
                self._add(deal, several)
            for other in cells:
                other.offer = None

    def _in_a_row(self, checks: Checks, values: Values, most: int) -> int:
        """How many pods may come into a domain one after the other, at most ``most``."""
        entries = checks.entries(values, lambda _: True)
        several = 1
        count(entries, 1)
        while several < most and checks.allows(values, checks.leasts(), checks.begins(self.counts)):
            count(entries, 1)
            several += 1
        count(entries, -several)
        return several
