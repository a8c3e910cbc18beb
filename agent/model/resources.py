"""Amounts of resources as integers: milli-CPU, bytes and counts.

Kubernetes quantities are parsed once (``agent.core.quantity``); everything inside the engine is int,
because int arithmetic is exact and ten times faster than Decimal.
"""

from collections.abc import Iterable, Iterator
from typing import Self

import msgspec

CPU = "cpu"
MEMORY = "memory"
PODS = "pods"
EPHEMERAL_STORAGE = "ephemeral-storage"


class Resources(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One amount per resource. ``extended`` is sorted by name and holds no zeroes."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    pods: int = 0
    ephemeral_storage_bytes: int = 0
    extended: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, amounts: dict[str, int]) -> Self:
        """Build from resource names; cpu in milli-CPU, memory and storage in bytes, all else in its own unit."""
        rest = {k: v for k, v in amounts.items() if k not in (CPU, MEMORY, PODS, EPHEMERAL_STORAGE) and v}
        return cls(
            cpu_milli=amounts.get(CPU, 0),
            memory_bytes=amounts.get(MEMORY, 0),
            pods=amounts.get(PODS, 0),
            ephemeral_storage_bytes=amounts.get(EPHEMERAL_STORAGE, 0),
            extended=tuple(sorted(rest.items())),
        )

    @classmethod
    def total(cls, several: Iterable["Resources"]) -> Self:
        """The sum of all of them."""
        cpu = memory = pods = storage = 0
        rest: dict[str, int] = {}
        for one in several:
            cpu += one.cpu_milli
            memory += one.memory_bytes
            pods += one.pods
            storage += one.ephemeral_storage_bytes
            for name, amount in one.extended:
                rest[name] = rest.get(name, 0) + amount
        return cls(cpu, memory, pods, storage, tuple(sorted((n, a) for n, a in rest.items() if a)) if rest else ())

    def items(self) -> Iterator[tuple[str, int]]:
        """Name and amount of every resource that is not zero, in a fixed order."""
        for name, amount in (
            (CPU, self.cpu_milli),
            (MEMORY, self.memory_bytes),
            (PODS, self.pods),
            (EPHEMERAL_STORAGE, self.ephemeral_storage_bytes),
        ):
            if amount:
                yield name, amount
        yield from self.extended

    @property
    def overdrawn(self) -> bool:
        """Whether there is less than nothing of any resource."""
        least = min(self.cpu_milli, self.memory_bytes, self.pods, self.ephemeral_storage_bytes)
        return least < 0 or any(amount < 0 for _, amount in self.extended)

    def amount(self, name: str) -> int:
        """The amount of one resource, 0 when it is not there."""
        match name:
            case "cpu":
                return self.cpu_milli
            case "memory":
                return self.memory_bytes
            case "pods":
                return self.pods
            case "ephemeral-storage":
                return self.ephemeral_storage_bytes
        return dict(self.extended).get(name, 0)

    def __add__(self, other: "Resources") -> "Resources":
        """Sum, resource by resource."""
        return self._combined(other, 1)

    def __sub__(self, other: "Resources") -> "Resources":
        """Difference, resource by resource; may be negative."""
        return self._combined(other, -1)

    def __mul__(self, count: int) -> "Resources":
        """So many times as much."""
        return Resources(
            self.cpu_milli * count,
            self.memory_bytes * count,
            self.pods * count,
            self.ephemeral_storage_bytes * count,
            tuple((name, amount * count) for name, amount in self.extended) if count and self.extended else (),
        )

    def _combined(self, other: "Resources", sign: int) -> "Resources":
        extended = self.extended
        if other.extended:
            amounts = dict(extended)
            for name, amount in other.extended:
                amounts[name] = amounts.get(name, 0) + sign * amount
            extended = tuple(sorted((k, v) for k, v in amounts.items() if v))
        return Resources(
            self.cpu_milli + sign * other.cpu_milli,
            self.memory_bytes + sign * other.memory_bytes,
            self.pods + sign * other.pods,
            self.ephemeral_storage_bytes + sign * other.ephemeral_storage_bytes,
            extended,
        )

    def fits_in(self, room: "Resources") -> bool:
        """Whether every amount asked for is there. A request of zero fits anywhere (Kubernetes' rule)."""
        return not (
            0 < self.cpu_milli > room.cpu_milli
            or 0 < self.memory_bytes > room.memory_bytes
            or 0 < self.pods > room.pods
            or 0 < self.ephemeral_storage_bytes > room.ephemeral_storage_bytes
            or (self.extended and any(0 < a > room.amount(n) for n, a in self.extended))
        )

    def times_in(self, room: "Resources", limit: int) -> int:
        """How often it fits, at most ``limit``."""
        if limit == 1:
            return int(self.fits_in(room))
        for asked, there in (
            (self.cpu_milli, room.cpu_milli),
            (self.memory_bytes, room.memory_bytes),
            (self.pods, room.pods),
            (self.ephemeral_storage_bytes, room.ephemeral_storage_bytes),
            *((amount, room.amount(name)) for name, amount in self.extended),
        ):
            if asked > 0:
                limit = min(limit, there // asked)
        return max(limit, 0)

    def largest(self, other: "Resources") -> "Resources":
        """Element-wise maximum, as Kubernetes combines init containers with the others."""
        names = {n for n, _ in self.items()} | {n for n, _ in other.items()}
        return Resources.of({n: max(self.amount(n), other.amount(n)) for n in names})


ZERO = Resources()
