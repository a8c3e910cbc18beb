"""Nodes, claims and the other objects of a decision, on the wire."""

from datetime import datetime

import msgspec

from agent.kube.wire.objects import (
    Owner,
    Quantities,
    WireCondition,
    WireMeta,
    WireRequirement,
    WireTaint,
    quantities,
    requirements,
    resources,
    taints,
)
from agent.kube.wire.pods import WirePod, WirePodSpec, pod_model
from agent.manifests.durations import DurationError, parse_duration_or_never
from agent.model import names
from agent.model.actions import ClaimDraft
from agent.model.kubernetes import (
    DaemonSet,
    Namespace,
    Node,
    NodeClaim,
    PriorityClass,
    Status,
    VolumeAttachment,
)
from agent.model.names import ClassName, NodeName, PoolName, ProviderId


class _NodeSpec(msgspec.Struct, gc=False, rename="camel"):
    provider_id: str | None = msgspec.field(default=None, name="providerID")
    unschedulable: bool | None = None
    taints: tuple[WireTaint, ...] | None = None


class _NodeStatus(msgspec.Struct, gc=False, rename="camel"):
    capacity: Quantities | None = None
    allocatable: Quantities | None = None
    conditions: tuple[WireCondition, ...] | None = None


class WireNode(msgspec.Struct, gc=False):
    """A Node."""

    metadata: WireMeta
    spec: _NodeSpec | None = None
    status: _NodeStatus | None = None


NODE_ANNOTATIONS = frozenset({names.DO_NOT_DISRUPT})


def node_model(wire: WireNode) -> Node:
    """As the engine has it; without the heartbeat, so that a node that only breathes is equal to itself."""
    spec, status = wire.spec or _NodeSpec(), wire.status or _NodeStatus()
    ready: Status = next((c.model().status for c in status.conditions or () if c.type == "Ready"), "Unknown")
    return Node(
        meta=wire.metadata.model(NODE_ANNOTATIONS),
        provider_id=ProviderId(spec.provider_id) if spec.provider_id else None,
        unschedulable=bool(spec.unschedulable),
        taints=tuple(t.model() for t in spec.taints or ()),
        capacity=resources(status.capacity),
        allocatable=resources(status.allocatable),
        ready=ready,
    )


class _ClassRef(msgspec.Struct, gc=False):
    name: str | None = None


class _Requests(msgspec.Struct, gc=False):
    requests: Quantities | None = None


class _ClaimSpec(msgspec.Struct, gc=False, rename="camel"):
    node_class_ref: _ClassRef | None = None
    requirements: tuple[WireRequirement, ...] | None = None
    resources: _Requests | None = None
    taints: tuple[WireTaint, ...] | None = None
    startup_taints: tuple[WireTaint, ...] | None = None
    expire_after: str | None = None
    termination_grace_period: str | None = None


class _ClaimStatus(msgspec.Struct, gc=False, rename="camel"):
    provider_id: str | None = msgspec.field(default=None, name="providerID")
    node_name: str | None = None
    image_id: str | None = msgspec.field(default=None, name="imageID")
    capacity: Quantities | None = None
    allocatable: Quantities | None = None
    conditions: tuple[WireCondition, ...] | None = None
    last_pod_event_time: datetime | None = None


class WireClaim(msgspec.Struct, gc=False):
    """A NodeClaim."""

    metadata: WireMeta
    spec: _ClaimSpec | None = None
    status: _ClaimStatus | None = None


def claim_model(wire: WireClaim) -> NodeClaim:
    """As the engine has it."""
    spec, status, meta = wire.spec or _ClaimSpec(), wire.status or _ClaimStatus(), wire.metadata.model()
    pool = meta.labels.get(names.NODEPOOL)
    return NodeClaim(
        meta=meta,
        node_class=ClassName((spec.node_class_ref and spec.node_class_ref.name) or ""),
        requirements=tuple(r.model() for r in spec.requirements or ()),
        requests=resources(spec.resources.requests if spec.resources is not None else None),
        taints=tuple(t.model() for t in spec.taints or ()),
        startup_taints=tuple(t.model() for t in spec.startup_taints or ()),
        expire_after_seconds=_seconds(spec.expire_after),
        termination_grace_seconds=_seconds(spec.termination_grace_period),
        provider_id=ProviderId(status.provider_id) if status.provider_id else None,
        node_name=NodeName(status.node_name) if status.node_name else None,
        image_id=status.image_id or None,
        capacity=resources(status.capacity),
        allocatable=resources(status.allocatable),
        conditions=tuple(c.model() for c in status.conditions or ()),
        last_pod_event_at=status.last_pod_event_time,
        pool=PoolName(pool) if pool else None,
    )


