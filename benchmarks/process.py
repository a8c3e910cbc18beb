"""What the kernel knows of a process, and what systemd would be told by it."""

import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self


def resident_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now, or with ``VmHWM`` at its highest, in millions of bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(f"no {field} of process {pid}")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads since the process began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class NotifySocket:
    """Where a service says that it is ready (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._path.unlink()

    def wait_ready(self, timeout: float) -> float:
        """Waits for READY=1; when it came, by the monotonic clock."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            if "READY=1" in self._socket.recv(4096).decode().splitlines():
                return time.monotonic()
        raise TimeoutError(f"not ready within {timeout} s")
