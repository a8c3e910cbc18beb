"""The algebra of label requirements: what values a label may have, and how such sets intersect.

The operators mean what Kubernetes says they mean for node affinity (kubernetes.io/docs/concepts/
scheduling-eviction/assign-pod-node), with Karpenter's Gte and Lte added: NotIn and DoesNotExist allow the label to be
missing, all others need it; a value that is not an integer satisfies no bound.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from agent.model import names
from agent.model.constraints import Requirement

NORMALIZED: Final[Mapping[str, str]] = {
    "failure-domain.beta.kubernetes.io/zone": names.ZONE,
    "failure-domain.beta.kubernetes.io/region": names.REGION,
    "beta.kubernetes.io/arch": names.ARCH,
    "beta.kubernetes.io/os": names.OS,
    "beta.kubernetes.io/instance-type": names.INSTANCE_TYPE,
    "topology.ebs.csi.aws.com/zone": names.ZONE,
}
"""Other spellings of the same label: Kubernetes' beta names, and the EBS driver's name of the zone."""


MAX_LABEL: Final = 63
"""Characters of a label value."""


class ValueSet(msgspec.Struct, frozen=True, gc=False):
    """The values that one label may have, and whether it may be missing.

    Either ``members`` are the values (a concrete set) or, with ``complement``, all others within the bounds are.
    """

    members: frozenset[str] = frozenset()
    complement: bool = False
    absent: bool = False
    """The label may be missing."""
    at_least: int | None = None
    at_most: int | None = None
    min_values: int | None = None
    """So many distinct values must remain among the instance types of a launch."""

    def allows(self, value: str | None) -> bool:
        """Whether the label may have this value; None asks whether it may be missing."""
        if value is None:
            return self.absent
        if not self.complement:
            return value in self.members
        return value not in self.members and self._within(value)

    @property
    def is_empty(self) -> bool:
        """Nothing satisfies it, not even a missing label."""
        return not (self.complement or self.members or self.absent)

    @property
    def single(self) -> str | None:
        """The only value that the label can have, if there is exactly one."""
        if self.complement or self.absent or len(self.members) != 1:
            return None
        return next(iter(self.members))

    def example(self) -> str | None:
        """A value for a node that must show one: the first member, or the least integer; None where none is needed."""
        if not self.complement:
            return min(self.members, default=None)
        if self.absent:
            return None
        number = self.at_least or 0
        while str(number) in self.members:
            number += 1
        return str(number) if self._within(str(number)) else None

    def __and__(self, other: "ValueSet") -> "ValueSet":
        """What satisfies both; ``min_values`` becomes the larger of the two."""
        if self is other or self == other:
            return self
        absent = self.absent and other.absent
        least = _tighter(max, self.at_least, other.at_least)
        most = _tighter(min, self.at_most, other.at_most)
        wanted = _tighter(max, self.min_values, other.min_values)
        if least is not None and most is not None and least > most:
            return ValueSet(absent=absent, min_values=wanted)
        if self.complement and other.complement:
            merged = ValueSet(self.members | other.members, True, absent, least, most, wanted)
            if least is None and most is None:
                return merged
            return msgspec.structs.replace(merged, members=frozenset(v for v in merged.members if merged._within(v)))
        kept = frozenset(v for v in (other if self.complement else self).members if self.allows(v) and other.allows(v))
        return ValueSet(kept, absent=absent, min_values=wanted)

    def __le__(self, other: "ValueSet") -> bool:
        """Whether everything that this allows, the other allows too."""
        if self.absent and not other.absent:
            return False
        if not self.complement:
            return all(other.allows(v) for v in self.members)
        return msgspec.structs.replace(self & other, min_values=None) == msgspec.structs.replace(self, min_values=None)

    def intersects(self, other: "ValueSet") -> bool:
        """Whether anything, a missing label included, satisfies both."""
        if self.absent and other.absent:
            return True
        if not (self.complement or other.complement):
            return not self.members.isdisjoint(other.members)
        if not (self.complement and other.complement):
            listed, open_ = (other, self) if self.complement else (self, other)
            return any(open_.allows(value) for value in listed.members)
        least = _tighter(max, self.at_least, other.at_least)
        most = _tighter(min, self.at_most, other.at_most)
        return least is None or most is None or least <= most

    def distinct(self) -> frozenset[str]:
        """The values themselves where they are listed; empty where they are not."""
        return frozenset() if self.complement else self.members

    def requirements(self, key: str) -> tuple[Requirement, ...]:
        """As written in a manifest, in a fixed order; bounds and exclusions take an entry each."""
        if not self.complement:
            if self.absent:
                return (Requirement(key, "DoesNotExist", min_values=self.min_values),)
            return (Requirement(key, "In", tuple(sorted(self.members)), self.min_values),)
        entries = []
        if self.at_least is not None:
            entries.append(Requirement(key, "Gte", (str(self.at_least),)))
        if self.at_most is not None:
            entries.append(Requirement(key, "Lte", (str(self.at_most),)))
        if not entries and not self.absent:
            entries.append(Requirement(key, "Exists"))
        if self.members or not entries:
            entries.append(Requirement(key, "NotIn", tuple(sorted(self.members))))
        entries[0] = msgspec.structs.replace(entries[0], min_values=self.min_values)
        return tuple(entries)

    def _within(self, value: str) -> bool:
        if self.at_least is None and self.at_most is None:
            return True
        number = _integer(value)
        if number is None or (self.at_least is not None and number < self.at_least):
            return False
        return self.at_most is None or number <= self.at_most


ANYTHING: Final = ValueSet(complement=True, absent=True)
ABSENT: Final = ValueSet(absent=True)


class Requirements(msgspec.Struct, frozen=True, gc=False):
    """Requirements on several labels, all of which hold together."""

    by_key: dict[str, ValueSet] = {}

    @classmethod
    def of(cls, written: Iterable[Requirement]) -> "Requirements":
        """From manifest entries; entries of one key are intersected and other spellings of a key normalised."""
        by_key: dict[str, ValueSet] = {}
        for entry in written:
            key = normalized(entry.key)
            found = value_set(entry)
            by_key[key] = by_key[key] & found if key in by_key else found
        return cls(by_key)

    @classmethod
    def from_labels(cls, labels: Mapping[str, str]) -> "Requirements":
        """Every label must have exactly this value: a nodeSelector, or the labels of a template."""
        by_key: dict[str, ValueSet] = {}
        for key, value in labels.items():
            stable, found = normalized(key), exactly(value)
            by_key[stable] = by_key[stable] & found if stable in by_key else found
        return cls(by_key)

    def __and__(self, other: "Requirements") -> "Requirements":
        """What satisfies both."""
        if not other.by_key:
            return self
        if not self.by_key:
            return other
        by_key = dict(self.by_key)
        for key, values in other.by_key.items():
            by_key[key] = by_key[key] & values if key in by_key else values
        return Requirements(by_key)

    def __iter__(self) -> Iterator[tuple[str, ValueSet]]:
        return iter(self.by_key.items())

    def __hash__(self) -> int:
        return hash(frozenset(self.by_key.items()))

    def get(self, key: str) -> ValueSet:
        """What the label may be; anything, when nothing is required of it."""
        return self.by_key.get(key, ANYTHING)

    def without(self, keys: Collection[str]) -> "Requirements":
        """The same, less these keys."""
        return Requirements({key: values for key, values in self.by_key.items() if key not in keys})

    @property
    def conflict(self) -> str | None:
        """The first key, by name, that nothing satisfies."""
        return min((key for key, values in self.by_key.items() if values.is_empty), default=None)

    def admits(self, labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels satisfies all of it."""
        return all(values.allows(labels.get(key)) for key, values in self.by_key.items())

    def incompatible(self, asked: "Requirements", allow_undefined: Collection[str] = ()) -> str | None:
        """The first key, by name, for which nodes described by this cannot be what ``asked`` wants; None: compatible.

        A key of ``asked`` that this does not define is missing on those nodes, unless it is in ``allow_undefined``
        (the labels that the instance decides).
        """
        for key, values in sorted(asked.by_key.items()):
            defined = self.by_key.get(key)
            if defined is None:
                if not values.absent and key not in allow_undefined:
                    return key
            elif not defined.intersects(values):
                return key
        return None

    def overlaps(self, other: "Requirements") -> bool:
        """Whether every label that both speak of can have a value that satisfies both."""
        fewer, more = sorted((self.by_key, other.by_key), key=len)
        return all(values.intersects(more[key]) for key, values in fewer.items() if key in more)

    def written(self) -> tuple[Requirement, ...]:
        """As manifest entries, sorted by key."""
        return tuple(entry for key, values in sorted(self.by_key.items()) for entry in values.requirements(key))


