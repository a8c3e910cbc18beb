"""A loopback API server on the level of the protocol: objects with versions, paged lists, watches, preconditions.

What it answers is what kube-apiserver answers; `Script` says when it should fail, stall, lag or forget.
"""

from __future__ import annotations

import copy
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.kube.apihttp import Call, Handler, Json, JsonValue, Server, handler_of, merged

Answer = tuple[int, Json]


class Where(NamedTuple):
    """A path taken apart."""

    collection: str
    namespace: str
    name: str
    subresource: str


class Happened(NamedTuple):
    version: int
    collection: str
    type: str
    object: Json
    dishonest: bool = False


class Failure(NamedTuple):
    method: str
    part: str
    action: Callable[[Handler], bool]
    """True: the request is answered, False: it goes on to be carried out."""


def status(code: int, reason: str, message: str, **more: JsonValue) -> Json:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return body | {"message": message, "reason": reason, "code": code} | more


def locate(path: str) -> Where:
    parts = path.strip("/").split("/")
    version, rest = (parts[:2], parts[2:]) if parts[0] == "api" else (parts[:3], parts[3:])
    namespace = ""
    if rest and rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    rest += [""] * (3 - len(rest))
    return Where("/".join([*version, rest[0]]), namespace, rest[1], rest[2])


