"""The latest moment that objects tell of: the time of a snapshot that is made of files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from agent.model import names

_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_STAMPS: Final = ("creationTimestamp", "deletionTimestamp")


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


def newest(objects: Iterable[Mapping[str, Any]]) -> datetime | None:
    """The latest of what clusters write: creation, deletion, interruption notices and all times of a status.

    Specs and other annotations may hold any date, a certificate's end for example, which says nothing of now.
    """
    texts = {text for obj in objects for text in _texts(obj)}
    return max((found for text in texts if (found := parse_time(text)) is not None), default=None)


def _texts(obj: Mapping[str, Any]) -> Iterator[str]:
    metadata = obj.get("metadata")
    if isinstance(metadata, Mapping):
        yield from (text for key in _STAMPS if isinstance(text := metadata.get(key), str))
        annotations = metadata.get("annotations")
        if isinstance(annotations, Mapping) and isinstance(text := annotations.get(names.INTERRUPTION), str):
            yield text
    waiting = [obj.get("status")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
