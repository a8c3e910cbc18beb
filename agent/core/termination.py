"""What is the next step of a claim that is being deleted: taint, drain, detach, terminate, forget.

The order is Karpenter's. Pods leave by the Eviction API in four tiers, so that budgets hold and what others
depend on goes last; only a deadline that the pool's author set (terminationGracePeriod) overrides a budget.
"""

from datetime import datetime, timedelta

from agent.core.lifecycle import LOOKS_UNTIL_GONE, Step, intent_of
from agent.core.taints import tolerates
from agent.core.world import World, target
from agent.model import names
from agent.model.actions import Action, BeginTermination, DeleteNode, DeletePod, EvictPod, RemoveFinalizer
from agent.model.actions import TerminateMachine as Terminate
from agent.model.ec2 import Machine
from agent.model.kubernetes import Node, NodeClaim, Pod, Taint
from agent.model.names import NodeName
from agent.model.plan import Notice
from agent.model.reasons import Reason

DISRUPTED = Taint(names.DISRUPTED_TAINT, "NoSchedule")
_NO_NODE = NodeName("")
STUCK_AFTER = timedelta(minutes=1)
"""A pod this long past its deletionTimestamp is stuck; its node does not wait for it."""
CRITICAL = frozenset({"system-cluster-critical", "system-node-critical"})
LOOKS_BEFORE_FORGETTING = 2
"""Looks at EC2 without an instance before a claim whose launch was never answered may be forgotten."""


def next_step(world: World, claim: NodeClaim) -> Step:
    """The next step of a claim with a deletionTimestamp."""
    if world.snapshot.machines is None or names.TERMINATION_FINALIZER not in claim.meta.finalizers:
        return Step()
    machine = world.machine_of(claim)
    node = _node(world, claim)
    why = Reason("ClaimDeleted", f"NodeClaim {claim.name} is being deleted")
    if machine is not None and machine.alive:
        if node is not None:
            return _leave(world, claim, node, machine)
        return Step((_terminate(claim, machine, why),))
    if machine is not None and machine.state == "shutting-down":
        return Step()
    if machine is None and not _surely_absent(world, claim):
        return Step()
    if node is not None:
        return Step((DeleteNode(reason=why, node=target(node.meta)),))
    return Step((RemoveFinalizer(reason=why, claim=target(claim.meta)),))


def _node(world: World, claim: NodeClaim) -> Node | None:
    node = world.node_of(claim)
    return None if node is None or world.is_control_plane(node) else node


def _surely_absent(world: World, claim: NodeClaim) -> bool:
    looks = world.snapshot.memory.empty_lookups.get(claim.uid, 0)
    if claim.provider_id is not None:
        return looks >= LOOKS_UNTIL_GONE
    intent, answer = intent_of(claim), world.snapshot.memory.answers.get(claim.uid)
    # EC2 has said of the last attempt that it bought nothing, and of every earlier one, or there were no later ones.
    refused = intent is not None and answer is not None and answer.attempt == intent.attempt
    return intent is None or refused or looks >= LOOKS_BEFORE_FORGETTING


def _terminate(claim: NodeClaim, machine: Machine, why: Reason, drained: NodeName = _NO_NODE) -> Action:
    claimed = target(claim.meta)
    return Terminate(reason=why, instance=machine.id, claim=claimed, claim_uid=claim.uid, drained=drained)


def _leave(world: World, claim: NodeClaim, node: Node, machine: Machine) -> Step:
    now = world.snapshot.now
    deadline = _deadline(claim)
    why = Reason("ClaimDeleted", f"NodeClaim {claim.name} is being deleted")
    dated = names.TERMINATION_TIMESTAMP in claim.meta.annotations
    if not _is_marked(node) or (deadline is not None and not dated):
        return Step(
            (BeginTermination(reason=why, claim=target(claim.meta), node=target(node.meta), deadline=deadline),)
        )
    waiting = [p for p in world.pods_on.get(node.name, ()) if is_waited_for(p, now)]
    if waiting:
        actions, next_at = _drain(claim, node, waiting, deadline, now)
        return Step(actions, _held_by(claim, node, waiting), next_at=next_at)
    attached = [a for a in world.snapshot.attachments if a.node_name == node.name]
    if attached and node.ready == "True" and (deadline is None or now < deadline):
        return Step(next_at=deadline)
    late = deadline is not None and now >= deadline
    return Step((_terminate(claim, machine, why, _NO_NODE if late else node.name),))


