"""Room that is there already: on nodes, ours or not, and on claims whose nodes have not come yet."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from agent.core.inputs import PROMISED, PackingInput, Pair
from agent.core.nodeaffinity import alternatives
from agent.core.offerings import is_allowed
from agent.core.requirements import Requirements, ValueSet, normalized_labels, type_labels
from agent.core.shapes import Rules
from agent.core.taints import DAEMON_TOLERATIONS, UNSCHEDULABLE, lasting, tolerates
from agent.core.templates import UNNAMED
from agent.core.topology.levels import Level
from agent.model import names
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import Node, NodeClaim, Pod, Taint
from agent.model.names import PodKey
from agent.model.resources import ZERO, Resources

_Daemon = tuple[Pod, tuple[Requirements, ...]]
"""One pod of a DaemonSet, and the alternatives of what it requires."""
_DISRUPTING: Final = ("InstanceTerminating", "DisruptionReason")


class Room(msgspec.Struct, frozen=True, gc=False):
    """Free room under one name, and what a pod must accept to use it."""

    name: str
    is_node: bool
    initialized: bool
    described: Requirements
    """What its labels are, or can still become."""
    taints: tuple[Taint, ...]
    free: Resources
    promised: tuple[PodKey, ...] = ()
    """Pods that it was bought for."""
    going: bool = False
    """On its way out: it takes no pods."""

    def value(self, key: str) -> str | None:
        """Its domain of a topology key; None where it has none, or it is not known yet."""
        return self.name if key == names.HOSTNAME else self.described.get(key).single

    def decides(self, key: str) -> bool:
        """Whether it is known which domain of the key it is in, or that it is in none."""
        own = self.described.by_key.get(key)
        return own is None or own.single is not None or not (own.members or own.complement)

    def accepts(self, rules: Rules, level: Level) -> bool:
        """Whether such pods may run here whatever the node's labels turn out to be."""
        if rules.repelled_by(self.taints, soft=level.minds_soft_taints) is not None:
            return False
        return any(self.promises(alternative) for alternative in level.alternatives)

    def promises(self, asked: Requirements) -> bool:
        """Whether its labels are what is asked, whatever those that are still open become."""
        for key, values in asked:
            own = self.described.by_key.get(key)
            if own is None:
                if not values.absent:
                    return False
            elif not own <= values:
                return False
        return True


def is_leaving(pair: Pair) -> bool:
    """Whether the node is on its way out: deleted, terminating, or tainted for disruption."""
    node, claim = pair.node, pair.claim
    if node is not None and (node.meta.deleted_at is not None or node.has_taint(names.DISRUPTED_TAINT)):
        return True
    if claim is None:
        return False
    return claim.meta.deleted_at is not None or any(claim.is_true(kind) for kind in _DISRUPTING)


def rooms(
    asked: PackingInput, running: Mapping[str, tuple[Pod, ...]], daemon_pods: tuple[Pod, ...]
) -> tuple[Room, ...]:
    """Every room, initialised nodes first, then those that are starting, each by name (Karpenter's rule 6.5).

    Those that are going are among them: their pods count until they are gone.

    Args:
        asked: Nodes and claims.
        running: The pods that are on each node.
        daemon_pods: One pod of each DaemonSet.

    """
    daemons = asked.shelves.kept(_daemons, daemon_pods)
    found = []
    for pair in asked.pairs:
        if asked.without and not asked.without.isdisjoint(_names(pair)):
            continue
        if pair.node is not None:
            name = pair.node.name
            room = asked.shelves.of_node(name, _of_node, pair.node, pair.claim, running.get(name, ()), daemons)
        elif pair.claim is not None:
            types = asked.instance_types.get(pair.claim.node_class, ())
            room = _of_claim(pair.claim, types, daemons)
        else:
            continue
        found.append(msgspec.structs.replace(room, going=True) if is_leaving(pair) else room)
    return tuple(sorted(found, key=lambda r: (not r.initialized, not r.is_node, r.name)))


def _daemons(daemon_pods: tuple[Pod, ...]) -> tuple[_Daemon, ...]:
    return tuple((pod, alternatives(pod)) for pod in daemon_pods)


def _names(pair: Pair) -> Iterator[str]:
    return (one.meta.name for one in (pair.node, pair.claim) if one is not None)


