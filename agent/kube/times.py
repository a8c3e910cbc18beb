"""Timestamps as the API server reads and writes them."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec


def micro_time(moment: datetime) -> str:
    """A ``MicroTime`` (Lease, Event): always six digits of fraction, without which the API server answers 400."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rfc3339(moment: datetime) -> str:
    """A ``Time`` (metadata, conditions): whole seconds, which is all that the API server keeps."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_now() -> datetime:
    """The wall clock, with its zone."""
    return datetime.now(UTC)


class Clock(msgspec.Struct, frozen=True):
    """Where threads that wait take time and chance from; a simulation hands in its own."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = utc_now
    jitter: Callable[[], float] = random.random
    """A number in [0, 1)."""
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait
    """Sleeps that many seconds, or until the event is set; whether it is set."""