@lru_cache(maxsize=16384)
def value_set(entry: Requirement) -> ValueSet:
    """The set that one manifest entry describes. Bounds that are not integers allow nothing."""
    values, wanted = frozenset(entry.values), entry.min_values
    match entry.operator:
        case "In":
            return ValueSet(values, min_values=wanted)
        case "NotIn":
            return ValueSet(values, complement=True, absent=True, min_values=wanted)
        case "Exists":
            return ValueSet(complement=True, min_values=wanted)
        case "DoesNotExist":
            return ValueSet(absent=True, min_values=wanted)
    bound = _bound(entry.values)
    if bound is None:
        return ValueSet(min_values=wanted)
    if entry.operator in {"Gt", "Gte"}:
        # A label value never starts with a minus sign, so that no integer below zero has to be told apart.
        least = max(bound + (entry.operator == "Gt"), 0)
        return ValueSet(complement=True, at_least=least, min_values=wanted)
    most = bound - (entry.operator == "Lt")
    return ValueSet(complement=True, at_most=most, min_values=wanted) if most >= 0 else ValueSet(min_values=wanted)


@lru_cache(maxsize=16384)
def exactly(value: str) -> ValueSet:
    """The set of one value."""
    return ValueSet(frozenset((value,)))


@lru_cache(maxsize=4096)
def type_labels(written: tuple[Requirement, ...]) -> Requirements:
    """What an instance type says of its nodes: read once, because every decision asks it of every type."""
    return Requirements.of(written)


def normalized(key: str) -> str:
    """The label's stable name."""
    return NORMALIZED.get(key, key)


def normalized_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels by their stable names; a stable name that is there already wins over its other spellings."""
    return {NORMALIZED[k]: v for k, v in labels.items() if k in NORMALIZED} | {
        k: v for k, v in labels.items() if k not in NORMALIZED
    }


def _tighter(pick: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return pick(one, other)


def _bound(values: tuple[str, ...]) -> int | None:
    number = _integer(values[0].removeprefix("-")) if len(values) == 1 else None
    return -number if number is not None and values[0].startswith("-") else number


def _integer(text: str) -> int | None:
    """A non-negative integer of at most as many digits as a label value has characters."""
    return int(text) if len(text) <= MAX_LABEL and text.isascii() and text.isdigit() else None
