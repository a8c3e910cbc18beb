"""The objects of a running cluster as if they had been given in a file: what ``kubectl get -o yaml`` would print."""

from typing import TYPE_CHECKING, Final

import msgspec

from agent.kube import paths
from agent.kube.kinds import raw_items
from agent.manifests import Document

if TYPE_CHECKING:  # whoever reads files only need not wait for a client's import
    from agent.kube.api import KubeApi

SOURCE: Final = "cluster"
_READ: Final = (
    ("v1", "Namespace", paths.namespaces()),
    ("v1", "Node", paths.nodes()),
    ("v1", "Pod", paths.pods()),
    ("apps/v1", "DaemonSet", paths.daemonsets()),
    ("policy/v1", "PodDisruptionBudget", paths.pdbs()),
    ("v1", "PersistentVolume", paths.volumes()),
    ("v1", "PersistentVolumeClaim", paths.volume_claims()),
    ("storage.k8s.io/v1", "StorageClass", paths.storage_classes()),
    ("storage.k8s.io/v1", "CSINode", paths.csi_nodes()),
    ("storage.k8s.io/v1", "VolumeAttachment", paths.volume_attachments()),
    ("karpenter.sh/v1", "NodePool", paths.node_pools()),
    ("karpenter.sh/v1", "NodeClaim", paths.node_claims()),
    ("karpenter.sh/v1alpha1", "NodeOverlay", paths.node_overlays()),
    ("karpenter.k8s.aws/v1", "EC2NodeClass", paths.node_classes()),
)
"""apiVersion, kind and collection of everything that a plan is made from."""


class _Meta(msgspec.Struct):
    name: str = ""


class _Head(msgspec.Struct):
    metadata: _Meta


_head: Final = msgspec.json.Decoder(_Head)


def live_documents(api: "KubeApi") -> tuple[Document, ...]:
    """Everything that a plan is made from. A kind that the server does not know has no objects.

    Raises:
        KubeError: the server cannot be read.
    """
    found: list[Document] = []
    for version, kind, path in _READ:
        found += [_document(item, kind, version) for item in raw_items(api, path)]
    return tuple(found)


def _document(item: msgspec.Raw, kind: str, version: str) -> Document:
    """Items of a list do not say what they are; those that a model reads must."""
    name = _head.decode(item).metadata.name
    document = Document(SOURCE, kind, version, name, item)
    if document.model is None:
        return document
    return msgspec.structs.replace(document, content={**document.obj, "apiVersion": version, "kind": kind})
