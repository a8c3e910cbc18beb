"""Reading: one object, lists with paging, watches; as they are, or as tables."""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from agent.sim.apiserver import events, tables
from agent.sim.apiserver.messages import Clock, Request, Response, Target, answer
from agent.sim.apiserver.refusals import Refusal, bad_request, expired
from agent.sim.apiserver.resources import Object, Resource
from agent.sim.apiserver.selecting import exact_name, matcher
from agent.sim.apiserver.store import HistoryGone, Key, Store, Stored
from agent.sim.apiserver.watching import Selection, WatchStream

_DEFAULT_WATCH: Final = timedelta(minutes=30)
_TOO_OLD: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter."
)


class _Continue(msgspec.Struct):
    """What a continue token holds: the version of the list, and the last key that was shown."""

    rv: int
    after: tuple[str, str]


class Reader:
    """Answers GET. Call it with the store's lock held."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def one(self, resource: Resource, stored: Stored, request: Request, code: int = 200) -> Response:
        """One object as the request wants it."""
        if tables.wanted(request.accept):
            version = stored.object["metadata"]["resourceVersion"]
            return answer(tables.table(resource, [stored.object], version, self._clock()), code)
        if events.is_other(resource) or not stored.json:
            return answer(shown(resource, stored.object), code)
        return Response(code, stored.json)

    def list(self, target: Target, request: Request) -> Response:
        """A collection, or a page of it."""
        resource, query = target.resource, request.query
        matches = matcher(resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        token = _parse(query["continue"]) if query.get("continue") else None
        version = token.rv if token else self._store.revision
        if not token:
            self._check_version(query.get("resourceVersion", ""))
        held = self._at(resource, version) if token else self._present(resource, target.namespace)
        keys = sorted(k for k in held if not target.namespace or k[0] == target.namespace)
        if token:
            keys = [key for key in keys if key > token.after]
        name = target.name
        found = [held[k] for k in keys if (not name or k[1] == name) and matches(held[k].object)]
        limit = _number(query, "limit")
        meta: Object = {"resourceVersion": str(version)}
        if limit and len(found) > limit:
            last = found[limit - 1].object["metadata"]
            meta["continue"] = _token(_Continue(version, (last.get("namespace", ""), last["name"])))
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                meta["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        if tables.wanted(request.accept):
            table = tables.table(resource, [s.object for s in found], str(version), self._clock())
            return answer(table | {"metadata": meta})
        kind = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
        items = [msgspec.Raw(s.json) if not resource.stored_as else shown(resource, s.object) for s in found]
        return answer(kind | {"metadata": meta, "items": items})

    def watch(self, target: Target, request: Request) -> WatchStream:
        """Changes from a version on; without one, or from 0, what is there comes first."""
        resource, query = target.resource, request.query
        fields = query.get("fieldSelector", "")
        matches = matcher(resource, query.get("labelSelector", ""), fields)
        selection = Selection(
            resource.store,
            target.namespace,
            target.name or exact_name(fields),
            matches,
            self._renderer(resource, request),
            {"kind": resource.kind, "apiVersion": resource.api_version},
        )
        seconds = _number(query, "timeoutSeconds")
        ends = self._clock() + (timedelta(seconds=seconds) if seconds else _DEFAULT_WATCH)
        bookmarks = query.get("allowWatchBookmarks") in {"true", "1"}
        stream = WatchStream(self._store, self._clock, selection, ends, bookmarks=bookmarks)
        version = query.get("resourceVersion", "")
        first = query.get("sendInitialEvents") == "true"
        if first or version in {"", "0"}:
            stream.begin_with_present(tell_end=first and bookmarks)
        else:
            stream.since(_version(version))
        return stream

    def _renderer(self, resource: Resource, request: Request) -> Callable[[Stored], Object | msgspec.Raw]:
        if tables.wanted(request.accept):
            return lambda s: tables.table(resource, [s.object], s.object["metadata"]["resourceVersion"], self._clock())
        if resource.stored_as:
            return lambda s: shown(resource, s.object)
        return lambda s: msgspec.Raw(s.json)

    def _present(self, resource: Resource, namespace: str) -> dict[Key, Stored]:
        found = self._store.all(resource.store, namespace)
        return {(s.object["metadata"].get("namespace", ""), s.object["metadata"]["name"]): s for s in found}

    def _at(self, resource: Resource, version: int) -> dict[Key, Stored]:
        try:
            return self._store.at(resource.store, version)
        except HistoryGone as error:
            raise expired(_TOO_OLD) from error

    def _check_version(self, text: str) -> None:
        if text and _version(text) > self._store.revision:
            told = f"Timeout: Too large resource version: {text}, current: {self._store.revision}"
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            raise Refusal(504, "Timeout", told, details={"causes": causes}, retry_after_seconds=1)


def shown(resource: Resource, obj: Object) -> Object:
    """The object as this resource has it."""
    return events.shown(resource, obj) if events.is_other(resource) else obj


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise bad_request(
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if text and not (text.isascii() and text.isdigit()):
        raise bad_request(f"{name}: {text!r} is no number")
    return int(text or 0)


def _token(value: _Continue) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()


def _parse(text: str) -> _Continue:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Continue)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
