"""The latest moment that objects tell of: the time of a snapshot that is made of files."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from agent.model import names

_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_KEYS: Final = ("creationTimestamp", "deletionTimestamp", "annotations")


def parse_time(text: str) -> datetime | None:
    """A moment as RFC 3339 has it, in UTC; None when it is none."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, offset = match.groups()
    zone = "+00:00" if offset in {"Z", "z"} else offset
    try:
        return datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class _Metadata(msgspec.Struct, rename="camel"):
    creation_timestamp: Any = None
    deletion_timestamp: Any = None
    annotations: Any = None


class _Dated(msgspec.Struct):
    """What of an object tells of times."""

    metadata: _Metadata | None = None
    status: Any = None


_decoder: Final = msgspec.json.Decoder(_Dated)


def newest(objects: Iterable[Mapping[str, Any] | msgspec.Raw]) -> datetime | None:
    """The latest of what clusters write: creation, deletion, interruption notices and all times of a status.

    Specs and other annotations may hold any date, a certificate's end for example, which says nothing of now.
    """
    texts: set[str] = set()
    for obj in objects:
        dated = _dated_raw(obj) if isinstance(obj, msgspec.Raw) else _dated_obj(obj)
        if (metadata := dated.metadata) is not None:
            noticed = metadata.annotations.get(names.INTERRUPTION) if isinstance(metadata.annotations, dict) else None
            said = (metadata.creation_timestamp, metadata.deletion_timestamp, noticed)
            texts.update(text for text in said if isinstance(text, str))
        _collect(dated.status, texts)
    return max((found for text in texts if (found := parse_time(text)) is not None), default=None)


def _dated_raw(raw: msgspec.Raw) -> _Dated:
    try:
        return _decoder.decode(raw)
    except msgspec.MsgspecError:  # that is a fault of the object, which its reader words
        return _Dated()


def _dated_obj(obj: Mapping[str, Any]) -> _Dated:
    metadata = obj.get("metadata")
    stamps = (metadata.get(key) for key in _KEYS) if isinstance(metadata, Mapping) else ()
    return _Dated(_Metadata(*stamps), obj.get("status"))


def _collect(status: object, texts: set[str]) -> None:
    waiting = [status]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.add(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
