"""What is stored: every object in its present version, and the history of changes that watches read.

One revision counts all changes, as etcd's does. History is a ring: what fell out of it, or was compacted away, can
neither be watched from nor be listed at (Expired).
"""

import threading
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from agent.sim.apiserver.resources import Object

HISTORY_LENGTH: Final = 20_000
"""Changes kept; some minutes of a busy small cluster."""

Key = tuple[str, str]
"""Namespace (empty for an object without one) and name."""


class Stored(msgspec.Struct, frozen=True):
    """One version of one object, ``json`` encoded once for all readers."""

    object: Object
    json: bytes

    def copy(self) -> Object:
        """An object of the caller's own, to be changed."""
        decoded: Object = msgspec.json.decode(self.json)
        return decoded


class Change(msgspec.Struct, frozen=True):
    """One change. ``after`` of a deletion is the last state under the revision of the deletion."""

    revision: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: str
    key: Key
    before: Stored | None
    after: Stored


class HistoryGone(Exception):  # noqa: N818 - it says what happened
    """The revision asked for is older than the history."""


def key_of(obj: Object) -> Key:
    """Where the object is kept within its collection."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


class Store:
    """The objects. Hold ``changed`` for whatever has to happen at once; every change notifies it."""

    def __init__(self, history_length: int = HISTORY_LENGTH) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.revision = 1
        self.compacted = 1
        """Nothing at or before this revision can be watched from, but the present."""
        self._length = history_length
        self._objects: dict[str, dict[Key, Stored]] = {}
        self._history: list[Change] = []
        self._owned: dict[str, set[tuple[str, Key]]] = {}

    def get(self, kind: str, key: Key) -> Stored | None:
        """The present version."""
        return self._objects.get(kind, {}).get(key)

    def all(self, kind: str, namespace: str = "") -> list[Stored]:
        """The present version of all, in the order of their keys; without a namespace those of all namespaces."""
        held = self._objects.get(kind, {})
        return [held[key] for key in sorted(held) if not namespace or key[0] == namespace]

    def kinds(self) -> Iterable[str]:
        """The collections that hold something."""
        return [kind for kind, held in self._objects.items() if held]

    def at(self, kind: str, revision: int) -> dict[Key, Stored]:
        """All as of a revision, by undoing what happened since.

        Raises:
            HistoryGone: that is no longer known.
        """
        then = dict(self._objects.get(kind, {}))
        for change in reversed(self.since(kind, revision)):
            if change.before is None:
                then.pop(change.key, None)
            else:
                then[change.key] = change.before
        return then

    def since(self, kind: str, revision: int) -> list[Change]:
        """The changes of a collection after a revision.

        Raises:
            HistoryGone: some of them are no longer known.
        """
        if revision < self.compacted and revision < self.revision:
            raise HistoryGone
        start = bisect_right(self._history, revision, key=lambda c: c.revision)
        return [change for change in self._history[start:] if change.kind == kind]

    def owned_by(self, uid: str) -> list[tuple[str, Key]]:
        """Collections and keys of the objects that name this owner."""
        return sorted(self._owned.get(uid, ()))

    def put(self, kind: str, obj: Object) -> Stored:
        """Store an object under a new revision, which is written into it; the store owns it from now on."""
        with self.changed:
            self.revision += 1
            obj["metadata"]["resourceVersion"] = str(self.revision)
            stored = Stored(obj, msgspec.json.encode(obj))
            key = key_of(obj)
            held = self._objects.setdefault(kind, {})
            before = held.get(key)
            held[key] = stored
            if before is not None:
                self._own(kind, key, before, present=False)
            self._own(kind, key, stored, present=True)
            self._record(Change(self.revision, "MODIFIED" if before else "ADDED", kind, key, before, stored))
            return stored

    def remove(self, kind: str, key: Key) -> Stored:
        """Remove an object; its last state under the revision of the removal."""
        with self.changed:
            self.revision += 1
            before = self._objects[kind].pop(key)
            self._own(kind, key, before, present=False)
            last = before.copy()
            last["metadata"]["resourceVersion"] = str(self.revision)
            stored = Stored(last, msgspec.json.encode(last))
            self._record(Change(self.revision, "DELETED", kind, key, before, stored))
            return stored

    def compact(self) -> None:
        """Forget all history: watches and continue tokens from before now are answered with 410."""
        with self.changed:
            self.compacted = self.revision
            self._history.clear()
            self.changed.notify_all()

    def _own(self, kind: str, key: Key, stored: Stored, *, present: bool) -> None:
        for owner in stored.object["metadata"].get("ownerReferences") or ():
            held = self._owned.setdefault(owner.get("uid", ""), set())
            if present:
                held.add((kind, key))
            else:
                held.discard((kind, key))

    def _record(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > self._length + self._length // 10:
            # In slices: taking one off the front of a list costs as much as taking a thousand.
            cut = len(self._history) - self._length
            self.compacted = self._history[cut - 1].revision
            del self._history[:cut]
        self.changed.notify_all()
