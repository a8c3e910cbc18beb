"""Static pools (``spec.replicas``): nodes that are kept whether pods ask for them or not (Karpenter's rules 14.1-14.4).

Unlike Karpenter, scaling down keeps within the pool's disruption budgets, and the brakes of the settings hold for
static pools too.
"""

import msgspec

from agent.core.bins import Bin
from agent.core.buying import Buying
from agent.core.composing import Composer
from agent.core.inputs import PackingInput
from agent.core.narrowing import emptied
from agent.core.requirements import Requirements
from agent.core.shelf import Shelf
from agent.core.shop import Shop
from agent.core.templates import SIMULATED, daemon_pods, template, unready
from agent.model import names
from agent.model.actions import Launch
from agent.model.kubernetes import NodePool
from agent.model.plan import Notice
from agent.model.reasons import Reason
from agent.model.resources import ZERO


class Kept(msgspec.Struct, frozen=True):
    """The launches that static pools lack, and what is told of those that get fewer."""

    launches: tuple[Launch, ...] = ()
    notices: tuple[Notice, ...] = ()


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
    own = template(pool, asked.shelf(pool.node_class))
    space = Shop(asked, (own,), daemon_pods(asked), ()).all()
    members = space.members[0]
    if not members:
        sentence = f"NodePool {pool.name} keeps {_nodes(pool)}, and has none to buy: {emptied(own)}"
        return [], Reason("NoCompatibleInstanceTypes", sentence)
    empty = Bin(mask=members, opened=members, used=(0,) * len(space.dimensions), content=())
    purchases = buying.choose(space, [empty] * lacking)
    sentence = f"NodePool {pool.name} keeps {_nodes(pool)} and lacks {lacking}"
    composer = Composer(asked)
    launches = [
        msgspec.structs.replace(
            composer.launch(space, purchase.mask, (ZERO, Requirements()), (number, ())),
            reason=Reason("Static", sentence),
        )
        for number, purchase in enumerate(purchases, first)
    ]
    if len(purchases) == lacking:
        return launches, None
    return launches, buying.held.get(pool.name) or buying.reservations.refusal(pool, space, members)


def _nodes(pool: NodePool) -> str:
    return f"{pool.replicas} node{'' if pool.replicas == 1 else 's'}"


def as_written(launch: Launch, pool: NodePool) -> Launch:
    """A static launch as its claim will be: one without pods asks for nothing but what its pool does (rule 14.4).

    And for the capacity reservation of which it takes a place.
    """
    if launch.pods or launch.reason.code != "Static":
        return launch
    kept, written = template(pool, Shelf.of(())).base.without(SIMULATED), Requirements.of(launch.draft.requirements)
    if not written.get(names.RESERVATION).complement:
        kept &= Requirements({key: written.get(key) for key in (names.CAPACITY_TYPE, names.RESERVATION)})
    return msgspec.structs.replace(
        launch, draft=msgspec.structs.replace(launch.draft, requirements=kept.written(), requests=ZERO)
    )
