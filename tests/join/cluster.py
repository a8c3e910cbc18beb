"""A loopback API server with what joining needs: Secrets, Leases, cluster-info, tokens that authenticate.

Tokens behave as kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens says: the expiration counts, the
usages count, and cluster-info is signed by each token that may sign.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Loopback

Json = dict[str, Any]
SECRETS = "/api/v1/namespaces/kube-system/secrets"
INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
        self.monotonic = 1000.0

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic += seconds


class Cluster(Loopback):
    """The server and its objects by path. `down` refuses everything; `fail` scripts one answer."""

    def __init__(self, time: Time, kubeconfig: str) -> None:
        self.time = time
        self.objects: dict[str, Json] = {}
        self.info_kubeconfig: str | None = kubeconfig
        self.version = "v1.36.3"
        self.signs = True
        self.down = False
        self.failures: list[tuple[str, str, int, str, bool]] = []
        self._count = 0
        self._lock = threading.Lock()
        super().__init__(_handler(self))

    def fail(self, method: str, part: str, status: int, *, reason: str = "", after: bool = False) -> None:
        """Answer the next such request with an error; with `after` it is carried out all the same."""
        self.failures.append((method, part, status, reason, after))

    def secret(self, token_id: str) -> dict[str, str] | None:
        """The decoded data of a token's Secret."""
        found = self.objects.get(f"{SECRETS}/bootstrap-token-{token_id}")
        return None if found is None else {k: base64.b64decode(v).decode() for k, v in found["data"].items()}

    def edit(self, token_id: str, **changes: str) -> None:
        data = self.objects[f"{SECRETS}/bootstrap-token-{token_id}"]["data"]
        data.update({k.replace("_", "-"): base64.b64encode(v.encode()).decode() for k, v in changes.items()})

    def delete(self, token_id: str) -> None:
        del self.objects[f"{SECRETS}/bootstrap-token-{token_id}"]

    def live(self) -> set[str]:
        """Ids of the tokens that authenticate now."""
        ids = [path.rpartition("-")[2] for path in self.objects if path.startswith(SECRETS)]
        return {i for i in ids if self._alive(self.secret(i) or {})}

    def user(self, token: str) -> tuple[str, list[str]] | None:
        """Who the bearer of a token is; None: nobody."""
        token_id, _, secret = token.partition(".")
        data = self.secret(token_id) or {}
        if not secret or data.get("token-secret") != secret or not self._alive(data):
            return None
        extra = [g for g in data.get("auth-extra-groups", "").split(",") if g]
        return f"system:bootstrap:{token_id}", ["system:bootstrappers", *extra, "system:authenticated"]

    def _alive(self, data: dict[str, str]) -> bool:
        end = data.get("expiration")
        fresh = end is None or datetime.fromisoformat(end) > self.time.now
        return fresh and data.get("usage-bootstrap-authentication") == "true"

    def answer(self, method: str, url: str, body: Json, bearer: str) -> tuple[int, Json]:
        parts = urlsplit(url)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        with self._lock:
            if self.down:
                return 503, _status(503, "ServiceUnavailable")
            for failure in list(self.failures):
                wanted, part, status, reason, after = failure
                if wanted == method and part in parts.path:
                    self.failures.remove(failure)
                    if after:
                        self._do(method, parts.path, query, body, bearer)
                    return status, _status(status, reason)
            return self._do(method, parts.path, query, body, bearer)

    def _do(self, method: str, path: str, query: dict[str, str], body: Json, bearer: str) -> tuple[int, Json]:
        if path == "/version":
            return 200, {"major": "1", "minor": "36", "gitVersion": self.version}
        if path == INFO:
            return self._info()
        if path.endswith("/selfsubjectreviews"):
            user = self.user(bearer)
            if user is None:
                return 401, _status(401, "Unauthorized")
            return 201, {"status": {"userInfo": {"username": user[0], "groups": user[1]}}}
        if bearer != "admin":
            return 403, _status(403, "Forbidden")
        if method == "POST":
            name = f"{path}/{body['metadata']['name']}"
            return (409, _status(409, "AlreadyExists")) if name in self.objects else (201, self._store(name, body))
        if path in self.objects:
            return self._on(method, path, body)
        if method == "GET" and path == SECRETS:
            key, _, value = query["labelSelector"].partition("=")
            found = [o for p, o in self.objects.items() if p.startswith(f"{SECRETS}/")]
            return 200, {"items": [o for o in found if o["metadata"].get("labels", {}).get(key) == value]}
        return 404, _status(404, "NotFound")

    def _info(self) -> tuple[int, Json]:
        if self.info_kubeconfig is None:
            return 404, _status(404, "NotFound")
        signing = [i for i in self.live() if (self.secret(i) or {}).get("usage-bootstrap-signing") == "true"]
        signatures = {f"jws-kubeconfig-{i}": "x..y" for i in signing if self.signs}
        return 200, {"data": {"kubeconfig": self.info_kubeconfig, **signatures}}

    def _on(self, method: str, path: str, body: Json) -> tuple[int, Json]:
        found = self.objects[path]
        if method == "GET":
            return 200, found
        if method == "DELETE":
            uid = ((body or {}).get("preconditions") or {}).get("uid")
            if uid and uid != found["metadata"]["uid"]:
                return 409, _status(409, "Conflict")
            return 200, self.objects.pop(path)
        version = (body.get("metadata") or {}).get("resourceVersion")
        if version and version != found["metadata"]["resourceVersion"]:
            return 409, _status(409, "Conflict")
        return 200, self._store(path, body if method == "PUT" else _merged(found, body))

    def _store(self, path: str, body: Json) -> Json:
        self._count += 1
        meta = body["metadata"]
        meta["resourceVersion"] = str(self._count)
        meta.setdefault("uid", f"uid-{self._count}")
        meta.setdefault("creationTimestamp", self.time.now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.objects[path] = body
        return body


def _merged(into: Json, patch: Json) -> Json:
    out = dict(into)
    for key, value in patch.items():
        out[key] = _merged(out.get(key) or {}, value) if isinstance(value, dict) else value
    return out


def _status(code: int, reason: str) -> Json:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": f"scripted {reason}"}


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, answer = cluster.answer(self.command, self.path, body, bearer)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Says nothing."""

    return Handler


class AwsAnswering(Loopback):
    """A loopback service that answers every call of AWS's JSON protocol with what `answer` says."""

    def __init__(self, answer: Callable[[str, Json], tuple[int, Json]]) -> None:
        self.calls: list[tuple[str, Json, dict[str, str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                service.calls.append((operation, body, {k.lower(): v for k, v in self.headers.items()}))
                status, found = answer(operation, body)
                text = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Says nothing."""

        super().__init__(Handler)
