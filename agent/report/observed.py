"""What a daemon that only observes would have done, kept as one JSON object a line, and what that comes to.

A line says what the decision wanted from then on. Accounting adds up how long it wanted what: a node counts from when
it was first wanted until no pod wants it any more, because in observe mode pods stay pending.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from agent.model import names
from agent.model.actions import DisruptNode
from agent.model.kubernetes import Node
from agent.model.names import PodKey
from agent.model.plan import Plan, Snapshot

STILL: Final = timedelta(minutes=10)
"""After so long without a change the same is written again: it says that somebody looked."""
BLIND: Final = timedelta(minutes=15)
"""A longer silence is time in which nobody looked."""


Prices = dict[tuple[str, str, str], int]
"""Of a type in a zone, by capacity type: nano-dollars per hour."""


class Wanted(msgspec.Struct, frozen=True, rename="camel"):
    """A node that would have been bought."""

    node_pool: str
    instance_type: str
    zone: str
    capacity_type: str
    price_nano_usd: int
    """Per hour."""
    pods: tuple[PodKey, ...]


class Unwanted(msgspec.Struct, frozen=True, rename="camel"):
    """A node that would have been given back."""

    node: str
    instance_type: str
    price_nano_usd: int
    """Per hour; 0: not known."""
    why: str


class Fixed(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Nodes of one type that Joinery did not launch."""

    instance_type: str
    count: int
    price_nano_usd: int | None = None
    """Of each, per hour on demand; None: the catalogue does not have it."""


