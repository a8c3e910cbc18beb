"""Paths of the API: every resource that Joinery reads or writes, in the version it speaks."""

from urllib.parse import quote

from agent.model.names import AWS_GROUP, KARPENTER_GROUP


def _path(group_version: str, resource: str, namespace: str | None = None, name: str | None = None) -> str:
    root = "/api/" if "/" not in group_version else "/apis/"
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    tail = f"/{quote(name, safe=':')}" if name else ""
    return f"{root}{group_version}{scope}/{resource}{tail}"


def pods(namespace: str | None = None, name: str | None = None) -> str:
    """Pods of all namespaces, of one, or one pod."""
    return _path("v1", "pods", namespace, name)


def nodes(name: str | None = None) -> str:
    """Nodes."""
    return _path("v1", "nodes", None, name)


def namespaces(name: str | None = None) -> str:
    """Namespaces: their labels, and the UID of kube-system, which is the cluster's identity."""
    return _path("v1", "namespaces", None, name)


def secrets(namespace: str | None = None, name: str | None = None) -> str:
    """Secrets."""
    return _path("v1", "secrets", namespace, name)


def config_maps(namespace: str | None = None, name: str | None = None) -> str:
    """ConfigMaps."""
    return _path("v1", "configmaps", namespace, name)


def service_accounts(namespace: str | None = None, name: str | None = None) -> str:
    """ServiceAccounts."""
    return _path("v1", "serviceaccounts", namespace, name)


def service_account_token(namespace: str, name: str) -> str:
    """The TokenRequest subresource of a ServiceAccount."""
    return service_accounts(namespace, name) + "/token"


def node_claims(name: str | None = None) -> str:
    """``karpenter.sh/v1`` NodeClaims."""
    return _path(f"{KARPENTER_GROUP}/v1", "nodeclaims", None, name)


def node_pools(name: str | None = None) -> str:
    """``karpenter.sh/v1`` NodePools."""
    return _path(f"{KARPENTER_GROUP}/v1", "nodepools", None, name)


def node_classes(name: str | None = None) -> str:
    """``karpenter.k8s.aws/v1`` EC2NodeClasses."""
    return _path(f"{AWS_GROUP}/v1", "ec2nodeclasses", None, name)


def node_overlays(name: str | None = None) -> str:
    """``karpenter.sh/v1alpha1`` NodeOverlays."""
    return _path(f"{KARPENTER_GROUP}/v1alpha1", "nodeoverlays", None, name)


def leases(namespace: str | None = None, name: str | None = None) -> str:
    """``coordination.k8s.io/v1`` Leases."""
    return _path("coordination.k8s.io/v1", "leases", namespace, name)


def events(namespace: str | None = None, name: str | None = None) -> str:
    """``events.k8s.io/v1`` Events."""
    return _path("events.k8s.io/v1", "events", namespace, name)


def core_events(namespace: str) -> str:
    """``v1`` Events of a namespace."""
    return _path("v1", "events", namespace)


def csrs(name: str | None = None) -> str:
    """``certificates.k8s.io/v1`` CertificateSigningRequests."""
    return _path("certificates.k8s.io/v1", "certificatesigningrequests", None, name)


def pdbs(namespace: str | None = None, name: str | None = None) -> str:
    """``policy/v1`` PodDisruptionBudgets."""
    return _path("policy/v1", "poddisruptionbudgets", namespace, name)


def daemonsets(namespace: str | None = None, name: str | None = None) -> str:
    """``apps/v1`` DaemonSets."""
    return _path("apps/v1", "daemonsets", namespace, name)


def volume_attachments(name: str | None = None) -> str:
    """``storage.k8s.io/v1`` VolumeAttachments."""
    return _path("storage.k8s.io/v1", "volumeattachments", None, name)


def volumes(name: str | None = None) -> str:
    """PersistentVolumes."""
    return _path("v1", "persistentvolumes", None, name)


def volume_claims(namespace: str | None = None, name: str | None = None) -> str:
    """PersistentVolumeClaims."""
    return _path("v1", "persistentvolumeclaims", namespace, name)


def storage_classes(name: str | None = None) -> str:
    """``storage.k8s.io/v1`` StorageClasses."""
    return _path("storage.k8s.io/v1", "storageclasses", None, name)


def csi_nodes(name: str | None = None) -> str:
    """``storage.k8s.io/v1`` CSINodes."""
    return _path("storage.k8s.io/v1", "csinodes", None, name)


def crds(name: str | None = None) -> str:
    """``apiextensions.k8s.io/v1`` CustomResourceDefinitions."""
    return _path("apiextensions.k8s.io/v1", "customresourcedefinitions", None, name)


def status(path: str) -> str:
    """The status subresource of an object."""
    return path + "/status"


def approval(path: str) -> str:
    """The approval subresource of a CertificateSigningRequest."""
    return path + "/approval"


def eviction(namespace: str, name: str) -> str:
    """The eviction subresource of a pod."""
    return pods(namespace, name) + "/eviction"
