"""What packing is asked and what it answers."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

import msgspec

from agent.core.attaching import Attaching
from agent.core.observed import corrected, seen_memory
from agent.core.orphans import homeless
from agent.core.pools import protection
from agent.core.shelf import Shelf
from agent.core.shelves import Shelves
from agent.core.volumes import Storage
from agent.core.world import World
from agent.model import names
from agent.model.actions import Launch
from agent.model.constraints import Requirement
from agent.model.ec2 import CapacityError, InstanceType, Machine, NodeClass
from agent.model.kubernetes import DaemonSet, Meta, Node, NodeClaim, NodePool, Pod
from agent.model.names import ClassName, PodKey, PoolName
from agent.model.plan import Limits, Placement
from agent.model.reasons import Reason, Refusal

PROMISED: Final = "joinery.sh/pods"
"""On a NodeClaim: the pods that it was bought for, as a JSON list of ``namespace/name``."""


class Pair(msgspec.Struct, frozen=True, gc=False):
    """A node with its claim, or either alone: a node that is not ours, or a claim whose node has not come yet."""

    node: Node | None = None
    claim: NodeClaim | None = None


class PackingInput(msgspec.Struct, frozen=True):
    """Pods to place and everything they may be placed on. Order of the sequences means nothing."""

    now: datetime
    pods: tuple[Pod, ...]
    """To be placed: pending ones, and those that are displaced from nodes that go."""
    bound: tuple[Pod, ...] = ()
    """Pods that are on nodes already and use their room."""
    pairs: tuple[Pair, ...] = ()
    strays: tuple[NodeClaim, ...] = ()
    """Instances of ours whose claim is gone, as the claims that they would be adopted as: they cost and count."""
    pools: tuple[NodePool, ...] = ()
    classes: tuple[NodeClass, ...] = ()
    instance_types: dict[ClassName, tuple[InstanceType, ...]] = {}
    daemonsets: tuple[DaemonSet, ...] = ()
    capacity_errors: tuple[CapacityError, ...] = ()
    limits: Limits = Limits()
    launches: tuple[datetime, ...] = ()
    """When claims were created in the last minute."""
    reservations_at: datetime | None = None
    """When EC2 was asked how much room capacity reservations have. None: not known."""
    without: frozenset[str] = frozenset()
    """Names of nodes and claims that take no pods because this plan removes them."""
    protected: dict[PoolName, datetime] = {}
    """Pools in protected mode, and when their next trial launch is due."""
    namespaces: dict[str, dict[str, str]] = {}
    """Labels of each namespace."""
    seed: str = ""
    """Random text of this cycle, from which claims are named."""
    launch: bool = True
    """False: only room that is there already counts."""
    narrow: bool = False
    """Limits are scarce: a launch may fall back to no type that counts for more than the cheapest that holds it."""
    obstacles: dict[PodKey, Reason] = {}
    """Pods for which no node is looked for, for their volumes or for what became of earlier nodes; and why."""
    shelves: Shelves = msgspec.field(default_factory=Shelves)
    """What was made of the types before."""

    @classmethod
    def of(
        cls,
        world: World,
        pods: Iterable[Pod],
        shelves: Shelves | None = None,
        *,
        without: Collection[str] = (),
        launch: bool = True,
    ) -> "PackingInput":
        """Ask where ``pods`` go in this snapshot, ``without`` some of its nodes or claims."""
        snapshot, shelves = world.snapshot, shelves or Shelves()
        held = {pool.name: found.until for pool in snapshot.pools if (found := protection(world, pool)) is not None}
        storage = Storage.of(snapshot)
        wanted, obstacles = storage.situated(pods)
        attaching = Attaching.of(snapshot, storage, wanted)
        types = corrected(snapshot.instance_types, seen_memory(world), shelves)
        displaced = {pod.key for pod in wanted if pod.node_name is not None}
        return cls(
            now=snapshot.now,
            pods=wanted,
            bound=tuple(p for p in world.bound if p.key not in displaced) if displaced else world.bound,
            strays=tuple(_as_claim(machine) for machine in homeless(world)),
            pairs=tuple(_limited(p, attaching, world) for p in pairs(world)) if attaching.drivers else pairs(world),
            pools=snapshot.pools,
            classes=snapshot.classes,
            instance_types={name: attaching.types(listed) for name, listed in types.items()},
            daemonsets=snapshot.daemonsets,
            capacity_errors=snapshot.memory.capacity_errors,
            limits=snapshot.limits,
            launches=snapshot.memory.launches,
            reservations_at=snapshot.reservations_at,
            without=frozenset(without),
            protected=held,
            namespaces=snapshot.namespaces,
            seed=snapshot.seed,
            launch=launch,
            obstacles=obstacles,
            shelves=shelves,
        )

    @property
    def counted(self) -> tuple[NodeClaim, ...]:
        """What counts against limits and brakes: every claim, those that are being deleted too, and strays."""
        return (*(pair.claim for pair in self.pairs if pair.claim is not None), *self.strays)

    def refused(self, pod: Pod) -> Reason | None:
        """Why no node can take the pod, whatever the pools say; None: some could."""
        if not pod.unsupported:
            return self.obstacles.get(pod.key) if self.obstacles else None
        fields = ", ".join(pod.unsupported)
        sentence = f"this version of Joinery does not place pods with {fields}; no node is bought for it"
        return Reason("UnsupportedConstraint", sentence)

    def shelf(self, name: ClassName) -> Shelf:
        """What the types of a class are offered as."""
        return self.shelves.shelf(name, self.instance_types.get(name, ()))


class PackingResult(msgspec.Struct, frozen=True):
    """A place or a refusal for every pod that was asked about."""

    launches: tuple[Launch, ...] = ()
    placements: tuple[Placement, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    waiting: tuple[PodKey, ...] = ()
    """Pods without a place when nothing was to be launched: decided on once the batch window closes."""
    price_nano_usd: int = 0
    """Of the launches together, per hour."""
    lower_bound_nano_usd: int = 0
    """What any set of nodes for the pods of the launches costs at least, per hour."""
    next_at: datetime | None = None
    """When time alone would let more be launched."""

    @property
    def occupied(self) -> frozenset[str]:
        """Names of nodes and claims that received a pod, so that they are not empty."""
        return frozenset(name for p in self.placements for name in (p.node, p.claim) if name is not None)


def _limited(pair: Pair, attaching: Attaching, world: World) -> Pair:
    """With what the node, or the claim whose node has not come, can still attach."""
    node, claim = pair.node, pair.claim
    if node is None:
        if claim is None:
            return pair
        return Pair(None, attaching.claim(claim, world.snapshot.instance_types.get(claim.node_class, ())))
    return Pair(attaching.node(node, world.kind_of(claim) if claim is not None else None), claim)


def pairs(world: World) -> tuple[Pair, ...]:
    """Every node and every claim once, together where they belong together."""
    found = []
    taken: set[str] = set()
    for claim in world.snapshot.claims:
        node = world.node_of(claim)
        if node is not None:
            taken.add(node.name)
        found.append(Pair(node, claim))
    found += [Pair(node) for node in world.snapshot.nodes if node.name not in taken]
    return tuple(found)


def _as_claim(machine: Machine) -> NodeClaim:
    described = {
        names.INSTANCE_TYPE: str(machine.instance_type),
        names.ZONE: str(machine.zone),
        names.CAPACITY_TYPE: str(machine.capacity_type),
    }
    return NodeClaim(
        Meta(str(machine.id), labels=described),
        ClassName(machine.tags.get(names.TAG_CLASS, "")),
        requirements=tuple(Requirement(key, "In", (value,)) for key, value in described.items()),
        pool=machine.pool,
    )
