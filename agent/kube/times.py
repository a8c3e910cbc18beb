"""Timestamps as the API server reads and writes them."""

from datetime import UTC, datetime


def micro_time(moment: datetime) -> str:
    """A ``MicroTime`` (Lease, Event): always six digits of fraction, without which the API server answers 400."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rfc3339(moment: datetime) -> str:
    """A ``Time`` (metadata, conditions): whole seconds, which is all that the API server keeps."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_now() -> datetime:
    """The wall clock, with its zone."""
    return datetime.now(UTC)
