"""The real KubeApi on the model of the API server: only the connection pool beneath it is another."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from typing import Any, NoReturn

import msgspec
import urllib3
from urllib3 import exceptions as http

from agent.kube.api import KubeApi
from agent.kube.kubeconfig import Access, Identity
from tests.kube.apiserver import status
from tests.virtual.fibers import Fiber
from tests.virtual.kubernetes import Answer, Change, Cluster, parsed, selected
from tests.virtual.line import Line, Mishap

SERVER = "https://api.virtual:6443"
BOOKMARK_SECONDS = 55.0


class Plain:
    """A whole answer."""

    def __init__(self, answer: Answer) -> None:
        self.status, self.data = answer
        self.headers: dict[str, str] = {}


class Weather:
    """How watches fare now. The harness changes it; times are seconds."""

    def __init__(self) -> None:
        self.lag: dict[str, float] = {}
        """Per kind (``pods``), or ``*``: how late its events come."""
        self.stalled: set[str] = set()
        """Kinds whose watches stay open and say nothing."""
        self.behind: int | None = None
        """A replica that is behind answers lists: the version that it has."""

    def lag_of(self, resource: str) -> float:
        return self.lag.get(resource, self.lag.get("*", 0.02))


class Pool:
    """What urllib3's pool is to the transport, for one process and one identity."""

    def __init__(self, cluster: Cluster, line: Line, weather: Weather, record: Any) -> None:
        self._cluster = cluster
        self._line = line
        self._weather = weather
        self._record = record

    def clear(self) -> None:
        """Nothing is kept."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        path = url.removeprefix(SERVER)
        if "watch=true" in path:
            return self._watch(path, options["timeout"])
        body, bearer = options["body"], options["headers"].get("Authorization", "").removeprefix("Bearer ")
        where = parsed(path.partition("?")[0])
        resource = where.collection.rpartition("/")[2]
        action = f"{method} {resource}" + (f"/{where.subresource}" if where.subresource else "")
        name = f"{where.namespace}/{where.name}" if where.namespace else where.name

        def execute(effect: str) -> Plain:
            prepared = self._record.before_kube(method, where) if method != "GET" else None
            answer = self._cluster.answer(method, path, body, bearer)
            if method != "GET":
                self._record.after_kube(self._line.process, (action, name, effect), prepared, answer)
            return Plain(answer)

        return self._line.call("kube", action, name, execute, lambda m: _failed(m, url))

    def _watch(self, path: str, timeout: urllib3.Timeout) -> Any:
        path, _, query = path.partition("?")
        params = dict(p.partition("=")[::2] for p in query.split("&"))
        where = parsed(path)
        resource = where.collection.rpartition("/")[2]

        def execute(_: str) -> VirtualWatch | Plain:
            if int(params["resourceVersion"]) < self._cluster.compacted[where.collection]:
                return Plain((410, msgspec.json.encode(status(410, "Expired", "too old resource version"))))
            return VirtualWatch(self._cluster, self._line, self._weather, (where.collection, params), timeout)

        return self._line.call("kube", f"GET {resource}/watch", "", execute, lambda m: _failed(m, path))


def _failed(mishap: Mishap, url: str) -> Any:
    if mishap.kind == "refuse":
        code = int(mishap.code)
        reason = {403: "Forbidden", 409: "Conflict", 429: "TooManyRequests"}.get(code, "InternalError")
        return Plain((code, msgspec.json.encode(status(code, reason, f"injected {code}"))))
    raise http.ReadTimeoutError(None, url, "Read timed out.")  # type: ignore[arg-type]  # there is no pool to name


class VirtualWatch(urllib3.HTTPResponse):
    """A stream of events; waits in virtual time."""

    def __init__(
        self,
        cluster: Cluster,
        line: Line,
        weather: Weather,
        asked: tuple[str, dict[str, str]],
        timeout: urllib3.Timeout,
    ) -> None:
        super().__init__(body=b"", status=200)
        self._cluster = cluster
        self._line = line
        self._weather = weather
        self._collection, self._params = asked
        self._params = {k: v.replace("%2F", "/").replace("%3D", "=") for k, v in self._params.items()}
        self._resource = self._collection.rpartition("/")[2]
        self._at = int(self._params["resourceVersion"])
        self._silence = float(timeout.read_timeout or 60.0)
        self._ends = line.fibers.now + float(self._params["timeoutSeconds"])
        self._fiber: Fiber | None = None
        self._over = False
        cluster.watchers.append(self._changed)

    def stream(self, amt: int | None = 0, decode_content: bool | None = None) -> Generator[bytes, None, None]:  # noqa: ARG002
        fibers = self._line.fibers
        self._fiber = fibers.current
        heard = fibers.now
        while not self._over:
            self._line.check()
            stalled = self._resource in self._weather.stalled
            if stalled and fibers.now - heard >= self._silence:
                self._timed_out()
            due = [] if stalled else self._due()
            if due is None:
                yield b'{"type":"ERROR","object":' + msgspec.json.encode(status(410, "Expired", "too old")) + b"}\n"
                return
            if due:
                heard = fibers.now
                yield b"".join(due)
            elif fibers.now >= self._ends and not stalled:
                return
            elif fibers.now - heard >= BOOKMARK_SECONDS and not stalled:
                heard = fibers.now
                yield self._bookmark()
            else:
                self._rest(heard, stalled=stalled)

    def shutdown(self) -> None:
        self._over = True
        if self._fiber is not None:
            self._line.fibers.wake(self._fiber)

    def close(self) -> None:
        if self._changed in self._cluster.watchers:
            self._cluster.watchers.remove(self._changed)

    def _timed_out(self) -> NoReturn:
        raise http.ReadTimeoutError(None, self._resource, "Read timed out.")  # type: ignore[arg-type]

    def _due(self) -> list[bytes] | None:
        """Lines that have arrived by now; None when history is gone."""
        if self._at < self._cluster.compacted[self._collection]:
            return None
        shown = self._line.fibers.now - self._weather.lag_of(self._resource)
        found = []
        for change in self._since():
            if change.at > shown:
                break
            self._at = change.version
            if selected(change.body, self._params):
                found.append(change.line + b"\n")
        return found

    def _since(self) -> Iterator[Change]:
        listed = self._cluster.changes[self._collection]
        newest = len(listed)
        while newest and listed[newest - 1].version > self._at:
            newest -= 1
        return itertools.islice(listed, newest, None)

    def _bookmark(self) -> bytes:
        if next(self._since(), None) is not None:
            return b"\n"
        body = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self._cluster.version)}}}
        return msgspec.json.encode(body) + b"\n"

    def _rest(self, heard: float, *, stalled: bool) -> None:
        fibers = self._line.fibers
        until = heard + self._silence if stalled else min(self._ends, heard + BOOKMARK_SECONDS)
        waiting = next(self._since(), None)
        if waiting is not None and not stalled:
            until = min(until, waiting.at + self._weather.lag_of(self._resource))
        fibers.sleep(max(until - fibers.now, 0.001))

    def _changed(self, collection: str, _kind: str, _body: Any) -> None:
        if collection == self._collection and self._fiber is not None and self._resource not in self._weather.stalled:
            fibers = self._line.fibers
            fibers.wake(self._fiber, fibers.now + self._weather.lag_of(self._resource))


def kube_api(cluster: Cluster, line: Line, weather: Weather, record: Any) -> KubeApi:
    """The API as one process reaches it."""
    pool: Any = Pool(cluster, line, weather, record)
    return KubeApi(Access(SERVER, lambda _: pool, None, Identity(lambda: "Bearer agent")))
