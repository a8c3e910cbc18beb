"""The objects of one kind: as the API server showed them, and as this process wrote them meanwhile."""

import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from agent.kube.errors import Retryable
from agent.model.kubernetes import Meta

T = TypeVar("T")

BELIEVED_SECONDS = 5.0
"""An own write that the watch does not show after this long is doubted: the kind is listed anew."""


class Entry(NamedTuple, Generic[T]):
    """One object with its identity; ``version`` is its resourceVersion, a number in every etcd."""

    uid: str
    version: int
    value: T


class OlderHistory(Retryable):
    """The server is behind what was seen before: another replica after a failover, or a restored etcd."""


class Listing(NamedTuple):
    """A list under way: when it was begun, and which doubts it settles."""

    begun: float
    doubts: int


class _Written(msgspec.Struct, Generic[T]):
    uid: str
    version: int
    value: T | None
    """None: removed."""
    at: float


class Store(Generic[T]):
    """Thread-safe. ``items`` hands out one tuple until something changes, so that reading costs nothing at rest."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, believed_seconds: float = BELIEVED_SECONDS
    ) -> None:
        self._clock = clock
        self._believed_seconds = believed_seconds
        self._lock = threading.Lock()
        self._held: dict[str, Entry[T]] = {}
        self._written: dict[str, _Written[T]] = {}
        self._items: tuple[T, ...] | None = ()
        self._heard = clock()
        self._doubts = 1
        self._settled = 0
        self.version = 0
        """Of the newest list, bookmark or event; never goes back."""

    @property
    def synced(self) -> bool:
        """Listed since the last doubt."""
        return self._settled >= self._doubts

    def doubt(self) -> None:
        """Something may have been missed: not synced until a list that begins after this has ended."""
        with self._lock:
            self._doubts += 1

    def heard(self) -> None:
        """The server has said something of this kind."""
        self._heard = self._clock()

    def age(self) -> float:
        """Seconds since the server was last heard."""
        return self._clock() - self._heard

    def begin(self) -> Listing:
        """Before the first page of a list is asked for."""
        with self._lock:
            return Listing(self._clock(), self._doubts)

    def replace(self, listing: Listing, held: dict[str, Entry[T]], version: int) -> bool:
        """Take a whole list; whether anything but versions is new.

        Raises:
            OlderHistory: the list is older than what was seen, and is refused: time must not turn back.
        """
        with self._lock:
            self._no_older(version)
            before = self._view()
            first = self._settled == 0
            self._held = held
            self.version = version
            for key, written in list(self._written.items()):
                believed = written.at >= listing.begun or self._clock() - written.at <= self._believed_seconds
                if not believed or self._shown(written, held.get(key), version):
                    del self._written[key]
            self._settled = max(self._settled, listing.doubts)
            self._heard = self._clock()
            self._items = None
            after = self._view()
            return first or before.keys() != after.keys() or any(not _same(v, after[k]) for k, v in before.items())

    def put(self, key: str, entry: Entry[T]) -> bool:
        """Take one object from the watch; whether anything but its version is new.

        Raises:
            OlderHistory: as ``replace``.
        """
        return self._take(key, entry, entry.version)

    def remove(self, key: str, version: int) -> bool:
        """Take a deletion from the watch; whether the object was there.

        Raises:
            OlderHistory: as ``replace``.
        """
        return self._take(key, None, version)

    def bookmark(self, version: int) -> None:
        """All up to this version has been shown.

        Raises:
            OlderHistory: as ``replace``.
        """
        with self._lock:
            self._no_older(version)
            self.version = version
            self._settle(version)

    def overlay(self, key: str, entry: Entry[T]) -> bool:
        """An own write; whether it was news."""
        with self._lock:
            held, written = self._held.get(key), self._written.get(key)
            if held is not None and held.version >= entry.version:
                return False
            if written is not None and written.version >= entry.version:
                return False
            before = self._seen(key)
            self._written[key] = _Written(entry.uid, entry.version, entry.value, self._clock())
            self._items = None
            return not _same(before, entry.value)

    def hide(self, key: str, uid: str) -> bool:
        """An own removal; whether the object was there. Without a UID whatever is there is meant."""
        with self._lock:
            held, written = self._held.get(key), self._written.get(key)
            there = written or held
            if there is None or (uid and there.uid != uid):
                return False
            before = self._seen(key)
            # Its deletion has a version of its own, which only the watch will tell; it is a later one.
            self._written[key] = _Written(there.uid, there.version + 1, None, self._clock())
            self._items = None
            return before is not None

    def unseen(self) -> bool:
        """Whether an own write has waited too long to be shown by the watch."""
        with self._lock:
            now = self._clock()
            return self.synced and any(now - w.at > self._believed_seconds for w in self._written.values())

    def items(self) -> tuple[T, ...]:
        """Every object, in the order of the keys."""
        with self._lock:
            if self._items is None:
                view = self._view()
                self._items = tuple(view[key] for key in sorted(view))
            return self._items

    def get(self, key: str) -> T | None:
        """One object."""
        with self._lock:
            return self._seen(key)

    def _take(self, key: str, entry: Entry[T] | None, version: int) -> bool:
        with self._lock:
            self._no_older(version)
            if version == self.version:
                return False  # told before
            before = self._seen(key)
            if entry is None:
                self._held.pop(key, None)
            else:
                self._held[key] = entry
            self.version = version
            self._settle(version)
            self._items = None
            return not _same(before, self._seen(key))

    def _no_older(self, version: int) -> None:
        if version < self.version:
            raise OlderHistory(
                f"the API server is at resourceVersion {version} although {self.version} was seen before: "
                "another replica lags behind, or etcd was restored from a backup"
            )

    def _settle(self, version: int) -> None:
        """Drop own writes that the server has shown, or overtaken."""
        for key, written in list(self._written.items()):
            if self._shown(written, self._held.get(key), version):
                del self._written[key]
                self._items = None

    def _shown(self, written: _Written[T], held: Entry[T] | None, version: int) -> bool:
        """Whether all that happened up to ``version`` includes an own write."""
        if version < written.version:
            return False
        return written.value is not None or held is None or held.uid != written.uid

    def _seen(self, key: str) -> T | None:
        held, written = self._held.get(key), self._written.get(key)
        if written is not None and self._covers(written, held):
            return written.value
        return held.value if held is not None else None

    def _covers(self, written: _Written[T], held: Entry[T] | None) -> bool:
        """Whether an own write is newer than what the server has shown; what was removed stays so under its UID."""
        return held is None or held.version < written.version or (written.value is None and held.uid == written.uid)

    def _view(self) -> dict[str, T]:
        view = {key: entry.value for key, entry in self._held.items()}
        for key in self._written:
            seen = self._seen(key)
            if seen is None:
                view.pop(key, None)
            else:
                view[key] = seen
        return view


def _same(before: object, after: object) -> bool:
    """Equal but for the version: a heartbeat is not a change."""
    if before is after:
        return True
    if type(before) is not type(after) or not isinstance(before, msgspec.Struct):
        return before == after
    meta, other = getattr(before, "meta", None), getattr(after, "meta", None)
    if not isinstance(meta, Meta) or not isinstance(other, Meta):
        return before == after
    same_meta = msgspec.structs.replace(meta, resource_version=other.resource_version)
    return msgspec.structs.replace(before, meta=same_meta) == after
