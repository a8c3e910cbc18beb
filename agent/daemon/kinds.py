"""What the daemon watches, and what it makes of each object."""

import msgspec

from agent.kube import csr, paths, wire
from agent.kube.approvals import CONFIG_MAP, approvals
from agent.kube.cache import Kind
from agent.kube.wire import WireFault
from agent.manifests import NodeClassManifest, parse_node_class, parse_node_overlay, parse_node_pool
from agent.model.kubernetes import Meta, NodePool
from agent.model.overlays import NodeOverlay

POOLS, CLASSES = "nodepools", "ec2nodeclasses"


class LiveToken(msgspec.Struct, frozen=True):
    """A bootstrap token of ours, by id alone: its secret is not kept."""

    id: str
    meta: Meta


class _TokenMeta(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _TokenSecret(msgspec.Struct):
    metadata: _TokenMeta


_token_decoder = msgspec.json.Decoder(_TokenSecret)


def _node_pool(raw: bytes | msgspec.Raw) -> NodePool:
    return parse_node_pool(_object(raw))


def _node_overlay(raw: bytes | msgspec.Raw) -> NodeOverlay:
    return parse_node_overlay(_object(raw))


def _node_class(raw: bytes | msgspec.Raw) -> NodeClassManifest:
    return parse_node_class(_object(raw))


def _token(raw: bytes | msgspec.Raw) -> LiveToken:
    meta = _token_decoder.decode(raw).metadata
    return LiveToken(meta.name.removeprefix("bootstrap-token-"), Meta(name=meta.name, uid=meta.uid))


def _object(raw: bytes | msgspec.Raw) -> dict[str, object]:
    try:
        return msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise WireFault(str(error)) from error


def kinds(namespace: str) -> tuple[Kind, ...]:
    """Every kind, with the selectors that keep foreign Secrets and ConfigMaps out of the process."""
    ours = {"labelSelector": "app.kubernetes.io/managed-by=joinery"}
    named = {"fieldSelector": f"metadata.name={CONFIG_MAP}"}
    return (
        Kind("pods", paths.pods(), wire.pod),
        Kind("nodes", paths.nodes(), wire.node),
        Kind("nodeclaims", paths.node_claims(), wire.node_claim),
        Kind(POOLS, paths.node_pools(), _node_pool),
        Kind(CLASSES, paths.node_classes(), _node_class),
        Kind("nodeoverlays", paths.node_overlays(), _node_overlay),
        Kind("poddisruptionbudgets", paths.pdbs(), wire.pod_disruption_budget),
        Kind("daemonsets", paths.daemonsets(), wire.daemonset),
        Kind("volumeattachments", paths.volume_attachments(), wire.volume_attachment),
        Kind("persistentvolumes", paths.volumes(), wire.volume),
        Kind("persistentvolumeclaims", paths.volume_claims(), wire.volume_claim),
        Kind("storageclasses", paths.storage_classes(), wire.storage_class),
        Kind("csinodes", paths.csi_nodes(), wire.attach_limits),
        Kind("namespaces", paths.namespaces(), wire.namespace),
        Kind("certificatesigningrequests", paths.csrs(), csr.certificate_request),
        Kind("tokens", paths.secrets("kube-system"), _token, ours),
        Kind("approvals", paths.config_maps(namespace), approvals, named),
    )
