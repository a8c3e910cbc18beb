"""Writes to nodes and their claims: registration, initialisation, disruption."""

from collections.abc import Iterator
from contextlib import suppress

from agent.core.pods import is_reschedulable
from agent.daemon.act.registry import Hands, effect
from agent.kube import errors as kube
from agent.kube import paths, wire
from agent.kube.times import rfc3339
from agent.model import names
from agent.model.actions import (
    DeleteClaim,
    DisruptNode,
    InitializeNode,
    RecordPodEvent,
    RegisterNode,
    SetCondition,
    Target,
    UndisruptNode,
)
from agent.model.kubernetes import Condition, Node, NodeClaim, Pod, Taint
from agent.model.reasons import Reason

CLAIMS = "nodeclaims"
NODES = "nodes"
UNREGISTERED = Taint(names.UNREGISTERED_TAINT, "NoExecute")
DISRUPTED = Taint(names.DISRUPTED_TAINT, "NoSchedule")


@effect
def sync_node(hands: Hands, action: RegisterNode) -> Target:
    """Give the node its labels, annotations, finalizer and the pool's taints, the unregistered one still among them."""
    metadata = {
        "resourceVersion": action.node.resource_version,
        "labels": action.labels,
        "annotations": action.annotations,
        "finalizers": sorted({names.TERMINATION_FINALIZER, *_finalizers(hands, action.node.name)}),
    }
    body = {"metadata": metadata, "spec": {"taints": wire.taints((*action.taints, UNREGISTERED))}}
    return _patched_node(hands, action.node.name, body)


@effect
def lift_unregistered_taint(hands: Hands, node: Target, action: RegisterNode) -> None:
    """Let pods in, now that the node is what its pool says."""
    body = {"metadata": {"resourceVersion": node.resource_version}, "spec": {"taints": wire.taints(action.taints)}}
    _patched_node(hands, node.name, body)


@effect
def set_condition(hands: Hands, claim: Target, condition: Condition, node_name: str = "") -> None:
    """Set one condition of a claim, and its status.nodeName when given."""
    held = hands.cache.get(CLAIMS, claim.name)
    if not isinstance(held, NodeClaim) or held.uid != claim.uid:
        return
    status: dict[str, object] = {
        "conditions": wire.conditions(wire.with_condition(held.conditions, condition, hands.clock()))
    }
    if node_name:
        status["nodeName"] = node_name
    body = {"metadata": {"resourceVersion": held.meta.resource_version}, "status": status}
    hands.cache.wrote(CLAIMS, hands.api.merge_patch(paths.status(paths.node_claims(claim.name)), body))


@effect
def write_pod_event(hands: Hands, action: RecordPodEvent) -> None:
    """status.lastPodEventTime."""
    path = paths.status(paths.node_claims(action.claim.name))
    body = {"metadata": {"uid": action.claim.uid}, "status": {"lastPodEventTime": rfc3339(action.at)}}
    hands.cache.wrote(CLAIMS, hands.api.merge_patch(path, body))


@effect
def label_initialized(hands: Hands, action: InitializeNode) -> None:
    """Mark the node initialised; dashboards and the scheduler simulation of others read the label."""
    _patched_node(hands, action.node.name, {"metadata": {"labels": {names.INITIALIZED: "true"}}})


@effect
def taint_disrupted(hands: Hands, node: Node) -> None:
    """Keep new pods off the node, on the very version of it that the decision saw."""
    kept = tuple(t for t in node.taints if t.key != DISRUPTED.key)
    body = {
        "metadata": {"resourceVersion": node.meta.resource_version},
        "spec": {"taints": wire.taints((*kept, DISRUPTED))},
    }
    _patched_node(hands, node.name, body)


@effect
def lift_disrupted_taint(hands: Hands, node: Node) -> None:
    """Give the node back to the scheduler."""
    kept = tuple(t for t in node.taints if t.key != DISRUPTED.key)
    body = {"metadata": {"resourceVersion": node.meta.resource_version}, "spec": {"taints": wire.taints(kept)}}
    _patched_node(hands, node.name, body)


