"""What a class's instance types are offered as, sorted and indexed once per catalogue.

Indexing looks at every offering and every label, which takes longer than most decisions. A shelf depends on the types
alone, so it is kept for as long as they are (``agent.core.shelves``); what a pool, a limit or a capacity error takes
away from it is a matter of a few sets. A set of columns is an int whose bit i stands for the i-th cheapest column.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.core.aiming import order
from agent.core.requirements import Requirements, ValueSet, normalized, type_labels
from agent.model.ec2 import CapacityError, InstanceType, Offering
from agent.model.names import InstanceTypeName
from agent.model.resources import Resources


@dataclass(frozen=True, slots=True)
class Column:
    """One offering of one type."""

    type: InstanceType
    offering: Offering

    @property
    def price(self) -> int:
        """Nano-dollars per hour."""
        return self.offering.price_nano_usd


@dataclass(frozen=True, slots=True)
class Steps:
    """How much columns have of one resource."""

    values: tuple[int, ...] = ()
    """The distinct amounts above zero, ascending."""
    masks: tuple[int, ...] = ()
    """For each the columns that have at least as much."""

    @classmethod
    def of(cls, amounts: Iterable[tuple[int, int]]) -> "Steps":
        """From columns, as sets, and how much these have."""
        groups: defaultdict[int, int] = defaultdict(int)
        for mask, amount in amounts:
            groups[amount] |= mask
        values = sorted(value for value in groups if value > 0)
        masks, found = [], 0
        for value in reversed(values):
            found |= groups[value]
            masks.append(found)
        return cls(tuple(values), tuple(reversed(masks)))

    def at_least(self, amount: int) -> int:
        """Columns that have so much, which is more than nothing."""
        at = bisect_left(self.values, amount)
        return self.masks[at] if at < len(self.values) else 0

    def above(self, amount: int) -> int:
        """Columns that have more than so much."""
        at = bisect_right(self.values, amount)
        return self.masks[at] if at < len(self.values) else 0

    def most(self, mask: int) -> int:
        """Those of the columns that have the most; all of them where none has any."""
        low, high = -1, len(self.masks)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.masks[middle] & mask else (low, middle)
        return mask & self.masks[low] if low >= 0 else mask


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The columns of one class, whichever pool may buy them. One made anew is another one, whatever is in it."""

    source: tuple[InstanceType, ...]
    """What it was made of."""
    types: dict[InstanceTypeName, InstanceType]
    columns: tuple[Column, ...]
    """What is available, the cheapest first."""
    prices: tuple[int, ...]
    """Of these."""
    every: int
    mentioned: frozenset[str]
    """Labels that some type has, so that the instance decides them."""
    by_key: dict[str, list[tuple[ValueSet, int]]]
    """Keys that types mention: each distinct set of values, and the columns whose types have it."""
    speaking: dict[str, int]
    """Per key the columns whose types mention it."""
    by_zone: dict[str, int]
    by_capacity_type: dict[str, int]
    by_type: dict[str, int]
    by_reservation: dict[str, int]
    """Columns that are launched into a capacity reservation, by its id."""
    special: tuple[tuple[int, Requirements], ...]
    """Columns whose offering has labels of its own."""
    allocatable: dict[str, Steps]
    capacity: dict[str, Steps]

    @classmethod
    def of(cls, types: tuple[InstanceType, ...]) -> "Shelf":
        """Index the types of a class."""
        columns = sorted(
            (
                Column(kind, offering)
                for kind in types
                if not kind.allocatable.overdrawn
                for offering in kind.offerings
                if offering.available
            ),
            key=lambda c: order(c.type.name, c.offering),
        )
        by_zone, by_capacity_type, by_type, by_reservation = (defaultdict[str, int](int) for _ in range(4))
        special = []
        for i, column in enumerate(columns):
            bit = 1 << i
            by_zone[column.offering.zone] |= bit
            by_capacity_type[column.offering.capacity_type] |= bit
            by_type[column.type.name] |= bit
            if column.offering.requirements:
                special.append((bit, Requirements.of(column.offering.requirements)))
                if (reservation := column.offering.reservation) is not None:
                    by_reservation[reservation] |= bit
        tables: defaultdict[str, defaultdict[ValueSet, int]] = defaultdict(lambda: defaultdict(int))
        for kind in types:
            for key, values in type_labels(kind.requirements):
                tables[key][values] |= by_type.get(kind.name, 0)
        return cls(
            source=types,
            types={kind.name: kind for kind in types},
            columns=tuple(columns),
            prices=tuple([column.price for column in columns]),
            every=(1 << len(columns)) - 1,
            mentioned=frozenset(normalized(entry.key) for kind in types for entry in kind.requirements),
            by_key={key: list(table.items()) for key, table in tables.items()},
            speaking={key: union(table.values()) for key, table in tables.items()},
            by_zone=dict(by_zone),
            by_capacity_type=dict(by_capacity_type),
            by_type=dict(by_type),
            by_reservation=dict(by_reservation),
            special=tuple(special),
            allocatable=_steps(types, by_type, lambda kind: kind.allocatable),
            capacity=_steps(types, by_type, lambda kind: kind.capacity),
        )

    def exhausted(self, errors: Iterable[CapacityError]) -> int:
        """Columns that EC2 refused; an empty field of an error stands for any."""
        found = 0
        for error in errors:
            mask = self.every
            for value, table in (
                (error.zone, self.by_zone),
                (error.capacity_type, self.by_capacity_type),
                (error.instance_type, self.by_type),
                (error.reservation, self.by_reservation),
            ):
                if value:
                    mask &= table.get(value, 0)
            found |= mask
        return found


def union(masks: Iterable[int]) -> int:
    """All columns of all the sets."""
    found = 0
    for mask in masks:
        found |= mask
    return found


def _steps(
    types: Sequence[InstanceType], by_type: dict[str, int], amounts: Callable[[InstanceType], Resources]
) -> dict[str, Steps]:
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for kind in types:
        mask = by_type.get(kind.name, 0)
        for name, amount in amounts(kind).items():
            found[name].append((mask, amount))
    return {name: Steps.of(listed) for name, listed in found.items()}
