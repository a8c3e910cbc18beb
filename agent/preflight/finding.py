"""One line of `joinery check`."""

from typing import Literal

import msgspec

Level = Literal["ok", "warn", "fail", "unknown"]
"""``fail``: Joinery cannot do its work; ``warn``: it can, but look; ``unknown``: it could not be told."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found, and what to do about it."""

    check: str
    level: Level
    message: str
    fix: str = ""
