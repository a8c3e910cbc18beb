"""What is the next step of a claim that is not being deleted: bought, recorded, registered, initialised, or given up.

Every step is decided from what can be observed, never from how far an effect got, so a process that died
between any two of them is continued by the next one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from agent.core.aiming import overrides
from agent.core.world import World, target
from agent.model import names
from agent.model.actions import Action, ContinueLaunch, DeleteClaim, InitializeNode, RecordLaunch, RegisterNode
from agent.model.constraints import named_value
from agent.model.ec2 import LaunchRequest, Machine, NodeClass
from agent.model.kubernetes import Node, NodeClaim, Taint
from agent.model.plan import Notice
from agent.model.reasons import Reason, ReasonCode

LOOKS_UNTIL_GONE = 3
"""Looks at EC2 that must all miss a recorded instance before it counts as gone: DescribeInstances lags."""
VISIBLE_AFTER = timedelta(seconds=60)
"""EC2 may take this long to show a new instance in every answer."""

EPHEMERAL_TAINTS = frozenset(
    {
        ("node.kubernetes.io/not-ready", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule"),
        (names.UNREGISTERED_TAINT, "NoExecute"),
    }
)
"""Taints that a joining node sheds by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do for one claim now, what to tell people, and whether a join has just succeeded or failed."""

    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    joined: bool | None = None
    """True: registered now. False: given up before it registered. None: neither."""
    next_at: datetime | None = None


def next_step(world: World, claim: NodeClaim) -> Step:
    """The next step of a live claim."""
    if claim.provider_id is None:
        return _launch(world, claim)
    machine = world.machine_of(claim)
    if _is_gone(world, claim, machine):
        joined = None if claim.is_true("Registered") else False
        return _give_up(claim, "InstanceGone", _gone_sentence(claim, machine), joined=joined)
    if not claim.is_true("Registered"):
        return _register(world, claim)
    node = world.node_of(claim)
    if node is None or node.meta.deleted_at is not None:
        return _give_up(claim, "NodeDeleted", f"node {claim.node_name or claim.provider_id} was deleted by hand")
    if not claim.is_true("Initialized"):
        return _initialise(claim, node)
    return Step()


def intent_of(claim: NodeClaim) -> LaunchRequest | None:
    """The request that was written on the claim before it was sent. An unreadable one counts as none.

    Nobody but the agent writes this annotation; were it damaged, the tag look-up still finds what was bought.
    """
    text = claim.meta.annotations.get(names.LAUNCH_INTENT)
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=LaunchRequest)
    except msgspec.DecodeError:
        return None


def _launch(world: World, claim: NodeClaim) -> Step:
    snapshot = world.snapshot
    if not claim.uid or snapshot.machines is None:
        return Step()
    found = world.machine_of(claim)
    if found is not None and found.alive:
        return Step((_record(world, claim, found),))
    if names.ADOPT in claim.meta.annotations:
        return _give_up(claim, "InstanceGone", f"instance {claim.meta.annotations[names.ADOPT]} to be adopted is gone")
    deadline = _deadline(claim.meta.created_at, snapshot.limits.launch_timeout_seconds)
    if deadline is not None and snapshot.now >= deadline:
        return _give_up(claim, "LaunchTimeout", f"not launched within {snapshot.limits.launch_timeout_seconds} s")
    intent = intent_of(claim)
    node_class = world.node_class.get(claim.node_class)
    if intent is None:
        return _attempt(world, claim, node_class, 1)
    answer = snapshot.memory.answers.get(claim.uid)
    if answer is None or answer.attempt < intent.attempt:
        reason = Reason("LaunchResumed", f"attempt {intent.attempt} was written but its answer never seen; sent again")
        again = ContinueLaunch(
            reason=reason,
            claim=target(claim.meta),
            pool=claim.pool or names.PoolName(""),
            node_class=claim.node_class,
            attempt=intent.attempt,
            request=intent,
        )
        return Step((again,), next_at=deadline)
    if answer.retry_at is not None and snapshot.now < answer.retry_at:
        return Step(next_at=min(filter(None, (answer.retry_at, deadline))))
    return _attempt(world, claim, node_class, intent.attempt + 1)


def _attempt(world: World, claim: NodeClaim, node_class: NodeClass | None, attempt: int) -> Step:
    if node_class is None or not node_class.ready:
        return _give_up(claim, "NodeClassNotReady", f"EC2NodeClass {claim.node_class} is missing or not ready")
    snapshot = world.snapshot
    candidates = overrides(
        claim.requirements,
        node_class,
        snapshot.instance_types.get(claim.node_class, ()),
        snapshot.memory.capacity_errors,
        snapshot.now,
    )
    if not candidates.overrides:
        answer = snapshot.memory.answers.get(claim.uid)
        why = f"{answer.code}: {answer.message}" if answer is not None else "no offering is available"
        return _give_up(claim, "InsufficientCapacity", f"EC2 has no capacity left for this claim ({why})")
    action = ContinueLaunch(
        reason=Reason("Provisioned", f"attempt {attempt} with {len(candidates.overrides)} offerings"),
        claim=target(claim.meta),
        pool=claim.pool or names.PoolName(""),
        node_class=claim.node_class,
        attempt=attempt,
        capacity_type=candidates.capacity_type,
        candidates=candidates.overrides,
        reservation=named_value(claim.requirements, names.RESERVATION) or "",
    )
    return Step((action,), next_at=_deadline(claim.meta.created_at, snapshot.limits.launch_timeout_seconds))


def _record(world: World, claim: NodeClaim, machine: Machine) -> RecordLaunch:
    kind = world.kind(claim.node_class, machine.instance_type)
    labels = {
        r.key: r.values[0] for r in (kind.requirements if kind else ()) if r.operator == "In" and len(r.values) == 1
    }
    labels |= {
        names.INSTANCE_TYPE: machine.instance_type,
        names.ZONE: machine.zone,
        names.CAPACITY_TYPE: machine.capacity_type,
    }
    if world.snapshot.cluster.region:
        labels[names.REGION] = world.snapshot.cluster.region
    return RecordLaunch(
        reason=Reason("Provisioned", f"instance {machine.id} ({machine.instance_type} in {machine.zone}) launched"),
        claim=target(claim.meta),
        instance=machine.id,
        zone=machine.zone,
        instance_type=machine.instance_type,
        capacity_type=machine.capacity_type,
        image_id=machine.image_id,
        capacity=kind.capacity if kind else claim.requests,
        allocatable=kind.allocatable if kind else claim.requests,
        labels=labels,
    )


def _is_gone(world: World, claim: NodeClaim, machine: Machine | None) -> bool:
    snapshot = world.snapshot
    if snapshot.machines is None:
        return False
    if machine is not None:
        return not machine.alive or machine.state == "stopped"
    launched = claim.condition("Launched")
    since = (launched.last_transition if launched else None) or claim.meta.created_at
    settled = since is None or snapshot.now - since >= VISIBLE_AFTER
    return settled and snapshot.memory.empty_lookups.get(claim.uid, 0) >= LOOKS_UNTIL_GONE


def _gone_sentence(claim: NodeClaim, machine: Machine | None) -> str:
    if machine is None:
        return f"EC2 no longer knows the instance of {claim.provider_id}"
    why = f" ({machine.state_reason})" if machine.state_reason else ""
    return f"instance {machine.id} is {machine.state}{why}"


def _register(world: World, claim: NodeClaim) -> Step:
    node, wrong = world.node_and_impostors(claim)
    notices = tuple(_impostor(claim, n) for n in wrong)
    if node is None:
        launched = claim.condition("Launched")
        seconds = world.snapshot.limits.registration_timeout_seconds
        deadline = _deadline((launched.last_transition if launched else None) or claim.meta.created_at, seconds)
        if deadline is not None and world.snapshot.now >= deadline:
            given_up = _give_up(claim, "RegistrationTimeout", f"no node joined within {seconds} s", joined=False)
            return Step(given_up.actions, notices, joined=False)
        return Step(notices=notices, next_at=deadline)
    if world.is_control_plane(node):
        return Step(notices=(*notices, _impostor(claim, node)))
    if not node.has_taint(names.UNREGISTERED_TAINT) and names.REGISTERED not in node.meta.labels:
        reason = Reason(
            "UnregisteredTaintMissing",
            f"node {node.name} registered without the taint {names.UNREGISTERED_TAINT}:NoExecute; "
            "pods may have been placed before its labels and taints were there",
        )
        notices = (*notices, Notice("Node", node.name, reason, uid=node.meta.uid))
    return Step((_registration(claim, node),), notices, joined=True)


def _registration(claim: NodeClaim, node: Node) -> RegisterNode:
    synced = node.meta.labels.get(names.DO_NOT_SYNC_TAINTS) != "true"
    given = (*claim.taints, *claim.startup_taints) if synced else ()
    own = {(t.key, t.effect) for t in given}
    kept = tuple(t for t in node.taints if t.key != names.UNREGISTERED_TAINT and (t.key, t.effect) not in own)
    labels = claim.meta.labels | {names.REGISTERED: "true"}
    # Ours are notes about the launch; all others are the pool's, for its nodes.
    annotations = {k: v for k, v in claim.meta.annotations.items() if not k.startswith("joinery.sh/")}
    return RegisterNode(
        reason=Reason("Registered", f"node {node.name} joined"),
        claim=target(claim.meta),
        node=target(node.meta),
        labels=labels,
        annotations=annotations,
        taints=(*kept, *given),
        synced=node.meta.labels.get(names.REGISTERED) == "true" and not node.has_taint(names.UNREGISTERED_TAINT),
    )


def _impostor(claim: NodeClaim, node: Node) -> Notice:
    reason = Reason(
        "NodeImpersonation",
        f"node {node.name} states the provider id of claim {claim.name} ({claim.provider_id}) but is not its instance; "
        "it is not registered and must be looked at",
    )
    return Notice("Node", node.name, reason, uid=node.meta.uid)


def _initialise(claim: NodeClaim, node: Node) -> Step:
    startup = {(t.key, t.effect) for t in claim.startup_taints}
    waiting = (
        node.ready != "True"
        or any((t.key, t.effect) in startup or _is_ephemeral(t) for t in node.taints)
        or any(node.allocatable.amount(name) == 0 for name, wanted in claim.requests.items() if wanted > 0)
    )
    if waiting:
        return Step()
    reason = Reason("Initialized", f"node {node.name} is ready for pods")
    return Step((InitializeNode(reason=reason, claim=target(claim.meta), node=target(node.meta)),))


def _is_ephemeral(taint: Taint) -> bool:
    return (taint.key, taint.effect) in EPHEMERAL_TAINTS


def _give_up(claim: NodeClaim, code: ReasonCode, sentence: str, *, joined: bool | None = None) -> Step:
    action = DeleteClaim(reason=Reason(code, sentence), claim=target(claim.meta))
    return Step((action,), joined=joined)


def _deadline(since: datetime | None, seconds: int) -> datetime | None:
    return since + timedelta(seconds=seconds) if since is not None else None
