"""Pods whose place depended on others that got none after all, or that come at another time.

Domains are given out before nodes are bought. Where a limit then keeps some nodes from being bought, a spread may no
longer hold for pods of other domains, and what waits for a pod that is not coming would wait for ever. So the plan is
gone through once more in its order, and what no longer has a place at any point of it is left out.

kube-scheduler keeps to no order, though: who has room on a node is bound before other nodes are there. A pod that is
to be the first of its group on a new node comes too late then, and must be where the others are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from agent.core.hosts import EMPTY, HostState
from agent.core.launching import Bought
from agent.core.shapes import Rules
from agent.core.topology.cells import Deal, without
from agent.core.topology.checks import Checks, Entry, Values, count
from agent.core.topology.counts import Counts, Group
from agent.core.topology.dealing import Dealing
from agent.core.topology.offers import Offers, counted
from agent.core.topology.scene import Scene
from agent.model.names import PodKey


@dataclass(frozen=True, slots=True)
class _Stand:
    """A pod with its place."""

    shape: int
    node: str
    values: Values
    entries: tuple[Entry, ...]


def unsettled(scene: Scene, dealing: Dealing, bought: Sequence[Bought], everything: Offers) -> frozenset[PodKey]:
    """Pods that may not come to their place after all; ``dealing.order`` becomes an order in which the others may."""
    # Which of alike pods is on which node was not known when they were dealt: what waits for one comes after it.
    together = any(host.needs for own in scene.shapes for host in own.hosts)
    if not (dealing.returned or together or any(dealing.left.values())):
        return frozenset()
    replay = _Replay(scene, scene.counts(everything))
    waiting = replay.stands(dealing, bought)
    dealing.order = replay.run(waiting)
    return frozenset(waiting)


def overtaken(
    scene: Scene, dealing: Dealing, bought: Sequence[Bought], everything: Offers, dropped: Collection[PodKey]
) -> bool:
    """Whether some pod, not among the ``dropped``, may not come to its new node once all have come that need none."""
    if not (dealing.seats and bought and _may_overtake(scene, dealing, bought)):
        return False
    replay = _Replay(scene, scene.counts(everything))
    stands = {key: stand for key, stand in replay.stands(dealing, bought).items() if key not in dropped}
    waiting = {key: stand for key, stand in stands.items() if key in dealing.seats}
    replay.run(waiting)
    waiting |= {key: stand for key, stand in stands.items() if key not in dealing.seats}
    replay.run(waiting)
    return any(key not in dealing.seats for key in waiting)


def _may_overtake(scene: Scene, dealing: Dealing, bought: Sequence[Bought]) -> bool:
    """Whether pods that have room belong to a group that others on new nodes may begin, or disturb a spread."""
    here = {seat.shape for seat in dealing.seats.values()}
    coming = [scene.shapes[number] for number in {deal.shape for own in bought for deal, _ in own.content}]
    first = {own.number for shape in coming for own in shape.required.affinity if own.number in shape.matches}
    return any(scene.shapes[number].matches & first or dealing.disturbs(number) for number in here)


class _Replay:
    """The plan, pod by pod, with only what is required."""

    def __init__(self, scene: Scene, counts: Counts) -> None:
        self._shapes = scene.shapes
        self._counts = counts
        self._hosts: dict[str, HostState] = dict(scene.hosts)
        self._checks: dict[Rules, Checks] = {}

    def stands(self, dealing: Dealing, bought: Sequence[Bought]) -> dict[PodKey, _Stand]:
        """Every pod that has a place, in the order in which it was given one."""
        found: dict[PodKey, _Stand] = {}
        for key, seat in dealing.seats.items():
            checks, room = self._of(seat.shape), seat.place.room
            values = tuple(map(room.value, checks.keys))
            entries = checks.entries(values, partial(Group.certainly, room=room))
            found[key] = _Stand(seat.shape, room.name, values, entries)
        for number, own in enumerate(bought):
            for deal, keys in own.content:
                stand = self._bought(f"launch {number}", own, deal)
                found.update(dict.fromkeys(keys, stand))
        return {key: found[key] for key in dealing.order if key in found}

    def run(self, waiting: dict[PodKey, _Stand]) -> dict[PodKey, None]:
        """Let all come that may, in this order and again until nobody comes; they wait no longer. The order is told."""
        order: dict[PodKey, None] = {}
        progress = True
        while progress:
            come = [key for key in waiting if self.comes(waiting[key])]
            order.update(dict.fromkeys(come))
            for key in come:
                del waiting[key]
            progress = bool(come)
        return order

    def _bought(self, node: str, own: Bought, deal: Deal) -> _Stand:
        checks = self._of(deal.shape)
        domain = dict(zip(deal.domain, deal.values, strict=True))
        values = tuple(domain[key] for key in checks.keys)
        entries = checks.entries(values, lambda group: counted(own.space, group, deal.offer))
        return _Stand(deal.shape, node, values, entries)

    def _of(self, number: int) -> Checks:
        rules = self._shapes[number].rules
        if rules not in self._checks:
            self._checks[rules] = Checks.of(rules, len(rules.levels) - 1, self._counts)
        return self._checks[rules]

    def comes(self, stand: _Stand) -> bool:
        """Let a pod come to its place, if it may."""
        checks, rule = self._of(stand.shape), self._shapes[stand.shape].hosts[-1]
        begun = checks.begins(self._counts)
        host = self._hosts.get(stand.node, EMPTY)
        if not checks.allows(stand.values, checks.leasts(), begun) or not host.room(without(rule, begun), 1):
            return False
        self._hosts[stand.node] = host.plus(rule, 1)
        count(stand.entries, 1)
        return True