def _seconds(text: str | None) -> int | None:
    """A duration of a claim; one that cannot be read counts as none, since the CRD's schema refused it before."""
    try:
        return parse_duration_or_never(text)
    except DurationError:
        return None


def claim_manifest(draft: ClaimDraft) -> dict[str, object]:
    """A NodeClaim to be created, owned by its pool, with the finalizer that keeps it until its instance is gone."""
    metadata: dict[str, object] = {
        "name": draft.name,
        "labels": draft.labels | {names.NODEPOOL: draft.pool, names.NODECLASS: draft.node_class},
        "annotations": draft.annotations,
        "finalizers": [names.TERMINATION_FINALIZER],
    }
    if draft.pool_uid:
        metadata["ownerReferences"] = [
            {
                "apiVersion": f"{names.KARPENTER_GROUP}/v1",
                "kind": "NodePool",
                "name": draft.pool,
                "uid": draft.pool_uid,
                "blockOwnerDeletion": True,
            }
        ]
    spec: dict[str, object] = {
        "nodeClassRef": {"group": names.AWS_GROUP, "kind": "EC2NodeClass", "name": draft.node_class},
        "requirements": requirements(draft.requirements),
        "resources": {"requests": quantities(draft.requests)},
        "expireAfter": "Never" if draft.expire_after_seconds is None else f"{draft.expire_after_seconds}s",
    }
    if draft.taints:
        spec["taints"] = taints(draft.taints)
    if draft.startup_taints:
        spec["startupTaints"] = taints(draft.startup_taints)
    if draft.termination_grace_seconds is not None:
        spec["terminationGracePeriod"] = f"{draft.termination_grace_seconds}s"
    return {"apiVersion": f"{names.KARPENTER_GROUP}/v1", "kind": "NodeClaim", "metadata": metadata, "spec": spec}


class _Template(msgspec.Struct, gc=False):
    metadata: WireMeta | None = None
    spec: WirePodSpec | None = None


class _DaemonSpec(msgspec.Struct, gc=False):
    template: _Template | None = None


class WireDaemonSet(msgspec.Struct, gc=False):
    """A DaemonSet."""

    metadata: WireMeta
    spec: _DaemonSpec | None = None


def daemonset_model(wire: WireDaemonSet) -> DaemonSet:
    """As the engine has it; one pod of its template stands for all."""
    template = (wire.spec and wire.spec.template) or _Template()
    own, labelled = wire.metadata, template.metadata or WireMeta()
    metadata = WireMeta(
        name=own.name,
        namespace=own.namespace,
        labels=labelled.labels,
        annotations=labelled.annotations,
        owner_references=(Owner(kind="DaemonSet", uid=own.uid, controller=True),),
    )
    return DaemonSet(
        meta=own.model(frozenset()),
        template=pod_model(WirePod(metadata=metadata, spec=template.spec)),
    )


class _Source(msgspec.Struct, gc=False, rename="camel"):
    persistent_volume_name: str | None = None


class _AttachmentSpec(msgspec.Struct, gc=False, rename="camel"):
    node_name: str | None = None
    source: _Source | None = None


class WireAttachment(msgspec.Struct, gc=False):
    """A VolumeAttachment."""

    metadata: WireMeta
    spec: _AttachmentSpec | None = None


def attachment_model(wire: WireAttachment) -> VolumeAttachment:
    """As the engine has it."""
    spec = wire.spec or _AttachmentSpec()
    return VolumeAttachment(
        meta=wire.metadata.model(frozenset()),
        node_name=NodeName(spec.node_name or ""),
        volume=(spec.source and spec.source.persistent_volume_name) or "",
    )


class WireNamespace(msgspec.Struct, gc=False):
    """A Namespace."""

    metadata: WireMeta


def namespace_model(wire: WireNamespace) -> Namespace:
    """As the engine has it."""
    return Namespace(wire.metadata.model(frozenset()))


class WirePriorityClass(msgspec.Struct, gc=False, rename="camel"):
    """A PriorityClass."""

    metadata: WireMeta
    value: int | None = None
    global_default: bool | None = None


def priority_class_model(wire: WirePriorityClass) -> PriorityClass:
    """As the engine has it."""
    return PriorityClass(wire.metadata.model(frozenset()), wire.value or 0, bool(wire.global_default))
