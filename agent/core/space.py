"""Everything that could be bought for pools of one weight, as columns ordered by price.

A set of columns is an int whose bit i stands for the i-th cheapest column, so that what a half-filled node may still
become is one AND, and the cheapest of a set is its lowest bit.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.core.catalog import is_allowed, is_exhausted
from agent.core.columns import Column, ColumnLabels, index, union
from agent.core.requirements import Requirements, alternatives
from agent.core.taints import tolerates
from agent.core.templates import Template
from agent.model.ec2 import CapacityError
from agent.model.kubernetes import Pod
from agent.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, ZERO, Resources

BASE_DIMENSIONS = (CPU, MEMORY, PODS, EPHEMERAL_STORAGE)
Vector = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """Columns of a group of pools, and the questions that packing asks about sets of them."""

    templates: tuple[Template, ...]
    columns: tuple[Column, ...]
    dimensions: tuple[str, ...]
    nets: tuple[Vector, ...]
    """What pods can have of each column: allocatable less the DaemonSets that will run there."""
    loads: tuple[Resources, ...]
    """Per column: what the DaemonSets that will run there ask together."""
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
    kept = union(own.matching(own.template.base) for own in labels)
    columns = [column for i, column in enumerate(columns) if kept >> i & 1]
    labels = [index(number, template, columns) for number, template in enumerate(templates)]
    extra = sorted({name for resources in asked for name, _ in resources.extended})
    loads = _loads(labels, daemons, len(columns))
    return _sized(tuple(columns), labels, loads, (*BASE_DIMENSIONS, *extra))


def _sized(
    columns: tuple[Column, ...], labels: list[ColumnLabels], loads: list[Resources], names_: tuple[str, ...]
) -> Space:
    nets = []
    every = 0
    for i, (column, load) in enumerate(zip(columns, loads, strict=True)):
        net = column.type.allocatable - load
        nets.append(tuple(net.amount(name) for name in names_))
        if all(amount >= 0 for _, amount in net.items()):
            every |= 1 << i
    steps = tuple(_steps([net[d] for net in nets], every) for d in range(len(names_)))
    members = tuple(own.every & every for own in labels)
    return Space(
        tuple(own.template for own in labels),
        columns,
        names_,
        tuple(nets),
        tuple(loads),
        every,
        members,
        tuple(labels),
        steps,
    )


def _order(templates: Sequence[Template]) -> Callable[[Column], tuple[int, str, str, str, str]]:
    def key(column: Column) -> tuple[int, str, str, str, str]:
        pool = templates[column.template].pool.name
        return (column.price, pool, column.type.name, column.offering.zone, column.offering.capacity_type)

    return key


def _loads(labels: Sequence[ColumnLabels], daemons: Sequence[Pod], count: int) -> list[Resources]:
    """What the DaemonSets that will run on each column ask together."""
    present = [0] * count
    for number, daemon in enumerate(daemons):
        for own in labels:
            if tolerates(daemon.tolerations, own.template.pool.taints):
                reach = union(own.matching(alternative) for alternative in alternatives(daemon))
                # A zone is not known before the launch, so a DaemonSet of one zone counts on the whole type.
                for i in bits(union(own.by_type[name] for name in sorted(_names(own, reach)))):
                    present[i] |= 1 << number
    sums: dict[int, Resources] = {}
    for key in set(present):
        sums[key] = sum((daemons[i].requests for i in bits(key)), start=ZERO)
    return [sums[key] for key in present]


def _names(own: ColumnLabels, reach: int) -> Collection[str]:
    return [name for name, mask in own.by_type.items() if mask & reach]


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
