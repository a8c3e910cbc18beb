"""The decision: everything one cycle will do, from everything that is known. A pure function.

Order: what was begun is finished first, then instances without a claim, then who asks to join, then room for
pending pods, then what may go, then what people read.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from agent.core import lifecycle, orphans, overlays, pools, termination
from agent.core.admission import is_ours
from agent.core.aiming import Aim, Candidates
from agent.core.coming import merged, offered
from agent.core.disruption import Found, empty_nodes
from agent.core.inputs import PackingInput, PackingResult
from agent.core.memory import remembered
from agent.core.podevents import pod_events
from agent.core.pods import displaced, is_pending
from agent.core.priority import pack_by_priority
from agent.core.requirements import Requirements
from agent.core.runaway import kept_off
from agent.core.shelves import Shelves
from agent.core.static import as_written, missing
from agent.core.surplus import surplus
from agent.core.world import World, target
from agent.model import names
from agent.model.actions import Action, DisruptNode, Launch, ReviewCertificate, UndisruptNode
from agent.model.constraints import Requirement
from agent.model.kubernetes import Pod
from agent.model.names import ClaimName, ClassName, PoolName
from agent.model.plan import Notice, Plan, Price, Snapshot
from agent.model.reasons import Blocked, Reason


def decide(snapshot: Snapshot, shelves: Shelves | None = None) -> Plan:
    """Decide what to do now, and say why for everything that is done or refused.

    ``shelves`` is what earlier decisions made of instance types, pools and classes; it saves effort and changes
    nothing.
    """
    shelves = shelves or Shelves()
    with _undisturbed():
        shelves.begin()
        return _decided(World.of(snapshot), shelves)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the garbage collector.

    A decision makes many values and hardly a cycle among them; looking for cycles would be a quarter of its time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _decided(world: World, shelves: Shelves) -> Plan:
    snapshot = world.snapshot
    steps = {c.name: _step(world, c.name) for c in snapshot.claims if c.name not in snapshot.busy}
    swept = orphans.sweep(world)
    packed, told = _pack(world, shelves)
    launches = _aimed(world, packed.launches, shelves)
    gone = _disruption(world, packed)
    events, digests = pod_events(world)
    memory = msgspec.structs.replace(remembered(world, steps, swept), pods=digests)
    notices = (*_paused(world), *_step_notices(steps.values()), *swept.notices, *pools.notices(world), *told)
    actions: tuple[Action, ...] = (
        *(a for s in steps.values() for a in s.actions),
        *swept.actions,
        *_reviews(world),
        *launches,
        *gone.actions,
        *pools.protect(world, memory.join_failures, _joined(world, steps)),
        *events,
        *pools.statuses(world),
        *overlays.statuses(world),
    )
    times = (*(s.next_at for s in steps.values()), packed.next_at, gone.next_at)
    return Plan(
        now=snapshot.now,
        actions=actions,
        placements=packed.placements,
        refusals=packed.refusals,
        blocked=gone.blocked,
        notices=notices,
        price=_price(world, packed, gone.actions),
        memory=memory,
        next_at=min((t for t in times if t is not None), default=None),
    )


class Gone(msgspec.Struct, frozen=True):
    """What disruption decided."""

    actions: tuple[DisruptNode | UndisruptNode, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    next_at: datetime | None = None


def _step(world: World, name: ClaimName) -> lifecycle.Step:
    claim = world.claim[name]
    return lifecycle.next_step(world, claim) if claim.meta.deleted_at is None else termination.next_step(world, claim)


def _paused(world: World) -> tuple[Notice, ...]:
    """So that nobody looks for the fault elsewhere while pods wait."""
    if not world.snapshot.approvals.paused:
        return ()
    sentence = "paused: nothing new is launched or disrupted, what was begun is finished; go on with: joinery resume"
    return (Notice("Namespace", names.NAMESPACE, Reason("Paused", sentence), namespace=names.NAMESPACE),)


def _step_notices(steps: Iterable[lifecycle.Step]) -> tuple[Notice, ...]:
    return tuple(n for s in steps for n in s.notices)


def _joined(world: World, steps: dict[ClaimName, lifecycle.Step]) -> frozenset[PoolName]:
    return frozenset(p for n, s in steps.items() if s.joined and (p := world.claim[n].pool) is not None)


def _reviews(world: World) -> tuple[ReviewCertificate, ...]:
    """Requests made with our tokens that nobody has answered. In token mode kubeadm's own approver answers them."""
    snapshot = world.snapshot
    if snapshot.limits.admission != "verified":
        return ()
    tokens = frozenset(snapshot.token_ids)
    return tuple(
        ReviewCertificate(
            reason=Reason("CertificateApproved", f"{request.username} asks to become {request.common_name}"),
            request=target(request.meta),
            asked=request.common_name,
        )
        for request in snapshot.certificate_requests
        if not request.decided and is_ours(request, tokens) and request.common_name not in snapshot.busy
    )


