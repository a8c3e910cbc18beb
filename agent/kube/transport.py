"""Requests and answers on urllib3, and the one place that knows what urllib3, ssl and the socket raise."""

import socket
from collections.abc import Callable, Iterator
from http import HTTPStatus

import msgspec
import urllib3
from urllib3 import exceptions as http_errors

from agent.kube import errors
from agent.kube.kubeconfig import Access
from agent.model.names import FIELD_MANAGER

JSON = "application/json"

_CHUNK_BYTES = 64 * 1024


class Request(msgspec.Struct, frozen=True):
    """One call; ``url`` begins with the path."""

    method: str
    url: str
    body: bytes | None = None
    content_type: str = JSON

    def __str__(self) -> str:
        """Method and path, for error texts."""
        return f"{self.method} {self.url.partition('?')[0]}"


class TimedOut(errors.Retryable):
    """The request was sent and its answer did not come in time."""


class Watch(Iterator[bytes]):
    """The lines of one watch. ``stop`` may be called from another thread and ends the iteration at once."""

    def __init__(self, answer: urllib3.HTTPResponse, fail: Callable[[Exception], errors.KubeError]) -> None:
        self._answer = answer
        self._fail = fail
        self._lines = self._read()
        self._stopped = False

    def __next__(self) -> bytes:
        try:
            return next(self._lines)
        except (http_errors.HTTPError, OSError, ValueError) as error:
            if self._stopped:
                raise StopIteration from error
            raise self._fail(error) from error

    def stop(self) -> None:
        """End the iteration from any thread, even while it waits for the server."""
        self._stopped = True
        try:
            self._answer.shutdown()
        except (OSError, ValueError):
            return  # it ended by itself meanwhile

    def close(self) -> None:
        """Give the connection up. Only the thread that iterates may call it."""
        self._answer.close()

    def _read(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self._answer.stream(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line for line in lines if line)
        if rest:
            # Of a stream that was cut this may be half a line; the reader's decoder finds out.
            yield rest


class Transport:
    """Sends requests to one server as one identity; for use from any thread."""

    def __init__(self, access: Access, timeout_seconds: float) -> None:
        self._access = access
        self._timeout_seconds = timeout_seconds

    def call(self, request: Request) -> bytes:
        """The body of a successful answer."""
        timeout = urllib3.Timeout(connect=self._timeout_seconds, read=self._timeout_seconds)
        return self._send(request, timeout, stream=False).data

    def watch(self, request: Request, read_timeout_seconds: float) -> Watch:
        """A successful answer as it comes; silence beyond the time-out raises TimedOut from the iteration."""
        timeout = urllib3.Timeout(connect=self._timeout_seconds, read=read_timeout_seconds)
        answer = self._send(request, timeout, stream=True)
        assert isinstance(answer, urllib3.HTTPResponse)
        return Watch(answer, lambda error: self._failure(error, request))

    def _send(self, request: Request, timeout: urllib3.Timeout, *, stream: bool) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": JSON, "User-Agent": FIELD_MANAGER}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if authorization := self._access.authorization():
            headers["Authorization"] = authorization
        try:
            answer = self._access.pool.request(
                request.method,
                self._access.server + request.url,
                body=request.body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=not stream,
            )
            if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                return answer
            # Reading the body gives the connection of a stream back to the pool, too.
            body = answer.data
        except (http_errors.HTTPError, OSError, ValueError) as error:
            raise self._failure(error, request) from error
        raise errors.from_answer(answer.status, body, answer.headers, f"{request} of {self._access.server}")

    def _failure(self, error: Exception, request: Request) -> errors.KubeError:
        """A type and a sentence for a call that got no whole answer."""
        server = self._access.server
        if isinstance(error, http_errors.LocationValueError):
            return errors.Invalid(f"{server} is not an address that can be called: {error}")
        if isinstance(error, http_errors.ReadTimeoutError):
            return TimedOut(f"the API server at {server} did not answer {request} in time", maybe_done=True)
        if isinstance(error, http_errors.ConnectTimeoutError) and not isinstance(error, http_errors.NewConnectionError):
            return errors.Retryable(f"the API server at {server} does not answer: connecting timed out")
        why = _words(_root(error))
        if isinstance(error, http_errors.NewConnectionError | http_errors.SSLError | http_errors.ProxyError):
            return errors.Retryable(f"the API server at {server} does not answer: {why}")
        return errors.Retryable(
            f"the connection to the API server at {server} broke during {request}: {why}", maybe_done=True
        )


def _root(error: BaseException) -> BaseException:
    """The innermost cause: urllib3 wraps the socket's own error two or three times."""
    seen = error
    while True:
        inner = seen.__cause__ or next((a for a in seen.args if isinstance(a, BaseException)), None)
        if inner is None:
            return seen
        seen = inner


def _words(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved ({error.strerror})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return " ".join(str(error).split()) or type(error).__name__
