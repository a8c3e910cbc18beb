"""Offerings of types as columns, and which sets of them can have which labels.

A set of columns is an int whose bit i stands for column i.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.core.requirements import Requirements, ValueSet, type_labels
from agent.core.templates import Template
from agent.model import names
from agent.model.ec2 import InstanceType, Offering


@dataclass(frozen=True, slots=True)
class Column:
    """One offering of one type for one pool."""

    template: int
    type: InstanceType
    offering: Offering

    @property
    def price(self) -> int:
        """Nano-dollars per hour."""
        return self.offering.price_nano_usd


@dataclass(frozen=True, slots=True)
class ColumnLabels:
    """Which columns of one template can have which labels."""

    template: Template
    by_key: dict[str, list[tuple[ValueSet, int]]]
    """Keys that types mention: each distinct set of values, and the columns whose types have it."""
    mentioned: dict[str, int]
    by_zone: dict[str, int]
    by_capacity_type: dict[str, int]
    by_type: dict[str, int]
    special: list[tuple[int, Requirements]]
    """Columns whose offering has labels of its own."""
    every: int
    memo: dict[tuple[str, ValueSet], int] = field(default_factory=dict)

    def columns(self, key: str, values: ValueSet) -> int:
        """Columns whose nodes can have a value of the set under this key."""
        found = self.memo.get((key, values))
        if found is None:
            found = self.memo[key, values] = self._special(key, values, self._plain(key, values))
        return found

    def matching(self, asked: Requirements) -> int:
        """Columns whose nodes can be all that is asked."""
        found = self.every
        for key, values in asked:
            found &= self.columns(key, values)
        return found

    def decides(self, key: str) -> bool:
        """Whether every column has exactly one value, or none, for the key."""
        if key in {names.ZONE, names.CAPACITY_TYPE, names.INSTANCE_TYPE, names.HOSTNAME}:
            return True
        if any(key in own.by_key for _, own in self.special):
            return False
        if key in self.by_key:
            known = [values for values, _ in self.by_key[key]]
        else:
            known = [self.template.base.by_key[key]] if key in self.template.base.by_key else []
        return all(values.single is not None or not (values.complement or values.members) for values in known)

    def values(self, mask: int, key: str) -> frozenset[str]:
        """The values of a label that there are among these columns."""
        tables = {
            names.ZONE: self.by_zone,
            names.CAPACITY_TYPE: self.by_capacity_type,
            names.INSTANCE_TYPE: self.by_type,
        }
        if key in tables:
            return frozenset(value for value, own in tables[key].items() if own & mask)
        return frozenset(value for known, own in self.by_key.get(key, ()) if own & mask for value in known.members)

    def _plain(self, key: str, values: ValueSet) -> int:
        for kind, table in (
            (names.ZONE, self.by_zone),
            (names.CAPACITY_TYPE, self.by_capacity_type),
            (names.INSTANCE_TYPE, self.by_type),
        ):
            if key == kind:
                return union(mask for value, mask in table.items() if values.allows(value))
        base = self.template.base.by_key.get(key)
        # A label that some type of the class decides is decided, even if limits have left none that has it.
        if key not in self.by_key and key not in self.template.mentioned:
            fits = values.absent if base is None else base.intersects(values)
            return self.every if fits else 0
        wanted = values if base is None else values & base
        found = union(mask for known, mask in self.by_key.get(key, ()) if known.intersects(wanted))
        silent = self.every & ~self.mentioned.get(key, 0)
        if key in self.template.labels:
            return found | (silent if values.allows(self.template.labels[key]) else 0)
        return found | (silent if wanted.absent else 0)

    def _special(self, key: str, values: ValueSet, found: int) -> int:
        for mask, own in self.special:
            if key in own.by_key:
                found = found | mask if own.by_key[key].intersects(values) else found & ~mask
        return found


def index(number: int, template: Template, columns: Sequence[Column]) -> ColumnLabels:
    """Look up the columns of one template by their labels."""
    every = 0
    own = ColumnLabels(template, {}, {}, defaultdict(int), defaultdict(int), defaultdict(int), [], 0)
    for i, column in enumerate(columns):
        if column.template != number:
            continue
        bit = 1 << i
        every |= bit
        own.by_zone[column.offering.zone] |= bit
        own.by_capacity_type[column.offering.capacity_type] |= bit
        own.by_type[column.type.name] |= bit
        if column.offering.requirements:
            own.special.append((bit, Requirements.of(column.offering.requirements)))
    tables: defaultdict[str, defaultdict[ValueSet, int]] = defaultdict(lambda: defaultdict(int))
    for kind in template.types:
        mask = own.by_type.get(kind.name, 0)
        for key, values in type_labels(kind.requirements):
            tables[key][values] |= mask
    by_key = {key: list(table.items()) for key, table in tables.items()}
    mentioned = {key: union(mask for _, mask in table) for key, table in by_key.items()}
    return ColumnLabels(
        template,
        by_key,
        mentioned,
        dict(own.by_zone),
        dict(own.by_capacity_type),
        dict(own.by_type),
        own.special,
        every,
    )


def union(masks: Iterable[int]) -> int:
    """All columns of all the sets."""
    found = 0
    for mask in masks:
        found |= mask
    return found
