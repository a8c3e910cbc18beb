"""Where pods go: first onto room that is there or coming, then onto the cheapest nodes that may be bought.

Several ways of filling new nodes are tried and the cheapest is taken; first-fit decreasing is always among them,
so that the answer is never dearer than it. Every answer is verified before it leaves.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.bins import Demand, Problem
from agent.core.bounding import lower_bound
from agent.core.buying import Buying, Purchase
from agent.core.composing import compose
from agent.core.inputs import PackingInput, PackingResult
from agent.core.placing import place
from agent.core.refusing import no_pools, refusal
from agent.core.requirements import Requirements
from agent.core.rooms import rooms
from agent.core.shapes import Shape, shapes
from agent.core.shelf import union
from agent.core.shop import Shop
from agent.core.space import Space
from agent.core.templates import Template, by_weight, daemon_pods, template, unusable
from agent.core.variants import cheapest_bins
from agent.core.verifying import verify
from agent.model.actions import Launch
from agent.model.kubernetes import NodePool, Pod
from agent.model.names import PodKey
from agent.model.plan import Placement
from agent.model.reasons import Reason, Refusal
from agent.model.resources import Resources

ROUNDS = 8
"""How often what a limit forbade is tried again on smaller types."""

Why = tuple[str, Reason]
"""A pool's name, and why it does not serve; the name is empty for what no pool can change."""


@dataclass(slots=True)
class _Packing:
    """One decision in the making."""

    asked: PackingInput
    left: dict[int, list[PodKey]] = field(default_factory=dict)
    """Pods of each shape that have no place yet, in order of name."""
    placements: list[Placement] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    least: int = 0
    """What nodes for the pods of the launches cost at least, in nano-dollars per hour."""
    why: defaultdict[int, list[Why]] = field(default_factory=lambda: defaultdict(list))


def pack(asked: PackingInput) -> PackingResult:
    """Find a place for every pod, or say why there is none.

    Raises:
        PlanInvalid: the engine has a fault; nothing of its answer may be carried out.
    """
    known = [p for p in asked.pods if not p.unsupported]
    packing = _Packing(asked)
    grouped = shapes(known)
    packing.left = {n: list(shape.keys) for n, shape in enumerate(grouped)}
    packing.placements += place(rooms(asked), grouped, packing.left)
    buying = Buying.of(asked)
    for group in by_weight(asked.pools):
        _buy(packing, grouped, group, buying)
    refusals = [_unsupported(p) for p in asked.pods if p.unsupported]
    waiting = [key for keys in packing.left.values() for key in keys] if not asked.launch else []
    refusals += _refusals(packing) if asked.launch else []
    result = PackingResult(
        launches=tuple(packing.launches),
        placements=tuple(sorted(packing.placements, key=lambda p: p.pod)),
        refusals=tuple(sorted(refusals, key=lambda r: r.pod)),
        waiting=tuple(sorted(waiting)),
        price_nano_usd=sum(launch.price_nano_usd for launch in packing.launches),
        lower_bound_nano_usd=packing.least,
        next_at=buying.next_at(),
    )
    verify(asked, result)
    return result


def _buy(packing: _Packing, grouped: Sequence[Shape], group: tuple[NodePool, ...], buying: Buying) -> None:
    """Serve what has no place yet from pools of one weight."""
    waiting = [n for n, keys in packing.left.items() if keys]
    if not waiting:
        return
    usable = []
    for pool in group:
        reason = unusable(pool, packing.asked)
        if reason is None:
            usable.append(template(pool, packing.asked.shelf(pool.node_class)))
            continue
        for n in waiting:
            packing.why[n].append((pool.name, reason))
    if not usable or not packing.asked.launch:
        return
    shop = Shop(packing.asked, tuple(usable), daemon_pods(packing.asked), tuple(shape.requests for shape in grouped))
    before = {n: len(packing.left[n]) for n in waiting}
    for _ in range(ROUNDS):
        # Types that a limit forbids are left out from the start, so that the rest is packed on those it allows.
        if buying.brake() is not None or not _round(packing, shop.within(buying), grouped, buying):
            break
    packing.least += _least(shop.all(), grouped, {n: count - len(packing.left[n]) for n, count in before.items()})
    if any(packing.left.values()):
        _explain(packing, grouped, shop, buying)


