"""How many nodes of a pool may be disrupted now (Karpenter's NodePool disruption budgets).

The smallest budget that is open now counts. Percentages round up; schedules are cron as in Debian's cron, in UTC
unless the pool's annotation joinery.sh/time-zone names a zone. A schedule that cannot be read closes the pool.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from agent.model import names
from agent.model.kubernetes import Budget, NodePool

_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@annually": "0 0 1 1 *",
    "@yearly": "0 0 1 1 *",
}
FIELDS: Final = 5
"""Minute, hour, day of month, month, day of week; cronsim would take seconds too."""
UNLIMITED: Final = 1 << 30
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""A schedule that hits no day of any year."""
_MOST_HITS: Final = 500
"""A window of more hits than this counts as one without a beginning or an end."""


def allowed_disruptions(pool: NodePool, reason: str, now: datetime, total: int, going: int) -> tuple[int, str]:
    """How many more nodes may go for ``reason``, and the sentence that says which budget decides.

    Args:
        pool: Whose budgets count.
        reason: Empty, Drifted or Underutilized.
        now: The time of the decision.
        total: Initialised nodes of the pool.
        going: Nodes of it that are being disrupted already, are deleted, or are not Ready.

    """
    smallest, decisive = UNLIMITED, ""
    for number, budget in enumerate(pool.budgets):
        if budget.reasons is not None and reason not in budget.reasons:
            continue
        is_open = window_open(budget, now, pool.meta.annotations.get(names.TIME_ZONE, ""))
        if is_open is None:
            return 0, f"budget {number} of NodePool {pool.name} has a schedule that cannot be read, so nothing may go"
        if not is_open:
            continue
        count = _count(budget.nodes, total)
        if count < smallest:
            smallest, decisive = count, _described(number, budget, pool, count, going)
    if smallest == UNLIMITED:
        return UNLIMITED, f"no budget of NodePool {pool.name} limits it"
    return max(0, smallest - going), decisive


def window_open(budget: Budget, now: datetime, time_zone: str = "") -> bool | None:
    """Whether the budget applies now; None when its schedule or time zone cannot be read."""
    if budget.schedule is None:
        return True
    # Open from a hit of the schedule until the duration after it, that instant left out (Karpenter's rule 21.4):
    # the last hit at or before now must be later than now less the duration.
    last = _hit(budget, now, time_zone)
    if last is None:
        return None
    return last != _NEVER and now - last < timedelta(seconds=budget.duration_seconds or 0)


def next_change(pool: NodePool, now: datetime) -> datetime | None:
    """When time alone next opens or closes a budget of the pool; None: never, or it cannot be told."""
    zone = pool.meta.annotations.get(names.TIME_ZONE, "")
    times = []
    for budget in pool.budgets:
        if budget.schedule is None:
            continue
        following = _hit(budget, now, zone, later=True)
        last = _hit(budget, now, zone) if window_open(budget, now, zone) else None
        ends = last + timedelta(seconds=budget.duration_seconds or 0) if last is not None else None
        times += [t for t in (following, ends) if t is not None and t != _NEVER]
    return min(times, default=None)


class Window(msgspec.Struct, frozen=True):
    """A time during which the windows of a budget's schedule follow each other without a break."""

    starts: datetime | None
    """None: longer ago than was looked."""
    ends: datetime | None
    """None: later than was looked."""
    hits: int = 1
    """How many hits of the schedule it is made of."""


def windows(budget: Budget, now: datetime, time_zone: str = "", count: int = 3) -> tuple[Window, ...] | None:
    """The window that is open now, if one is, and those that follow, at most ``count``; None: it cannot be read.

    A hit of the schedule that comes before the window of the last one has closed prolongs it, which surprises people:
    ``0 9-17 * * mon-fri`` for 8 h blocks from 09:00 to 01:00.
    """
    if budget.schedule is None:
        return ()
    length = timedelta(seconds=budget.duration_seconds or 0)
    past, future = _hits(budget, now, time_zone), _hits(budget, now, time_zone, later=True)
    if past is None or future is None:
        return None
    before: list[datetime] = []
    for hit in islice(past, _MOST_HITS):
        if hit + length < (before[-1] if before else now):
            break
        before.append(hit)
    found: list[Window] = []
    for hit in chain(reversed(before), future):
        last = found[-1] if found else None
        if last is None or last.ends is None or hit > last.ends:
            if len(found) == count:
                break
            found.append(Window(hit if len(before) < _MOST_HITS else None, hit + length))
        elif last.hits < _MOST_HITS:
            found[-1] = Window(last.starts, hit + length, last.hits + 1)
        else:
            found[-1] = Window(last.starts, None, last.hits)
            break
    return tuple(window for window in found if window.ends is None or window.ends > now)


def _hit(budget: Budget, now: datetime, time_zone: str, *, later: bool = False) -> datetime | None:
    """The last hit of the schedule, this very second included, or the next; None when it cannot be read."""
    hits = _hits(budget, now, time_zone, later=later)
    return None if hits is None else next(hits, _NEVER)


def _hits(budget: Budget, now: datetime, time_zone: str, *, later: bool = False) -> Iterator[datetime] | None:
    """Hits of the schedule backwards from now, this very second included, or forwards; None: it cannot be read."""
    try:
        zone = ZoneInfo(time_zone) if time_zone else UTC
        text = _MACROS.get(budget.schedule or "", budget.schedule or "").replace("?", "*")
        if len(text.split()) != FIELDS:
            return None
        # cronsim looks strictly before its start, or after it; fractions of a second would confuse it.
        whole = now.replace(microsecond=0)
        start = whole if later else whole + timedelta(seconds=1)
        found = CronSim(text, start.astimezone(zone), reverse=not later)
    except (CronSimError, ZoneInfoNotFoundError, ValueError, OverflowError):
        return None
    return _in_utc(found)


def _in_utc(hits: Iterator[datetime]) -> Iterator[datetime]:
    """Until the calendar ends, as it does at either end of Python's."""
    try:
        for hit in hits:
            yield hit.astimezone(UTC)
    except OverflowError:
        return


def _count(nodes: str, total: int) -> int:
    """An integer, or a percentage of the total rounded up; unreadable text allows nothing."""
    digits = nodes.removesuffix("%")
    if not (digits.isascii() and digits.isdigit()):
        return 0
    return -(-total * int(digits) // 100) if nodes.endswith("%") else int(digits)


def _described(number: int, budget: Budget, pool: NodePool, count: int, going: int) -> str:
    when = f" ({budget.schedule} for {budget.duration_seconds} s)" if budget.schedule else ""
    busy = f"{going} {'is' if going == 1 else 'are'} going or not ready"
    return f"budget {number} of NodePool {pool.name}, nodes: {budget.nodes}{when}, allows {count}, and {busy}"
