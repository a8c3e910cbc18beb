"""A watch: the events of a collection since a version, with bookmarks, until its time is over."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from agent.sim.apiserver.messages import Clock
from agent.sim.apiserver.refusals import expired
from agent.sim.apiserver.resources import Object
from agent.sim.apiserver.selecting import Matcher
from agent.sim.apiserver.store import Change, HistoryGone, Store, Stored

BOOKMARK_EVERY: Final = timedelta(minutes=1)
BOOKMARK_BEFORE_END: Final = timedelta(seconds=2)
"""As kube-apiserver has them: about one a minute, and one shortly before the server ends the watch."""
INITIAL_END: Final = "k8s.io/initial-events-end"


class Selection(msgspec.Struct, frozen=True):
    """What a watch is about, and what its reader makes of an object."""

    kind: str
    namespace: str
    name: str
    matches: Matcher
    render: Callable[[Stored], Object | msgspec.Raw]
    bookmark: Object
    """``apiVersion`` and ``kind`` of an empty object."""


class WatchStream:
    """Read with ``poll``, which never waits; ``Store.changed`` is notified when there may be more."""

    def __init__(self, store: Store, clock: Clock, selection: Selection, ends: datetime, *, bookmarks: bool) -> None:
        self.ended = False
        self.ends = ends
        self._store = store
        self._clock = clock
        self._selection = selection
        self._bookmarks = bookmarks
        self._version = store.revision
        self._reached = self._told = 0
        self._begun = False
        self._pending: list[bytes] = []
        self._due = clock() + BOOKMARK_EVERY
        self._last = ends - BOOKMARK_BEFORE_END

    def since(self, version: int) -> None:
        """Begin with what happened after a version."""
        self._version = version

    def begin_with_present(self, *, tell_end: bool) -> None:
        """Begin with an ADDED event for everything that is there, and if asked for, a bookmark after them."""
        selection = self._selection
        for stored in self._store.all(selection.kind, selection.namespace):
            if self._selects(stored):
                self._pending.append(self._line("ADDED", selection.render(stored)))
        self._version = self._store.revision
        if tell_end:
            self._pending.append(self._bookmark({INITIAL_END: "true"}, self._version))

    def poll(self) -> list[bytes]:
        """The lines that are due now; when the time is over or history is gone, ``ended`` is set with the last."""
        with self._store.changed:
            lines, self._pending = self._pending, []
            if self.ended:
                return lines
            try:
                changes = self._store.since(self._selection.kind, self._version)
            except HistoryGone:
                self.ended = True
                gone = expired(f"too old resource version: {self._version} ({self._store.revision})")
                return [*lines, self._line("ERROR", gone.status)]
            lines += [line for change in changes if (line := self._event(change))]
            self._version = max(self._version, self._store.revision)
            self._reached = changes[-1].revision if changes else self._reached
            if not self._begun:
                # As on the real server a bookmark tells only of what happened since the watch was begun.
                self._begun, self._told = True, self._reached
            return lines + self._timed()

    def pause(self, longest: timedelta) -> timedelta:
        """How long nothing is due, but for changes."""
        moments = [self.ends, *([min(self._due, self._last)] if self._bookmarks else [])]
        return max(timedelta(0), min(longest, *(moment - self._clock() for moment in moments)))

    def _timed(self) -> list[bytes]:
        now = self._clock()
        self.ended = now >= self.ends
        if not self._bookmarks or now < min(self._due, self._last):
            return []
        if now >= self._last:
            self._last = self.ends + BOOKMARK_EVERY
        self._due = now + BOOKMARK_EVERY
        if self._reached <= self._told:
            return []
        self._told = self._reached
        return [self._bookmark({}, self._reached)]

    def _selects(self, stored: Stored | None) -> bool:
        if stored is None:
            return False
        meta, selection = stored.object["metadata"], self._selection
        if selection.namespace and meta.get("namespace") != selection.namespace:
            return False
        return (not selection.name or meta["name"] == selection.name) and selection.matches(stored.object)

    def _event(self, change: Change) -> bytes | None:
        """What a change is to this reader: what begins to be selected is added, what no longer is, is deleted."""
        line = self._line_of(change)
        if line is not None:
            self._told = change.revision
        return line

    def _line_of(self, change: Change) -> bytes | None:
        before, after = self._selects(change.before), self._selects(change.after)
        if change.type == "DELETED":
            # Its last state may match where the state before, which the reader has, did not; that one counts.
            return self._line("DELETED", self._selection.render(change.after)) if before else None
        if after:
            return self._line("MODIFIED" if before else "ADDED", self._selection.render(change.after))
        if before:
            assert change.before is not None
            last = change.before.copy()
            last["metadata"]["resourceVersion"] = str(change.revision)
            return self._line("DELETED", self._selection.render(Stored(last, msgspec.json.encode(last))))
        return None

    def _bookmark(self, annotations: dict[str, str], version: int) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        return self._line("BOOKMARK", self._selection.bookmark | {"metadata": meta})

    def _line(self, kind: str, obj: Object | msgspec.Raw) -> bytes:
        return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
