"""A real sshd on loopback, on a port that the kernel chooses, each connection a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

STRICT = 0o700


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.fail(f"{name} is missing; it comes with the Debian package {package}")
    return found


def new_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(
        [program("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True
    )
    return path


class Sshd:
    """``with Sshd(folder, environment) as sshd:`` serves; whoever has the key ``user_key`` may log in."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir(mode=STRICT, parents=True, exist_ok=True)
        self._program = program("sshd", "openssh-server")
        self.folder = folder
        self.host_key, self.user_key = new_key(folder / "host"), new_key(folder / "user")
        self.known_hosts = folder / "known_hosts"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._config = folder / "sshd_config"
        shutil.copy(folder / "user.pub", folder / "authorized_keys")
        # A home of its own: the login shell must not run what the tester keeps in ~/.bashrc with such a PATH.
        home = folder / "home"
        home.mkdir()
        variables = " ".join(f'"{k}={v}"' for k, v in ({"HOME": str(home)} | environment).items())
        self._config.write_text(
            f"HostKey {self.host_key}\nAuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nPidFile none\n"
            f"SetEnv {variables}\n"
        )
        self.trust(self.host_key)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def trust(self, key: Path) -> None:
        """Whose key the client knows this host by."""
        public = " ".join(key.with_name(key.name + ".pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")

    def __enter__(self) -> Self:
        # sshd asks for it, whoever runs it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def cut(self) -> None:
        """End every connection without a word."""
        for process in self.processes:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            with suppress(OSError):
                for child in children.read_text().split():
                    os.kill(int(child), 9)
            process.kill()
            process.wait()
        self.processes.clear()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, (self.folder / "sshd.log").open("ab") as log:
                end = connection.fileno()
                command = [self._program, "-i", "-e", "-f", str(self._config)]
                self.processes.append(subprocess.Popen(command, stdin=end, stdout=end, stderr=log))
