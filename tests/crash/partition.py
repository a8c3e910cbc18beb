"""A wire between a process and the API server that can be cut: open connections stay open, and nothing passes."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import yaml

CHUNK = 65536


class Wire:
    """``with Wire(url) as wire:`` listens; ``cut`` and ``mend`` it."""

    def __init__(self, url: str) -> None:
        found = urlsplit(url)
        self._target = (str(found.hostname), int(found.port or 443))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._whole = threading.Event()
        self._whole.set()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._whole.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    def kubeconfig(self, like: Path, path: Path) -> Path:
        """The same identity, over this wire."""
        document = yaml.safe_load(like.read_text())
        document["clusters"][0]["cluster"]["server"] = self.url
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]  # a method
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            ready, _, _ = select.select([self._listener], [], [], 0.1)
            if ready:
                with suppress(OSError):
                    self._start(self._carry, self._listener.accept()[0])

    def _carry(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(self._target) as far:
            ends = {near: far, far: near}
            while not self._stopped.is_set():
                self._whole.wait(0.1)
                ready, _, _ = select.select([near, far], [], [], 0.1)
                for end in ready if self._whole.is_set() else ():
                    data = end.recv(CHUNK)
                    if not data:
                        return
                    ends[end].sendall(data)