def _pack(world: World, shelves: Shelves) -> tuple[PackingResult, tuple[Notice, ...]]:
    """Nodes that static pools lack first: pending pods are placed on them before more is bought."""
    snapshot = world.snapshot
    pods: list[Pod] = [p for p in world.unbound if is_pending(p)]
    pods += displaced(world)
    provision = snapshot.provision and not snapshot.approvals.paused and snapshot.machines is not None
    asked = PackingInput.of(world, pods, shelves, launch=provision)
    asked = msgspec.structs.replace(asked, obstacles=asked.obstacles | kept_off(world, pods))
    kept = missing(asked)
    packed = merged(asked, kept.launches, pack_by_priority(offered(asked, kept.launches)))
    launches = tuple(as_written(launch, world.pool[launch.draft.pool]) for launch in packed.launches)
    return msgspec.structs.replace(packed, launches=launches), kept.notices


def _aimed(world: World, launches: Iterable[Launch], shelves: Shelves) -> tuple[Launch, ...]:
    """The launches with the offerings that their first requests will name."""
    errors = tuple(e for e in world.snapshot.memory.capacity_errors if e.until > world.snapshot.now)
    known: dict[tuple[ClassName, tuple[Requirement, ...]], Candidates] = {}
    found = []
    for launch in launches:
        wanted = launch.draft
        key = (wanted.node_class, wanted.requirements)
        node_class = world.node_class.get(wanted.node_class)
        if key not in known and node_class is not None:
            rest = Requirements.of(r for r in wanted.requirements if r.key != names.INSTANCE_TYPE)
            types = world.snapshot.instance_types[wanted.node_class]
            # A claim names all types that it may become.
            known[key] = shelves.kept(Aim.of, rest, node_class, types, errors).candidates(launch.instance_types)
        candidates = known.get(key, Candidates()).overrides
        found.append(msgspec.structs.replace(launch, candidates=candidates) if candidates else launch)
    return tuple(found)


def _disruption(world: World, packed: PackingResult) -> Gone:
    snapshot = world.snapshot
    stale = _leftovers(world)
    if not snapshot.disrupt or snapshot.approvals.paused or snapshot.machines is None:
        return Gone()
    # Of the voluntary reasons one acts in a plan, in this order.
    found = surplus(world)
    if not found.candidates:
        empty = empty_nodes(world, packed.occupied)
        times = [t for t in (found.next_at, empty.next_at) if t is not None]
        found = Found(empty.candidates, (*found.blocked, *empty.blocked), min(times, default=None))
    chosen = tuple(
        DisruptNode(
            reason=c.reason,
            claim=target(c.claim.meta),
            node=target(c.node.meta) if c.node is not None else None,
            pool=c.pool,
            savings_nano_usd=world.price_of(c.claim),
        )
        for c in found.candidates
    )
    kept = {c.claim.name for c in chosen}
    return Gone((*chosen, *(u for u in stale if u.claim.name not in kept)), found.blocked, found.next_at)


def _leftovers(world: World) -> tuple[UndisruptNode, ...]:
    """Disruptions that were begun and never carried through: tainted or marked to go, by a process that died since.

    They are taken back and decided anew; left alone, such a node would take no pods and never go.
    """
    found = []
    for claim in world.snapshot.claims:
        node = world.node_of(claim)
        if node is None or claim.meta.deleted_at is not None or claim.name in world.snapshot.busy:
            continue
        if node.has_taint(names.DISRUPTED_TAINT) or claim.is_true("DisruptionReason"):
            reason = Reason("DisruptionBlocked", f"node {node.name} is needed again; its disruption is taken back")
            found.append(UndisruptNode(reason=reason, node=target(node.meta), claim=target(claim.meta)))
    return tuple(found)


def _price(world: World, packed: PackingResult, gone: tuple[DisruptNode | UndisruptNode, ...]) -> Price:
    before = sum(world.price_of(c) for c in world.snapshot.claims if c.meta.deleted_at is None)
    saved = sum(action.savings_nano_usd for action in gone if isinstance(action, DisruptNode))
    kept = before - saved
    return Price(before, kept + packed.price_nano_usd, kept + packed.lower_bound_nano_usd)
