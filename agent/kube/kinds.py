"""The kinds of objects that an installation consists of: where the API keeps them, and which of them are ours."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agent.kube.errors import NotFound

if TYPE_CHECKING:  # whoever reads files only need not wait for a client's import
    from agent.kube.api import KubeApi

Manifest = dict[str, Any]

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OWNER: Final = "joinery"


class Kind(msgspec.Struct, frozen=True):
    """One kind: its API group and version (``v1`` or ``group/v1``), its plural, and whether it lives in namespaces."""

    name: str
    api_version: str
    plural: str
    namespaced: bool = False

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.partition("/")[0] if "/" in self.api_version else ""

    def path(self, name: str = "", namespace: str = "") -> str:
        """The object's path; without a name the collection's, without a namespace that of all namespaces."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")

    def label(self, name: str) -> str:
        """``type/name`` as kubectl prints it, for example ``clusterrole.rbac.authorization.k8s.io/joinery``."""
        return f"{self.name.lower()}{f'.{self.group}' if self.group else ''}/{name}"


_RBAC: Final = "rbac.authorization.k8s.io/v1"
_ADMISSION: Final = "admissionregistration.k8s.io/v1"

CRD: Final = Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions")
NAMESPACE: Final = Kind("Namespace", "v1", "namespaces")

KINDS: Final = (
    NAMESPACE,
    CRD,
    Kind("ServiceAccount", "v1", "serviceaccounts", namespaced=True),
    Kind("ConfigMap", "v1", "configmaps", namespaced=True),
    Kind("ValidatingAdmissionPolicy", _ADMISSION, "validatingadmissionpolicies"),
    Kind("ValidatingAdmissionPolicyBinding", _ADMISSION, "validatingadmissionpolicybindings"),
    Kind("ClusterRole", _RBAC, "clusterroles"),
    Kind("ClusterRoleBinding", _RBAC, "clusterrolebindings"),
    Kind("Role", _RBAC, "roles", namespaced=True),
    Kind("RoleBinding", _RBAC, "rolebindings", namespaced=True),
)
"""In the order in which they are created: the guard of Secrets stands before the right to write them."""


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of a manifest.

    Raises:
        ValueError: The installation has no such kind.
    """
    for kind in KINDS:
        if kind.name == manifest.get("kind") and kind.api_version == manifest.get("apiVersion"):
            return kind
    raise ValueError(f"{manifest.get('apiVersion')} {manifest.get('kind')} is no kind that an installation consists of")


def path_of(manifest: Manifest) -> str:
    """The path of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return kind_of(manifest).path(metadata["name"], metadata.get("namespace", ""))


def label_of(manifest: Manifest) -> str:
    """``type/name`` of the object that a manifest describes."""
    return kind_of(manifest).label(manifest["metadata"]["name"])


def is_ours(item: Manifest) -> bool:
    """Whether the object carries Joinery's label."""
    return (item["metadata"].get("labels") or {}).get(MANAGED_BY) == OWNER


def read(api: "KubeApi", path: str) -> Manifest | None:
    """One object; None when there is none."""
    try:
        found: Manifest = msgspec.json.decode(api.get(path))
    except NotFound:
        return None
    return found


class _Page(msgspec.Struct):
    items: list[msgspec.Raw] | None = None


def raw_items(api: "KubeApi", path: str) -> list[msgspec.Raw]:
    """Every object of a collection, not yet decoded; none when the server does not know the kind."""
    try:
        return [item for page in api.pages(path) for item in msgspec.json.decode(page, type=_Page).items or ()]
    except NotFound:
        return []


def items(api: "KubeApi", path: str, params: Mapping[str, str] | None = None) -> list[Manifest]:
    """Every object of a collection; none when the server does not know the kind."""
    try:
        return [item for page in api.pages(path, params) for item in msgspec.json.decode(page)["items"]]
    except NotFound:
        return []
