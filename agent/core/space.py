"""Everything that could be bought for pools of one weight, as columns ordered by price.

A set of columns is an int whose bit i stands for the i-th cheapest column, so that what a half-filled node may still
become is one AND, and the cheapest of a set is its lowest bit.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.core.catalog import is_allowed, is_exhausted
from agent.core.columns import Column, ColumnLabels, index, union
from agent.core.requirements import Requirements, alternatives
from agent.core.taints import tolerates
from agent.core.templates import Template
from agent.model import names
from agent.model.ec2 import CapacityError
from agent.model.kubernetes import Pod
from agent.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, ZERO, Resources

BASE_DIMENSIONS = (CPU, MEMORY, PODS, EPHEMERAL_STORAGE)
BOUGHT = (names.ZONE, names.CAPACITY_TYPE)
"""Labels that the offering decides."""
Vector = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """Columns of a group of pools, and the questions that packing asks about sets of them."""

    templates: tuple[Template, ...]
    columns: tuple[Column, ...]
    dimensions: tuple[str, ...]
    nets: tuple[Vector, ...]
    """What pods can have of each column: allocatable less the DaemonSets that will run there."""
    daemons: tuple[int, ...]
    """Per column: the DaemonSets that will run there, as bits."""
    loads: tuple[Resources, ...]
    """What a pod of each DaemonSet asks."""
    every: int
    members: tuple[int, ...]
    """Per template: its columns."""
    _labels: tuple[ColumnLabels, ...]
    _steps: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    """Per dimension: the distinct amounts, ascending, and for each the columns that have at least as much."""

    def vector(self, resources: Resources) -> Vector:
        """Amounts in the order of ``dimensions``."""
        first = (
            resources.cpu_milli,
            resources.memory_bytes,
            resources.pods,
            resources.ephemeral_storage_bytes,
        )
        return first + tuple(resources.amount(name) for name in self.dimensions[len(first) :])

    def fits(self, amounts: Vector) -> int:
        """Columns whose room holds the amounts; an amount of zero fits anywhere."""
        found = self.every
        for amount, (values, masks) in zip(amounts, self._steps, strict=True):
            if amount > 0:
                at = bisect_left(values, amount)
                if at == len(values):
                    return 0
                found &= masks[at]
        return found

    def fits_one(self, dimension: int, amount: int) -> int:
        """Columns that have so much of one resource."""
        values, masks = self._steps[dimension]
        at = bisect_left(values, amount)
        return masks[at] if at < len(values) else 0

    def select(self, asked: Requirements, members: int) -> int:
        """Of these columns, those whose nodes can be what is asked."""
        found = 0
        for labels, mask in zip(self._labels, self.members, strict=True):
            own = mask & members
            for key, values in asked:
                if not own:
                    break
                own &= labels.columns(key, values)
            found |= own
        return found

    def undecided(self, asked: Requirements) -> Requirements:
        """The part of it that a column alone does not settle, so that pods of one node could still disagree on it."""
        open_keys = {key for key, _ in asked if any(not labels.decides(key) for labels in self._labels)}
        return Requirements({key: values for key, values in asked if key in open_keys})

    def load(self, mask: int) -> Resources:
        """What all the DaemonSets ask that run on any of these columns."""
        running = union(self.daemons[i] for i in bits(mask))
        return sum((self.loads[d] for d in bits(running)), start=ZERO)

    def values(self, mask: int, key: str) -> frozenset[str]:
        """The values of a label that there are among these columns."""
        return frozenset(value for labels in self._labels for value in labels.values(mask, key))

    def types(self, mask: int) -> int:
        """How many different types there are among these columns."""
        return len({self.columns[i].type.name for i in bits(mask)})


def cheapest(mask: int) -> int:
    """The number of the cheapest column of a set that is not empty."""
    return (mask & -mask).bit_length() - 1


def bits(mask: int) -> Iterator[int]:
    """Numbers of a set's columns, cheapest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def build(
    templates: Sequence[Template],
    errors: Sequence[CapacityError],
    daemons: Sequence[Pod],
    asked: Iterable[Resources],
) -> Space:
    """All offerings that the pools allow, less those that EC2 refused lately."""
    columns = sorted(
        (
            Column(number, kind, offering)
            for number, template in enumerate(templates)
            for kind in template.types
            for offering in kind.offerings
            if is_allowed(template.base, offering) and not is_exhausted(kind.name, offering, errors)
        ),
        key=_order(templates),
    )
    labels = [index(number, template, columns) for number, template in enumerate(templates)]
    extra = sorted({name for resources in asked for name, _ in resources.extended})
    return _sized(tuple(columns), labels, daemons, (*BASE_DIMENSIONS, *extra))


