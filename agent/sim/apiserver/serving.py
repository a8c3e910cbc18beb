"""The API over HTTPS on loopback: sockets, TLS, one thread for each connection."""

import base64
import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

import yaml

from agent.kube.times import utc_now
from agent.sim.apiserver.api import Api
from agent.sim.apiserver.certificates import holder
from agent.sim.apiserver.messages import ADMIN, Clock, Request, Response, User
from agent.sim.apiserver.watching import WatchStream

_LONGEST_WAIT: Final = timedelta(seconds=5)
"""Between two looks of a watch at the clock; changes wake it at once."""
_HANDSHAKE_SECONDS: Final = 10.0
_PRIVATE: Final = 0o600


class ApiServer:
    """``with ApiServer(folder) as server:`` serves until the end of the block.

    Args:
        folder: Where the server's key is written (mode 0600); the ssl module reads keys from files only.
        clock: The present, as in ``Api``.
        port: 0 lets the kernel choose.
        cluster: The cluster's name in kubeadm-config.

    """

    def __init__(self, folder: Path, *, clock: Clock = utc_now, port: int = 0, cluster: str = "kubernetes") -> None:
        self._folder = folder
        self._http = _Server(("127.0.0.1", port), _Handler)
        self.url = f"https://127.0.0.1:{self._http.server_port}"
        """``https://host:port``."""
        self.api = Api(self.url, clock=clock, cluster=cluster)
        """The same API for callers within the process."""
        self._http.api = self.api
        self._http.context = self._tls()
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="apiserver", daemon=True
        )

    @property
    def ca_pem(self) -> str:
        """The certificate authority of the cluster."""
        return self.api.authority.pem

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.stopping = True
        with self.api.store.changed:
            self.api.store.changed.notify_all()
        self._http.shutdown()
        self._http.cut()
        self._http.server_close()
        self._thread.join()

    def write_kubeconfig(self, path: Path, *, user: User = ADMIN, token: str = "") -> Path:
        """A kubeconfig (mode 0600) for a user by certificate, or for whoever holds a token."""
        if token:
            credential = {"token": token}
        else:
            pair = self.api.authority.client(user)
            credential = {
                "client-certificate-data": base64.b64encode(pair.certificate).decode(),
                "client-key-data": base64.b64encode(pair.key).decode(),
            }
        authority = base64.b64encode(self.ca_pem.encode()).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": user.name, "user": credential}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user.name}}],
        }
        path.touch(mode=_PRIVATE)
        path.write_text(yaml.safe_dump(document))
        return path

    def _tls(self) -> ssl.SSLContext:
        pair = self.api.authority.server()
        path = self._folder / "apiserver.pem"
        path.touch(mode=_PRIVATE)
        path.write_bytes(pair.key + pair.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.load_verify_locations(cadata=self.ca_pem)
        # Tokens are accepted without a certificate, and nobody without either.
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    api: Api
    context: ssl.SSLContext

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.stopping = False
        self._open: set[ssl.SSLSocket] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """TLS is agreed upon in the connection's own thread, so that a silent client holds up nobody."""
        assert isinstance(request, socket.socket)
        request.settimeout(_HANDSHAKE_SECONDS)
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as connection:
            connection.settimeout(None)
            with self._lock:
                self._open.add(connection)
            try:
                super().finish_request(connection, client_address)
            finally:
                with self._lock:
                    self._open.discard(connection)

    def cut(self) -> None:
        """End the connections that wait for a next request."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    # Only the socket: the TLS session belongs to the thread that reads it.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        certificate = self.connection.getpeercert(binary_form=True)
        request = Request(
            self.command,
            url.path,
            dict(parse_qsl(url.query, keep_blank_values=True)),
            body,
            self.headers.get("Content-Type") or "",
            self.headers.get("Accept") or "",
            self.headers.get("Authorization") or "",
            holder(certificate) if certificate else None,
        )
        found = self.server.api.handle(request)
        if isinstance(found, WatchStream):
            self._stream(found)
        else:
            self._whole(found)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """The base class looks for a method named after the verb; here one serves all, and the API refuses some."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _whole(self, response: Response) -> None:
        self.send_response_only(response.code, HTTPStatus(response.code).phrase)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        if response.retry_after_seconds:
            self.send_header("Retry-After", str(response.retry_after_seconds))
        self.end_headers()
        self.wfile.write(response.body)
        self.wfile.flush()

    def _stream(self, stream: WatchStream) -> None:
        self.send_response_only(HTTPStatus.OK, "OK")
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        # The connection ends with the watch; a client that is not told so would send its next request into it.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        while True:
            for line in self._due(stream):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
            if stream.ended or self.server.stopping:
                self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
            if stream.ended:
                return
            # Whoever watches has nothing more to say: what can be read is the end of the connection.
            if self.server.stopping or select.select([self.connection], [], [], 0)[0]:
                self.close_connection = True
                return

    def _due(self, stream: WatchStream) -> list[bytes]:
        """The lines that are due; empty when it is time to look after the connection."""
        changed = self.server.api.store.changed
        with changed:
            lines = stream.poll()
            if not lines and not stream.ended and not self.server.stopping:
                changed.wait(stream.pause(_LONGEST_WAIT).total_seconds())
                lines = stream.poll()
            return lines

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
