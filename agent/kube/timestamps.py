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
COUNTABLE_YEAR: Final = 9000
"""From here on the longest duration that Go knows, 292 years, may lead beyond Python's calendar."""
_KEYS: Final = ("creationTimestamp", "deletionTimestamp", "annotations")


def parse_time(text: str) -> datetime | None:
    """A moment as RFC 3339 has it, in UTC; None when it is none, or so late that nothing can be counted from it."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, offset = match.groups()
    zone = "+00:00" if offset in {"Z", "z"} else offset
    try:
        found = datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year < COUNTABLE_YEAR else None


class _Metadata(msgspec.Struct, rename="camel"):
    creation_timestamp: Any = None
    deletion_timestamp: Any = None
    annotations: Any = None


class _Dated(msgspec.Struct):
    """What of an object tells of times."""

    metadata: _Metadata | None = None
    status: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_decoder: Final = msgspec.json.Decoder(_Dated)
_IN_JSON: Final = re.compile(rb'"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][^"]*)"(?!\s*:)')
"""A text, not a key, that may be a moment, in JSON that escapes nothing."""


def newest(objects: Iterable[Mapping[str, Any] | msgspec.Raw]) -> datetime | None:
    """The latest of what clusters write: creation, deletion, interruption notices and all times of a status.

    Specs and other annotations may hold any date, a certificate's end for example, which says nothing of now.
    """
    texts: set[str] = set()
    for obj in objects:
        if isinstance(obj, msgspec.Raw):
            _collect_raw(obj, texts)
        else:
            metadata = obj.get("metadata")
            stamps = (metadata.get(key) for key in _KEYS) if isinstance(metadata, Mapping) else ()
            _collect_metadata(_Metadata(*stamps), texts)
            _collect(obj.get("status"), texts)
    return max((found for text in texts if (found := parse_time(text)) is not None), default=None)


def _collect_raw(raw: msgspec.Raw, texts: set[str]) -> None:
    try:
        dated = _decoder.decode(raw)
        status = bytes(dated.status)
        if b"\\" in status:
            _collect(msgspec.json.decode(status), texts)
        else:
            texts.update(map(bytes.decode, _IN_JSON.findall(status)))
    except msgspec.MsgspecError:  # that is a fault of the object, which its reader words
        return
    if dated.metadata is not None:
        _collect_metadata(dated.metadata, texts)


def _collect_metadata(metadata: _Metadata, texts: set[str]) -> None:
    noticed = metadata.annotations.get(names.INTERRUPTION) if isinstance(metadata.annotations, dict) else None
    said = (metadata.creation_timestamp, metadata.deletion_timestamp, noticed)
    texts.update(text for text in said if isinstance(text, str))


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
