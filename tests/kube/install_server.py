"""A loopback API server that stores what it is given: enough of the API for an installation, on a thread of its own.

It keeps the rules that matter here: resourceVersion on every write, 409 for a stale one or a wrong UID, merge and JSON
patches, label and name selectors, tokens that it knows. `script` puts failures in front of the real answers.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Loopback

Json = dict[str, Any]


def jwt(subject: str, issued: int, expires: int) -> str:
    """A token whose claims can be read; its signature is nonsense."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": subject, "iat": issued, "exp": expires}).encode())
    return f"eyJhbGciOiJub25lIn0.{claims.rstrip(b'=').decode()}.c2lnbmF0dXJl"


class InstallServer(Loopback):
    """The server and its store: `objects` by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.requests: list[tuple[str, str]] = []
        self.failures: list[tuple[str, str, int, str, bool]] = []
        self.tokens: dict[str, str] = {"admin": "kubernetes-admin"}
        self.new_token: Callable[[Json], str] = lambda spec: jwt("nobody", 0, spec["expirationSeconds"])
        self._version = 0
        self._lock = threading.Lock()
        super().__init__(_handler(self))

    def kubeconfig(self, path: Path, token: str = "admin") -> Path:
        path.write_text(
            f"current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n"
            f"clusters: [{{name: c, cluster: {{server: '{self.url}'}}}}]\n"
            f"users: [{{name: c, user: {{token: {token}}}}}]\n"
        )
        return path

    def fail(self, method: str, path_part: str, status: int, reason: str = "", *, after: bool = False) -> None:
        """The next matching request is answered so; with `after` it is carried out all the same."""
        self.failures.append((method, path_part, status, reason, after))

    def store(self, path: str, item: Json) -> Json:
        """Writes an object; a CRD is served at once."""
        self._version += 1
        metadata = item.setdefault("metadata", {})
        metadata["resourceVersion"] = str(self._version)
        metadata.setdefault("uid", f"uid-{self._version}")
        if item.get("kind") == "CustomResourceDefinition":
            item["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
            item["spec"].setdefault("conversion", {"strategy": "None"})
        self.objects[path] = item
        return item

    def writes(self) -> list[tuple[str, str]]:
        """Every request that was not a read."""
        return [(method, path) for method, path in self.requests if method != "GET"]

    def answer(self, method: str, url: str, body: Any, token: str) -> tuple[int, Json]:
        parts = urlsplit(url)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self._lock:
            self.requests.append((method, parts.path))
            for failure in self.failures:
                if failure[0] == method and failure[1] in parts.path:
                    self.failures.remove(failure)
                    if failure[4]:
                        self._do(method, parts.path, query, body, token)
                    return failure[2], _status(failure[2], failure[3])
            return self._do(method, parts.path, query, body, token)

    def _do(self, method: str, path: str, query: dict[str, str], body: Any, token: str) -> tuple[int, Json]:
        if token not in self.tokens:
            return 401, _status(401, "Unauthorized")
        if path.endswith("/selfsubjectreviews"):
            return 201, {"status": {"userInfo": {"username": self.tokens[token]}}}
        if path.endswith("/token"):
            return self._token(path, body)
        if method == "POST":
            name = f"{path}/{body['metadata']['name']}"
            return (409, _status(409, "AlreadyExists")) if name in self.objects else (201, self.store(name, body))
        if path in self.objects:
            return self._on_object(method, path, body)
        if method == "GET" and not _is_name(path):
            return 200, {
                "metadata": {},
                "items": [item for key, item in self.objects.items() if _in(path, key, item, query)],
            }
        return 404, _status(404, "NotFound")

    def _token(self, path: str, body: Json) -> tuple[int, Json]:
        if path.removesuffix("/token") not in self.objects:
            return 404, _status(404, "NotFound")
        made = self.new_token(body["spec"])
        self.tokens[made] = "system:serviceaccount:joinery-system:joinery"
        return 201, {"status": {"token": made}}

    def _on_object(self, method: str, path: str, body: Any) -> tuple[int, Json]:
        item = self.objects[path]
        if method == "GET":
            return 200, item
        if method == "DELETE":
            if body["preconditions"]["uid"] != item["metadata"]["uid"]:
                return 409, _status(409, "Conflict")
            return 200, self.objects.pop(path)
        changed = json.loads(json.dumps(item))
        if isinstance(body, list):
            for step in body:
                *parents, last = [part.replace("~1", "/") for part in step["path"].split("/")[1:]]
                inner = changed
                for part in parents:
                    inner = inner[part]
                inner[last] = step["value"]
        else:
            _merge(changed, body)
        if changed["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            return 409, _status(409, "Conflict")
        return 200, self.store(path, changed)


def _merge(into: Json, patch: Json) -> None:
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _is_name(path: str) -> bool:
    """Whether a path names an object: plurals and names take turns, and a collection ends in a plural."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    return len(rest) % 2 == 0


def _in(collection: str, path: str, item: Json, query: dict[str, str]) -> bool:
    root, _, plural = collection.rpartition("/")
    key_root, _, _ = path.rpartition("/")
    inside = key_root == collection or (key_root.startswith(f"{root}/namespaces/") and key_root.endswith(f"/{plural}"))
    key, _, value = query.get("labelSelector", "").partition("=")
    labelled = not key or item["metadata"].get("labels", {}).get(key) == value
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    return inside and labelled and (not name or item["metadata"]["name"] == name)


def _status(code: int, reason: str) -> Json:
    return {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": f"the server says {reason}",
    }


def _handler(server: InstallServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes; the second must not wait for an answer

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, answer = server.answer(self.command, self.path, body, token)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 (the names that http.server looks for)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
            """Says nothing."""

    return Handler
