"""Which resources there are: the built-in ones as data, and those that CustomResourceDefinitions add.

Sources: the API reference (kubernetes.io/docs/reference/kubernetes-api) for names, scopes and subresources; the
strategies of kube-apiserver's registry for what an update without a resourceVersion may do.
"""

from typing import Any, Final

import msgspec

Object = dict[str, Any]
"""One object of the API as JSON has it. What the store hands out is never changed, only copied."""


class Column(msgspec.Struct, frozen=True):
    """A column of ``kubectl get``: ``path`` is a JSONPath without braces; priority 1 shows with -o wide."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


class Scale(msgspec.Struct, frozen=True):
    """Where a resource keeps what its scale subresource shows."""

    spec: tuple[str, ...] = ("spec", "replicas")
    status: tuple[str, ...] = ("status", "replicas")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource in one version."""

    group: str = ""
    version: str = "v1"
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = False
    """Whether /status is written apart from the rest."""
    scale: Scale | None = None
    generation: bool = False
    """Whether the server counts changes of the spec."""
    unconditional: bool = True
    """Whether an update may come without a resourceVersion."""
    fields: tuple[str, ...] = ()
    """Field selectors beside metadata.name and metadata.namespace."""
    columns: tuple[Column, ...] = ()
    schema: Object | None = None
    """The structural schema of a custom resource."""
    stored_as: str = ""

    @property
    def api_version(self) -> str:
        """``v1`` or ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def label(self) -> str:
        """As error texts name it: ``pods`` or ``nodepools.karpenter.sh``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def store(self) -> str:
        """The key of its collection in the store."""
        return self.stored_as or self.label

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition made it."""
        return self.schema is not None

    @property
    def prefix(self) -> str:
        """``/api/v1`` or ``/apis/group/version``."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


_POD_FIELDS: Final = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_EVENT_FIELDS: Final = (
    *(
        f"involvedObject.{f}"
        for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    ),
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_APPS: Final[dict[str, Any]] = {
    "group": "apps",
    "status": True,
    "generation": True,
    "categories": ("all",),
}
_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"
_STORAGE: Final = "storage.k8s.io"

BUILT_IN: Final = (
    Resource(
        kind="Pod",
        plural="pods",
        short=("po",),
        categories=("all",),
        status=True,
        generation=True,
        fields=_POD_FIELDS,
    ),
    Resource(kind="Node", plural="nodes", namespaced=False, short=("no",), status=True, fields=("spec.unschedulable",)),
    Resource(
        kind="Namespace", plural="namespaces", namespaced=False, short=("ns",), status=True, fields=("status.phase",)
    ),
    Resource(kind="Secret", plural="secrets", fields=("type",)),
    Resource(kind="ConfigMap", plural="configmaps", short=("cm",)),
    Resource(kind="ServiceAccount", plural="serviceaccounts", short=("sa",), unconditional=False),
    Resource(kind="Service", plural="services", short=("svc",), categories=("all",), status=True),
    Resource(kind="Event", plural="events", short=("ev",), fields=_EVENT_FIELDS),
    Resource(
        group="events.k8s.io",
        kind="Event",
        plural="events",
        short=("ev",),
        fields=("reason", "type"),
        stored_as="events",
    ),
    Resource(kind="PersistentVolume", plural="persistentvolumes", namespaced=False, short=("pv",), status=True),
    Resource(kind="PersistentVolumeClaim", plural="persistentvolumeclaims", short=("pvc",), status=True),
    Resource(kind="Deployment", plural="deployments", short=("deploy",), scale=Scale(), **_APPS),
    Resource(
        kind="ReplicaSet", plural="replicasets", short=("rs",), scale=Scale(), fields=("status.replicas",), **_APPS
    ),
    Resource(kind="StatefulSet", plural="statefulsets", short=("sts",), scale=Scale(), **_APPS),
    Resource(kind="DaemonSet", plural="daemonsets", short=("ds",), **_APPS),
    Resource(group="batch", kind="Job", plural="jobs", categories=("all",), status=True, generation=True),
    Resource(
        group="policy",
        kind="PodDisruptionBudget",
        plural="poddisruptionbudgets",
        short=("pdb",),
        status=True,
        generation=True,
        unconditional=False,
    ),
    Resource(group="coordination.k8s.io", kind="Lease", plural="leases", unconditional=False),
    Resource(
        group="certificates.k8s.io",
        kind="CertificateSigningRequest",
        plural="certificatesigningrequests",
        namespaced=False,
        short=("csr",),
        status=True,
        fields=("spec.signerName",),
    ),
    Resource(group=_STORAGE, kind="StorageClass", plural="storageclasses", namespaced=False, short=("sc",)),
    Resource(group=_STORAGE, kind="CSINode", plural="csinodes", namespaced=False),
    Resource(
        group=_STORAGE,
        kind="VolumeAttachment",
        plural="volumeattachments",
        namespaced=False,
        status=True,
        unconditional=False,
    ),
    Resource(
        group="scheduling.k8s.io", kind="PriorityClass", plural="priorityclasses", namespaced=False, short=("pc",)
    ),
    Resource(group=_RBAC, kind="Role", plural="roles"),
    Resource(group=_RBAC, kind="RoleBinding", plural="rolebindings"),
    Resource(group=_RBAC, kind="ClusterRole", plural="clusterroles", namespaced=False),
    Resource(group=_RBAC, kind="ClusterRoleBinding", plural="clusterrolebindings", namespaced=False),
    Resource(
        group=_ADMISSION, kind="ValidatingAdmissionPolicy", plural="validatingadmissionpolicies", namespaced=False
    ),
    Resource(
        group=_ADMISSION,
        kind="ValidatingAdmissionPolicyBinding",
        plural="validatingadmissionpolicybindings",
        namespaced=False,
    ),
    Resource(
        group="apiextensions.k8s.io",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        namespaced=False,
        short=("crd", "crds"),
        status=True,
        generation=True,
        unconditional=False,
    ),
)

BY_KIND: Final = {r.kind: r for r in reversed(BUILT_IN)}
"""The first of each kind: ``Event`` is the core one."""
CRD: Final = BY_KIND["CustomResourceDefinition"]
POD: Final = BY_KIND["Pod"]
NAMESPACE: Final = BY_KIND["Namespace"]
CONFIG_MAP: Final = BY_KIND["ConfigMap"]
SERVICE_ACCOUNT: Final = BY_KIND["ServiceAccount"]


def of_crd(crd: Object) -> list[Resource]:
    """The resources that a CustomResourceDefinition adds, one for each served version."""
    spec, names = crd["spec"], crd["spec"]["names"]
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            kind=names["kind"],
            plural=names["plural"],
            namespaced=spec.get("scope") == "Namespaced",
            short=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            status="status" in (version.get("subresources") or {}),
            scale=_scale((version.get("subresources") or {}).get("scale")),
            generation=True,
            unconditional=False,
            columns=tuple(_column(c) for c in version.get("additionalPrinterColumns") or ()),
            schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
        )
        for version in spec["versions"]
        if version.get("served")
    ]


def _column(given: Object) -> Column:
    return Column(given["name"], given["jsonPath"], given["type"], given.get("priority", 0))


def _scale(given: Object | None) -> Scale | None:
    if given is None:
        return None
    spec, status = given["specReplicasPath"], given["statusReplicasPath"]
    return Scale(tuple(spec.strip(".").split(".")), tuple(status.strip(".").split(".")))


def singular(resource: Resource) -> str:
    """As discovery and kubectl have it."""
    return resource.kind.lower()
