"""Where pods go: first onto room that is there or coming, then onto the cheapest nodes that may be bought.

Which domains they go to is decided first (``agent.core.topology``). Then several ways of filling new nodes are tried
and the cheapest is taken; first-fit decreasing is always among them, so that the answer is never dearer than it. Every
answer is verified before it leaves.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from agent.core.bins import Demand, Problem, floors
from agent.core.bounding import lower_bound
from agent.core.buying import Buying
from agent.core.demands import Demands
from agent.core.growing import Ground
from agent.core.hosts import FREE
from agent.core.inputs import PackingInput, PackingResult
from agent.core.launching import Bought, launches
from agent.core.refusing import reasons
from agent.core.settling import overtaken, unsettled
from agent.core.shapes import Rules, Shape
from agent.core.shelf import union
from agent.core.shop import Shop
from agent.core.space import Space, Vector
from agent.core.templates import by_weight, template, unusable
from agent.core.topology.cells import Deal
from agent.core.topology.dealing import Dealing
from agent.core.topology.offers import Offers
from agent.core.topology.scene import Scene
from agent.core.variants import cheapest_bins
from agent.core.verifying import verify
from agent.model.names import PodKey
from agent.model.plan import Placement
from agent.model.reasons import Reason, Refusal
from agent.model.resources import Resources

_Bounded = tuple[Vector, int, int]
"""What each of some pods asks, how many there are, and the columns that their rules allow."""
ROUNDS = 8
"""How often pods for which nothing could be bought are dealt anew: on smaller types, from other pools, or with fewer
preferences."""
ANEW = 3
"""How often all is packed anew because pods come in another order than that in which they were dealt."""


@dataclass(slots=True)
class _Packing:
    """One decision in the making."""

    asked: PackingInput
    scene: Scene
    shops: tuple[Shop, ...]
    """Of the pools of each weight, the heaviest first."""
    dealing: Dealing
    buying: Buying
    bought: list[Bought] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)
    """Shops that sell nothing more, for a limit or a brake."""
    grounds: dict[int, Ground] = field(default_factory=dict)
    """Of each shop: what was packed last."""
    dropped: frozenset[PodKey] = frozenset()
    """Pods that are left out although they were dealt."""

    @property
    def progress(self) -> int:
        """Grows with all that a round can do: nodes bought, shops closed, and what is not tried again."""
        return len(self.bought) + len(self.closed) + len(self.dealing.shut)

    @property
    def unlimited(self) -> bool:
        """Whether no limit or brake kept anything from being bought; where one did, the next cycle goes on."""
        return not self.closed and self.buying.brake() is None

    @property
    def unplaced(self) -> int:
        """How many pods have no place."""
        return len(self.dropped) + sum(map(len, self.dealing.left.values()))

    def offers(self) -> Offers:
        """What may be bought at present."""
        return Offers(self.shops, self.buying, self.scene.total, self.scene.daemons, frozenset(self.closed))


def pack(asked: PackingInput) -> PackingResult:
    """Find a place for every pod, or say why there is none.

    Raises:
        PlanInvalid: the engine has a fault; nothing of its answer may be carried out.
    """
    looked = [(pod, asked.refused(pod)) for pod in asked.pods]
    refused = {pod.key: reason for pod, reason in looked if reason is not None}
    scene = Scene.of(asked, [pod for pod, reason in looked if reason is None])
    shops = _shops(asked, scene)
    scene = replace(scene, total=_buyable(scene, shops) or scene.total)
    packing = _settled(asked, scene, shops)
    result = _result(packing, refused)
    verify(asked, result)
    return result


def _settled(asked: PackingInput, scene: Scene, shops: tuple[Shop, ...]) -> _Packing:
    """All packed, and packed anew as long as pods come in an order that the packing did not reckon with.

    Who has room at once comes first; and who got no place comes last, if others were left out for its sake.
    """
    everything = Offers(shops, None, scene.total, scene.daemons)
    packing = _packed(asked, scene, shops, everything)
    late: frozenset[PodKey] = frozenset()
    seats: dict[PodKey, str] = {}
    for _ in range(ANEW):
        dealing, before = packing.dealing, seats
        if overtaken(packing.scene, dealing, packing.bought, everything, packing.dropped):
            seats = {key: seat.place.room.name for key, seat in dealing.seats.items()}
            if seats == before:
                break
            packing = _packed(asked, scene.promising(seats), shops, everything, late)
        elif packing.dropped and packing.unlimited:
            late |= {key for keys in dealing.left.values() for key in keys}
            again = _packed(asked, packing.scene, shops, everything, late)
            if again.unplaced >= packing.unplaced:
                break
            packing = again
        else:
            break
    return packing


def _packed(
    asked: PackingInput, scene: Scene, shops: tuple[Shop, ...], everything: Offers, late: Collection[PodKey] = ()
) -> _Packing:
    """All rounds; with the pods that are ``late`` once the others have their places."""
    packing = _Packing(asked, scene, shops, scene.dealing(everything), Buying.of(asked))
    packing.dealing.keep_promises()
    packing.closed |= set() if asked.launch else set(range(len(shops)))
    held_back = packing.dealing.hold_back(late)
    _all_rounds(packing)
    if held_back:
        packing.dealing.admit(held_back)
        _all_rounds(packing)
    packing.dropped = unsettled(scene, packing.dealing, packing.bought, everything)
    return packing


def _all_rounds(packing: _Packing) -> None:
    shops, levels = packing.shops, max((len(shape.levels) for shape in packing.scene.shapes), default=0)
    # A reservation that becomes full sends the pods of other nodes that were meant for it into another round.
    again, tries = True, (ROUNDS + levels) * max(len(shops), 1) + len(packing.buying.reservations.left)
    while again and tries:
        tries -= 1
        again = _round(packing)


def _result(packing: _Packing, refused: dict[PodKey, Reason]) -> PackingResult:
    asked, dealing, dropped = packing.asked, packing.dealing, packing.dropped
    made = launches(asked, packing.scene.shapes, packing.bought, dropped)
    placed = {key: seat.place.placement(key) for key, seat in dealing.seats.items() if key not in dropped}
    placed |= {key: Placement(key, launch=launch.id) for launch in made for key in launch.pods}
    waiting = [key for keys in dealing.left.values() for key in keys] + sorted(dropped)
    refusals = [Refusal(key, (("", reason),)) for key, reason in refused.items()]
    if asked.launch:
        refusals += reasons(asked, packing.shops, (packing.scene, dealing, packing.buying), dropped)
    return PackingResult(
        launches=made,
        placements=tuple(placed[key] for key in dealing.order if key in placed),
        refusals=tuple(sorted(refusals, key=lambda r: r.pod)),
        waiting=() if asked.launch else tuple(sorted(waiting)),
        price_nano_usd=sum(launch.price_nano_usd for launch in made),
        lower_bound_nano_usd=_least(packing, dropped),
        next_at=packing.buying.next_at(),
    )


def _least(packing: _Packing, dropped: frozenset[PodKey]) -> int:
    """What nodes for the pods of the launches cost at least, whichever pools of the same weight they are bought for."""
    counts: dict[tuple[int, int], int] = {}
    for own in packing.bought:
        for deal, keys in own.content:
            place = (deal.offer.shelf, deal.shape)
            counts[place] = counts.get(place, 0) + sum(key not in dropped for key in keys)
    least = 0
    for number, shop in enumerate(packing.shops):
        sold = {shape: pods for (shelf, shape), pods in counts.items() if shelf == number and pods}
        if sold:
            asked = list(_bounded(packing, shop.all(), sold))
            ground = packing.grounds.get(number)
            if ground is None or ground.problem.space is not shop.all() or not _is_all(ground, asked):
                demands = tuple(Demand(n, *own) for n, own in enumerate(asked))
                ground = Ground.of(Problem(shop.all(), demands))
            least += lower_bound(ground)
    return least


def _is_all(ground: Ground, asked: Sequence[_Bounded]) -> bool:
    """Whether what was packed is just that, without rules of nodes: then it need not be looked at once more."""
    packed = ground.problem.demands
    return len(packed) == len(asked) and all(
        one.host is FREE and one.size == 1 and (one.amounts, one.count, one.mask) == own
        for one, own in zip(packed, asked, strict=True)
    )


def _bounded(packing: _Packing, space: Space, counts: dict[int, int]) -> Iterator[_Bounded]:
    masks: dict[Rules, int] = {}
    for number, pods in sorted(counts.items()):
        shape = packing.scene.shapes[number]
        yield space.vector(shape.requests), pods, _columns(space, shape, masks)


def _columns(space: Space, shape: Shape, masks: dict[Rules, int]) -> int:
    """Columns that the rules of a shape allow, of whatever size."""
    if shape.rules not in masks:
        pools = zip(space.templates, space.members, strict=True)
        open_to = union(members for own, members in pools if shape.rules.repelled_by(own.pool.taints) is None)
        masks[shape.rules] = union(space.select(alternative, open_to) for alternative in shape.alternatives)
    return masks[shape.rules]


def _buyable(scene: Scene, shops: Sequence[Shop]) -> Resources | None:
    """What all pods ask together for which anything could be bought; None: there is no such pod.

    Domains are compared by what this would cost there, and a pod that nothing serves must not change what others get.
    """
    found: set[int] = set()
    for shop in shops:
        space, masks = shop.all(), dict[Rules, int]()
        for number, shape in enumerate(scene.shapes):
            if _columns(space, shape, masks) & space.fits(space.vector(shape.requests)):
                found.add(number)
    if len(found) == len(scene.shapes):
        return scene.total
    return Resources.total(scene.shapes[n].requests * scene.shapes[n].count for n in found) if found else None


def _shops(asked: PackingInput, scene: Scene) -> tuple[Shop, ...]:
    sizes = tuple(shape.requests for shape in scene.shapes)
    found = []
    for group in by_weight(asked.pools):
        usable = [p for p in group if unusable(p, asked) is None]
        templates = tuple(asked.shelves.kept(template, p, asked.shelf(p.node_class)) for p in usable)
        if templates:
            found.append(Shop(asked, templates, scene.daemon_pods, sizes))
    return tuple(found)


def _round(packing: _Packing) -> bool:
    """Deal what is left, and buy nodes for it as far as limits allow; whether another round could do more."""
    offers = packing.offers()
    deals = packing.dealing.deal(offers)
    before = packing.progress
    for shelf in sorted({deal.offer.shelf for deal in deals}):
        own = [deal for deal in deals if deal.offer.shelf == shelf]
        _buy(packing, offers.space(shelf), shelf, own)
    if not any(packing.dealing.left.values()) or packing.buying.brake() is not None:
        return False
    return packing.progress > before


def _buy(packing: _Packing, space: Space, shelf: int, deals: Sequence[Deal]) -> None:
    """Buy nodes for deals of one shop, and give back what got none."""
    demands = Demands.of(space, packing.scene.shapes, deals)
    best_effort = packing.asked.limits.min_values_policy == "BestEffort"
    rest = packing.asked.limits.max_nodes - packing.buying.nodes
    problem = Problem(space, demands.demands, floors(space.templates), best_effort, rest)
    packing.grounds[shelf] = ground = Ground.of(problem)
    bins = cheapest_bins(ground)
    purchases = packing.buying.choose(space, bins) if packing.buying.brake() is None else []
    packing.bought += [Bought(space, purchase, demands.content(purchase.found)) for purchase in purchases]
    if bins and not purchases and all(packing.buying.reservations.usable(space, found) for found in bins):
        packing.closed.add(shelf)
    for deal, keys, fits in demands.unbought(bins):
        packing.dealing.give_back(deal, keys)
        if not fits:
            packing.dealing.shut.add((deal.shape, deal.level, shelf, deal.values))
