"""What the API server has, kept up to date by one watch per kind, with this process's own writes laid over it.

A kind is listed page by page and then watched. Nothing that can go wrong with a watch makes the view wrong: a lost
connection is taken up where it ended, history that is gone means a new list, and silence is noticed. A server that
is older than what was seen before (another replica after a failover) is not believed.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from agent.kube.api import KubeApi
from agent.kube.watcher import Fault, Kind, Owner, Pace, Watcher

__all__ = ["Cache", "Fault", "Kind", "Pace"]

log = structlog.get_logger(__name__)

STOP_SECONDS = 1.0
DEFAULT_PACE = Pace()


def log_fault(fault: Fault) -> None:
    """Where faults go unless the owner wants them."""
    log.warning("cache.fault", kind=fault.kind, name=fault.name, error=fault.message)


class Cache:
    """All kinds together. For use from any thread."""

    def __init__(
        self,
        api: KubeApi,
        kinds: tuple[Kind, ...],
        *,
        wake: Callable[[], None],
        on_fault: Callable[[Fault], None] = log_fault,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        self._owner = Owner(wake, on_fault, threading.Event(), pace)
        self._watchers: dict[str, Watcher] = {k.name: Watcher(api, k, self._owner) for k in kinds}

    def start(self) -> None:
        """Begin to list and watch."""
        for watcher in self._watchers.values():
            watcher.start()

    def stop(self) -> None:
        """End all watches, without waiting for the server."""
        self._owner.stopped.set()
        until = time.monotonic() + STOP_SECONDS
        for watcher in self._watchers.values():
            watcher.interrupt()
        for watcher in self._watchers.values():
            watcher.join(max(0.0, until - time.monotonic()))

    @property
    def failed(self) -> BaseException | None:
        """The error of a watch thread that died; the process should end for it. ``wake`` was called then."""
        return next((w.failed for w in self._watchers.values() if w.failed is not None), None)

    @property
    def fault(self) -> str:
        """Why the API server cannot be read now; empty when it can."""
        return next((w.trouble for w in self._watchers.values() if w.trouble), "")

    def synced(self) -> bool:
        """Whether every kind has been listed and every own write is known, and seen or young."""
        self._chase()
        return all(w.store.synced for w in self._watchers.values())

    def stale(self, max_age_seconds: float) -> tuple[str, ...]:
        """Kinds of which the server has not been heard for that long."""
        return tuple(k for k, w in self._watchers.items() if w.store.age() > max_age_seconds)

    def age(self, kind: str) -> float:
        """Seconds since the server was last heard about a kind."""
        return self._watchers[kind].store.age()

    def unreadable(self, kind: str) -> tuple[str, ...]:
        """Keys of objects that exist but could not be understood and are left out of ``items``."""
        return tuple(sorted(self._watchers[kind].unreadable.copy()))

    def items(self, kind: str) -> tuple[Any, ...]:
        """Every object of a kind, own writes included, in the order of their keys."""
        return self._watchers[kind].store.items()

    def get(self, kind: str, key: str) -> Any:  # noqa: ANN401 - the kind decides
        """One object by name (``namespace/name`` where it has one), own writes included; None when it is not there."""
        return self._watchers[kind].store.get(key)

    def wrote(self, kind: str, raw: bytes) -> None:
        """Lay an object over the cache, as the API server just returned it, until the watch shows it or a newer one."""
        watcher = self._watchers[kind]
        key, entry = watcher.read(raw)
        if entry is None:
            watcher.relist()
        elif watcher.store.overlay(key, entry):
            self._owner.wake()

    def deleted(self, kind: str, key: str, uid: str) -> None:
        """Hide an object that this process just removed for good, until the watch shows that."""
        if self._watchers[kind].store.hide(key, uid):
            self._owner.wake()

    def unknown(self, kind: str) -> None:
        """A write of this kind was sent and its answer lost: nothing is decided until the kind was listed anew."""
        self._watchers[kind].relist()

    def _chase(self) -> None:
        for name, watcher in self._watchers.items():
            if watcher.store.unseen():
                log.warning("cache.write_unseen", kind=name)
                watcher.relist()
