"""Which columns of a pool can have which labels."""

from dataclasses import dataclass, field

from agent.core.requirements import Requirements, ValueSet
from agent.core.shelf import union
from agent.core.templates import Template
from agent.model import names


@dataclass(frozen=True, slots=True)
class ColumnLabels:
    """The labels of a shelf's columns as nodes of one pool. Sets are of the shelf's columns."""

    template: Template
    memo: dict[tuple[str, ValueSet], int] = field(default_factory=dict)

    def columns(self, key: str, values: ValueSet) -> int:
        """Columns whose nodes can have a value of the set under this key."""
        found = self.memo.get((key, values))
        if found is None:
            found = self.memo[key, values] = self._special(key, values, self._plain(key, values))
        return found

    def matching(self, asked: Requirements) -> int:
        """Columns whose nodes can be all that is asked."""
        found = self.template.shelf.every
        for key, values in asked:
            found &= self.columns(key, values)
        return found

    def decides(self, key: str) -> bool:
        """Whether every column has exactly one value, or none, for the key."""
        if key in {names.ZONE, names.CAPACITY_TYPE, names.INSTANCE_TYPE, names.RESERVATION, names.HOSTNAME}:
            return True
        shelf = self.template.shelf
        if any(key in own.by_key for _, own in shelf.special):
            return False
        if key in shelf.by_key:
            known = [values for values, _ in shelf.by_key[key]]
        else:
            known = [self.template.base.by_key[key]] if key in self.template.base.by_key else []
        return all(values.single is not None or not (values.complement or values.members) for values in known)

    def values(self, mask: int, key: str) -> frozenset[str]:
        """The values of a label that there are among these columns."""
        table = self._table(key)
        if table is not None:
            return frozenset(value for value, own in table.items() if own & mask)
        known = self.template.shelf.by_key.get(key, ())
        return frozenset(value for values, own in known if own & mask for value in values.members)

    def _table(self, key: str) -> dict[str, int] | None:
        shelf = self.template.shelf
        tables = {
            names.ZONE: shelf.by_zone,
            names.CAPACITY_TYPE: shelf.by_capacity_type,
            names.INSTANCE_TYPE: shelf.by_type,
            names.RESERVATION: shelf.by_reservation,
        }
        return tables.get(key)

    def _plain(self, key: str, values: ValueSet) -> int:
        shelf, table = self.template.shelf, self._table(key)
        if table is not None:
            # Whatever the pool says of it: only what is launched into a capacity reservation is in one.
            found = shelf.every & ~union(table.values()) if key == names.RESERVATION and values.absent else 0
            if not values.complement:
                return found | union(table.get(value, 0) for value in values.members)
            return found | union(mask for value, mask in table.items() if values.allows(value))
        base = self.template.base.by_key.get(key)
        # A label that some type of the class decides is decided, even if limits have left none that has it.
        if key not in shelf.by_key and key not in shelf.mentioned:
            fits = values.absent if base is None else base.intersects(values)
            return shelf.every if fits else 0
        wanted = values if base is None else values & base
        found = union(mask for known, mask in shelf.by_key.get(key, ()) if known.intersects(wanted))
        silent = shelf.every & ~shelf.speaking.get(key, 0)
        if key in self.template.labels:
            return found | (silent if values.allows(self.template.labels[key]) else 0)
        return found | (silent if wanted.absent else 0)

    def _special(self, key: str, values: ValueSet, found: int) -> int:
        for mask, own in self.template.shelf.special:
            if key in own.by_key:
                found = found | mask if own.by_key[key].intersects(values) else found & ~mask
        return found
