"""An explanation for people and for programs: of a pod's place or lack of one, and of what a NodePool may do."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from agent.core.budgets import UNLIMITED, Window
from agent.core.explaining import BudgetExplained, PodExplained, PoolAnswer, PoolExplained
from agent.core.quantity import format_amount, format_rounded
from agent.kube.times import rfc3339
from agent.model.actions import Launch
from agent.report.plan_json import API_VERSION, Json, dollars
from agent.report.plan_text import money

_KIND: Final = "Explanation"


def pod_text(found: PodExplained) -> str:
    """The pod's verdict in one line, then a line for each pool."""
    head = f"pod {found.pod}: {_verdict(found)}"
    lines = [head, *(_indented(p, r) for p, r, _ in _coded(found))]
    if found.pools and [(a.pool, str(a.reason)) for a in found.pools] == [(p, r) for p, r, _ in _coded(found)]:
        lines += ["", "Asked for it alone, and were no node to have room, each pool gives the same answer."]
    elif found.pools:
        lines += ["", "If each pool were asked for it alone, and no node had room:"]
        lines += _answers(found.pools)
    return "\n".join(lines) + "\n"


def pool_text(found: PoolExplained) -> str:
    """What the pool buys, what it has, and what budgets let go, with windows in the pool's own time."""
    lines = [f"nodepool {found.pool}: {found.nodes} node{'' if found.nodes == 1 else 's'}"]
    lines += [f"  fault: {fault}" for fault in found.faults]
    lines += [f"  note: {note}" for note in found.notes]
    lines += [
        "",
        "What it would buy for a pod that asks for nothing and tolerates everything:",
        *_answers((found.answer,)),
    ]
    if found.limits:
        lines += ["", "Limits:"]
        lines += [
            f"  {name}: {format_rounded(name, used)} of {format_amount(name, limit)} used"
            for name, used, limit in found.limits
        ]
    lines += ["", f"Disruption budgets (times in {found.time_zone}):"]
    for number, budget in enumerate(found.budgets):
        lines += _budget(number, budget, found.time_zone)
    lines += ["", "Nodes that may go now:"]
    lines += [f"  {reason}: {_count(count)} ({sentence})" for reason, count, sentence in found.allowed]
    lines += [f"  node {b.node} would go ({b.reason}), but {b.message}" for b in found.blocked]
    lines += [f"  {action.reason}" for action in found.going]
    return "\n".join(lines) + "\n"


def pod_json(found: PodExplained) -> bytes:
    """The same for programs."""
    body: Json = {
        "apiVersion": API_VERSION,
        "kind": _KIND,
        "pod": found.pod,
        "state": found.state,
        "message": _verdict(found),
        "reasons": [{"nodePool": pool, "message": r, "code": c} for pool, r, c in _coded(found)],
        "nodePools": [_answer(answer) for answer in found.pools],
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=2)


def pool_json(found: PoolExplained) -> bytes:
    """The same for programs; times are UTC."""
    body: Json = {
        "apiVersion": API_VERSION,
        "kind": _KIND,
        "nodePool": found.pool,
        "nodes": found.nodes,
        "faults": found.faults,
        "notes": found.notes,
        "buys": _answer(found.answer),
        "limits": [
            {"resource": name, "used": format_amount(name, used), "limit": format_amount(name, limit)}
            for name, used, limit in found.limits
        ],
        "timeZone": found.time_zone,
        "budgets": [_budget_json(budget) for budget in found.budgets],
        "allowedDisruptions": [
            {"reason": reason, "count": _bounded(count), "message": sentence}
            for reason, count, sentence in found.allowed
        ],
        "blocked": [
            {"node": b.node, "reason": b.reason, "blocker": b.blocker, "message": b.message} for b in found.blocked
        ],
        "disrupted": [
            {"nodeClaim": a.claim.name, "reason": a.reason.code, "message": a.reason.message} for a in found.going
        ],
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=2)


def _verdict(found: PodExplained) -> str:
    """What becomes of the pod, in one sentence."""
    placed = found.placement
    if found.launch is not None:
        others = len(found.launch.pods) - 1
        company = f", together with {others} other pod{'' if others == 1 else 's'}" if others else ""
        where = f"gets a new node{company}: {_offer(found.launch)}"
    elif placed is not None:
        on = f"node {placed.node}" if placed.node else f"NodeClaim {placed.claim}"
        where = f"goes onto {on}, which has room for it"
    elif found.refusal is not None:
        where = "no node is bought for it"
    else:
        where = ""
    return "; ".join(part for part in (found.sentence, where) if part)