class Line(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What was so from ``at`` on."""

    at: datetime
    wanted: tuple[Wanted, ...] = ()
    unwanted: tuple[Unwanted, ...] = ()
    fixed: tuple[Fixed, ...] = ()
    refused: int = 0
    """Pods that no pool could have served."""

    def same(self, other: "Line") -> bool:
        """Whether both say the same of different times."""
        return msgspec.structs.replace(self, at=other.at) == other


def line(snapshot: Snapshot, plan: Plan, before: Line | None) -> Line:
    """What this decision wants.

    While the batch window is open nothing is decided on: then what was wanted before stands, as long as its pods wait.
    """
    prices = _prices(snapshot)
    if snapshot.provision:
        wanted = tuple(
            Wanted(x.draft.pool, x.instance_type, x.zone, x.capacity_type, x.price_nano_usd, tuple(sorted(x.pods)))
            for x in plan.launches
        )
    else:
        waiting = {pod.key for pod in snapshot.pods if pod.node_name is None and not pod.is_finished}
        wanted = tuple(w for w in before.wanted if waiting & set(w.pods)) if before is not None else ()
    return Line(
        at=snapshot.now,
        wanted=tuple(sorted(wanted, key=lambda w: (w.pods, w.instance_type))),
        unwanted=_unwanted(snapshot, plan, prices),
        fixed=_fixed(snapshot, prices),
        refused=len(plan.refusals) if snapshot.provision else before.refused if before is not None else 0,
    )


def _unwanted(snapshot: Snapshot, plan: Plan, prices: Prices) -> tuple[Unwanted, ...]:
    labels_of = {str(node.name): node.meta.labels for node in snapshot.nodes}
    found = []
    for action in plan.actions:
        if isinstance(action, DisruptNode) and action.node is not None:
            labels = labels_of.get(action.node.name, {})
            kind = labels.get(names.INSTANCE_TYPE, "")
            place = (kind, labels.get(names.ZONE, ""), labels.get(names.CAPACITY_TYPE, ""))
            found.append(Unwanted(action.node.name, kind, prices.get(place, 0), str(action.reason)))
    return tuple(sorted(found, key=lambda u: u.node))


def _fixed(snapshot: Snapshot, prices: Prices) -> tuple[Fixed, ...]:
    """Nodes that no claim accounts for, by type."""
    claimed = {claim.provider_id for claim in snapshot.claims if claim.provider_id is not None}
    counts = Counter(_type(node) for node in snapshot.nodes if node.provider_id not in claimed)
    least: dict[str, int] = {}
    for (kind, _, capacity_type), price in prices.items():
        if capacity_type == "on-demand":
            least[kind] = min(price, least.get(kind, price))
    return tuple(Fixed(kind, count, least.get(kind)) for kind, count in sorted(counts.items()))


def _type(node: Node) -> str:
    return node.meta.labels.get(names.INSTANCE_TYPE, "")


def _prices(snapshot: Snapshot) -> Prices:
    return {
        (kind.name, offering.zone, offering.capacity_type): offering.price_nano_usd
        for listed in snapshot.instance_types.values()
        for kind in listed
        for offering in kind.offerings
    }


class Spell(msgspec.Struct, frozen=True, rename="camel"):
    """One node, wanted or not wanted without a break."""

    what: Wanted | Unwanted
    began: datetime
    seconds: float
    lasts: bool
    """It was still so at the end."""

    @property
    def nano_usd(self) -> int:
        """What it cost in that time."""
        return round(self.what.price_nano_usd * self.seconds / 3600)


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """What a time of observing comes to."""

    began: datetime
    ended: datetime
    seen_seconds: float
    """Of that time, how long somebody looked."""
    bought: tuple[Spell, ...]
    removed: tuple[Spell, ...]
    fixed_nano_usd: int
    """What the nodes that are not Joinery's cost in the time that was seen."""
    unpriced: tuple[str, ...]
    """Types among them without a known price."""
    most_refused: int


def account(lines: Sequence[Line], since: datetime | None, until: datetime) -> Account | None:
    """Add up what the lines say of a time; None when they say nothing of it.

    A line holds until the next one, but no longer than ``BLIND``: what came after that nobody saw. Lines of a clock
    that stepped back are left out.
    """
    kept = _forward(lines)
    if not kept:
        return None
    spans = [
        (max(one.at, since or one.at), min(following, until), one)
        for one, following in zip(kept, [*(x.at for x in kept[1:]), until], strict=True)
    ]
    spans = [(begin, min(end, one.at + BLIND), one) for begin, end, one in spans]
    spans = [(begin, end, one) for begin, end, one in spans if begin < end]
    if not spans:
        return None
    fixed = sum(_fixed_nano(one) * (end - begin).total_seconds() / 3600 for begin, end, one in spans)
    every = [f for _, _, one in spans for f in one.fixed]
    unpriced = {f.instance_type for f in every} - {f.instance_type for f in every if f.price_nano_usd is not None}
    return Account(
        began=spans[0][0],
        ended=spans[-1][1],
        seen_seconds=sum((end - begin).total_seconds() for begin, end, _ in spans),
        bought=_spells([(b, e, one.wanted) for b, e, one in spans]),
        removed=_spells([(b, e, one.unwanted) for b, e, one in spans]),
        fixed_nano_usd=round(fixed),
        unpriced=tuple(sorted(kind or "unknown type" for kind in unpriced)),
        most_refused=max(one.refused for _, _, one in spans),
    )


def _forward(lines: Iterable[Line]) -> list[Line]:
    kept: list[Line] = []
    for one in lines:
        if not kept or one.at > kept[-1].at:
            kept.append(one)
    return kept


def _fixed_nano(one: Line) -> int:
    return sum(f.count * (f.price_nano_usd or 0) for f in one.fixed)


def _spells(spans: Sequence[tuple[datetime, datetime, Sequence[Wanted | Unwanted]]]) -> tuple[Spell, ...]:
    """Nodes that are told apart by what they are, not by their pods: a pod more or less is the same node."""
    open_: defaultdict[tuple[str, ...], list[Spell]] = defaultdict(list)
    done: list[Spell] = []
    last = spans[-1][1]
    for begin, end, found in spans:
        present: Counter[tuple[str, ...]] = Counter()
        for what in found:
            key = _kind(what)
            there = open_[key]
            number = present[key]
            present[key] += 1
            seconds = (end - begin).total_seconds()
            if number < len(there):
                held = there[number]
                there[number] = msgspec.structs.replace(held, seconds=held.seconds + seconds, lasts=end == last)
            else:
                there.append(Spell(what, begin, seconds, end == last))
        for key, there in open_.items():
            done += there[present[key] :]
            del there[present[key] :]
    done += [spell for there in open_.values() for spell in there]
    return tuple(sorted(done, key=lambda s: (s.began, _kind(s.what))))


def _kind(what: Wanted | Unwanted) -> tuple[str, ...]:
    if isinstance(what, Unwanted):
        return (what.node,)
    return (what.node_pool, what.instance_type, what.zone, what.capacity_type)
