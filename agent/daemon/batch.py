"""When pending pods have waited long enough to be decided on together.

The window opens with the first pending pod; it closes when no new one came for the idle time, or at the
latest after the longest time, so that a burst becomes one decision and a trickle is not starved.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class BatchWindow:
    """Karpenter's batch window over pod UIDs."""

    idle: timedelta
    longest: timedelta
    _seen: frozenset[str] = field(default=frozenset())
    _opened: datetime | None = None
    _last_new: datetime | None = None

    def offer(self, pending: Iterable[str], now: datetime) -> bool:
        """Show the UIDs that are pending now; whether they may be provisioned for."""
        uids = frozenset(pending)
        new = uids - self._seen
        self._seen = uids
        if not uids:
            self._opened = self._last_new = None
            return True
        if new:
            self._opened = self._opened or now
            self._last_new = now
        return self.closes_at() is None or now >= self.closes_at_or(now)

    def closes_at(self) -> datetime | None:
        """When the open window closes if no new pod comes; None when none is open."""
        if self._opened is None or self._last_new is None:
            return None
        return min(self._last_new + self.idle, self._opened + self.longest)

    def closes_at_or(self, now: datetime) -> datetime:
        """``closes_at``, or ``now`` when no window is open."""
        return self.closes_at() or now

    def decided(self) -> None:
        """The pods that were shown have been decided on; the next new one opens the next window."""
        self._opened = self._last_new = None
