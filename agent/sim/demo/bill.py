"""What the bought machines cost: by EC2's rule, per second with a minute at least, at the listed on-demand price."""

from typing import Final

import msgspec

from agent.sim.embedded import REGION, Listed
from agent.sim.market import price

NANO: Final = 10**9
LEAST_SECONDS: Final = 60
"""EC2 bills Linux instances by the second, and no run for less than a minute."""
HOURS_PER_MONTH: Final = 730


class Entry(msgspec.Struct):
    """One machine's time."""

    instance: Listed
    began: float
    ended: float | None = None

    def seconds(self, now: float) -> float:
        """How long it has been paid for."""
        return (now if self.ended is None else self.ended) - self.began

    @property
    def hourly_nano(self) -> int:
        """Its price in nano-dollars per hour."""
        return price(REGION, self.instance.type, self.instance.zone, self.instance.capacity_type)

    def nano(self, now: float) -> int:
        """Its bill in nano-dollars."""
        return round(self.hourly_nano * max(LEAST_SECONDS, self.seconds(now)) / 3600)


class Bill:
    """Kept by looking at EC2 now and then."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def look(self, bought: list[Listed], now: float) -> list[Entry]:
        """Take note of what is there at ``now``, a monotonic time in seconds; what has ended since the last look."""
        ended = []
        for instance in bought:
            if instance.alive and instance.id not in self.entries:
                self.entries[instance.id] = Entry(instance, now)
            entry = self.entries.get(instance.id)
            if entry is not None and not instance.alive and entry.ended is None:
                entry.ended = now
                ended.append(entry)
        return ended

    def nano(self, now: float) -> int:
        """All of it in nano-dollars."""
        return sum(e.nano(now) for e in self.entries.values())

    @property
    def hourly_nano(self) -> int:
        """What the machines cost per hour, all together."""
        return sum(e.hourly_nano for e in self.entries.values())


def dollars(nano: int, digits: int = 4) -> str:
    """As people read it."""
    return f"${nano / NANO:,.{digits}f}"
