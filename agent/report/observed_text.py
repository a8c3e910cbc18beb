"""What observing comes to, for people and for programs."""

from collections import defaultdict
from datetime import timedelta

import msgspec

from agent.kube.times import rfc3339
from agent.report.observed import Account, Spell, Unwanted, Wanted
from agent.report.plan_json import API_VERSION, dollars

HOURS_OF_A_MONTH = 730
MINUTE, HOUR, DAY = 60, 3600, 86_400


def text(found: Account) -> str:
    """A few lines."""
    whole = (found.ended - found.began).total_seconds()
    lines = [f"Observed from {rfc3339(found.began)} to {rfc3339(found.ended)}: {_span(found.seen_seconds)}."]
    if whole - found.seen_seconds > 1:
        lines.append(f"Nobody looked for {_span(whole - found.seen_seconds)} of it; that is counted nowhere.")
    lines += ["", *_bought(found.bought), *_removed(found.removed)]
    fixed = dollars(found.fixed_nano_usd)
    hourly = fixed / (found.seen_seconds / HOUR)
    lines.append(
        f"Nodes that are not Joinery's cost {_money(fixed)} in that time, ${hourly:.4f} an hour at list price."
    )
    if found.unpriced:
        lines.append(f"Of these no price is known: {', '.join(found.unpriced)}.")
    if found.most_refused:
        lines.append(
            f"Up to {found.most_refused} pods could be served by no NodePool: joinery explain pod/NAME says why."
        )
    return "\n".join(lines)


def _bought(spells: tuple[Spell, ...]) -> list[str]:
    if not spells:
        return ["It would have bought nothing."]
    total = dollars(sum(s.nano_usd for s in spells))
    together = _span(sum(s.seconds for s in spells))
    lines = [f"It would have bought {_count(len(spells), 'node')}, together {together} for {_money(total)}:"]
    groups: defaultdict[tuple[str, str, str], list[Spell]] = defaultdict(list)
    for spell in spells:
        assert isinstance(spell.what, Wanted)
        groups[spell.what.instance_type, spell.what.capacity_type, spell.what.node_pool].append(spell)
    for (kind, capacity_type, pool), own in sorted(groups.items()):
        price = dollars(own[0].what.price_nano_usd)
        spent = dollars(sum(s.nano_usd for s in own))
        still = sum(s.lasts for s in own)
        lines.append(
            f"  {len(own)} x {kind} {capacity_type} of pool {pool} at ${price:.4f}/h: "
            f"{_span(sum(s.seconds for s in own))}, {_money(spent)}" + (f"; {still} still wanted" if still else "")
        )
    kept = dollars(sum(_most_at_once(own) * own[0].what.price_nano_usd for own in groups.values())) * HOURS_OF_A_MONTH
    lines.append(f"  Kept all the time, the most that it wanted of each at once would cost ${kept:.2f} a month.")
    lines.append("  Boot, the wait of consolidateAfter and the drain come on top: some minutes for each node.")
    return lines


def _most_at_once(spells: list[Spell]) -> int:
    edges = sorted(
        [(s.began, 1) for s in spells] + [(s.began + timedelta(seconds=s.seconds), -1) for s in spells],
    )
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def _removed(spells: tuple[Spell, ...]) -> list[str]:
    if not spells:
        return ["It would have removed no node."]
    total = dollars(sum(s.nano_usd for s in spells))
    lines = [f"It would have removed {_count(len(spells), 'node')}, which cost {_money(total)} since:"]
    for spell in spells:
        assert isinstance(spell.what, Unwanted)
        lines.append(f"  {spell.what.node} ({spell.what.instance_type}) from {rfc3339(spell.began)}: {spell.what.why}")
    return lines


def document(found: Account) -> bytes:
    """The same as JSON; prices in dollars."""
    body = {
        "apiVersion": API_VERSION,
        "kind": "ObservationReport",
        "from": rfc3339(found.began),
        "to": rfc3339(found.ended),
        "seenSeconds": found.seen_seconds,
        "bought": [_spell(s) for s in found.bought],
        "removed": [_spell(s) for s in found.removed],
        "fixedCost": dollars(found.fixed_nano_usd),
        "unpricedTypes": found.unpriced,
        "mostUnschedulablePods": found.most_refused,
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=2)


def _spell(spell: Spell) -> dict[str, object]:
    about: dict[str, object] = msgspec.to_builtins(spell.what)
    about["price"] = dollars(spell.what.price_nano_usd)
    del about["priceNanoUsd"]
    times = {"from": rfc3339(spell.began), "seconds": spell.seconds, "lasts": spell.lasts}
    return about | times | {"cost": dollars(spell.nano_usd)}


def _money(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 1 or not usd else f"${usd:.4f}"


def _span(seconds: float) -> str:
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} seconds"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} minutes"
    return f"{seconds / HOUR:.1f} hours" if seconds < 3 * DAY else f"{seconds / DAY:.1f} days"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