def _coded(found: PodExplained) -> list[tuple[str, str, str]]:
    refusal = found.refusal
    return [(pool, reason.message, reason.code) for pool, reason in refusal.reasons] if refusal is not None else []


def _indented(pool: str, sentence: str) -> str:
    """Most sentences name their pool themselves."""
    return f"  {sentence}" if not pool or f"NodePool {pool}" in sentence else f"  NodePool {pool}: {sentence}"


def _offer(launch: Launch) -> str:
    others = len(launch.instance_types) - 1
    also = f", or one of {others} other type{'' if others == 1 else 's'}" if others else ""
    offering = f"{launch.capacity_type} {launch.instance_type} {launch.zone}"
    return f"{offering} of NodePool {launch.draft.pool} ({money(launch.price_nano_usd)}){also}"


def _answers(pools: tuple[PoolAnswer, ...]) -> list[str]:
    lines = []
    for answer in pools:
        sign, text = ("+", _offer(answer.launch)) if answer.launch is not None else ("x", str(answer.reason))
        weight = f" (weight {answer.weight})" if answer.weight else ""
        lines.append(f"  {sign} {answer.pool}{weight}: {text}")
    return lines or ["  there is no NodePool; apply one that says what may be bought"]


def _answer(answer: PoolAnswer) -> Json:
    launch, reason = answer.launch, answer.reason
    body: Json = {"nodePool": answer.pool, "weight": answer.weight, "serves": launch is not None}
    if launch is not None:
        body |= {
            "instanceType": launch.instance_type,
            "zone": launch.zone,
            "capacityType": launch.capacity_type,
            "price": dollars(launch.price_nano_usd),
            "instanceTypes": launch.instance_types,
        }
    elif reason is not None:
        body |= {"message": reason.message, "code": reason.code}
    return body


def _budget(number: int, found: BudgetExplained, time_zone: str) -> list[str]:
    budget = found.budget
    reasons = f" for {', '.join(budget.reasons)}" if budget.reasons is not None else ""
    what = f"  {number}: nodes: {budget.nodes}{reasons}"
    if budget.schedule is None:
        return [f"{what}, always"]
    duration = _duration(budget.duration_seconds or 0)
    if found.is_open is None:
        return [f"{what}: the schedule {budget.schedule} or the time zone {time_zone} cannot be read: nothing may go"]
    lines = [f"{what}, {budget.schedule} for {duration}: {'open now' if found.is_open else 'closed now'}"]
    lines += [f"     {_window(window, time_zone)}" for window in found.windows]
    if found.overlaps:
        lines.append(f"     warning: {_overlap(found, duration, time_zone)}")
    return lines


def _overlap(found: BudgetExplained, duration: str, time_zone: str) -> str:
    """Why windows are longer than their duration says."""
    again = f"the schedule hits again before {duration} are over"
    longest = max(found.windows, key=lambda window: window.hits)
    if longest.starts is None or longest.ends is None:
        return f"{again}, so this budget never closes"
    starts, ends = _local(longest.starts, time_zone), _local(longest.ends, time_zone)
    return f"{again}: its {longest.hits} windows make one, from {starts:%a %H:%M} to {ends:%a %H:%M}"


def _window(window: Window, time_zone: str) -> str:
    starts = f"{_local(window.starts, time_zone):%a %Y-%m-%d %H:%M}" if window.starts is not None else "long ago"
    ends = f"{_local(window.ends, time_zone):%a %Y-%m-%d %H:%M}" if window.ends is not None else "no end"
    return f"{starts} to {ends}"


def _budget_json(found: BudgetExplained) -> Json:
    budget = found.budget
    return {
        "nodes": budget.nodes,
        "reasons": budget.reasons,
        "schedule": budget.schedule,
        "durationSeconds": budget.duration_seconds,
        "open": found.is_open,
        "overlaps": found.overlaps,
        "windows": [
            {"start": rfc3339(w.starts) if w.starts else None, "end": rfc3339(w.ends) if w.ends else None}
            for w in found.windows
        ],
    }


def _local(moment: datetime, time_zone: str) -> datetime:
    try:
        return moment.astimezone(ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError):
        return moment


def _duration(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return "".join(part for part in (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "") if part) or "0m"


def _count(count: int) -> str:
    return "any number" if count >= UNLIMITED else str(count)


def _bounded(count: int) -> int | None:
    return None if count >= UNLIMITED else count
