"""Writes on a node's way out: deadline, evictions, termination, and forgetting."""

from contextlib import suppress
from datetime import datetime

from agent.aws import errors as aws
from agent.core.termination import is_waited_for
from agent.daemon.act.nodes import CLAIMS, NODES, pods_of, taint_disrupted
from agent.daemon.act.registry import Hands, effect
from agent.kube import drain, paths
from agent.kube import errors as kube
from agent.model import names
from agent.model.actions import (
    BeginTermination,
    DeleteNode,
    DeletePod,
    EvictPod,
    RemoveFinalizer,
    Target,
    TerminateMachine,
)
from agent.model.kubernetes import Node, Pod
from agent.model.plan import Lesson
from agent.model.reasons import Reason

LOOK_AGAIN_SECONDS = 2.0
"""Until the watch of pods has caught up."""


@effect
def date_deadline(hands: Hands, claim: Target, deadline: datetime) -> None:
    """Write when budgets stop to count, once, so that a later edit of the pool does not move it."""
    body = {"metadata": {"uid": claim.uid, "annotations": {names.TERMINATION_TIMESTAMP: deadline.isoformat()}}}
    hands.cache.wrote(CLAIMS, hands.api.merge_patch(paths.node_claims(claim.name), body))


@effect
def exclude_from_load_balancers(hands: Hands, node: str) -> None:
    """Let load balancers take the node out before its pods go."""
    body = {"metadata": {"labels": {names.EXCLUDE_FROM_LOAD_BALANCERS: "karpenter"}}}
    hands.cache.wrote(NODES, hands.api.merge_patch(paths.nodes(node), body))


@effect
def evict_pod(hands: Hands, pod: Target) -> drain.EvictionAnswer:
    """Ask the Eviction API, which keeps the budgets."""
    return drain.evict(hands.api, pod)


@effect
def delete_pod(hands: Hands, action: DeletePod) -> None:
    """Delete a pod past its budget: the deadline of its node has come."""
    pod = action.pod
    with suppress(kube.NotFound):
        hands.api.delete(paths.pods(pod.namespace, pod.name), uid=pod.uid, grace_seconds=action.grace_seconds)


@effect
def terminate_instance(hands: Hands, action: TerminateMachine) -> None:
    """TerminateInstances, for an instance whose tags say that it is ours at this moment."""
    with suppress(aws.Gone):
        hands.ec2.terminate(action.instance)
    hands.machines.terminated(action.instance)
    if action.claim is None:
        hands.learn(Lesson(terminated=hands.clock()))


@effect
def release_node(hands: Hands, node: Node) -> None:
    """Take our finalizer off a node whose instance is gone."""
    kept = [f for f in node.meta.finalizers if f != names.TERMINATION_FINALIZER]
    body = {"metadata": {"uid": node.meta.uid, "finalizers": kept or None}}
    hands.cache.wrote(NODES, hands.api.merge_patch(paths.nodes(node.name), body))


@effect
def delete_node(hands: Hands, node: Target) -> None:
    """Delete the Node of an instance that is gone; never before, since its pods would be started twice."""
    with suppress(kube.NotFound):
        hands.api.delete(paths.nodes(node.name), uid=node.uid)
    hands.cache.deleted(NODES, node.name, node.uid)


@effect
def release_claim(hands: Hands, claim: Target) -> None:
    """Take our finalizer off the claim: nothing of it is left in EC2 or among the nodes."""
    held = hands.cache.get(CLAIMS, claim.name)
    finalizers = held.meta.finalizers if held is not None else ()
    kept = [f for f in finalizers if f != names.TERMINATION_FINALIZER]
    body = {"metadata": {"uid": claim.uid, "finalizers": kept or None}}
    with suppress(kube.NotFound):
        hands.api.merge_patch(paths.node_claims(claim.name), body)
    hands.cache.deleted(CLAIMS, claim.name, claim.uid)


def begin(hands: Hands, action: BeginTermination) -> None:
    """Date the deadline, taint, exclude."""
    if action.deadline is not None:
        date_deadline(hands, action.claim, action.deadline)
    if action.node is None:
        return
    node = hands.cache.get(NODES, action.node.name)
    if not isinstance(node, Node) or node.meta.uid != action.node.uid:
        return
    if not node.has_taint(names.DISRUPTED_TAINT):
        taint_disrupted(hands, node)
    exclude_from_load_balancers(hands, node.name)


def evict(hands: Hands, action: EvictPod) -> None:
    """Evict, and tell people when a budget or anything else holds the pod. Raises so that the pod rests meanwhile."""
    answer = evict_pod(hands, action.pod)
    if answer.done:
        return
    reason = Reason("FailedDraining", f"pod {action.pod.namespace}/{action.pod.name}: {answer.message}")
    hands.events.publish("Node", action.node, reason, warning=True)
    raise kube.Retryable(answer.message, retry_after_seconds=answer.retry_after_seconds)


def delete(hands: Hands, action: DeletePod) -> None:
    """Delete the pod."""
    delete_pod(hands, action)


def forget_node(hands: Hands, action: DeleteNode) -> None:
    """Release and delete the Node."""
    node = hands.cache.get(NODES, action.node.name)
    if (
        isinstance(node, Node)
        and node.meta.uid == action.node.uid
        and names.TERMINATION_FINALIZER in node.meta.finalizers
    ):
        release_node(hands, node)
    delete_node(hands, action.node)


def forget_claim(hands: Hands, action: RemoveFinalizer) -> None:
    """Release the claim."""
    release_claim(hands, action.claim)


def terminate(hands: Hands, action: TerminateMachine) -> None:
    """Terminate the instance of a claim or an orphan.

    The watch of pods may be behind that of nodes: pods that were bound before the node was tainted would be killed
    unseen. So they are read once more from the API server itself. Raises so that the claim rests meanwhile.
    """
    if action.drained and (pod := _left_behind(hands, action.drained)) is not None:
        sentence = f"pod {pod.key} is still on node {action.drained}, of which the watch has not told yet"
        raise kube.Retryable(sentence, retry_after_seconds=LOOK_AGAIN_SECONDS)
    terminate_instance(hands, action)


def _left_behind(hands: Hands, node: str) -> Pod | None:
    """A pod that the node must not be terminated under."""
    now = hands.clock()
    return next((pod for pod in pods_of(hands, node) if is_waited_for(pod, now)), None)
