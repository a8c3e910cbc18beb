"""Stands in for poweroff, halt, reboot, shutdown and hostnamectl."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.stand_ins import calls


def power_off(arguments: list[str]) -> int:
    """Ends the instance by ending its process 1; `shutdown +N` waits in the background as shutdownd does."""
    if "-c" in arguments:
        return 0
    delay = next((int(found[1]) * 60 for word in arguments if (found := re.fullmatch(r"\+(\d+)", word))), 0)
    if delay and os.fork():
        return 0
    time.sleep(delay)
    (calls.STATE / "powered-off").touch()
    os.kill(1, signal.SIGTERM)
    # Nothing after a poweroff in a script runs on a machine that is off.
    time.sleep(60)
    return 1


def hostnamectl(arguments: list[str]) -> int:
    """Sets or says the host name; of this UTS namespace, so only this instance has it."""
    words = [word for word in arguments if not word.startswith("-")]
    if words[:1] in (["set-hostname"], ["hostname"]) and len(words) == 2:
        subprocess.run(["hostname", words[1]], check=True)
        Path("/etc/hostname").write_text(words[1] + "\n")
    else:
        print(os.uname().nodename)
    return 0


if __name__ == "__main__":
    called_as, given = calls.called()
    sys.exit(hostnamectl(given) if called_as == "hostnamectl" else power_off(given))