class ApiServer:
    """Ends with `close`. Objects are laid in with `put` and taken out with `remove`, as others would do it."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.version = 100
        self.compacted = 0
        self.silent = False
        """Watches stay open and say nothing any more."""
        self.lag: int | None = None
        """Lists and watches show only what happened up to this version, as a replica that is behind."""
        self.evictions: list[Answer] = []
        self._failures: list[Failure] = []
        self._happened: list[Happened] = []
        self._objects: dict[tuple[str, str, str], Json] = {}
        self.changed = threading.Condition(threading.RLock())
        self.cut = 0
        self.stopping = False
        self._http = Server(("127.0.0.1", 0), handler_of(self))
        self.scheme = "http"
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._http.hang_up()
        self._thread.join()

    def kubeconfig(self, folder: Path, user: Json | None = None, cluster: Json | None = None) -> str:
        document = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.url} | (cluster or {})}],
            "users": [{"name": "u", "user": user or {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        (folder / "kubeconfig").write_text(json.dumps(document))
        return str(folder / "kubeconfig")

    # What others do in the cluster.

    def put(self, path: str, body: Json) -> Json:
        """Create or change the object at its own path."""
        where = locate(path)
        with self.changed:
            self.version += 1
            key = (where.collection, where.namespace, where.name)
            old = self._objects.get(key)
            kept = old["metadata"] if old is not None else {"uid": f"uid-{self.version}"}
            meta = {"uid": kept["uid"], "name": where.name} | body.get("metadata", {})
            if where.namespace:
                meta["namespace"] = where.namespace
            stored = body | {"metadata": meta | {"resourceVersion": str(self.version)}}
            self._objects[key] = stored
            self._tell("MODIFIED" if old is not None else "ADDED", where.collection, stored)
            return copy.deepcopy(stored)

    def remove(self, path: str) -> None:
        where = locate(path)
        with self.changed:
            self.version += 1
            gone = self._objects.pop((where.collection, where.namespace, where.name))
            last = gone | {"metadata": gone["metadata"] | {"resourceVersion": str(self.version)}}
            self._tell("DELETED", where.collection, last)

    def bookmark(self, path: str) -> None:
        with self.changed:
            note = {"kind": "X", "metadata": {"resourceVersion": str(self.version)}}
            self._tell("BOOKMARK", locate(path).collection, note)

    def dishonest_event(self, path: str, event_type: str, body: Json) -> None:
        """An event that no honest history has; open watches show it whatever its version is."""
        with self.changed:
            self._happened.append(Happened(0, locate(path).collection, event_type, body, dishonest=True))
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget all history: watches and continue tokens from before answer 410."""
        with self.changed:
            self.compacted = self.version
            self._happened.clear()

    def cut_watches(self) -> None:
        """Close the connection of every watch."""
        with self.changed:
            self.cut += 1
            self.changed.notify_all()

    def stored(self, path: str) -> Json | None:
        where = locate(path)
        with self.changed:
            return copy.deepcopy(self._objects.get((where.collection, where.namespace, where.name)))

    def count(self, method: str, part: str, **query: str) -> int:
        with self.changed:
            calls = list(self.calls)
        return sum(
            c.method == method and part in c.path and all(c.query.get(k) == v for k, v in query.items()) for c in calls
        )

    # Scripted trouble, for the next matching request; each is used once.

    def fail(self, method: str, part: str, code: int, body: Json | str | None = None, **headers: str) -> None:
        def answer(handler: Handler) -> bool:
            handler.answer(code, body if body is not None else status(code, "", f"scripted {code}"), headers)
            return True

        self._script(method, part, answer)

    def hang_up(self, method: str, part: str, *, after: bool = False) -> None:
        """Close without an answer, before or after the request was carried out."""

        def drop(handler: Handler) -> bool:
            handler.drop_answer = after
            if not after:
                handler.close_connection = True
            return not after

        self._script(method, part, drop)

    def delay(self, method: str, part: str, seconds: float) -> None:
        def wait(_: Handler) -> bool:
            time.sleep(seconds)
            return False

        self._script(method, part, wait)

    def _script(self, method: str, part: str, action: Callable[[Handler], bool]) -> None:
        with self.changed:
            self._failures.append(Failure(method, part, action))

    def scripted(self, call: Call) -> Callable[[Handler], bool] | None:
        with self.changed:
            self.calls.append(call)
            for failure in self._failures:
                # "…?watch" and "…?list" at the end of a part tell the two ways of reading a collection apart.
                target = f"{call.path}?{'watch' if call.query.get('watch') else 'list'}"
                if failure.method == call.method and failure.part in target:
                    self._failures.remove(failure)
                    return failure.action
        return None

    # The protocol.

    def answer(self, call: Call) -> Answer:
        where = locate(call.path)
        if call.method == "GET" and not where.name:
            return self.listed(where, call.query)
        return self.one(call, where)

    def _tell(self, event_type: str, collection: str, body: Json) -> None:
        self._happened.append(Happened(self.version, collection, event_type, copy.deepcopy(body)))
        self.changed.notify_all()

    def listed(self, where: Where, query: dict[str, str]) -> Answer:
        with self.changed:
            if "continue" in query:
                version, start = (int(n) for n in query["continue"].split("."))
                if version < self.compacted:
                    return 410, status(410, "Expired", "The provided continue parameter is too old")
            else:
                version, start = self.version if self.lag is None else self.lag, 0
            items = self._items(where, version)
        limit = int(query.get("limit", 0)) or len(items) or 1
        meta = {"resourceVersion": str(version)}
        if len(items) > start + limit:
            meta["continue"] = f"{version}.{start + limit}"
        return 200, {"kind": "List", "metadata": meta, "items": items[start : start + limit]}

    def _items(self, where: Where, version: int) -> list[Json]:
        """As of a version, from the history when it is not the present one."""
        then = {k: o for k, o in self._objects.items() if int(o["metadata"]["resourceVersion"]) <= version}
        return [
            copy.deepcopy(o)
            for (collection, namespace, _), o in sorted(then.items())
            if collection == where.collection and where.namespace in {"", namespace}
        ]

    def watch(self, call: Call) -> Iterator[Json]:
        """Events from the version on."""
        where, query = locate(call.path), call.query
        since, ends = int(query["resourceVersion"]), time.monotonic() + int(query["timeoutSeconds"])
        with self.changed:
            cut, told, gone = self.cut, 0, since < self.compacted
        if gone:
            yield {"type": "ERROR", "object": status(410, "Expired", "too old resource version")}
            return
        while time.monotonic() < ends:
            with self.changed:
                if self.stopping or self.cut != cut:
                    return
                news, told = self._happened[told:], len(self._happened)
                if not news:
                    self.changed.wait(0.05)
                quiet = self.silent or self.lag is not None
            for event in news:
                honest = (event.version > since or event.type == "BOOKMARK") and not quiet
                if event.collection == where.collection and (honest or event.dishonest):
                    yield {"type": event.type, "object": event.object}

    def one(self, call: Call, where: Where) -> Answer:
        with self.changed:
            found = self._objects.get((where.collection, where.namespace, where.name))
            if call.method == "POST" and where.subresource == "eviction":
                return self._evict(where, call, found)
            if call.method == "POST":
                return self._create(call)
            if found is None:
                text = f'{where.collection.split("/")[-1]} "{where.name}" not found'
                return 404, status(404, "NotFound", text)
            if call.method == "GET":
                return 200, copy.deepcopy(found)
            if call.method == "DELETE":
                return self._delete(call, found)
            return self._update(call, found)

    def _create(self, call: Call) -> Answer:
        assert isinstance(call.body, dict)
        meta = call.body["metadata"]
        name = meta.get("name") or f"{meta['generateName']}{self.version}"
        path = f"{call.path}/{name}"
        if self.stored(path) is not None:
            return 409, status(409, "AlreadyExists", f'"{name}" already exists')
        body = call.body | {"metadata": meta | {"name": name}}
        return 201, self.put(path, body)

    def _update(self, call: Call, found: Json) -> Answer:
        assert isinstance(call.body, dict)
        expected = call.body.get("metadata", {}).get("resourceVersion")
        if expected is not None and expected != found["metadata"]["resourceVersion"]:
            text = "the object has been modified; please apply your changes to the latest version and try again"
            return 409, status(409, "Conflict", text)
        body = call.body if call.method == "PUT" else merged(found, call.body)
        assert isinstance(body, dict)
        return 200, self.put(call.path, body)

    def _delete(self, call: Call, found: Json) -> Answer:
        assert isinstance(call.body, dict)
        for key, expected in (call.body.get("preconditions") or {}).items():
            if found["metadata"][key] != expected:
                return 409, status(409, "Conflict", f"Precondition failed: {key} in precondition: {expected}")
        self.remove(call.path)
        return 200, status(200, "", "") | {"status": "Success"}

    def _evict(self, where: Where, call: Call, found: Json | None) -> Answer:
        assert isinstance(call.body, dict)
        if self.evictions:
            return self.evictions.pop(0)
        if found is None:
            return 404, status(404, "NotFound", f'pods "{where.name}" not found')
        uid = call.body.get("deleteOptions", {}).get("preconditions", {}).get("uid")
        if uid not in {None, found["metadata"]["uid"]}:
            return 409, status(409, "Conflict", "the UID in the precondition does not match")
        self.remove(call.path.removesuffix("/eviction"))
        return 201, status(201, "", "") | {"status": "Success"}
