"""Stands in for systemctl: starts and stops the services of a node from their unit files, without systemd.

Only units that came with the instance's packages or script are run; those of the machine below are pretended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.stand_ins import calls, units

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND = 5
INACTIVE = 3
STOP_SECONDS = 10.0
POWER = {"poweroff", "halt", "reboot", "kexec"}
# Restarting these is how a script applies files that it wrote.
EFFECTS = {
    "systemd-sysctl.service": ["sysctl", "--system"],
    "systemd-modules-load.service": ["modprobe", "--modules-load"],
}


def pid_of(name: str) -> int | None:
    """The process id of a running service."""
    path = calls.STATE / f"{name}.pid"
    if not path.exists():
        return None
    pid = int(path.read_text())
    stat = Path(f"/proc/{pid}/stat")
    try:
        # A zombie is only waiting to be reaped by process 1.
        return None if stat.read_text().rpartition(")")[2].split()[0] == "Z" else pid
    except FileNotFoundError:
        return None


def active(name: str) -> bool:
    """Whether the service runs, or is pretended to."""
    return pid_of(name) is not None or name in calls.lines("active")


def start(name: str) -> int:
    """Runs the unit's command; one-shot services to their end."""
    if name in EFFECTS:
        return subprocess.run(EFFECTS[name], check=False).returncode
    if name in calls.machine()["pretended_units"] or not name.endswith(".service"):
        calls.add_line("active", name)
        return 0
    unit = units.load(name)
    if unit is None:
        print(f"Failed to start {name}: Unit {name} not found.", file=sys.stderr)
        return NOT_FOUND
    if active(name):
        return 0
    started = run(unit)
    if not started:
        print(f"Job for {name} failed because the control process exited with error code.", file=sys.stderr)
    return 0 if started else 1


def run(unit: units.Unit) -> bool:
    """Starts the processes of a unit; False when one of those that must end well did not."""
    # An empty folder: a kubelet may remove files of its working directory (see the fakecri tool).
    directory = calls.STATE / "empty" / unit.name
    directory.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": PATH, "LANG": "C.UTF-8", **calls.machine()["endpoints"], **unit.environment()}
    oneshot = unit.last("Type") == "oneshot"
    to_completion = unit.commands("ExecStartPre") + (unit.commands("ExecStart") if oneshot else [])
    with (calls.STATE / f"{unit.name}.log").open("ab") as log:
        for command in to_completion:
            if subprocess.run(command, cwd=directory, env=environment, stdout=log, stderr=log, check=False).returncode:
                return False
        if oneshot:
            if unit.last("RemainAfterExit") in {"yes", "true", "1"}:
                calls.add_line("active", unit.name)
            return True
        main = subprocess.Popen(
            unit.commands("ExecStart")[0],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (calls.STATE / f"{unit.name}.pid").write_text(str(main.pid))
    return wait_ready(unit, main)


def wait_ready(unit: units.Unit, main: subprocess.Popen[bytes]) -> bool:
    """Waits for the socket of a service that would notify systemd; other services count as started at once."""
    awaited = unit.last("X-StandInSocket")
    deadline = time.monotonic() + 30
    while awaited and not Path(awaited).exists():
        if main.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def stop(name: str) -> int:
    """Ends the service's process: SIGTERM, then SIGKILL."""
    calls.remove_line("active", name)
    pid = pid_of(name)
    if pid is None:
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while pid_of(name) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return 0


def restart(name: str) -> int:
    """Stops and starts."""
    return stop(name) or start(name)


def enable(name: str) -> int:
    """Notes that the unit starts at boot."""
    if units.load(name) is None and name not in calls.machine()["pretended_units"]:
        print(f"Failed to enable unit: Unit file {name} does not exist.", file=sys.stderr)
        return 1
    calls.add_line("enabled", name)
    return 0


def disable(name: str) -> int:
    """Notes that the unit no longer starts at boot."""
    calls.remove_line("enabled", name)
    return 0


def is_active(name: str) -> int:
    """Says `active` or `inactive`, by exit status too."""
    running = active(name)
    print("active" if running else "inactive")
    return 0 if running else INACTIVE


def is_enabled(name: str) -> int:
    """Says `enabled` or `disabled`, by exit status too."""
    enabled = name in calls.lines("enabled")
    print("enabled" if enabled else "disabled")
    return 0 if enabled else 1


def status(name: str) -> int:
    """The two lines that kubeadm looks at."""
    found = units.load(name) is not None
    print(f"   Loaded: {'loaded' if found else 'not-found'} ({name})")
    print(f"   Active: {'active' if active(name) else 'inactive'}")
    return 0 if active(name) else INACTIVE


def nothing(_: str) -> int:
    """A verb that changes nothing here."""
    return 0


VERBS: dict[str, Callable[[str], int]] = {
    "start": start,
    "stop": stop,
    "restart": restart,
    "try-restart": lambda name: restart(name) if active(name) else 0,
    "reload": nothing,
    "reload-or-restart": restart,
    "enable": enable,
    "disable": disable,
    "mask": disable,
    "unmask": nothing,
    "is-active": is_active,
    "is-enabled": is_enabled,
    "status": status,
    "reset-failed": nothing,
    "daemon-reload": nothing,
    "daemon-reexec": nothing,
}


def main() -> int:
    """Runs one verb over the units named."""
    _, arguments = calls.called()
    words = [word for word in arguments if not word.startswith("-")]
    verb, names = words[0] if words else "", words[1:]
    if verb in POWER:
        os.execvp("poweroff", [verb])
    if verb not in VERBS:
        print(f"systemctl: the stand-in does not know `{verb}`", file=sys.stderr)
        return 1
    names = [name if "." in name else f"{name}.service" for name in names]
    worst = 0
    for name in names:
        worst = max(worst, VERBS[verb](name))
        if "--now" in arguments and verb in {"enable", "disable", "mask"}:
            worst = max(worst, start(name) if verb == "enable" else stop(name))
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
