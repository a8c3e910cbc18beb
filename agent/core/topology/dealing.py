"""Which domain each pod goes to, decided on counts before anything is packed.

Pods are given to room that is there or to a domain in which nodes are to be bought, one after the other, each where
kube-scheduler would let it come at that moment; so the order in which they were given is one in which they can be
bound. Then every (shape, domain) is a plain demand for packing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.core.hosts import EMPTY, FREE
from agent.core.placing import Place
from agent.core.shapes import Rules
from agent.core.topology.cells import Cell, Deal, rank, without
from agent.core.topology.checks import Checks, Entry, Values, count
from agent.core.topology.offers import Offer, Offers, counted
from agent.core.topology.promises import Promises
from agent.core.topology.rows import Row
from agent.core.topology.seating import Seating


@dataclass(slots=True)
class Dealing(Seating):
    """Gives pods to places and domains, and keeps the counts of who is where."""

    shut: set[tuple[int, int, int, Values]] = field(default_factory=set)
    """Shape, level, shelf and domain where no node could be put together for what was dealt: it is not dealt there
    again."""
    promises: Promises | None = None
    _load: dict[Values, int] = field(default_factory=dict)
    _dealt: dict[tuple[str, ...], int] = field(default_factory=dict)
    """By topology keys: how many pods were dealt to domains of these."""
    _plain: dict[tuple[Rules, int], tuple[Entry, ...] | None] = field(default_factory=dict)
    """Where plain pods are counted; None: not plain."""
    _by_rules: dict[tuple[Rules, int], dict[Values, Row]] = field(default_factory=dict)
    _alike: dict[tuple[object, ...], dict[Values, Row]] = field(default_factory=dict)
    """By all that decides on it: many rules differ in what they say about pods only."""

    def keep_promises(self) -> None:
        """Give claims the pods that they were bought for."""
        self.promises = Promises(self)
        self.promises.reserve()

    def deal(self, offers: Offers) -> list[Deal]:
        """Give what is left to room and domains; what finds neither stays left. The deals are to be bought."""
        deals: list[Deal] = []
        progress = True
        while progress:
            progress = False
            for number in self.in_turn():
                before = len(self.left[number])
                for at in range(len(self.shapes[number].levels)):
                    if self.left[number]:
                        self._level(number, at, offers, deals)
                progress |= len(self.left[number]) < before
            if self.promises is not None:
                progress |= self.promises.keep() or (not progress and self._released(self.promises))
        return deals

    def _released(self, promises: Promises) -> bool:
        """Whether any room is reserved no more; rows do not know that it is there again."""
        some = promises.release()
        if some:
            self._by_rules.clear()
            self._alike.clear()
        return some

    def _level(self, number: int, at: int, offers: Offers, deals: list[Deal]) -> None:
        """Give pods of a shape to all that a level allows."""
        if self._is_plain(number, at):
            self._deal_plainly(number, at, offers, deals)
            return
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
            alike = checks.indifferent and not begun and not cell.company
            several = len(self.left[number]) if alike else 1
            if cell.places:
                place = cell.places[-1]
                rule = without(self.shapes[number].hosts[at], begun)
                several = place.times(self.shapes[number], rule, several)
                self.seat(number, at, (cell.values, place), self.taken(number, several))
            elif cell.offer is not None:
                self._add(self._opened(number, at, (cell, cell.offer, offers), deals), several)
            if self.promises is not None:
                # Who was promised room may have waited for just this pod, and comes before others of its shape.
                self.promises.keep()
            begun = begun and checks.begins(self.counts)

    def _is_plain(self, number: int, at: int) -> bool:
        """Whether no rule is about such pods: they go to room that is there, then where nodes can be bought."""
        key = (self.shapes[number].rules, at)
        if key not in self._plain:
            rules, checks = key[0], self.checks(number, at)
            plain = rules.hosts[at] is FREE and checks.indifferent and not (checks.keys or checks.affinity)
            self._plain[key] = checks.entries((), lambda _: False) if plain else None
        return self._plain[key] is not None

    def _deal_plainly(self, number: int, at: int, offers: Offers, deals: list[Deal]) -> None:
        shape, left = self.shapes[number], self.left[number]
        for row in self._accepting(shape.rules, at, ()).values():
            for place in reversed(row.holding(shape.requests)):
                if not left:
                    return
                several = place.times(shape, FREE, len(left))
                self.seat(number, at, ((), place), self.taken(number, several))
        for cells in offers.of(shape, at, ()) if left else ():
            offer = cells.get(())
            if offer is not None and (number, at, offer.shelf, ()) not in self.shut:
                entries = self._plain[shape.rules, at] or ()
                deals.append(Deal(number, at, offer, (), (), FREE, entries))
                self._add(deals[-1], len(left))
                return

    def _open_cells(self, number: int, at: int, offers: Offers, deals: Sequence[Deal]) -> list[Cell]:
        """Every domain with room, or with something to buy, for a pod of the shape."""
        shape, keys = self.shapes[number], self.checks(number, at).keys
        cells: dict[Values, Cell] = {}
        for values, row in self._accepting(shape.rules, at, keys).items():
            free = row.holding(shape.requests)
            if free:
                cells[values] = Cell(values, free)
        if self._may_be_bought(number, at, deals):
            company = () if keys else self._company(number, at)
            # Company is no must: there may be no node of such a domain alone, for minValues say.
            if not self._offer(number, at, cells, (offers, company)) and company:
                self._offer(number, at, cells, (offers, ()))
        return list(cells.values())

    def _offer(self, number: int, at: int, cells: dict[Values, Cell], wanted: tuple[Offers, tuple[str, ...]]) -> bool:
        """Add what can be bought for a pod of the shape, by domains of its keys or else of its company; if anything."""
        shape, keys, found = self.shapes[number], self.checks(number, at).keys, False
        offers, company = wanted
        for offered in offers.of(shape, at, keys or company):
            usable = {v: offer for v, offer in offered.items() if (number, at, offer.shelf, v) not in self.shut}
            for values, offer in usable.items():
                cell = cells.setdefault(values, Cell(values, [], company=company))
                cell.offer = cell.offer or offer
            found = found or bool(usable)
            if usable and not keys:
                break
        return found

    def _company(self, number: int, at: int) -> tuple[str, ...]:
        """Topology keys by which pods are dealt that get a node each, although no rule of theirs needs it.

        What fills up those nodes has domains, and so the pods are dealt to where that is.
        """
        rule = self.shapes[number].hosts[at]
        if not any(n in rule.matches for n, _ in (*rule.caps, *rule.wishes)):
            return ()
        return max(self._dealt, key=lambda keys: (self._dealt[keys], keys), default=())

    def reachable(self, number: int, at: int, offers: Offers) -> list[Values]:
        """Every domain with room, or with something to buy, for a pod of the shape, whatever its rules about others."""
        return [cell.values for cell in self._open_cells(number, at, offers, ())]

    def _accepting(self, rules: Rules, at: int, keys: tuple[str, ...]) -> dict[Values, Row]:
        """Rooms that such pods may come to, by their domains, the first last.

        One of which a domain is not known yet takes no pods that it matters to.
        """
        if (rules, at) not in self._by_rules:
            level = rules.levels[at]
            alike = (rules.example.tolerations, level.minds_soft_taints, level.alternatives, keys)
            if alike not in self._alike:
                found: dict[Values, list[Place]] = {}
                for place in self.places:
                    if place.room.accepts(rules, rules.levels[at]) and all(map(place.room.decides, keys)):
                        found.setdefault(tuple(map(place.room.value, keys)), []).append(place)
                self._alike[alike] = {values: Row.of(places[::-1]) for values, places in found.items()}
            self._by_rules[rules, at] = self._alike[alike]
        return self._by_rules[rules, at]

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
        open_cells = []
        for cell in cells:
            if not checks.allows(cell.values, leasts, begun):
                continue
            while cell.places and not cell.places[-1].times(shape, rule, 1):
                cell.places.pop()
            if not cell.places and cell.offer is None:
                continue
            open_cells.append(cell)
        if len(open_cells) <= 1:
            return open_cells[0] if open_cells else None
        emptiest = checks.emptiest()
        return min(open_cells, key=lambda cell: rank(cell, checks, emptiest, self._load.get(cell.values, 0)))

    def _opened(self, number: int, at: int, chosen: tuple[Cell, Offer, Offers], deals: list[Deal]) -> Deal:
        """The deal of a domain in which something is bought."""
        cell, offer, offers = chosen
        if cell.deal is None:
            checks, space = self.checks(number, at), offers.space(offer.shelf)
            entries = checks.entries(cell.values, lambda group: counted(space, group, offer))
            host = self.shapes[number].hosts[at]
            cell.deal = Deal(number, at, offer, checks.keys or cell.company, cell.values, host, entries)
            deals.append(cell.deal)
        return cell.deal

    def _add(self, deal: Deal, several: int) -> None:
        deal.keys += self.taken(deal.shape, several)
        count(deal.entries, several)
        self._load[deal.values] = self._load.get(deal.values, 0) + several
        if deal.domain:
            self._dealt[deal.domain] = self._dealt.get(deal.domain, 0) + several

    def _begin(self, number: int, at: int, chosen: tuple[list[Cell], Offers], deals: list[Deal]) -> None:
        """Choose where a group that must be together is: where most of its pods could be."""
        cells, offers = chosen
        checks = self.checks(number, at)
        begun = checks.begins(self.counts)
        members = self._members(begun, offers)
        for cell in cells:
            own = dict(zip(checks.keys or cell.company, cell.values, strict=True))
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
                domains = [dict(zip(keys or cell.company, cell.values, strict=True)) for cell in cells]
                found.append((len(waiting), domains))
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
            if where < len(cells):
                place = cell.places[-1]
                entries = checks.entries(cell.values, lambda group: group.certainly(place.room))
                several = self._in_a_row(checks, (cell.values, entries), -most)
                self.seat(number, at, (cell.values, place), self.taken(number, several))
            elif cell.offer is not None:
                deal = self._opened(number, at, (cell, cell.offer, offers), deals)
                several = self._in_a_row(checks, (cell.values, deal.entries), -most)
                deal.host, deal.size = rule, several
                self._add(deal, several)
            for other in cells:
                other.offer = None

    def _in_a_row(self, checks: Checks, where: tuple[Values, Sequence[Entry]], most: int) -> int:
        """How many pods may come into a domain, and be counted there, one after the other, at most ``most``."""
        values, entries = where
        several = 1
        count(entries, 1)
        while several < most and checks.allows(values, checks.leasts(), checks.begins(self.counts)):
            count(entries, 1)
            several += 1
        count(entries, -several)
        return several
