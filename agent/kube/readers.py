"""Each kind of object that decisions are made from, and what reads it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from agent.kube import wire
from agent.kube.filled import as_pod, as_volume_claim, encoded, inside_namespace
from agent.manifests import (
    Document,
    NodeClassManifest,
    kubelet_settings,
    parse_node_class,
    parse_node_overlay,
    parse_node_pool,
)
from agent.manifests.disks import root_volume_bytes, volumes
from agent.model.ec2 import KubeletSettings, NodeClass, Subnet
from agent.model.kubernetes import (
    Condition,
    DaemonSet,
    Namespace,
    Node,
    NodeClaim,
    NodePool,
    Pod,
    PodDisruptionBudget,
    PriorityClass,
    VolumeAttachment,
)
from agent.model.names import Zone
from agent.model.overlays import NodeOverlay
from agent.model.volumes import AttachLimits, StorageClass, Volume, VolumeClaim


def node_class(obj: Mapping[str, Any]) -> NodeClass:
    """A class as its own status says what its terms mean; one without conditions counts as ready."""
    manifest = parse_node_class(obj, given_hash=True)
    spec = manifest.spec
    return NodeClass(
        meta=manifest.meta,
        ami_family=spec.family if spec is not None else "",
        subnets=_subnets(manifest),
        images=manifest.pinned,
        kubelet=kubelet_settings(KubeletSettings(), spec.kubelet) if spec is not None else KubeletSettings(),
        root_volume_bytes=root_volume_bytes(spec) if spec is not None else 0,
        volumes=volumes(spec) if spec is not None else 1,
        hash=manifest.hash,
        hash_version=manifest.hash_version,
        conditions=manifest.conditions or (Condition("Ready", "True", "Assumed"),),
        faults=manifest.faults,
        notes=manifest.notes,
    )


class _WireSubnet(msgspec.Struct):
    id: str = ""
    zone: str = ""


def _subnets(manifest: NodeClassManifest) -> tuple[Subnet, ...]:
    """Of the status, which no person wrote: one that cannot be read is none."""
    try:
        written = msgspec.convert(manifest.status.get("subnets") or (), tuple[_WireSubnet, ...])
    except msgspec.ValidationError:
        return ()
    return tuple(Subnet(s.id, Zone(s.zone)) for s in written if s.zone)


Value = (
    Pod
    | Node
    | NodeClaim
    | NodePool
    | NodeClass
    | NodeOverlay
    | PodDisruptionBudget
    | DaemonSet
    | VolumeAttachment
    | Volume
    | VolumeClaim
    | StorageClass
    | AttachLimits
    | Namespace
    | PriorityClass
)

READERS: Final[Mapping[tuple[str, str], Callable[[Document, bytes | msgspec.Raw], Value]]] = {
    ("", "Pod"): lambda _, raw: as_pod(raw),
    ("", "Node"): lambda _, raw: wire.node(raw),
    ("karpenter.sh", "NodeClaim"): lambda _, raw: wire.node_claim(raw),
    ("karpenter.sh", "NodePool"): lambda document, _: parse_node_pool(document.obj, given_hash=True),
    ("karpenter.k8s.aws", "EC2NodeClass"): lambda document, _: node_class(document.obj),
    ("karpenter.sh", "NodeOverlay"): lambda document, _: parse_node_overlay(document.obj),
    ("policy", "PodDisruptionBudget"): lambda _, raw: wire.pod_disruption_budget(raw),
    ("apps", "DaemonSet"): lambda _, raw: wire.daemonset(raw),
    ("storage.k8s.io", "VolumeAttachment"): lambda _, raw: wire.volume_attachment(raw),
    ("", "PersistentVolume"): lambda _, raw: wire.volume(raw),
    ("", "PersistentVolumeClaim"): lambda _, raw: as_volume_claim(raw),
    ("storage.k8s.io", "StorageClass"): lambda _, raw: wire.storage_class(raw),
    ("storage.k8s.io", "CSINode"): lambda _, raw: wire.attach_limits(raw),
    ("", "Namespace"): lambda _, raw: wire.namespace(raw),
    ("scheduling.k8s.io", "PriorityClass"): lambda _, raw: wire.priority_class(raw),
}
"""API group and kind to what reads an object of it. Each raises ``WireFault``."""
_NAMESPACED: Final = frozenset(
    {
        ("", "Pod"),
        ("", "PersistentVolumeClaim"),
        ("policy", "PodDisruptionBudget"),
        ("apps", "DaemonSet"),
    }
)


def value_of(document: Document) -> Value:
    """The value of an object, in its namespace. Raises ``WireFault`` or ``TextError``."""
    kind = (document.group, document.kind)
    read, content = READERS[kind], document.content
    if isinstance(content, msgspec.Raw):
        value = read(document, content)
        if value.meta.namespace or kind not in _NAMESPACED:
            return value
    return read(document, encoded(inside_namespace(document.obj) if kind in _NAMESPACED else document.obj))
