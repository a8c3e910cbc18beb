"""Who may write: a thread that keeps the Lease, and the fence that every effect asks.

Losing the Lease means stand by, not exit: the caches stay warm and the next leader may be this process again.
"""

import threading
from collections.abc import Callable

import structlog

from agent.daemon.act import Fenced
from agent.kube.lease import LeaseLock

log = structlog.get_logger(__name__)


class Leadership:
    """Acquires, renews and, at the end, releases the Lease."""

    def __init__(self, lease: LeaseLock, changed: Callable[[], None]) -> None:
        self._lease = lease
        self._wake = changed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._led = False
        self.failed: BaseException | None = None

    def start(self) -> None:
        """Begin to compete for the Lease."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing and hand the Lease over, so that a standby need not wait for it to run out."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        if self._lease.held():
            self._lease.release()

    def leading(self) -> bool:
        """Whether this process may write now."""
        return not self._stopped.is_set() and self._lease.held()

    def holder(self) -> str:
        """Who leads, as last seen."""
        return self._lease.holder

    def fence(self) -> None:
        """Raises ``Fenced`` unless this process leads at this moment."""
        if not self.leading():
            raise Fenced(f"the Lease is held by {self._lease.holder or 'nobody'}")

    def compete(self) -> float:
        """Try once to keep or to get the Lease; returns the seconds after which to try again."""
        leads = self._lease.renew() if self._lease.held() else self._lease.try_acquire()
        if leads != self._led:
            log.info("lease.leading" if leads else "lease.standby", holder=self._lease.holder)
            self._led = leads
            self._wake()
        return self._lease.pause_seconds()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._stopped.wait(self.compete())
        except BaseException as error:
            self.failed = error
            self._wake()
            raise
