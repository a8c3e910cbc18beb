"""Durations as Go's ``time.ParseDuration`` reads them, in whole seconds."""

import re
from decimal import Decimal
from typing import Final

NEVER: Final = "Never"
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_MAX_NANOSECONDS: Final = 2**63 - 1
_MAX_LENGTH: Final = 64


class DurationError(ValueError):
    """A text is not a duration."""


def parse_duration(text: str) -> int:
    """Seconds of a Go duration such as ``1h30m``; a part of a second counts as a whole one.

    Raises:
        DurationError: the text is not a duration, is negative, or is longer than Go can say (292 years).
    """
    if text == "0":
        return 0
    parts = _PART.findall(text) if len(text) <= _MAX_LENGTH else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise DurationError(f'"{text}" is not a duration')
    nanoseconds = int(sum(Decimal(number) * _UNITS[unit] for number, unit in parts))
    if nanoseconds > _MAX_NANOSECONDS:
        raise DurationError(f'"{text}" is longer than a duration can be')
    return -(-nanoseconds // 10**9)


def parse_duration_or_never(text: str | None) -> int | None:
    """Seconds; None for ``Never`` and for what is unset.

    Raises:
        DurationError: as ``parse_duration``.
    """
    return None if text is None or text == NEVER else parse_duration(text)
