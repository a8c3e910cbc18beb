"""systemd as PID 1 of a machine in namespaces: enough of one to start units as they are shipped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

BOOT = Path(__file__).with_name("boot.sh")
SECONDS = 30.0


class Machine:
    """``with Machine(folder, shared) as machine:``; ``shared`` is its /mnt."""

    def __init__(self, folder: Path, shared: Path) -> None:
        if os.geteuid() != 0:
            pytest.fail("this needs root: it makes namespaces and mounts")
        for name, package in (("unshare", "util-linux"), ("nsenter", "util-linux")):
            if shutil.which(name) is None:
                pytest.fail(f"{name} is missing; it comes with the Debian package {package}")
        if not Path("/lib/systemd/systemd").exists():
            pytest.fail("systemd is missing; it comes with the Debian package systemd")
        self._folder, self._shared = folder, shared
        self._log = shared / "boot.log"
        self._process: subprocess.Popen[bytes]
        self._init = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        namespaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--kill-child"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", *namespaces, "bash", str(BOOT), str(self._folder), str(self._shared)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait("systemd", self._running)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _running(self) -> bool:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            if self._process.poll() is not None:
                pytest.fail(f"no machine can be made here:\n{self._log.read_text()[-1500:]}")
            return False
        self._init = int(children[0])
        if Path(f"/proc/{self._init}/comm").read_text().strip() != "systemd":
            return False
        return self.run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """A command on the machine, as root."""
        inside = [
            "nsenter",
            "-t",
            str(self._init),
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--cgroup",
            "--root",
            "--wd=/",
        ]
        return subprocess.run([*inside, *command], input=text, capture_output=True, text=True, check=False, timeout=120)

    def ok(self, *command: str, text: str = "") -> str:
        done = self.run(*command, text=text)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}{self.journal()}"
        return done.stdout

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        self.ok("install", "-D", "-m", mode, "/dev/stdin", path, text=text)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.ok("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.partition("=")[::2] for line in said.splitlines())

    def journal(self) -> str:
        """What the machine and its services have said."""
        return (
            self.run("systemctl", "status", "--no-pager", "joinery*").stdout
            + self._log.read_text(errors="replace")[-2000:]
        )

    def wait(self, what: str, condition: Callable[[], object], seconds: float = SECONDS) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, f"{what} did not come within {seconds:.0f} s\n{self.journal()}"
            time.sleep(0.2)
