"""One kind's thread: list, then watch, for ever, and never in a hurry when something fails."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from agent.kube import errors
from agent.kube.api import KubeApi
from agent.kube.errors import Expired, KubeError, Retryable
from agent.kube.store import BELIEVED_SECONDS, Entry, OlderHistory, Store
from agent.kube.times import Clock
from agent.kube.transport import Watch

LIVELY_SECONDS = 5.0
"""A watch that lasted this long worked, although it may have had nothing to tell."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
PAGE_SIZE = 500
HISTORY_SECONDS = 120.0
"""A server that stays behind for longer is the new truth (etcd was restored); a fresh process has to take it up."""


class Pace(msgspec.Struct, frozen=True):
    """How long things may take."""

    watch_seconds: tuple[int, int] = (65, 80)
    """Within which the server is asked to end a watch: not all end together, and at least one bookmark comes before."""
    silence_seconds: float = 10.0
    """Beyond the time at which the server should have ended a watch: the connection is dead."""
    believed_seconds: float = BELIEVED_SECONDS
    """An own write that the watch does not show after this long is looked up."""
    clock: Clock = Clock()
    """By which all of it is measured."""


class Kind(msgspec.Struct, frozen=True):
    """A resource to be watched: where it is, and what to make of one object."""

    name: str
    path: str
    decode: Callable[[bytes | msgspec.Raw], Any]
    """Raises ValueError (``WireFault`` is one) or a msgspec error for an object that cannot be understood."""
    params: dict[str, str] = {}


class Fault(msgspec.Struct, frozen=True):
    """What cannot be read: one object, or with an empty ``name`` the kind as a whole."""

    kind: str
    name: str
    message: str


class Owner(msgspec.Struct):
    """Whom a watcher tells."""

    wake: Callable[[], None]
    on_fault: Callable[[Fault], None]
    stopped: threading.Event
    pace: Pace = Pace()


class _Ident(msgspec.Struct, rename="camel"):
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None

    @property
    def key(self) -> str:
        """``namespace/name``, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name or ""

    @property
    def version(self) -> int:
        """A resourceVersion as a number: etcd's are, and comparing them is official since Kubernetes 1.35."""
        text = self.resource_version or ""
        return int(text) if text.isascii() and text.isdigit() else 0


class _Head(msgspec.Struct):
    metadata: _Ident | None = None

    @property
    def ident(self) -> _Ident:
        """The metadata, empty when there is none."""
        return self.metadata or _Ident()


class _List(_Head):
    items: tuple[msgspec.Raw, ...] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_lists = msgspec.json.Decoder(_List)
