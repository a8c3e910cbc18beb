"""What becomes of an instance of ours that no claim accounts for: adopted, terminated, or asked about.

Truth is the tags. An instance whose node is in the cluster is worth keeping, so its claim is rebuilt; one
without a node only costs money. A sweep that would take much at once is more likely our mistake than
thirty leaks (a restored etcd, a deleted CRD), so it stops and asks.
"""

from dataclasses import dataclass
from datetime import timedelta

from agent.core.world import World
from agent.model import names
from agent.model.actions import Action, AdoptMachine, ClaimDraft, TerminateMachine
from agent.model.constraints import Requirement
from agent.model.ec2 import Machine
from agent.model.kubernetes import Node
from agent.model.names import ClaimName, ClassName, InstanceId, PoolName
from agent.model.plan import Notice, Orphan
from agent.model.reasons import Reason
from agent.model.resources import ZERO

LOOKS = 2
"""Looks at EC2 that must show an instance without a claim before it is terminated."""
BRAKE_WINDOW = timedelta(minutes=10)
BRAKE_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Sweep:
    """The orphans' actions, and what to remember of those that wait."""

    actions: tuple[Action, ...]
    notices: tuple[Notice, ...]
    orphans: dict[InstanceId, Orphan]


def sweep(world: World) -> Sweep:
    """Decide on every live instance of ours without a claim."""
    snapshot = world.snapshot
    if snapshot.machines is None:
        return Sweep((), (), snapshot.memory.orphans)
    lost = [m for m in homeless(world) if m.id not in snapshot.busy]
    seen = {m.id: _look(world, m) for m in lost}
    if lost and not snapshot.claims and not _approved(world):
        sentence = (
            f"EC2 has {len(lost)} instances of this cluster but there is no NodeClaim at all, as after a restored "
            "etcd or a deleted CRD; nothing is done: `joinery adopt` rebuilds the claims, "
            "`joinery sweep --yes` terminates the instances"
        )
        return Sweep((), (_brake(sentence),), seen)
    adopted = [a for m in lost if (a := _adoption(world, m)) is not None]
    doomed = [m for m in lost if _node(world, m) is None and _is_due(world, seen[m.id])]
    allowed = _allowance(world)
    if len(doomed) > allowed:
        sentence = (
            f"{len(doomed)} instances without a claim are due for termination, more than the {allowed} that may go "
            "within ten minutes; nothing is done: look at them, then `joinery sweep --yes` or `joinery adopt`"
        )
        return Sweep(tuple(adopted), (_brake(sentence),), seen)
    return Sweep((*adopted, *(_termination(m, seen[m.id]) for m in doomed)), (), seen)


def homeless(world: World) -> tuple[Machine, ...]:
    """Live instances of ours that no claim accounts for, by id.

    A claim accounts for its own instance, and before its create is confirmed for any that is tagged with its name.
    """
    housed = {found.id for claim in world.snapshot.claims if (found := world.machine_of(claim)) is not None}
    coming = {claim.name for claim in world.snapshot.claims if not claim.uid and claim.provider_id is None}
    lost = (m for m in world.machine.values() if m.alive and m.id not in housed and m.claim not in coming)
    return tuple(sorted(lost, key=lambda m: m.id))


def _look(world: World, machine: Machine) -> Orphan:
    snapshot = world.snapshot
    known = snapshot.memory.orphans.get(machine.id)
    if known is None:
        return Orphan(first_seen=snapshot.now, looks=1, last_seen=snapshot.machines_at)
    at = snapshot.machines_at
    fresh = at is not None and (known.last_seen is None or at > known.last_seen)
    return Orphan(known.first_seen, known.looks + fresh, at)


def _is_due(world: World, orphan: Orphan) -> bool:
    if _sweep_approved(world):
        return True
    grace = timedelta(seconds=world.snapshot.limits.orphan_grace_seconds)
    return orphan.looks >= LOOKS and world.snapshot.now - orphan.first_seen >= grace