@effect
def delete_claim(hands: Hands, claim: Target) -> None:
    """Delete the claim; its finalizer takes it through drain and termination."""
    with suppress(kube.NotFound):
        raw = hands.api.delete(paths.node_claims(claim.name), uid=claim.uid)
        if wire.uid(raw) == claim.uid:
            hands.cache.wrote(CLAIMS, raw)


def register(hands: Hands, action: RegisterNode) -> None:
    """Sync, lift, record."""
    if not action.synced:
        lift_unregistered_taint(hands, sync_node(hands, action), action)
    condition = Condition("Registered", "True", "Registered", str(action.reason))
    set_condition(hands, action.claim, condition, node_name=action.node.name)


def initialize(hands: Hands, action: InitializeNode) -> None:
    """Label the node, then record it."""
    label_initialized(hands, action)
    set_condition(hands, action.claim, Condition("Initialized", "True", "Initialized", str(action.reason)))


def disrupt(hands: Hands, action: DisruptNode) -> None:
    """Taint first, then look again at the pods: one may have been bound while the decision was made."""
    if action.node is not None:
        node = hands.cache.get(NODES, action.node.name)
        if not isinstance(node, Node) or node.meta.uid != action.node.uid:
            return
        if not node.has_taint(names.DISRUPTED_TAINT):
            taint_disrupted(hands, node)
        if action.reason.code == "Empty" and (found := _newcomer(hands, node.name)):
            _withdraw(hands, node.name, found)
            return
    why = Condition("DisruptionReason", "True", action.reason.code, str(action.reason))
    set_condition(hands, action.claim, why)
    delete_claim(hands, action.claim)


def undisrupt(hands: Hands, action: UndisruptNode) -> None:
    """Take back the taint and the mark of a decision that no longer holds."""
    node, claim = hands.cache.get(NODES, action.node.name), hands.cache.get(CLAIMS, action.claim.name)
    if isinstance(node, Node) and node.meta.uid == action.node.uid and node.has_taint(names.DISRUPTED_TAINT):
        lift_disrupted_taint(hands, node)
    if isinstance(claim, NodeClaim) and claim.is_true("DisruptionReason"):
        undone = Condition("DisruptionReason", "False", action.reason.code, str(action.reason))
        set_condition(hands, action.claim, undone)


def give_up(hands: Hands, action: DeleteClaim) -> None:
    """Say on the claim why it goes, then delete it."""
    delete_claim(hands, action.claim)


def condition(hands: Hands, action: SetCondition) -> None:
    """Set a condition of a claim."""
    set_condition(hands, action.claim, action.condition)


def pods_of(hands: Hands, node: str) -> Iterator[Pod]:
    """The pods of a node, read from the API server itself, not from the cache."""
    for page in hands.api.pages(paths.pods(), {"fieldSelector": f"spec.nodeName={node}"}):
        yield from wire.pods(page)


def _newcomer(hands: Hands, node: str) -> Pod | None:
    """A pod on the node that would have to move."""
    return next(filter(is_reschedulable, pods_of(hands, node)), None)


def _withdraw(hands: Hands, name: str, found: Pod) -> None:
    node = hands.cache.get(NODES, name)
    if isinstance(node, Node):
        lift_disrupted_taint(hands, node)
        reason = Reason("DisruptionBlocked", f"pod {found.key} was bound to node {name} meanwhile; the node stays")
        hands.events.publish("Node", name, reason, uid=node.meta.uid)


def _finalizers(hands: Hands, name: str) -> tuple[str, ...]:
    node = hands.cache.get(NODES, name)
    return node.meta.finalizers if isinstance(node, Node) else ()


def _patched_node(hands: Hands, name: str, body: object) -> Target:
    raw = hands.api.merge_patch(paths.nodes(name), body)
    hands.cache.wrote(NODES, raw)
    meta = wire.node(raw).meta
    return Target(name=meta.name, uid=meta.uid, resource_version=meta.resource_version)