def _round(packing: _Packing, space: Space, grouped: Sequence[Shape], buying: Buying) -> bool:
    """Buy the cheapest nodes for what waits, as far as limits allow; whether another round could buy more."""
    waiting = [n for n, keys in packing.left.items() if keys]
    demands = [_demand(space, n, grouped[n], len(packing.left[n])) for n in waiting]
    best_effort = packing.asked.limits.min_values_policy == "BestEffort"
    rest = packing.asked.limits.max_nodes - buying.nodes
    problem = Problem(space, tuple(d for d in demands if d.mask), _floors(space.templates), best_effort, rest)
    bins = cheapest_bins(problem)
    purchases = buying.choose(space, bins)
    for purchase in purchases:
        _take(packing, problem, purchase)
    return bool(purchases) and len(purchases) < len(bins)


def _least(space: Space, grouped: Sequence[Shape], launched: Mapping[int, int]) -> int:
    """What nodes for so many pods of each shape cost at least, whichever of these pools they are bought for."""
    demands = []
    for n, count in launched.items():
        shape = grouped[n]
        mask = union(space.select(alternative, _open_to(space, shape)) for alternative in shape.alternatives)
        if count:
            demands.append(Demand(n, space.vector(shape.requests), count, mask))
    return lower_bound(Problem(space, tuple(demands)))


def _open_to(space: Space, shape: Shape) -> int:
    """Columns of pools whose taints the shape tolerates."""
    pools = zip(space.templates, space.members, strict=True)
    return union(members for own, members in pools if shape.repelled_by(own.pool.taints) is None)


def _demand(space: Space, number: int, shape: Shape, count: int) -> Demand:
    """The columns that a shape may use, by the first of its alternatives that leaves any which holds it."""
    amounts = space.vector(shape.requests)
    mask, asked = 0, Requirements()
    open_to = _open_to(space, shape)
    for alternative in shape.alternatives:
        found = space.select(alternative, open_to)
        if found & space.fits(amounts):
            mask, asked = found, alternative
            break
    return Demand(number, amounts, count, mask, asked, space.undecided(asked))


def _floors(templates: Sequence[Template]) -> tuple[tuple[tuple[str, int], ...], ...]:
    floors = tuple(
        tuple((r.key, r.min_values) for r in t.pool.requirements if r.min_values is not None) for t in templates
    )
    return floors if any(floors) else ()


def _take(packing: _Packing, problem: Problem, purchase: Purchase) -> None:
    """Give a launch its pods and write down what its claim will say."""
    pods: list[PodKey] = []
    asked = purchase.found.custom
    for index, count in purchase.found.content:
        demand = problem.demands[index]
        waiting = packing.left[demand.shape]
        pods += waiting[: count * demand.size]
        del waiting[: count * demand.size]
        both = asked & demand.asked
        asked = asked if both.conflict is not None else both
    space = problem.space
    amounts = Resources.of(dict(zip(space.dimensions, purchase.found.used, strict=True)))
    launch = compose(packing.asked, space, purchase.mask, (amounts, asked), (len(packing.launches), sorted(pods)))
    packing.launches.append(launch)
    packing.placements += [Placement(key, launch=launch.id) for key in pods]


def _explain(packing: _Packing, grouped: Sequence[Shape], shop: Shop, buying: Buying) -> None:
    """Say per pool why what is still without a place got none from it."""
    for n, keys in packing.left.items():
        if not keys:
            continue
        for number, own in enumerate(shop.templates):
            packing.why[n].append((own.pool.name, refusal(shop, number, grouped[n], buying)))


def _refusals(packing: _Packing) -> list[Refusal]:
    return [
        Refusal(key, tuple(packing.why[n]) or (("", no_pools(packing.asked)),))
        for n, keys in packing.left.items()
        for key in keys
    ]


def _unsupported(pod: Pod) -> Refusal:
    fields = ", ".join(pod.unsupported)
    sentence = f"this version of Joinery does not place pods with {fields}; no node is bought for it"
    return Refusal(pod.key, (("", Reason("UnsupportedConstraint", sentence)),))
