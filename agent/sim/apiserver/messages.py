"""A request and its answer without any socket, and what the path of a request means."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from agent.sim.apiserver.refusals import bad_request, no_such_path
from agent.sim.apiserver.resources import Object, Resource

JSON: Final = "application/json"
MASTERS: Final = "system:masters"
AUTHENTICATED: Final = "system:authenticated"

Clock = Callable[[], datetime]


class User(msgspec.Struct, frozen=True):
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = {}


ADMIN: Final = User("kubernetes-admin", (MASTERS, AUTHENTICATED))
"""For callers within the process."""


class Request(msgspec.Struct, frozen=True):
    """One request. ``user`` is whom a client certificate has proved; None leaves it to the Authorization header."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes = b""
    content_type: str = JSON
    accept: str = JSON
    authorization: str = ""
    user: User | None = None

    @property
    def dry(self) -> bool:
        """Whether nothing is to be stored."""
        return self.query.get("dryRun") == "All"

    @property
    def watch(self) -> bool:
        """Whether changes are asked for rather than a list."""
        return self.query.get("watch") in {"true", "1"}

    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body. Raises a refusal (400) when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from error

    def object(self) -> Object:
        """The body as one object; empty when there is none."""
        decoded = self.json() if self.body.strip() else {}
        if not isinstance(decoded, dict):
            raise bad_request("the object provided is unrecognized (must be of type Object)")
        return decoded


class Response(msgspec.Struct, frozen=True):
    """One answer."""

    code: int
    body: bytes
    content_type: str = JSON
    retry_after_seconds: int | None = None


def answer(value: Any, code: int = 200) -> Response:  # noqa: ANN401 - any JSON value
    """An answer in JSON."""
    return Response(code, msgspec.json.encode(value))


class Target(msgspec.Struct, frozen=True):
    """What a path names: a collection, or with a ``name`` one object, or a subresource of it."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


Served = Mapping[tuple[str, str, str], Resource]
"""Resources by group, version and plural."""


def locate(path: str, served: Served) -> Target:
    """What a path below /api or /apis names.

    Raises:
        Refusal: 404, no resource has such a path.
    """
    parts = [unquote(part) for part in path.strip("/").split("/")]
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    version = parts[1] if parts[0] == "api" else parts[2]
    namespace = ""
    # /namespaces/x and its subresources are the object itself; anything longer is within it.
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in {"status", "finalize"}:  # noqa: PLR2004
        namespace, rest = rest[1], rest[2:]
    resource = served.get((group, version, rest[0] if rest else ""))
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):  # noqa: PLR2004
        raise no_such_path()
    name, subresource = [*rest[1:], "", ""][:2]
    if name and resource.namespaced and not namespace:
        raise no_such_path()
    return Target(resource, namespace, name, subresource)
