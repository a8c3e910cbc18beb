"""A plan for people: a line for each thing that is done, kept or refused, with its reason, and one that sums up."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from agent.model import names
from agent.model.actions import DisruptNode, Launch
from agent.model.names import PodKey
from agent.model.plan import Plan, Snapshot
from agent.model.reasons import Blocked
from agent.report.plan_json import disruptions
from agent.report.plan_preferences import cost_of_preferences

_NANO: Final = 1_000_000_000
_COLOURS: Final = {"+": "\033[32m", "-": "\033[31m", "!": "\033[33m", "x": "\033[31m", "=": ""}
_PLAIN: Final = "\033[0m"

Row = tuple[str, str, str, str, str, str]
"""Sign, word, what, price, pool, reason."""
_REASON: Final = 5


def render(snapshot: Snapshot, plan: Plan, *, colour: bool = False) -> str:
    """The plan as text; ``snapshot`` is what it was made from. With ``colour``, for a terminal."""
    rows = [_launch(launch) for launch in plan.launches]
    rows += [_disruption(snapshot, action) for action in disruptions(plan)]
    rows += _placed(plan)
    rows += [_kept(snapshot, blocked) for blocked in plan.blocked]
    rows += _refused(plan)
    more = cost_of_preferences(snapshot, plan)
    told = [f"preferences kept: {money(more, sign=True)} over ignoring them"] if more is not None else []
    return "\n".join([*_table(rows, colour=colour), _summary(plan), *told]) + "\n"


def money(nano_usd: int, *, sign: bool = False) -> str:
    """Dollars per hour with three decimals, or as many as a small amount needs to show two digits."""
    amount = abs(nano_usd) / _NANO
    decimals = 3
    while amount and amount < 10.0 ** (1 - decimals) and decimals < len(str(_NANO)) - 1:
        decimals += 1
    before = "-" if nano_usd < 0 else "+" if sign else ""
    return f"{before}${amount:.{decimals}f}/h"


def _launch(launch: Launch) -> Row:
    what = f"{launch.capacity_type} {launch.instance_type} {launch.zone}"
    others = len(launch.instance_types) - 1
    # A static pool buys nodes before there are pods for them.
    pods = f"{_count(len(launch.pods), 'pending pod')}: {_some(launch.pods)}" if launch.pods else launch.reason.message
    why = f"{pods}; or one of {_count(others, 'other type')}" if others else pods
    return ("+", "launch", what, money(launch.price_nano_usd), f"pool {launch.draft.pool}", why)


def _disruption(snapshot: Snapshot, action: DisruptNode) -> Row:
    name = action.node.name if action.node is not None else action.claim.name
    kind = next((c.meta.labels.get(names.INSTANCE_TYPE) for c in snapshot.claims if c.name == action.claim.name), None)
    what = f"{name} ({kind})" if kind else name
    return ("-", "disrupt", what, money(-action.savings_nano_usd), f"pool {action.pool}", action.reason.message)


def _placed(plan: Plan) -> list[Row]:
    onto: defaultdict[str, list[PodKey]] = defaultdict(list)
    for placement in plan.placements:
        if placement.node is not None:
            onto[f"node {placement.node}"].append(placement.pod)
        elif placement.claim is not None:
            onto[f"NodeClaim {placement.claim}"].append(placement.pod)
    return [
        ("=", "use", where, "", "", f"room for {_count(len(pods), 'pod')}: {_some(pods)}")
        for where, pods in sorted(onto.items())
    ]


def _kept(snapshot: Snapshot, blocked: Blocked) -> Row:
    pool = next((c.pool for c in snapshot.claims if blocked.node in (c.node_name, c.name)), None)
    return ("!", "keep", blocked.node, "", f"pool {pool}" if pool else "", f"{blocked.reason}, but {blocked.message}")


def _refused(plan: Plan) -> list[Row]:
    """Pods that are refused for the same reasons share a line for each pool that was asked."""
    alike: defaultdict[tuple[tuple[str, str], ...], list[PodKey]] = defaultdict(list)
    for refusal in plan.refusals:
        alike[tuple((pool, reason.message) for pool, reason in refusal.reasons)].append(refusal.pod)
    return [
        ("x", "refuse", _some(pods), "", f"pool {pool}" if pool else "", sentence)
        for reasons, pods in alike.items()
        for pool, sentence in reasons
    ]


def _table(rows: Sequence[Row], *, colour: bool) -> list[str]:
    """Rows with aligned columns; the reason, which may be long, comes last and is never cut."""
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(_REASON)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True) if width]
        head = f"  {cells[0]} {'  '.join(cells[1:])}"
        line = f"{head}  {row[-1]}".rstrip()
        lines.append(f"{_COLOURS[row[0]]}{line}{_PLAIN}" if colour and _COLOURS[row[0]] else line)
    return lines


def _summary(plan: Plan) -> str:
    placed = sum(p.launch is None for p in plan.placements)
    counts = [
        f"{len(plan.launches)} to launch",
        f"{len(disruptions(plan))} to disrupt",
        f"{len(plan.blocked)} kept",
        f"{_count(placed, 'pod')} on room that is there",
        f"{_count(len(plan.refusals), 'pod')} refused",
    ]
    before, after = plan.price.before, plan.price.after
    change = money(after - before, sign=True)
    return f"Plan: {', '.join(counts)}. {money(before)} now, {money(after)} then ({change}){_gap(plan)}."


def _gap(plan: Plan) -> str:
    """How far what is bought may be from the best that there is."""
    least = plan.price.lower_bound
    if not plan.launches or not least:
        return ""
    proven = ": no cheaper nodes would do" if plan.price.after == least else ""
    return f", {100 * (plan.price.after / least - 1):.1f} % over the lower bound {money(least)}{proven}"


def _some(pods: Sequence[PodKey]) -> str:
    """The first by name, and how many more."""
    first = min(pods)
    return first if len(pods) == 1 else f"{first} (+{len(pods) - 1})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
