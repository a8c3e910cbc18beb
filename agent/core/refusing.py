"""Why a pool does not serve a pod: the constraint, or the pair of them, that leaves no instance type, with counts."""

from collections.abc import Collection, Iterator, Sequence

from agent.core.buying import Buying
from agent.core.composing import too_few
from agent.core.inputs import PackingInput
from agent.core.narrowing import emptied, narrowed
from agent.core.shapes import Shape
from agent.core.shelf import union
from agent.core.shop import Shop
from agent.core.space import Space, bits
from agent.core.taints import describe
from agent.core.templates import by_weight, unusable
from agent.core.topology.blocking import blocked
from agent.core.topology.dealing import Dealing
from agent.core.topology.offers import Offers
from agent.core.topology.scene import Scene
from agent.model.ec2 import CapacityError
from agent.model.kubernetes import NodePool
from agent.model.names import PodKey
from agent.model.reasons import Reason, Refusal


def reasons(
    asked: PackingInput, shops: Sequence[Shop], made: tuple[Scene, Dealing, Buying], dropped: Collection[PodKey]
) -> list[Refusal]:
    """For every pod without a place why it has none, per pool in the order in which they were asked."""
    scene, dealing, buying = made
    everything = Offers(shops, None, scene.total, scene.daemons)
    found = []
    for number, shape in enumerate(scene.shapes):
        keys = [key for key in shape.keys if key in dropped] + dealing.left[number]
        if keys:
            apart = blocked(dealing, number, everything, scene.selectors)
            why = tuple(_per_pool(asked, shops, (shape, apart), buying)) or (("", no_pools(asked, apart)),)
            found += [Refusal(key, why) for key in keys]
    return found


def _per_pool(
    asked: PackingInput, shops: Sequence[Shop], about: tuple[Shape, str | None], buying: Buying
) -> Iterator[tuple[str, Reason]]:
    position = {own.pool.name: (shop, n) for shop in shops for n, own in enumerate(shop.templates)}
    for group in by_weight(asked.pools):
        for pool in group:
            reason = unusable(pool, asked)
            if reason is None:
                shop, at = position[pool.name]
                reason = refusal(shop, at, about[0], buying, about[1])
            yield pool.name, reason


def no_pools(asked: PackingInput, apart: str | None) -> Reason:
    """There is no NodePool to ask at all."""
    if apart is not None:
        return Reason("FailedScheduling", apart)
    if asked.pools:
        return Reason("FailedScheduling", "no NodePool can be used at present")
    return Reason("FailedScheduling", "there is no NodePool; apply one that says what may be bought")


def refusal(shop: Shop, number: int, shape: Shape, buying: Buying, apart: str | None = None) -> Reason:
    """Why the pool of a template has no node for pods of the shape; ``apart`` is what its rules about others forbid."""
    space = shop.all()
    found = _incompatible(space, number, shape)
    if found is not None:
        return _refused_at_first(shop, number, shape, buying) or found
    serving = _serving(space, number, shape)
    pool = space.templates[number].pool
    # What held earlier launches back may leave room for a smaller node; then it says why none was bought.
    held, earlier = buying.forbidding(space, number, serving), buying.held.get(pool.name)
    if apart is not None:
        return Reason("FailedScheduling", f"{apart}; {held or earlier}" if held or earlier else apart)
    if held is not None:
        return held
    within = shop.within(buying)
    if space.reserved and not _serving(within, number, shape):
        full = buying.reservations.refusal(pool, space, serving)
        if full is not None:
            return full
    uniform = _too_uniform(space, number, serving)
    if uniform is not None:
        return Reason("NoCompatibleInstanceTypes", f"{uniform}; lower minValues or allow more types")
    uniform = _too_uniform(within, number, _serving(within, number, shape))
    if uniform is not None:
        return Reason("LimitExceeded", f"{uniform} within spec.limits; raise them or lower minValues")
    placed = f"NodePool {pool.name} could serve it, but its pods cannot be placed together"
    return earlier or Reason("FailedScheduling", placed)


def _refused_at_first(shop: Shop, number: int, shape: Shape, buying: Buying) -> Reason | None:
    """What took away, before anything was bought, all columns that would serve; None: there never were any."""
    errors = [e for e in shop.asked.capacity_errors if e.until > shop.asked.now]
    if not errors and not shop.all().reserved:
        return None
    wide = shop.unrefused()
    if _incompatible(wide, number, shape) is not None:
        return None
    pool, serving = wide.templates[number].pool, _serving(wide, number, shape)
    return buying.reservations.refusal(pool, wide, serving) or (_refused_by_ec2(pool, errors) if errors else None)


def _serving(space: Space, number: int, shape: Shape) -> int:
    """The columns of the pool that would hold a pod of the shape."""
    fitting = space.fits(space.vector(shape.requests)) & space.members[number]
    return union(space.select(alternative, fitting) for alternative in shape.alternatives)


def _incompatible(space: Space, number: int, shape: Shape) -> Reason | None:
    """Why no column of the template takes a pod of the shape; None: some would."""
    pool = space.templates[number].pool
    taint = shape.rules.repelled_by(pool.taints)
    if taint is not None:
        sentence = f"NodePool {pool.name} has the taint {describe(taint)}, which the pod does not tolerate"
        return Reason("FailedScheduling", sentence)
    if not shape.alternatives:
        return Reason("FailedScheduling", "the pod's nodeSelector and node affinity contradict each other")
    total = len(space.templates[number].shelf.types)
    if not total:
        sentence = "has no instance type to choose from: none is offered in the zones of its EC2NodeClass"
        return Reason("NoCompatibleInstanceTypes", f"NodePool {pool.name} {sentence}")
    members = space.members[number]
    if not members:
        return Reason("NoCompatibleInstanceTypes", f"NodePool {pool.name}: {emptied(space.templates[number])}")
    sentences = [narrowed(space, number, alternative, shape) for alternative in shape.alternatives]
    if any(s is None for s in sentences):
        return None
    others = len(sentences) - 1
    also = "; nor do its affinity's other alternatives leave any" if others > 1 else ""
    also = "; nor does its affinity's other alternative leave any" if others == 1 else also
    return Reason("FailedScheduling", f"NodePool {pool.name}: {sentences[0]}{also}")


def _refused_by_ec2(pool: NodePool, errors: Sequence[CapacityError]) -> Reason:
    codes = ", ".join(sorted({e.code for e in errors if e.code})) or "no capacity"
    until = max(e.until for e in errors)
    sentence = (
        f"EC2 refused the last offerings that would serve ({codes}); they are tried again from {until:%H:%M:%S} UTC"
    )
    return Reason("InsufficientCapacity", f"NodePool {pool.name}: {sentence}")


def _too_uniform(space: Space, number: int, serving: int) -> str | None:
    """Fewer values of a label than minValues asks are left among the types that hold the pod."""
    pool = space.templates[number].pool
    found = [too_few(pool, [space.columns[i] for i in bits(own)]) for own, _ in space.choices(number, serving)]
    short = [one for one in found if one is not None]
    if len(short) < len(found):
        return None
    entry, there = max(short, key=lambda one: one[1])
    return (
        f"NodePool {pool.name} wants {entry.min_values} values of {entry.key} (minValues) and the types that "
        f"hold the pod have {there}"
    )
