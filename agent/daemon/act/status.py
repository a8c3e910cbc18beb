"""Writes that only tell: statuses of pools and classes, protected mode, unused templates, certificate reviews."""

from agent.daemon.act.registry import Hands, effect
from agent.kube import errors as kube
from agent.kube import paths, wire
from agent.model import names
from agent.model.actions import (
    DeleteTemplate,
    ReviewCertificate,
    SetProtectedMode,
    WriteClassStatus,
    WriteOverlayStatus,
    WritePoolStatus,
)
from agent.model.kubernetes import CertificateRequest, NodePool
from agent.model.overlays import NodeOverlay
from agent.model.reasons import Reason
from agent.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS

POOLS = "nodepools"
CLASSES = "ec2nodeclasses"
OVERLAYS = "nodeoverlays"
CSRS = "certificatesigningrequests"
BASE = (CPU, MEMORY, PODS, EPHEMERAL_STORAGE)
"""Resources that a pool's status names also while it has none of them (Karpenter's rule 19.4)."""
ASK_AGAIN_SECONDS = 2.0
"""EC2 shows a new instance within seconds, and kubelet waits for its certificate for minutes."""


@effect
def write_pool_status(hands: Hands, action: WritePoolStatus) -> None:
    """status.nodes, status.resources and the pool's conditions."""
    pool = hands.cache.get(POOLS, action.pool.name)
    if not isinstance(pool, NodePool) or pool.meta.uid != action.pool.uid:
        return
    conditions = pool.conditions
    for condition in action.conditions:
        conditions = wire.with_condition(conditions, condition, hands.clock())
    # A merge patch keeps what it does not name (RFC 7396): a resource of which nothing is left must be taken out.
    resources: dict[str, str | None] = dict.fromkeys(wire.quantities(pool.resources))
    resources |= dict.fromkeys(BASE, "0")
    resources |= wire.quantities(action.resources) | {"nodes": str(action.node_count)}
    status = {"nodes": action.node_count, "resources": resources, "conditions": wire.conditions(conditions)}
    raw = hands.api.merge_patch(paths.status(paths.node_pools(action.pool.name)), {"status": status})
    hands.cache.wrote(POOLS, raw)


@effect
def stamp_pool_hash(hands: Hands, action: WritePoolStatus) -> None:
    """The hash of spec.template, by which drift is found."""
    annotations = {names.NODEPOOL_HASH: action.hash, names.NODEPOOL_HASH_VERSION: action.hash_version}
    raw = hands.api.merge_patch(paths.node_pools(action.pool.name), {"metadata": {"annotations": annotations}})
    hands.cache.wrote(POOLS, raw)


@effect
def write_overlay_status(hands: Hands, action: WriteOverlayStatus) -> None:
    """The overlay's conditions."""
    overlay = hands.cache.get(OVERLAYS, action.overlay.name)
    if not isinstance(overlay, NodeOverlay) or overlay.meta.uid != action.overlay.uid:
        return
    conditions = overlay.conditions
    for condition in action.conditions:
        conditions = wire.with_condition(conditions, condition, hands.clock())
    body = {"status": {"conditions": wire.conditions(conditions)}}
    hands.cache.wrote(OVERLAYS, hands.api.merge_patch(paths.status(paths.node_overlays(action.overlay.name)), body))


@effect
def protect_pool(hands: Hands, action: SetProtectedMode) -> None:
    """Annotate the pool with why and until when it only tries, or take the annotation away."""
    value = action.annotation if action.until is not None else None
    body = {"metadata": {"uid": action.pool.uid, "annotations": {names.PROTECTED: value}}}
    hands.cache.wrote(POOLS, hands.api.merge_patch(paths.node_pools(action.pool.name), body))


@effect
def write_class_status(hands: Hands, action: WriteClassStatus) -> None:
    """What the class's selectors were resolved to, its pinned images, its conditions."""
    path = paths.status(paths.node_classes(action.node_class.name))
    hands.cache.wrote(CLASSES, hands.api.merge_patch(path, {"status": action.status}))


@effect
def stamp_class_hash(hands: Hands, action: WriteClassStatus) -> None:
    """The hash of the class's spec, by which drift is found."""
    annotations = {names.NODECLASS_HASH: action.hash, names.NODECLASS_HASH_VERSION: action.hash_version}
    raw = hands.api.merge_patch(paths.node_classes(action.node_class.name), {"metadata": {"annotations": annotations}})
    hands.cache.wrote(CLASSES, raw)


@effect
def delete_template(hands: Hands, action: DeleteTemplate) -> None:
    """Delete a launch template that nothing uses."""
    hands.templates.delete(action.template_id)


@effect
def decide_certificate(hands: Hands, request: CertificateRequest, reason: Reason, *, approve: bool) -> None:
    """Write the approval or denial, on the very version that was reviewed."""
    condition = {
        "type": "Approved" if approve else "Denied",
        "status": "True",
        "reason": "JoineryVerified" if approve else "JoineryRefused",
        "message": str(reason),
    }
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": request.meta.resource_version},
        {"op": "add", "path": "/status/conditions", "value": [condition]},
    ]
    try:
        raw = hands.api.json_patch(paths.approval(paths.csrs(request.meta.name)), operations)
    except kube.NotFound:
        return
    hands.cache.wrote(CSRS, raw)


def pool_status(hands: Hands, action: WritePoolStatus) -> None:
    """Status, and the hash when it is missing."""
    write_pool_status(hands, action)
    if action.hash:
        stamp_pool_hash(hands, action)


def class_status(hands: Hands, action: WriteClassStatus) -> None:
    """Status, and the hash when it is missing."""
    write_class_status(hands, action)
    if action.hash:
        stamp_class_hash(hands, action)


def review_certificate(hands: Hands, action: ReviewCertificate) -> None:
    """Look the instance up afresh, review, approve or deny."""
    request = hands.cache.get(CSRS, action.request.name)
    if not isinstance(request, CertificateRequest) or request.decided or request.meta.uid != action.request.uid:
        return
    verdict = hands.review(request)
    if verdict.decision == "ignore" or verdict.reason is None:
        raise kube.Retryable(str(verdict.reason or "left alone"), retry_after_seconds=ASK_AGAIN_SECONDS)
    approve = verdict.decision == "approve"
    decide_certificate(hands, request, verdict.reason, approve=approve)
    kind = "CertificateSigningRequest"
    hands.events.publish(kind, request.meta.name, verdict.reason, uid=request.meta.uid, warning=not approve)
