"""One snapshot, indexed the ways the questions need it."""

from collections import defaultdict
from dataclasses import dataclass, field

from agent.core.requirements import Requirements
from agent.model import names
from agent.model.actions import Target
from agent.model.ec2 import InstanceType, Machine, NodeClass
from agent.model.kubernetes import Meta, Node, NodeClaim, NodePool, Pod
from agent.model.names import (
    ClaimName,
    ClaimUid,
    ClassName,
    InstanceId,
    NodeName,
    PoolName,
    ProviderId,
)
from agent.model.plan import Snapshot


def target(meta: Meta) -> Target:
    """The object as an action names it."""
    return Target(name=meta.name, uid=meta.uid, resource_version=meta.resource_version, namespace=meta.namespace)


@dataclass(frozen=True, slots=True)
class World:
    """Look-up tables over a snapshot. A provider id may be claimed by several nodes: whoever writes one may lie."""

    snapshot: Snapshot
    claim: dict[ClaimName, NodeClaim]
    machine: dict[InstanceId, Machine]
    machines_of_claim: dict[ClaimUid, tuple[Machine, ...]]
    nodes_of_provider: dict[ProviderId, tuple[Node, ...]]
    pods_on: dict[NodeName, tuple[Pod, ...]]
    bound: tuple[Pod, ...]
    """Pods that are on nodes."""
    unbound: tuple[Pod, ...]
    pool: dict[PoolName, NodePool]
    node_class: dict[ClassName, NodeClass]
    _kinds: dict[ClassName, dict[str, InstanceType]] = field(default_factory=dict)
    """Types of a class by name, once one is asked for."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> "World":
        """Index a snapshot; cost is linear in its objects."""
        ours = [m for m in snapshot.machines or () if m.is_ours(snapshot.cluster.name, snapshot.cluster.uid)]
        of_claim: defaultdict[ClaimUid, list[Machine]] = defaultdict(list)
        for machine in ours:
            if machine.claim_uid is not None:
                of_claim[machine.claim_uid].append(machine)
        nodes: defaultdict[ProviderId, list[Node]] = defaultdict(list)
        for node in snapshot.nodes:
            if node.provider_id is not None:
                nodes[node.provider_id].append(node)
        pods: defaultdict[NodeName, list[Pod]] = defaultdict(list)
        bound, unbound = list[Pod](), list[Pod]()
        for pod in snapshot.pods:
            if pod.node_name is None:
                unbound.append(pod)
            else:
                bound.append(pod)
                pods[pod.node_name].append(pod)
        return cls(
            snapshot=snapshot,
            claim={c.name: c for c in snapshot.claims},
            machine={m.id: m for m in ours},
            machines_of_claim={k: tuple(sorted(v, key=lambda m: (m.launched_at, m.id))) for k, v in of_claim.items()},
            nodes_of_provider={k: tuple(v) for k, v in nodes.items()},
            pods_on={k: tuple(v) for k, v in pods.items()},
            bound=tuple(bound),
            unbound=tuple(unbound),
            pool={p.name: p for p in snapshot.pools},
            node_class={c.name: c for c in snapshot.classes},
        )

    def machine_of(self, claim: NodeClaim) -> Machine | None:
        """The instance recorded for a claim, else the first live one that carries its UID."""
        if claim.provider_id is not None:
            return self.machine.get(InstanceId(claim.provider_id.rpartition("/")[2]))
        if adopted := claim.meta.annotations.get(names.ADOPT):
            return self.machine.get(InstanceId(adopted))
        candidates = self.machines_of_claim.get(claim.uid, ())
        return next((m for m in candidates if m.alive), candidates[-1] if candidates else None)

    def node_of(self, claim: NodeClaim) -> Node | None:
        """The claim's node."""
        return self.node_and_impostors(claim)[0]

    def node_and_impostors(self, claim: NodeClaim) -> tuple[Node | None, tuple[Node, ...]]:
        """The node of the claim's instance, and nodes that state its provider id under another name.

        A node writes ``spec.providerID`` itself, so it proves nothing; the name is bound to the instance by the
        certificate that was approved for it.
        """
        if claim.provider_id is None:
            return None, ()
        stated = self.nodes_of_provider.get(claim.provider_id, ())
        wanted: str | None = claim.provider_id.rpartition("/")[2]
        if self.snapshot.limits.node_name != "instance-id":
            machine = self.machine_of(claim)
            wanted = machine.private_dns if machine else claim.node_name
        right = next((n for n in stated if n.name == wanted), None)
        return right, tuple(n for n in stated if n.name != wanted)

    def kind(self, name: ClassName, kind: str | None) -> InstanceType | None:
        """A type as a class has it; None when the catalogue does not know it."""
        if name not in self._kinds:
            self._kinds[name] = {t.name: t for t in self.snapshot.instance_types.get(name, ())}
        return self._kinds[name].get(kind or "")

    def kind_of(self, claim: NodeClaim) -> InstanceType | None:
        """The type that a claim's labels name; None before it is launched, or when the catalogue does not know it."""
        return self.kind(claim.node_class, claim.meta.labels.get(names.INSTANCE_TYPE))

    def price_of(self, claim: NodeClaim) -> int:
        """Nano-dollars per hour of the claim's offering, by its labels; 0 when the catalogue does not know it."""
        kind = self.kind_of(claim)
        zone, capacity = claim.meta.labels.get(names.ZONE), claim.meta.labels.get(names.CAPACITY_TYPE)
        offered = kind.offerings if kind is not None else ()
        own = [o for o in offered if o.zone == zone and o.capacity_type == capacity]
        # Where pools pay differently, offerings are told apart by the pool.
        priced = (o for o in own if Requirements.of(o.requirements).admits(claim.meta.labels)) if len(own) > 1 else own
        return next((o.price_nano_usd for o in priced), 0)

    def is_control_plane(self, node: Node) -> bool:
        """Whether the node carries the control-plane role; such a node is never touched."""
        return names.CONTROL_PLANE in node.meta.labels
