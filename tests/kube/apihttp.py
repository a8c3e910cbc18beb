"""The HTTP side of the loopback API server: connections, chunks, answers that are lost."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
JsonValue = Json | list[Any] | str | int | float | bool | None


Request = socket.socket | tuple[bytes, socket.socket]
"""As socketserver types it; a TCP server's is a socket."""


class Call(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Json | list[Json] | None


class Served(Protocol):
    def scripted(self, call: Call) -> Callable[[Handler], bool] | None: ...

    def answer(self, call: Call) -> tuple[int, Json]: ...

    def watch(self, call: Call) -> Iterator[Json]: ...


def merged(old: JsonValue, patch: JsonValue) -> JsonValue:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result: Json = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Served
    drop_answer = False

    def handle_one_request(self) -> None:
        with suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass

    def answer(self, code: int, body: Json | str, headers: dict[str, str] | None = None) -> None:
        if self.drop_answer:
            self.close_connection = True
            return
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def serve(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        call = Call(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body)
        failure = self.api.scripted(call)
        if failure is not None and failure(self):
            return
        if call.method == "GET" and call.query.get("watch"):
            self._stream(call)
        else:
            self.answer(*self.api.answer(call))

    def _stream(self, call: Call) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self.api.watch(call):
            line = json.dumps(event).encode() + b"\n"
            # Two chunks: a line may come in pieces.
            for piece in (line[:7], line[7:]):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the base class calls them so


def handler_of(api: Served) -> type[Handler]:
    return type("_Handler", (Handler,), {"api": api})


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self._open: set[Request] = set()
        super().__init__(address, handler)

    def process_request(self, request: Request, client_address: object) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Request) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Request, client_address: object) -> None:
        """A client that hangs up is part of the tests."""

    def hang_up(self) -> None:
        for request in list(self._open):
            assert isinstance(request, socket.socket)
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
