"""What the daemon tells systemd: one datagram each to the socket that systemd named (sd_notify(3), no library needed).

A message that cannot be delivered is no reason to stop buying nodes: every method says whether it was sent and raises
nothing. The watchdog belongs to the control loop alone and only after progress; a thread that pings by itself would
keep a hung loop alive.
"""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

import msgspec

_SEND_SECONDS: Final = 1.0
# systemd's own socket never fills in practice; a loop must not hang on one that does.


class Notifier(msgspec.Struct, frozen=True):
    """The socket named by ``NOTIFY_SOCKET``; an empty ``address`` (not started by systemd) sends nothing."""

    address: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Notifier":
        """Reads NOTIFY_SOCKET: a path, or ``@name`` for a socket in the abstract name space."""
        address = environment.get("NOTIFY_SOCKET", "")
        return cls(address if address.startswith(("/", "@")) else "")

    def ready(self, status: str = "") -> bool:
        """Start-up is over (or a reload is): the caches are synced, as leader or as standby."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``: the last cycle's sentence."""
        return self._send(_status(text))

    def watchdog(self) -> bool:
        """The loop made progress. Due at least every `watchdog_seconds`."""
        return self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> bool:
        """Shutting down on request."""
        return self._send("STOPPING=1", _status(status))

    def reloading(self) -> bool:
        """Settings are being read anew; `ready` ends it. The time is what ``Type=notify-reload`` asks for."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def extend_timeout(self, seconds: float) -> bool:
        """Start or stop takes longer: systemd waits this long from now on before it gives up."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _send(self, *lines: str) -> bool:
        if not self.address:
            return False
        message = "\n".join(line for line in lines if line).encode(errors="replace")
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_SEND_SECONDS)
                return sender.sendto(message, address) == len(message)
        except OSError:
            return False


def watchdog_seconds(environment: Mapping[str, str], pid: int | None = None) -> float | None:
    """How often to call `Notifier.watchdog`: half of what the unit's WatchdogSec allows (sd_watchdog_enabled(3)).

    None when no watchdog is set, or when it is meant for another process than ``pid`` (this one by default).
    """
    microseconds = environment.get("WATCHDOG_USEC", "")
    meant_for = environment.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if meant_for and meant_for != str(os.getpid() if pid is None else pid):
        return None
    return int(microseconds) / 2_000_000


def _status(text: str) -> str:
    # A line feed would begin another assignment.
    return f"STATUS={' '.join(text.split())}" if text else ""