def _deadline(claim: NodeClaim) -> datetime | None:
    """When budgets stop to count: as written on the claim, else deletion plus terminationGracePeriod."""
    text = claim.meta.annotations.get(names.TERMINATION_TIMESTAMP)
    if text:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    if claim.termination_grace_seconds is None or claim.meta.deleted_at is None:
        return None
    return claim.meta.deleted_at + timedelta(seconds=claim.termination_grace_seconds)


def _is_marked(node: Node) -> bool:
    return node.has_taint(DISRUPTED.key) and names.EXCLUDE_FROM_LOAD_BALANCERS in node.meta.labels


def is_waited_for(pod: Pod, now: datetime) -> bool:
    """Whether the pod has to be off its node before the instance is terminated."""
    if pod.is_finished or pod.is_mirror or tolerates(pod.tolerations, (DISRUPTED,)):
        return False
    deleted = pod.meta.deleted_at
    return deleted is None or now < deleted + STUCK_AFTER


def _tier(pod: Pod) -> int:
    """Order of leaving: plain pods, daemons, then the critical ones in the same order."""
    return 2 * (pod.priority_class in CRITICAL) + pod.is_daemon


def _drain(
    claim: NodeClaim, node: Node, waiting: list[Pod], deadline: datetime | None, now: datetime
) -> tuple[tuple[Action, ...], datetime | None]:
    first = min(map(_tier, waiting))
    actions: list[Action] = []
    times = [deadline] if deadline is not None else []
    for pod in sorted(waiting, key=lambda p: p.key):
        cut = None if deadline is None else deadline - timedelta(seconds=pod.termination_grace_seconds or 0)
        left = max(1, int((deadline - now).total_seconds())) if deadline is not None else 0
        # Deleted with a grace that outlasts the deadline, and asking once more would shorten it.
        ends = pod.meta.deleted_at
        late = ends is not None and deadline is not None and ends > max(deadline, now + timedelta(seconds=left))
        if cut is not None and deadline is not None and now >= cut and (ends is None or late):
            why = Reason("ClaimDeleted", f"the termination deadline of NodeClaim {claim.name} is {deadline:%H:%M:%S}")
            actions.append(DeletePod(why, target(pod.meta), node.name, claim.name, left))
        elif pod.meta.deleted_at is None and _tier(pod) == first and not _is_pinned(pod):
            why = Reason("ClaimDeleted", f"node {node.name} is being drained")
            actions.append(EvictPod(why, target(pod.meta), node.name, claim.name))
        if cut is not None and cut > now:
            times.append(cut)
        if pod.meta.deleted_at is not None:
            times.append(pod.meta.deleted_at + STUCK_AFTER)
    return tuple(actions), min((t for t in times if t > now), default=None)


def _is_pinned(pod: Pod) -> bool:
    """do-not-disrupt: waited for, but never evicted before the deadline."""
    return pod.meta.annotations.get(names.DO_NOT_DISRUPT) == "true"


def _held_by(claim: NodeClaim, node: Node, waiting: list[Pod]) -> tuple[Notice, ...]:
    pinned = [p.key for p in waiting if _is_pinned(p)]
    if not pinned:
        return ()
    sentence = f"pod {pinned[0]} is annotated {names.DO_NOT_DISRUPT}; node {node.name} waits for it"
    if claim.termination_grace_seconds is None:
        sentence += ", without a deadline (set terminationGracePeriod on the pool to have one)"
    return (Notice("Node", node.name, Reason("FailedDraining", sentence), uid=node.meta.uid),)
