"""What steering needs to know of a problem before it fills a node; the same for every style.

Demands that may become the same columns form a group, and are packed with each other in mind. Only resources that
something asks for are looked at. Where pods of a group repel each other, nodes are scarce beside resources: the
selector that forces the most nodes becomes a resource of its own, of which a node has as much as its cap.
"""

from dataclasses import dataclass, field
from typing import Final

from agent.core.bins import Demand
from agent.core.fields import Fields
from agent.core.grouping import Group, amounts_of, groups, slotted
from agent.core.growing import Ground
from agent.core.hosts import EMPTY, FREE, HostRule
from agent.core.queues import Entries, Queue, queues
from agent.core.requirements import Requirements
from agent.core.space import Vector

TYPICAL: Final = 0.4
TYPICAL_OF_MANY: Final = 0.5
"""Pods are counted as large of one resource or another by a column of this price, as a share of the dearest one's."""
Kind = tuple[HostRule, Requirements, int]
"""What decides, beside amounts, whether pods may join a node: host rule, undecided requirements, pods in a unit."""


@dataclass(frozen=True, slots=True)
class Terrain:
    """A problem, measured."""

    ground: Ground
    single: tuple[int, ...]
    """Per demand: the columns that hold one unit of it on a node of its own."""
    fields: Fields
    kind_of: tuple[int, ...]
    """Per demand the number of its kind; the freest kinds have the highest."""
    groups: tuple[Group, ...]
    """In the order in which they are served."""
    value_of: dict[int, float]
    """What a unit of each demand costs at least, in its group."""
    typical: float
    """The share of the dearest column's price at which columns are typical."""
    _shapes: dict[Vector, Vector] = field(default_factory=dict)
    _typical: dict[int, dict[Vector, Vector]] = field(default_factory=dict)
    _queues: dict[tuple[int, tuple[int, ...], Vector], tuple[Queue, ...]] = field(default_factory=dict)
    _listed: dict[tuple[int, tuple[int, ...]], Entries] = field(default_factory=dict)

    @classmethod
    def of(cls, ground: Ground, typical: float = TYPICAL) -> "Terrain":
        """Look at the demands; queues are made when they are asked for."""
        demands = ground.problem.demands
        single = tuple(
            mask if d.host is FREE or ground.problem.bearable(n, EMPTY, 1) else 0
            for n, (d, mask) in enumerate(zip(demands, ground.single, strict=True))
        )
        fields = slotted(ground)
        # Most demands share these values, and to compare them by identity first is cheaper.
        same = {_identity(d): _kind(d) for d in demands}
        kinds = sorted(set(same.values()), key=lambda k: (k[0] == FREE, not k[1].by_key, _text(k)))
        numbers = {kind: i for i, kind in enumerate(kinds)}
        number_of = {identity: numbers[kind] for identity, kind in same.items()}
        kind_of = tuple(number_of[_identity(d)] for d in demands)
        found = groups(ground, single)
        value_of = {n: value for group in found for n, value in group.value.items()}
        return cls(ground, single, fields, kind_of, found, value_of, typical)

    @property
    def forced_nodes(self) -> float:
        """How many nodes the rules of a node force at least."""
        demands = self.ground.problem.demands
        return sum(
            sum(amounts[-1] * demands[n].count for n, amounts in group.asked.items()) / group.slot[1]
            for group in self.groups
            if group.slot is not None
        )

    def queues(self, group: Group, column: int, *, own: bool) -> tuple[Queue, ...]:
        """Per resource: the demands that take a larger share of it than of any other.

        Those of the group's ``own``, or of all that are served later and may use the column. They are the same for all
        columns of about the same shape: those of one that is neither large nor small.
        """
        later = (g.number for g in self.groups[group.number + 1 :] if g.mask >> column & 1)
        listed = (group.number,) if own else tuple(later)
        if not listed:
            return ()
        found = self._entries(group, listed)
        # What there is only one of is in order, whatever the column.
        shape = self._shape(group.nets[column]) if len(found.listed) > 1 else ()
        key = (group.number, listed, shape)
        if key not in self._queues:
            net = self._net(group, shape) if shape else group.nets[column]
            self._queues[key] = queues(self.fields, net, found)
        return self._queues[key]

    def _net(self, group: Group, shape: Vector) -> Vector:
        """What the most typical column of a shape has."""
        if group.number not in self._typical:
            wanted = self.typical * group.rooms[-1][1]
            rated = sorted([(abs(price - wanted), c) for c, price, _ in group.rooms], reverse=True)
            self._typical[group.number] = {self._shape(group.nets[c]): group.nets[c] for _, c in rated}
        return self._typical[group.number][shape]

    def _shape(self, net: Vector) -> Vector:
        """How much there is of each resource for one of the first, to the next power of two."""
        if net not in self._shapes:
            self._shapes[net] = tuple([(amount * 4 // (net[0] or 1)).bit_length() for amount in net])
        return self._shapes[net]

    def _entries(self, group: Group, listed: tuple[int, ...]) -> Entries:
        key = (group.number, listed)
        if key not in self._listed:
            asked = [
                (n, self.kind_of[n], amounts)
                for number in listed
                for n, amounts in self._asked(self.groups[number], group.slot).items()
            ]
            self._listed[key] = Entries.of(self.fields, asked)
        return self._listed[key]

    def _asked(self, group: Group, slot: tuple[int, int] | None) -> dict[int, Vector]:
        """What a unit takes of each demand of a group, slots of this kind included."""
        if group.slot == slot:
            return group.asked
        return {n: amounts_of(self.ground.problem.demands[n], self.ground.dims, slot) for n in group.asked}


def _identity(demand: Demand) -> tuple[int, int, int]:
    return id(demand.host), id(demand.custom), demand.size


def _kind(demand: Demand) -> Kind:
    return demand.host, demand.custom, demand.size


def _text(kind: Kind) -> tuple[object, ...]:
    host, custom, size = kind
    return host.matches, host.caps, host.needs, size, tuple((r.key, r.operator, r.values) for r in custom.written())
