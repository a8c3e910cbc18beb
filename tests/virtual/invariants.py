"""What must hold in every history, whatever went wrong: one checker for virtual time and for whole processes.

Each invariant is a name and a function over the records; a violation says when and what.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from tests.virtual import history as h

R = TypeVar("R", bound=h.Record)
MINUTE = 60.0
BRAKE_SECONDS, BRAKE_PERCENT = 600.0, 10
TOKEN_SECONDS = 180.0
"""How long the published token may be dead before that is a fault: the daemon looks at it each minute."""
UNFENCED = ("events", "leases", "secrets", "selfsubjectreviews")
"""Kinds that are written without the daemon's Lease: tokens have one of their own, Events need none."""
AT_REST = ("leases", "secrets", "selfsubjectreviews")


class Bounds(msgspec.Struct, frozen=True):
    """What the manifests and settings allow."""

    pools: dict[str, dict[str, int]] = {}
    """Limits of each pool: cpu in milli-CPU, memory in bytes, nodes."""
    max_nodes: int = 100
    max_nano_usd: int | None = None
    launches_per_minute: int = 20


class Violation(msgspec.Struct, frozen=True):
    """An invariant that did not hold."""

    invariant: str
    at: float
    sentence: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.at:.2f} s: {self.sentence}"


Found = Iterator[tuple[float, str]]


def violations(history: Sequence[h.Record], bounds: Bounds) -> list[Violation]:
    """Every violation, in the order of time."""
    found = [
        Violation(name, at, sentence) for name, check in INVARIANTS.items() for at, sentence in check(history, bounds)
    ]
    return sorted(found, key=lambda v: (v.at, v.invariant))


def _of(history: Iterable[h.Record], kind: type[R]) -> Iterator[R]:
    return (r for r in history if isinstance(r, kind))


def one_instance_per_claim(history: Sequence[h.Record], _: Bounds) -> Found:
    claim_of: dict[str, str] = {}
    alive: Counter[str] = Counter()
    for record in history:
        if isinstance(record, h.Launched) and record.ours:
            claim_of[record.instance] = record.claim_uid
            alive[record.claim_uid] += 1
            if alive[record.claim_uid] > 1:
                yield record.at, f"{record.instance} is the second live instance of claim {record.claim_uid}"
        elif isinstance(record, h.Ended) and record.instance in claim_of:
            alive[claim_of[record.instance]] -= 1


def no_orphan(history: Sequence[h.Record], _: Bounds) -> Found:
    braked = any(_of(history, h.Braked))
    for closed in _of(history, h.Closed):
        for instance, claim in closed.instances:
            if not claim and not braked:
                yield closed.at, f"{instance} runs without a claim, and nothing was said of it"


def foreign_spared(history: Sequence[h.Record], _: Bounds) -> Found:
    for record in _of(history, h.Terminated):
        if not record.ours:
            yield record.at, f"{record.instance} is not ours and was terminated"
    for deleted in _of(history, h.NodeDeleted):
        if deleted.control_plane:
            yield deleted.at, f"control-plane node {deleted.node} was deleted"


def within_limits(history: Sequence[h.Record], bounds: Bounds) -> Found:
    held: dict[str, h.Launched] = {}
    used: defaultdict[str, Counter[str]] = defaultdict(Counter)
    price = 0
    for record in history:
        if isinstance(record, h.Launched) and record.ours:
            held[record.instance] = record
            used[record.pool].update(_amounts(record))
            price += record.nano_usd
            yield from _exceeded(record, used[record.pool], bounds)
            if len(held) > bounds.max_nodes:
                yield record.at, f"{len(held)} instances, and maxNodes is {bounds.max_nodes}"
            if bounds.max_nano_usd is not None and price > bounds.max_nano_usd:
                yield record.at, f"${price / 1e9:.3f} an hour, beyond maxPricePerHour"
        elif isinstance(record, h.Ended) and record.instance in held:
            ended = held.pop(record.instance)
            used[ended.pool].subtract(_amounts(ended))
            price -= ended.nano_usd


def _amounts(record: h.Launched) -> dict[str, int]:
    return {"cpu": record.vcpus * 1000, "memory": record.memory_bytes, "nodes": 1}


def _exceeded(record: h.Launched, used: Counter[str], bounds: Bounds) -> Found:
    for name, limit in bounds.pools.get(record.pool, {}).items():
        # What EC2 calls 4 GiB a node has a little less of, and that is what the limit counts.
        allowed = limit * 108 // 100 if name == "memory" else limit
        if used[name] > allowed:
            yield record.at, f"pool {record.pool} has {name} {used[name]} with {record.instance}; its limit is {limit}"


