"""Child processes of the test bed: started in a session of their own, logged to a file, ended by process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class ClusterError(Exception):
    """A part of the test bed did not do what the tests rely on; the message holds the end of its log."""


@dataclass
class Process:
    """One running child. Its own process group is what gets signalled, so its children go with it."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.popen.poll() is None

    def log_tail(self, lines: int = 15) -> str:
        """The end of the log, for error messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, patience: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 5.0),)) -> None:
        """Sends each signal in turn, waits so many seconds after it, and ends with SIGKILL."""
        for number, seconds in patience:
            if not self.running:
                break
            os.killpg(self.popen.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def start(name: str, command: Sequence[str], work_dir: Path, environment: Mapping[str, str]) -> Process:
    """Starts a command with `work_dir` as working directory and `NAME.log`, `NAME.pid` beside it."""
    log = work_dir / f"{name}.log"
    with log.open("ab") as output:
        popen = subprocess.Popen(
            command,
            cwd=work_dir,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (work_dir / f"{name}.pid").write_text(f"{popen.pid}\n")
    return Process(name, popen, log)


def wait_until(what: str, ready: Callable[[], bool], *, timeout: float = 30, process: Process | None = None) -> None:
    """Polls until `ready` holds; names what was awaited, and why `process` ended when it did, on failure."""
    deadline = time.monotonic() + timeout
    while not ready():
        if process is not None and not process.running:
            raise ClusterError(f"{process.name} ended while waiting for {what}:\n{process.log_tail()}")
        if time.monotonic() > deadline:
            tail = f":\n{process.log_tail()}" if process is not None else ""
            raise ClusterError(f"no {what} within {timeout} s{tail}")
        time.sleep(0.05)