def _sized(
    columns: tuple[Column, ...], labels: list[ColumnLabels], daemons: Sequence[Pod], dimensions: tuple[str, ...]
) -> Space:
    allowed = union(own.matching(own.template.base) for own in labels)
    present = _present(labels, daemons, len(columns))
    known: dict[tuple[str, int, int], Vector | None] = {}
    nets, every = [], 0
    for i, (column, running) in enumerate(zip(columns, present, strict=True)):
        key = (column.type.name, column.template, running)
        if key not in known:
            load = sum((daemons[d].requests for d in bits(running)), start=ZERO)
            known[key] = _net(column.type.allocatable - load, dimensions)
        net = known[key]
        nets.append(net or (0,) * len(dimensions))
        every |= (net is not None) << i
    every &= allowed
    return Space(
        templates=tuple(own.template for own in labels),
        columns=columns,
        dimensions=dimensions,
        nets=tuple(nets),
        daemons=tuple(present),
        loads=tuple(daemon.requests for daemon in daemons),
        every=every,
        members=tuple(own.every & every for own in labels),
        _labels=tuple(labels),
        _steps=tuple(_steps([net[d] for net in nets], every) for d in range(len(dimensions))),
    )


def _net(room: Resources, dimensions: tuple[str, ...]) -> Vector | None:
    """The room of a node as a vector; None where not even the DaemonSets fit (Karpenter's rule 9.2)."""
    amounts = dict(room.items())
    return None if any(a < 0 for a in amounts.values()) else tuple(amounts.get(name, 0) for name in dimensions)


def _order(templates: Sequence[Template]) -> Callable[[Column], tuple[int, str, str, str, str]]:
    def key(column: Column) -> tuple[int, str, str, str, str]:
        pool = templates[column.template].pool.name
        return (column.price, pool, column.type.name, column.offering.zone, column.offering.capacity_type)

    return key


def _present(labels: Sequence[ColumnLabels], daemons: Sequence[Pod], count: int) -> list[int]:
    """Per column: which DaemonSets will run on its nodes, as bits."""
    present = [0] * count
    for number, daemon in enumerate(daemons):
        for own in labels:
            if tolerates(daemon.tolerations, own.template.pool.taints):
                for i in bits(union(_reach(own, alternative) for alternative in alternatives(daemon))):
                    present[i] |= 1 << number
    return present


def _reach(own: ColumnLabels, asked: Requirements) -> int:
    """Columns whose nodes a DaemonSet may run on.

    Which offering a launch ends up with is not known before, so one that asks for a zone counts on every column of a
    pool that allows the zone.
    """
    if any(not own.template.base.get(key).intersects(asked.get(key)) for key in BOUGHT):
        return 0
    return own.matching(asked.without(BOUGHT))


def _steps(amounts: Sequence[int], every: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    groups: defaultdict[int, int] = defaultdict(int)
    for i, amount in enumerate(amounts):
        groups[amount] |= every & 1 << i
    values = sorted(groups)
    masks, found = [], 0
    for value in reversed(values):
        found |= groups[value]
        masks.append(found)
    return tuple(values), tuple(reversed(masks))
