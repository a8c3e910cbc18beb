"""Cron schedules as Karpenter's parser (robfig/cron, standard form) accepts them."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

from agent.manifests.scalars import Matching, fault

_MACRO: Final = "@(annually|yearly|monthly|weekly|daily|midnight|hourly)"
_FIELDS: Final = 5
_EXTENSION: Final = re.compile(r"#|\bLW?\b|[0-9]L\b", re.IGNORECASE)
"""Last-day and nth-weekday fields, which some parsers know and Karpenter's does not."""
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


class ScheduleError(ValueError):
    """A text is not a cron schedule."""


def check_schedule(text: str) -> None:
    """Accept a macro such as ``@daily`` or five fields: minute, hour, day of month, month, day of week.

    Raises:
        ScheduleError: it is neither; the message says which field.
    """
    if re.fullmatch(_MACRO, text):
        return
    if len(text.split()) != _FIELDS or _EXTENSION.search(text):
        raise ScheduleError(f'"{text}" is not a cron schedule of five fields')
    try:
        CronSim(text.replace("?", "*"), _ANY_TIME)
    except CronSimError as error:
        raise ScheduleError(f'"{text}" is not a cron schedule ({str(error).lower()})') from error


def is_time_zone(name: str) -> bool:
    """Whether the system's time zone data has this name, such as Asia/Seoul."""
    try:
        return bool(ZoneInfo(name).key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _checked(value: str) -> str:
    try:
        check_schedule(value)
    except ScheduleError as error:
        raise fault(str(error)) from error
    return value


Schedule = Annotated[
    str, Matching(f"{_MACRO}|\\S+(\\s+\\S+){{4}}", "a cron schedule of five fields", 200), AfterValidator(_checked)
]
