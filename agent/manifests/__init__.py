"""What people write, and one source for its validation, the CRDs and the reference pages."""

from agent.manifests.documents import Checked, Document, Documents, check_documents, load_documents
from agent.manifests.hashes import HASH_VERSION
from agent.manifests.nodeclass import EC2NodeClassSpec
from agent.manifests.nodeoverlay import parse_node_overlay
from agent.manifests.parsing import NodeClassManifest, kubelet_settings, meta_of, parse_node_class, parse_node_pool

__all__ = [
    "HASH_VERSION",
    "Checked",
    "Document",
    "Documents",
    "EC2NodeClassSpec",
    "NodeClassManifest",
    "check_documents",
    "kubelet_settings",
    "load_documents",
    "meta_of",
    "parse_node_class",
    "parse_node_overlay",
    "parse_node_pool",
]
