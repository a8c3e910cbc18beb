"""Why a pod has the place it has or none, and what a NodePool may do: the engine's own answers to smaller questions.

Nothing is reasoned anew here. A pod is explained by the plan of the whole cluster, and then each pool is asked for it
alone, as if every node were full; a pool is explained by what it would buy for the smallest of pods.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from agent.core.budgets import Window, allowed_disruptions, window_open, windows
from agent.core.buying import Buying
from agent.core.disruption import counts
from agent.core.inputs import PackingInput, Pair
from agent.core.packing import pack
from agent.core.pods import is_pending
from agent.core.templates import by_weight, unusable
from agent.core.world import World
from agent.model import names
from agent.model.actions import DisruptNode, Launch
from agent.model.kubernetes import Budget, Meta, NodePool, Pod, Toleration
from agent.model.names import PodKey, PoolName
from agent.model.plan import Placement, Plan, Snapshot
from agent.model.reasons import Blocked, Reason, Refusal
from agent.model.resources import ZERO

REASONS: Final = ("Empty", "Drifted", "Underutilized")
"""Reasons that budgets know."""
SMALLEST: Final = Pod(
    Meta("the-smallest-pod", namespace="joinery.sh"), unschedulable=True, tolerations=(Toleration(operator="Exists"),)
)
"""Asks for nothing and tolerates everything, so that a pool that has no node for it has none at all."""
State = Literal["Running", "Finished", "Placed", "Refused", "Waiting", "NotPending"]


class PoolAnswer(msgspec.Struct, frozen=True):
    """What one pool would do for a pod if it alone were asked, with no room on any node."""

    pool: PoolName
    weight: int
    launch: Launch | None = None
    reason: Reason | None = None
    """Why it would buy nothing."""


class PodExplained(msgspec.Struct, frozen=True):
    """One pod."""

    pod: PodKey
    state: State
    sentence: str
    """For the states that the plan does not decide."""
    placement: Placement | None = None
    launch: Launch | None = None
    """What is to be bought for it."""
    refusal: Refusal | None = None
    pools: tuple[PoolAnswer, ...] = ()
    """In the order in which pools are asked."""


class BudgetExplained(msgspec.Struct, frozen=True):
    """One disruption budget."""

    budget: Budget
    is_open: bool | None
    """None: its schedule or time zone cannot be read, which closes the pool."""
    windows: tuple[Window, ...] = ()
    """The open one and the next ones; none for a budget that always applies."""

    @property
    def overlaps(self) -> bool:
        """Whether the schedule hits again before, or just when, a window closes."""
        return any(window.hits > 1 for window in self.windows)


class PoolExplained(msgspec.Struct, frozen=True):
    """One NodePool."""

    pool: PoolName
    time_zone: str
    answer: PoolAnswer
    """For the smallest of pods."""
    nodes: int
    """Its NodeClaims."""
    limits: tuple[tuple[str, int, int], ...]
    """Resource, what its claims use of it, and the limit."""
    budgets: tuple[BudgetExplained, ...]
    allowed: tuple[tuple[str, int, str], ...]
    """Per reason: how many more nodes may go now, and the sentence that says which budget decides."""
    blocked: tuple[Blocked, ...]
    """Its nodes that would go but for something that holds them."""
    going: tuple[DisruptNode, ...]
    """Its nodes that this cycle would let go."""
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def explain_pod(snapshot: Snapshot, plan: Plan, key: PodKey) -> PodExplained | None:
    """Why the pod is where it is, or is nowhere; None when there is no such pod. ``plan`` is of this snapshot."""
    pod = next((p for p in snapshot.pods if p.key == key), None)
    if pod is None:
        return None
    world = World.of(snapshot)
    placement = next((p for p in plan.placements if p.pod == key), None)
    refusal = next((r for r in plan.refusals if r.pod == key), None)
    state, sentence = _state(pod, placement, refusal)
    launch = placement.launch if placement is not None else None
    return PodExplained(
        key,
        state,
        sentence,
        placement,
        next((found for found in plan.launches if found.id == launch), None) if launch is not None else None,
        refusal,
        tuple(_answers(world, pod, snapshot.pools)) if not (pod.is_daemon or pod.is_mirror) else (),
    )


def explain_pool(snapshot: Snapshot, plan: Plan, name: str) -> PoolExplained | None:
    """What the pool may buy and let go now; None when there is no such pool. ``plan`` is of this snapshot."""
    pool = next((p for p in snapshot.pools if p.name == name), None)
    if pool is None:
        return None
    world = World.of(snapshot)
    own = [c for c in snapshot.claims if c.pool == pool.name]
    mine = {c.name for c in own} | {node.name for c in own if (node := world.node_of(c)) is not None}
    total, going = counts(world).get(pool.name, (0, 0))
    used = Buying.of(PackingInput.of(world, ())).used[pool.name]
    return PoolExplained(
        pool=pool.name,
        time_zone=pool.meta.annotations.get(names.TIME_ZONE, "") or "UTC",
        answer=next(iter(_answers(world, SMALLEST, (pool,)))),
        nodes=len(own),
        limits=tuple((resource, used[resource], limit) for resource, limit in sorted(pool.limits.items())),
        budgets=tuple(_budget(budget, pool, snapshot) for budget in pool.budgets),
        allowed=tuple((r, *allowed_disruptions(pool, r, snapshot.now, total, going)) for r in REASONS),
        blocked=tuple(b for b in plan.blocked if b.node in mine),
        going=tuple(a for a in plan.actions if isinstance(a, DisruptNode) and a.pool == pool.name),
        faults=pool.faults,
        notes=pool.notes,
    )


def _state(pod: Pod, placement: Placement | None, refusal: Refusal | None) -> tuple[State, str]:
    if pod.is_finished:
        return "Finished", f"has ended ({pod.phase}) and needs no node"
    if placement is not None:
        return "Placed", f"leaves node {pod.node_name}, which is on its way out" if pod.node_name else ""
    if refusal is not None:
        return "Refused", ""
    if pod.node_name is not None:
        return "Running", f"is on node {pod.node_name}"
    if pod.is_daemon or pod.is_mirror:
        return "NotPending", f"belongs to a {pod.owner_kind}: it follows its node, and no node is bought for it"
    if pod.meta.deleted_at is not None:
        return "NotPending", "is being deleted, so no node is bought for it"
    if pod.nominated_node is not None:
        return "NotPending", f"the scheduler makes room for it on node {pod.nominated_node} by preemption"
    if not is_pending(pod):
        sentence = "the scheduler has not said that it finds no node for it (PodScheduled is not Unschedulable)"
        return "NotPending", f"{sentence}: it is being scheduled, or a scheduling gate holds it"
    return "Waiting", "no launch is planned at present, and there is no room for it"


def _answers(world: World, pod: Pod, pools: Iterable[NodePool]) -> Iterable[PoolAnswer]:
    """What each pool would do for the pod, in the order in which they are asked."""
    alone = msgspec.structs.replace(pod, node_name=None, phase="Pending", unschedulable=True)
    everything = PackingInput.of(world, (alone,))
    asked = msgspec.structs.replace(everything, pairs=tuple(_full(pair) for pair in everything.pairs))
    for pool in (pool for group in by_weight(tuple(pools)) for pool in group):
        reason = unusable(pool, asked)
        launch = None
        if reason is None:
            result = pack(msgspec.structs.replace(asked, pools=(pool,)))
            launch = next(iter(result.launches), None)
            reason = next((why for refusal in result.refusals for _, why in refusal.reasons), None)
        yield PoolAnswer(pool.name, pool.weight, launch, reason)


def _full(pair: Pair) -> Pair:
    """The node and claim without any room, but still counted against limits and brakes."""
    node = msgspec.structs.replace(pair.node, allocatable=ZERO) if pair.node is not None else None
    claim = pair.claim
    if claim is not None:
        claim = msgspec.structs.replace(claim, allocatable=ZERO, requests=ZERO)
    return Pair(node, claim)


def _budget(budget: Budget, pool: NodePool, snapshot: Snapshot) -> BudgetExplained:
    zone = pool.meta.annotations.get(names.TIME_ZONE, "")
    return BudgetExplained(budget, window_open(budget, snapshot.now, zone), windows(budget, snapshot.now, zone) or ())
