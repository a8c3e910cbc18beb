"""A proxy before the API server that delivers watch events late, as a loaded or partitioned one would."""

from __future__ import annotations

import http.client
import random
import ssl
import threading
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml


class SlowWatch:
    """``with SlowWatch(kubeconfig, folder, 10.0) as proxy:`` — ``proxy.kubeconfig`` leads through it."""

    def __init__(self, kubeconfig: Path, folder: Path, longest_seconds: float, seed: int = 1) -> None:
        self._config = yaml.safe_load(kubeconfig.read_text())
        self._folder = folder
        self._longest = longest_seconds
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        cluster = self._config["clusters"][0]["cluster"]
        self.upstream = cluster["server"].removeprefix("https://")
        self.context = ssl._create_unverified_context()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        for thread in list(threading.enumerate()):
            if thread.name.startswith("slow-watch"):
                thread.join(5)
        self._server.server_close()

    @property
    def kubeconfig(self) -> Path:
        """The same identity, through the proxy."""
        config = {**self._config}
        config["clusters"] = [
            {"name": self._config["clusters"][0]["name"], "cluster": {"server": f"http://127.0.0.1:{self._port}"}}
        ]
        path = self._folder / "slow-kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    @property
    def _port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def stopped(self) -> bool:
        """The test is over."""
        return self._stopped.is_set()

    def delay(self) -> None:
        """Wait up to the longest delay."""
        self._stopped.wait(self._random.uniform(0, self._longest))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                with closing(http.client.HTTPSConnection(proxy.upstream, context=proxy.context)) as connection:
                    self._through(connection, body)

            def _through(self, connection: http.client.HTTPSConnection, body: bytes | None) -> None:
                headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "connection"}}
                connection.request(self.command, self.path, body=body, headers=headers)
                answer = connection.getresponse()
                watch = "watch=true" in self.path
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in {"transfer-encoding", "connection", "content-length"}:
                        self.send_header(key, value)
                if not watch:
                    whole = answer.read()
                    self.send_header("Content-Length", str(len(whole)))
                    self.end_headers()
                    self.wfile.write(whole)
                else:
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.close_connection = True
                    while line := answer.readline():
                        proxy.delay()
                        if proxy.stopped:
                            return
                        self.wfile.write(line)
                        self.wfile.flush()

            def _guarded(self) -> None:
                with suppress(OSError, http.client.HTTPException):
                    self._forward()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _guarded  # noqa: N815 - names of http.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def settle(seconds: float) -> None:
    """Let real time pass, so that late events can do their harm."""
    time.sleep(seconds)
