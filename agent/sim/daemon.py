"""`joinery run` as a process of its own, as systemd would start it: with adapters that go over HTTP to the sandbox."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

JOINERY: Final = (sys.executable, "-P", "-m", "agent")
"""Of this installation: -P leaves the working directory out, where another package may be called so."""
STOP_SECONDS: Final = 15.0


class DaemonProcess:
    """A running ``joinery run``. It writes its log, one JSON object a line, to a file."""

    def __init__(
        self, arguments: list[str], environment: Mapping[str, str], log: Path, command: tuple[str, ...] = JOINERY
    ) -> None:
        self.log_path = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - ourselves
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    def stop(self, number: int = signal.SIGTERM, seconds: float = STOP_SECONDS) -> float:
        """Send a signal and wait for the end; how long it took, in seconds. What does not end then is killed."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return time.monotonic() - began

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_path.read_text(errors="replace")

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Its log events, all or those of one name."""
        found = [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in found if not name or event.get("event") == name]