def _allowance(world: World) -> int:
    """The larger of one instance and ten percent of ours, within ten minutes."""
    if _sweep_approved(world):
        return len(world.machine)
    snapshot = world.snapshot
    recent = sum(1 for at in snapshot.memory.terminated if snapshot.now - at < BRAKE_WINDOW)
    alive = sum(1 for m in world.machine.values() if m.alive)
    return max(1, alive * BRAKE_PERCENT // 100) - recent


def _sweep_approved(world: World) -> bool:
    until = world.snapshot.approvals.sweep_until
    return until is not None and world.snapshot.now < until


def _approved(world: World) -> bool:
    until = world.snapshot.approvals.adopt_until
    return _sweep_approved(world) or (until is not None and world.snapshot.now < until)


def _node(world: World, machine: Machine) -> Node | None:
    wanted = machine.id if world.snapshot.limits.node_name == "instance-id" else machine.private_dns
    stated = world.nodes_of_provider.get(machine.provider_id, ())
    return next((n for n in stated if n.name == wanted and not world.is_control_plane(n)), None)


def _adoption(world: World, machine: Machine) -> AdoptMachine | None:
    node = _node(world, machine)
    asked = world.snapshot.approvals.adopt_until
    if node is None and not (asked is not None and world.snapshot.now < asked):
        return None
    if _sweep_approved(world) and node is None:
        return None
    pool = world.pool.get(machine.pool or PoolName(""))
    kind = world.kind(ClassName(machine.tags.get(names.TAG_CLASS, "")), machine.instance_type)
    draft = ClaimDraft(
        name=_free_name(world, machine),
        pool=machine.pool or PoolName(""),
        pool_uid=pool.meta.uid if pool else "",
        node_class=ClassName(machine.tags.get(names.TAG_CLASS, "")),
        requirements=(
            Requirement(names.INSTANCE_TYPE, "In", (machine.instance_type,)),
            Requirement(names.ZONE, "In", (machine.zone,)),
            Requirement(names.CAPACITY_TYPE, "In", (machine.capacity_type,)),
        ),
        requests=kind.allocatable if kind else (node.allocatable if node else ZERO),
        labels=(pool.labels if pool else {}) | _identity(machine),
        annotations={names.ADOPT: machine.id},
        taints=pool.taints if pool else (),
        startup_taints=(),
        expire_after_seconds=pool.expire_after_seconds if pool else None,
        termination_grace_seconds=pool.termination_grace_seconds if pool else None,
    )
    why = "its node is in the cluster" if node is not None else "an operator asked for it"
    reason = Reason("Adopted", f"instance {machine.id} has no NodeClaim but {why}; the claim is rebuilt from its tags")
    return AdoptMachine(reason=reason, instance=machine.id, draft=draft)


def _free_name(world: World, machine: Machine) -> ClaimName:
    taken = {c.name for c in world.snapshot.claims}
    return machine.claim if machine.claim and machine.claim not in taken else ClaimName(f"adopted-{machine.id}")


def _identity(machine: Machine) -> dict[str, str]:
    labels = {
        names.INSTANCE_TYPE: str(machine.instance_type),
        names.ZONE: str(machine.zone),
        names.CAPACITY_TYPE: str(machine.capacity_type),
    }
    if machine.pool:
        labels[names.NODEPOOL] = machine.pool
    if node_class := machine.tags.get(names.TAG_CLASS):
        labels[names.NODECLASS] = node_class
    return labels


def _termination(machine: Machine, orphan: Orphan) -> TerminateMachine:
    sentence = f"instance {machine.id} has had no NodeClaim and no node since {orphan.first_seen:%Y-%m-%d %H:%M:%S} UTC"
    return TerminateMachine(reason=Reason("Orphaned", sentence), instance=machine.id)


def _brake(sentence: str) -> Notice:
    return Notice("Namespace", names.NAMESPACE, Reason("SweepBrake", sentence), namespace=names.NAMESPACE)
