"""Why no domain takes a pod, in words that a person can act on."""

from collections.abc import Iterable, Iterator, Sequence

from agent.core.shapes import Shape
from agent.core.topology.checks import Checks, Values
from agent.core.topology.counts import Domains
from agent.core.topology.dealing import Dealing
from agent.core.topology.offers import Offers
from agent.core.topology.selectors import Selectors
from agent.model import names

MOST = 3
"""Domains that a sentence names at most."""


def blocked(dealing: Dealing, number: int, everything: Offers, selectors: Selectors) -> str | None:
    """What keeps the next pod of a shape out of every domain, were there no limits; None: nothing does."""
    shape, last = dealing.shapes[number], len(dealing.shapes[number].levels) - 1
    checks = dealing.checks(number, last)
    begun = checks.begins(dealing.counts)
    alone = [n for n in shape.hosts[last].needs if n not in begun]
    if alone:
        wanted = selectors.text(alone[0])
        return f"its affinity by {names.HOSTNAME} to pods with {wanted}: no node with one has room for it"
    if not checks.keys:
        return None
    reachable = dealing.reachable(number, last, everything)
    if not reachable:
        return None
    needed = {key for own in shape.required.affinity for key in own.keys} | {s.key for s in shape.required.spread}
    for at, key in enumerate(checks.keys):
        if key in needed and all(values[at] is None for values in reachable):
            return f"no node that it could run on has the label {key}, which its rules about other pods need"
    leasts = checks.leasts()
    if any(checks.allows(values, leasts, begun) for values in reachable):
        return None
    found = dict.fromkeys(_sentences(shape, (checks, selectors), reachable, begun))
    return "; ".join(list(found)[:MOST]) or None


def _sentences(
    shape: Shape, told: tuple[Checks, Selectors], reachable: Sequence[Values], begun: frozenset[int]
) -> Iterator[str]:
    checks, selectors = told
    leasts = checks.leasts()
    for values in reachable:
        yield from _over_spread(checks, values, leasts)
    for at, table, number in checks.near:
        if at >= 0 and number not in begun and (lacking := _lacking(at, table, reachable)):
            yield f"its affinity by {checks.keys[at]} to pods with {selectors.text(number)}: none is {lacking}"
    asked = [own for own in shape.required.anti_affinity if own.key != names.HOSTNAME]
    for away, (at, table) in zip(asked, checks.empty, strict=False):
        if taken := _taken(at, table, reachable):
            yield f"its anti-affinity by {away.key} to pods with {selectors.text(away.number)}: there is one in {taken}"
    for at, table in checks.empty[len(asked) :]:
        if taken := _taken(at, table, reachable):
            yield f"anti-affinity of other pods by {checks.keys[at]} keeps it out of {taken}"


def _lacking(at: int, table: Domains, reachable: Sequence[Values]) -> str:
    """Where, of all that a pod could go to, a table has no pods; empty: there are some everywhere."""
    found = {value for values in reachable if not table.get(value := values[at] or "")}
    if len(found) == len({values[at] or "" for values in reachable}):
        return "where it could go"
    return f"in {_listed(found)}" if found - {""} else ""


def _taken(at: int, table: Domains, reachable: Sequence[Values]) -> str:
    """The domains of one key, of those that a pod could go to, in which a table has pods; empty: none."""
    return _listed({value for values in reachable if (value := values[at]) is not None and table.get(value)})


def _listed(domains: Iterable[str]) -> str:
    named = sorted(filter(None, domains))
    return ", ".join(named[:MOST]) + (f" and {len(named) - MOST} more" if len(named) > MOST else "")


def _over_spread(checks: Checks, values: Values, leasts: Sequence[int]) -> Iterator[str]:
    for (at, group, own, skew, minimum), least in zip(checks.spread, leasts, strict=True):
        here = values[at] or ""
        count = group.domains.get(here, 0) + own
        if count - least <= skew:
            continue
        head = f"topology spread on {group.key} with maxSkew {skew}: {here} would have {count}"
        if len(group.domains) < minimum:
            yield f"{head}, and there are {len(group.domains)} domains of the {minimum} that minDomains asks for"
            continue
        empty = sorted(value for value, pods in group.domains.items() if pods == least)
        named = ", ".join(empty[:MOST])
        yield f"{head} and {named} has {least}, where neither a node has room for it nor one can be bought"
