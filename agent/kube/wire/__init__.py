"""From JSON to model values and back. Only the fields that are read are decoded; the rest costs nothing."""

from collections.abc import Callable

import msgspec

from agent.kube.wire import budgets, cluster, storage
from agent.kube.wire.cluster import claim_manifest
from agent.kube.wire.objects import WireFault, conditions, quantities, taints, with_condition
from agent.kube.wire.pods import WirePod, pod_model
from agent.kube.wire.reading import reader
from agent.model.kubernetes import (
    DaemonSet,
    Namespace,
    Node,
    NodeClaim,
    Pod,
    PodDisruptionBudget,
    PriorityClass,
    VolumeAttachment,
)
from agent.model.volumes import AttachLimits, StorageClass, Volume, VolumeClaim

__all__ = [
    "WireFault",
    "attach_limits",
    "claim_manifest",
    "conditions",
    "config_map_data",
    "daemonset",
    "namespace",
    "node",
    "node_claim",
    "node_claims",
    "pod",
    "pod_disruption_budget",
    "pods",
    "priority_class",
    "quantities",
    "storage_class",
    "taints",
    "uid",
    "volume",
    "volume_attachment",
    "volume_claim",
    "with_condition",
]

pod: Callable[[bytes | msgspec.Raw], Pod] = reader(WirePod, pod_model)
node: Callable[[bytes | msgspec.Raw], Node] = reader(cluster.WireNode, cluster.node_model)
node_claim: Callable[[bytes | msgspec.Raw], NodeClaim] = reader(cluster.WireClaim, cluster.claim_model)
pod_disruption_budget: Callable[[bytes | msgspec.Raw], PodDisruptionBudget] = reader(
    budgets.WireBudget, budgets.budget_model
)
daemonset: Callable[[bytes | msgspec.Raw], DaemonSet] = reader(cluster.WireDaemonSet, cluster.daemonset_model)
volume_attachment: Callable[[bytes | msgspec.Raw], VolumeAttachment] = reader(
    cluster.WireAttachment, cluster.attachment_model
)
namespace: Callable[[bytes | msgspec.Raw], Namespace] = reader(cluster.WireNamespace, cluster.namespace_model)
priority_class: Callable[[bytes | msgspec.Raw], PriorityClass] = reader(
    cluster.WirePriorityClass, cluster.priority_class_model
)
volume: Callable[[bytes | msgspec.Raw], Volume] = reader(storage.WireVolume, storage.volume_model)
volume_claim: Callable[[bytes | msgspec.Raw], VolumeClaim] = reader(storage.WireVolumeClaim, storage.volume_claim_model)
storage_class: Callable[[bytes | msgspec.Raw], StorageClass] = reader(
    storage.WireStorageClass, storage.storage_class_model
)
attach_limits: Callable[[bytes | msgspec.Raw], AttachLimits] = reader(storage.WireCsiNode, storage.attach_limits_model)


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


class _Identity(msgspec.Struct):
    uid: str = ""


class _Identified(msgspec.Struct):
    metadata: _Identity


class _Items(msgspec.Struct):
    items: tuple[msgspec.Raw, ...] | None = None


_items = msgspec.json.Decoder(_Items)


def pods(page: bytes) -> tuple[Pod, ...]:
    """The pods of a list. Raises ``WireFault`` when one of them cannot be understood."""
    return tuple(pod(raw) for raw in _items.decode(page).items or ())


def node_claims(page: bytes) -> tuple[NodeClaim, ...]:
    """The NodeClaims of a list. Raises ``WireFault`` when one of them cannot be understood."""
    return tuple(node_claim(raw) for raw in _items.decode(page).items or ())


def config_map_data(raw: bytes) -> dict[str, str]:
    """The data of a ConfigMap; empty when it has none."""
    return msgspec.json.decode(raw, type=_ConfigMap).data or {}


def uid(raw: bytes) -> str:
    """The UID of any object; empty for a Status, which has none."""
    return msgspec.json.decode(raw, type=_Identified).metadata.uid
