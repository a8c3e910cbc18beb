"""How many nodes of a pool may be disrupted now (Karpenter's NodePool disruption budgets).

The smallest budget that is open now counts. Percentages round up; schedules are cron as in Debian's cron, in UTC
unless the pool's annotation joinery.sh/time-zone names a zone. A schedule that cannot be read closes the pool.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
UNLIMITED: Final = 1 << 30


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
    try:
        zone = ZoneInfo(time_zone) if time_zone else UTC
        text = _MACROS.get(budget.schedule, budget.schedule)
        # The hit at this very second counts, and cronsim looks strictly before its start.
        last = next(CronSim(text, (now + timedelta(seconds=1)).astimezone(zone), reverse=True), None)
    except (CronSimError, ZoneInfoNotFoundError, ValueError):
        return None
    if last is None:
        return False
    # Edges as in Karpenter: open from the hit until exactly the duration after it.
    return now - last.astimezone(UTC) <= timedelta(seconds=budget.duration_seconds or 0)


def _count(nodes: str, total: int) -> int:
    """An integer, or a percentage of the total rounded up; unreadable text allows nothing."""
    digits = nodes.removesuffix("%")
    if not digits.isdigit():
        return 0
    return -(-total * int(digits) // 100) if nodes.endswith("%") else int(digits)


def _described(number: int, budget: Budget, pool: NodePool, count: int, going: int) -> str:
    when = f" ({budget.schedule} for {budget.duration_seconds} s)" if budget.schedule else ""
    return f"budget {number} of NodePool {pool.name}, nodes: {budget.nodes}{when}, allows {count} and {going} are going"