_events = msgspec.json.Decoder(_Event)
_heads = msgspec.json.Decoder(_Head)
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises for an object that is not as it should be; anything else is a bug and ends the thread."""


class Watcher:
    """Keeps one store up to date. The thread ends when ``owner.stopped`` is set, or with ``failed``."""

    def __init__(self, api: KubeApi, kind: Kind, owner: Owner) -> None:
        self.kind = kind
        self.store: Store[Any] = Store(owner.pace.clock.monotonic, believed_seconds=owner.pace.believed_seconds)
        self.failed: BaseException | None = None
        self.trouble = ""
        """Why the API server could not be read at last; empty when it could."""
        self.unreadable: dict[str, str] = {}
        """Objects that are left out, by key, and why."""
        self._api = api
        self._owner = owner
        self._clock = owner.pace.clock
        self._watch: Watch | None = None
        self._failures = 0
        self._told = ""
        self._older_since: float | None = None
        self._page_size = PAGE_SIZE
        self._thread = threading.Thread(target=self._run, name=f"watch-{kind.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def interrupt(self) -> None:
        """End the present watch, from any thread: the server is asked anew, or the thread ends."""
        watch = self._watch
        if watch is not None:
            watch.stop()

    def relist(self) -> None:
        """Not synced until listed anew, which begins at once."""
        self.store.doubt()
        self.interrupt()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def read(self, raw: bytes | msgspec.Raw) -> tuple[str, Entry[Any] | None]:
        """The key and the object, or None when it cannot be understood, which is told once.

        So one bad object hides no other.
        """
        ident = _Ident()
        try:
            ident = _heads.decode(raw).ident
            value = self.kind.decode(raw)
        except _UNREADABLE as error:
            message = str(error)
            if self.unreadable.get(ident.key) != message:
                self.unreadable[ident.key] = message
                self._owner.on_fault(Fault(self.kind.name, ident.key or "(an object without a name)", message))
            return ident.key, None
        self.unreadable.pop(ident.key, None)
        return ident.key, Entry(ident.uid or "", ident.version, value)

    def _run(self) -> None:
        try:
            while not self._owner.stopped.is_set():
                try:
                    if not self.store.synced:
                        self._list()
                    self._follow()
                except KubeError as error:
                    self._rest(error)
        except BaseException as error:
            # The owner ends the process for it; nothing is swallowed here.
            self.failed = error
            self._owner.wake()
            raise

    def _rest(self, error: KubeError) -> None:
        """Tell of a failure when it is news, and wait: 0.5 s at first, doubling to 30 s, with jitter."""
        if isinstance(error, Expired | OlderHistory):
            self.store.doubt()
        self._history(error)
        # History that is gone is the ordinary end of a watch that was cut off for long; only twice is a fault.
        ordinary = isinstance(error, Expired) and self._failures == 0
        if not ordinary:
            self.trouble = str(error)
            if self.trouble != self._told:
                self._told = self.trouble
                self._owner.on_fault(Fault(self.kind.name, "", self.trouble))
        longest = min(FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS)
        self._failures += 1
        seconds = longest * (0.5 + self._clock.jitter() / 2)
        asked = error.retry_after_seconds if isinstance(error, Retryable) else None
        self._clock.wait(self._owner.stopped, max(seconds, min(asked or 0.0, LONGEST_PAUSE_SECONDS)))

    def _history(self, error: KubeError) -> None:
        if not isinstance(error, OlderHistory):
            return
        now = self._clock.monotonic()
        self._older_since = self._older_since if self._older_since is not None else now
        if now - self._older_since > HISTORY_SECONDS:
            raise error

    def _list(self) -> None:
        listing = self.store.begin()
        found: dict[str, Entry[Any] | None] = {}
        version: int | None = None
        try:
            for page in self._api.pages(self.kind.path, self.kind.params, self._page_size):
                listed = _parsed(_lists, page, "list")
                # All pages are of one version; the first names it.
                version = listed.ident.version if version is None else version
                found.update(self.read(raw) for raw in listed.items or ())
                self.store.heard()
        except Expired:
            # Paging is slower than the server forgets: ask for everything at once, as client-go does.
            self._page_size = 0
            raise
        self._page_size = PAGE_SIZE
        self.unreadable = {k: m for k, m in self.unreadable.items() if k in found}
        held = {key: entry for key, entry in found.items() if entry is not None}
        changed = self.store.replace(listing, held, version or 0)
        self._older_since = None
        if changed:
            self._owner.wake()

    def _follow(self) -> None:
        shortest, longest = self._owner.pace.watch_seconds
        seconds = shortest + int(self._clock.jitter() * (longest - shortest + 1))
        params = {
            **self.kind.params,
            "resourceVersion": str(self.store.version),
            "allowWatchBookmarks": "true",
        }
        silence = seconds + self._owner.pace.silence_seconds
        watch = self._watch = self._api.watch(self.kind.path, params, seconds, silence)
        begun = self._clock.monotonic()
        try:
            # A wish that came while the connection was made found nothing to interrupt.
            if self._wanted():
                return
            self.store.heard()
            self.trouble = ""
            for line in watch:
                self.store.heard()
                self._event(line)
                self._failures, self._told = 0, ""
                if self._wanted():
                    return
        finally:
            self._watch = None
            watch.close()
        if self._wanted():
            return
        if self._clock.monotonic() - begun < LIVELY_SECONDS:
            raise Retryable(f"the watch of {self.kind.path} ended as soon as it was begun")
        self._failures, self._told = 0, ""

    def _wanted(self) -> bool:
        """Whether something other than watching is wanted."""
        return self._owner.stopped.is_set() or not self.store.synced

    def _event(self, line: bytes) -> None:
        event = _parsed(_events, line, "watch")
        if event.type == "ERROR":
            status = errors.parse_status(bytes(event.object))
            raise errors.from_status(status.code or 0, status, status.message or "the watch ended with an error")
        try:
            ident = _heads.decode(event.object).ident
        except _UNREADABLE:
            self.read(event.object)
            return
        if event.type == "BOOKMARK":
            self.store.bookmark(ident.version)
        elif event.type == "DELETED":
            self.unreadable.pop(ident.key, None)
            self._changed(self.store.remove(ident.key, ident.version))
        else:
            key, entry = self.read(event.object)
            self._changed(self.store.put(key, entry) if entry else self.store.remove(key, ident.version))

    def _changed(self, changed: bool) -> None:
        if changed:
            self._owner.wake()


def _parsed(decoder: "msgspec.json.Decoder[Any]", text: bytes, what: str) -> Any:  # noqa: ANN401 - the decoder decides
    try:
        return decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise Retryable(f"the {what} cannot be read, it may have been cut off: {error}") from error