def launch_rate(history: Sequence[h.Record], bounds: Bounds) -> Found:
    recent: deque[float] = deque()
    for write in _of(history, h.Write):
        if write.action != "POST nodeclaims":
            continue
        recent.append(write.at)
        while recent[0] <= write.at - MINUTE + 1:
            recent.popleft()
        if len(recent) > bounds.launches_per_minute:
            yield write.at, f"{len(recent)} claims within a minute"


def budget_kept(history: Sequence[h.Record], _: Bounds) -> Found:
    for record in _of(history, h.Disrupted):
        if record.going + 1 > record.allowed:
            sentence = f"{record.claim} of pool {record.pool} goes beside {record.going}, and {record.allowed} may"
            yield record.at, sentence


def pods_respected(history: Sequence[h.Record], _: Bounds) -> Found:
    for deleted in _of(history, h.PodDeleted):
        if not deleted.due:
            yield deleted.at, f"pod {deleted.pod} was deleted past its budget before any deadline"
    for evicted in _of(history, h.Evicted):
        if evicted.pinned:
            yield evicted.at, f"pod {evicted.pod} must not be disrupted and was evicted"


def drained_first(history: Sequence[h.Record], _: Bounds) -> Found:
    for record in _of(history, h.Terminated):
        if record.undrained:
            yield record.at, f"{record.instance} was terminated under {', '.join(record.undrained)}"


def instance_before_node(history: Sequence[h.Record], _: Bounds) -> Found:
    for record in _of(history, h.NodeDeleted):
        if record.runs:
            yield record.at, f"node {record.node} was deleted while its instance ran"


def no_secret_told(history: Sequence[h.Record], _: Bounds) -> Found:
    secrets = {r.text for r in _of(history, h.Secret)}
    for said in _of(history, h.Said):
        if any(s in said.text for s in secrets):
            yield said.at, f"a token's secret stands in: {said.where}"


def one_writer(history: Sequence[h.Record], _: Bounds) -> Found:
    for write in _of(history, h.Write):
        if write.service == "ssm" or write.action.endswith(UNFENCED) or write.holder == write.process:
            continue
        holder = write.holder or "nobody"
        yield write.at, f"{write.process} did {write.action} {write.subject} while {holder} had the Lease"


def whole_view(history: Sequence[h.Record], _: Bounds) -> Found:
    for record in _of(history, h.Begun):
        if not record.synced:
            yield record.at, f"{record.process} began {record.action} although a cache was in doubt"


def sweep_braked(history: Sequence[h.Record], _: Bounds) -> Found:
    recent: deque[float] = deque()
    for record in _of(history, h.Terminated):
        if record.has_claim or record.approved or not record.ours:
            continue
        recent.append(record.at)
        while recent[0] <= record.at - BRAKE_SECONDS:
            recent.popleft()
        allowed = max(1, (record.alive + len(recent) - 1) * BRAKE_PERCENT // 100)
        if not record.claims:
            yield record.at, f"{record.instance} was swept although there was no claim at all"
        elif len(recent) > allowed:
            yield record.at, f"{len(recent)} instances were swept within ten minutes, and {allowed} may"


def rest_at_last(history: Sequence[h.Record], _: Bounds) -> Found:
    quiet = max((r.at for r in _of(history, h.Quiet)), default=None)
    for write in _of(history, h.Write):
        if quiet is not None and write.at > quiet and write.service != "ssm" and not write.action.endswith(AT_REST):
            yield write.at, f"{write.action} {write.subject} although nothing changes any more"


def pods_served(history: Sequence[h.Record], _: Bounds) -> Found:
    for closed in _of(history, h.Closed):
        if closed.pending:
            yield closed.at, f"pods still wait: {', '.join(closed.pending)}"


def token_works(history: Sequence[h.Record], _: Bounds) -> Found:
    for record in _of(history, h.TokenDead):
        if record.seconds > TOKEN_SECONDS:
            yield record.at, f"nobody could join for {record.seconds:.0f} s: the published token does not work"


INVARIANTS: dict[str, Callable[[Sequence[h.Record], Bounds], Found]] = {
    "one-instance-per-claim": one_instance_per_claim,
    "no-orphan": no_orphan,
    "foreign-spared": foreign_spared,
    "within-limits": within_limits,
    "launch-rate": launch_rate,
    "budget-kept": budget_kept,
    "pods-respected": pods_respected,
    "drained-first": drained_first,
    "instance-before-node": instance_before_node,
    "no-secret-told": no_secret_told,
    "one-writer": one_writer,
    "whole-view": whole_view,
    "sweep-braked": sweep_braked,
    "rest-at-last": rest_at_last,
    "pods-served": pods_served,
    "token-works": token_works,
}