def _of_node(node: Node, claim: NodeClaim | None, pods: Sequence[Pod], daemons: Sequence[_Daemon]) -> Room:
    starting = claim is not None and not claim.is_true("Initialized")
    labels, taints, total = node.meta.labels, node.taints, node.allocatable
    if node.unschedulable:
        taints = (*taints, UNSCHEDULABLE)
    if claim is not None and starting:
        if not claim.is_true("Registered"):
            # The agent has not yet put the claim's labels and taints on the node.
            labels, taints = {**labels, **claim.meta.labels}, (*taints, *claim.taints)
        taints = lasting(taints, claim)
        total = _reported(node.allocatable, claim.allocatable)
    labels = normalized_labels(labels)
    labels.setdefault(names.HOSTNAME, node.name)
    described = Requirements.from_labels(labels)
    free = total - Resources.total(pod.requests for pod in pods)
    due = _load(taints, daemons, lambda alternative: described.incompatible(alternative) is None)
    if due != ZERO:
        free -= _positive(due - Resources.total(pod.requests for pod in pods if pod.is_daemon))
    return Room(node.name, True, not starting, described, taints, free, promised_pods(claim))


def _of_claim(claim: NodeClaim, types: Sequence[InstanceType], daemons: Sequence[_Daemon]) -> Room:
    asked = Requirements.of(claim.requirements) & Requirements.from_labels(claim.meta.labels)
    launched = claim.provider_id is not None and claim.allocatable != ZERO
    described = _with_types(asked, types)
    due = _load(claim.taints, daemons, lambda a: described.incompatible(a) is None and _may_come(a, asked, types))
    total = claim.allocatable if launched else claim.requests
    return Room(claim.name, False, False, described, claim.taints, total - due, promised_pods(claim))


def promised_pods(claim: NodeClaim | None) -> tuple[PodKey, ...]:
    """The pods that a claim was bought for, as it was annotated then; an unreadable annotation promises nothing."""
    text = claim.meta.annotations.get(PROMISED) if claim is not None else None
    try:
        return msgspec.json.decode(text, type=tuple[PodKey, ...]) if text else ()
    except msgspec.DecodeError:
        return ()


def _with_types(described: Requirements, types: Sequence[InstanceType]) -> Requirements:
    """Add what the remaining types would make of labels that the claim leaves open, and the unknown host name."""
    possible = [t for t in types if described.get(names.INSTANCE_TYPE).allows(t.name)]
    merged: dict[str, ValueSet] = {names.HOSTNAME: ValueSet(frozenset({UNNAMED}))}
    for key, values in (
        (names.ZONE, frozenset[str](o.zone for t in possible for o in t.offerings)),
        (names.CAPACITY_TYPE, frozenset[str](o.capacity_type for t in possible for o in t.offerings)),
    ):
        merged[key] = ValueSet(values)
    tables = [type_labels(t.requirements).by_key for t in possible]
    for key in sorted({key for table in tables for key in table}):
        sets = [table.get(key, ValueSet(absent=True)) for table in tables]
        if any(s.complement for s in sets):
            merged[key] = ValueSet(complement=True, absent=any(s.absent for s in sets))
        else:
            members = frozenset(v for s in sets for v in s.members)
            merged[key] = ValueSet(members, absent=any(s.absent for s in sets))
    narrowed = {
        key: values & described.by_key[key] if key in described.by_key else values for key, values in merged.items()
    }
    return Requirements(described.by_key | {k: v for k, v in narrowed.items() if not v.is_empty})


def _may_come(wanted: Requirements, asked: Requirements, types: Iterable[InstanceType]) -> bool:
    """Whether a DaemonSet runs on any one offering of any one type that a claim may become.

    What is left open of a claim says less: the zone of one type and the capacity type of another are no offering.
    """
    possible = [t for t in types if asked.get(names.INSTANCE_TYPE).allows(t.name)] if wanted.by_key else []
    offered = [(t, o) for t in possible for o in t.offerings if is_allowed(asked, o)]
    each = (_with_types(asked, (msgspec.structs.replace(t, offerings=(o,)),)) for t, o in offered)
    return not offered or any(one.incompatible(wanted) is None for one in each)


def _load(taints: tuple[Taint, ...], daemons: Iterable[_Daemon], runs: Callable[[Requirements], bool]) -> Resources:
    """What the DaemonSets that will run there ask together; ``runs`` says by which alternatives one does."""
    total = ZERO
    for daemon, wanted in daemons:
        if tolerates((*daemon.tolerations, *DAEMON_TOLERATIONS), taints) and any(map(runs, wanted)):
            total = total + daemon.requests
    return total


def _reported(own: Resources, promised: Resources) -> Resources:
    """The node's figures, and the claim's where the node reports none yet (device plugins start late)."""
    amounts: Mapping[str, int] = dict(promised.items()) | dict(own.items())
    return Resources.of(dict(amounts))


def _positive(amounts: Resources) -> Resources:
    return Resources.of({name: amount for name, amount in amounts.items() if amount > 0})
