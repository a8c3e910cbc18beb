"""Static pools (``spec.replicas``): nodes that are kept whether pods ask for them or not (Karpenter's rules 14.1-14.4).

Unlike Karpenter, scaling down keeps within the pool's disruption budgets, and the brakes of the settings hold for
static pools too.
"""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from agent.core.bins import Bin
from agent.core.buying import Buying
from agent.core.composing import Composer
from agent.core.inputs import PROMISED, PackingInput, PackingResult, Pair
from agent.core.requirements import Requirements
from agent.core.shop import Shop
from agent.core.templates import SIMULATED, daemon_pods, template, unready
from agent.core.volumes import without_volumes
from agent.model import names
from agent.model.actions import Launch
from agent.model.kubernetes import Meta, NodeClaim, NodePool, Pod
from agent.model.names import ClaimName, PodKey
from agent.model.plan import Notice, Placement
from agent.model.reasons import Reason
from agent.model.resources import ZERO, Resources


class Kept(msgspec.Struct, frozen=True):
    """The launches that static pools lack, and what is told of those that get fewer."""

    launches: tuple[Launch, ...] = ()
    notices: tuple[Notice, ...] = ()

    def offered(self, asked: PackingInput) -> PackingInput:
        """The question with these nodes as room that is coming: pending pods use it before more is bought."""
        if not self.launches:
            return asked
        coming = tuple(Pair(None, _coming(launch, asked)) for launch in self.launches)
        recent = (*asked.launches, *(asked.now for _ in self.launches))
        return msgspec.structs.replace(asked, pairs=(*asked.pairs, *coming), launches=recent)

    def merged(self, asked: PackingInput, packed: PackingResult) -> PackingResult:
        """Both answers as one: pods that were placed on a coming node are its launch's, numbers follow on."""
        if not self.launches:
            return packed
        by_name = {launch.draft.name: launch for launch in self.launches}
        sent: defaultdict[ClaimName, list[PodKey]] = defaultdict(list)
        placements = []
        for placement in packed.placements:
            own = by_name.get(ClaimName(placement.claim or ""))
            if own is not None:
                sent[own.draft.name].append(placement.pod)
                placements.append(Placement(placement.pod, launch=own.id))
            elif placement.launch is not None:
                placements.append(Placement(placement.pod, launch=placement.launch + len(by_name)))
            else:
                placements.append(placement)
        pods, pools = {pod.key: pod for pod in asked.pods}, {pool.name: pool for pool in asked.pools}
        own_launches = tuple(
            _promising(launch, [pods[key] for key in sorted(sent[name])], pools[launch.draft.pool])
            for name, launch in by_name.items()
        )
        others = tuple(msgspec.structs.replace(x, id=x.id + len(by_name)) for x in packed.launches)
        price = packed.price_nano_usd + sum(launch.price_nano_usd for launch in own_launches)
        return msgspec.structs.replace(
            packed, launches=(*own_launches, *others), placements=tuple(placements), price_nano_usd=price
        )


def missing(asked: PackingInput) -> Kept:
    """The nodes that static pools lack of their replicas, within limits and brakes."""
    if not asked.launch:
        return Kept()
    buying = Buying.of(asked)
    launches: list[Launch] = []
    notices: list[Notice] = []
    for pool in sorted(asked.pools, key=lambda p: p.name):
        lacking = (pool.replicas or 0) - sum(
            pair.claim is not None and pair.claim.pool == pool.name and pair.claim.meta.deleted_at is None
            for pair in asked.pairs
        )
        if pool.replicas is None or lacking <= 0:
            continue
        reason = unready(pool, asked)
        if reason is None:
            made, reason = _bought(asked, pool, buying, (len(launches), lacking))
            launches += made
        if reason is not None:
            notices.append(Notice("NodePool", pool.name, reason, uid=pool.meta.uid))
    return Kept(tuple(launches), tuple(notices))


def _bought(
    asked: PackingInput, pool: NodePool, buying: Buying, numbers: tuple[int, int]
) -> tuple[list[Launch], Reason | None]:
    """So many launches from the first number on, and what kept them from being as many as are lacking."""
    first, lacking = numbers
    own = template(pool, asked.instance_types.get(pool.node_class, ()))
    space = Shop(asked, (own,), daemon_pods(asked), ()).all()
    members = space.members[0]
    if not members:
        sentence = f"NodePool {pool.name} keeps {pool.replicas} nodes, and no instance type satisfies its requirements"
        return [], Reason("NoCompatibleInstanceTypes", sentence)
    empty = Bin(mask=members, opened=members, used=(0,) * len(space.dimensions), content=())
    purchases = buying.choose(space, [empty] * lacking)
    sentence = f"NodePool {pool.name} keeps {pool.replicas} nodes and lacks {lacking}"
    composer = Composer(asked)
    launches = [
        msgspec.structs.replace(
            composer.launch(space, purchase.mask, (ZERO, Requirements()), (number, ())),
            reason=Reason("Static", sentence),
        )
        for number, purchase in enumerate(purchases, first)
    ]
    return launches, buying.held.get(pool.name) if len(purchases) < lacking else None


def _coming(launch: Launch, asked: PackingInput) -> NodeClaim:
    """The claim as it will be, with the room that the least of its types has."""
    draft = launch.draft
    listed = frozenset(launch.instance_types)
    rooms = [t.allocatable for t in asked.instance_types.get(draft.node_class, ()) if t.name in listed]
    return NodeClaim(
        meta=Meta(draft.name, labels=draft.labels | {names.NODEPOOL: draft.pool, names.NODECLASS: draft.node_class}),
        node_class=draft.node_class,
        requirements=draft.requirements,
        requests=Resources.of({name: min(r.amount(name) for r in rooms) for name, _ in rooms[0].items()}),
        taints=draft.taints,
        startup_taints=draft.startup_taints,
        pool=draft.pool,
    )


def _promising(launch: Launch, pods: Sequence[Pod], pool: NodePool) -> Launch:
    """The launch with the pods that were placed on it, on the types that hold them.

    Without any it asks for nothing, and requires what its pool does, no more (rule 14.4).
    """
    draft = launch.draft
    if not pods:
        kept = template(pool, ()).base.without(SIMULATED).written()
        return msgspec.structs.replace(launch, draft=msgspec.structs.replace(draft, requirements=kept, requests=ZERO))
    keys = tuple(pod.key for pod in pods)
    total = sum((pod.requests for pod in pods), start=draft.requests)
    promise = {PROMISED: msgspec.json.encode(keys).decode()}
    return msgspec.structs.replace(
        launch,
        pods=keys,
        draft=msgspec.structs.replace(draft, requests=without_volumes(total), annotations=draft.annotations | promise),
    )
