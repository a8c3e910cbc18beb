"""What the server says of itself: groups, resources, version, OpenAPI.

kubectl maps names to paths by the discovery documents, and learns from OpenAPI that the server checks fields itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from agent.sim.apiserver.resources import Object, Resource, singular

VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_SUBRESOURCES: Final = {
    "Pod": (("eviction", "policy", "v1", "Eviction"), ("binding", "", "v1", "Binding")),
    "ServiceAccount": (("token", "authentication.k8s.io", "v1", "TokenRequest"),),
    "CertificateSigningRequest": (("approval", "", "", "CertificateSigningRequest"),),
}
REVIEWS: Final = (
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
)
"""Questions that are answered and not stored."""


def versions(address: str) -> Object:
    """/api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups(resources: Iterable[Resource]) -> Object:
    """/apis."""
    found: dict[str, list[str]] = {}
    for group, version in [*((r.group, r.version) for r in resources), *((g, "v1") for g, _, _ in REVIEWS)]:
        if group and version not in found.setdefault(group, []):
            found[group].append(version)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(n, v) for n, v in found.items()]}


def group(resources: Iterable[Resource], name: str) -> Object | None:
    """/apis/GROUP; None when there is none."""
    listed: list[Object] = groups(resources)["groups"]
    found = next((g for g in listed if g["name"] == name), None)
    return {"kind": "APIGroup", "apiVersion": "v1"} | found if found else None


def resource_list(resources: Iterable[Resource], group_name: str, version: str) -> Object | None:
    """/api/v1 or /apis/GROUP/VERSION; None when there is none."""
    listed: list[Object] = []
    for resource in resources:
        if (resource.group, resource.version) == (group_name, version):
            listed += _entries(resource)
    listed += [
        {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}
        for of, plural, kind in REVIEWS
        if of == group_name and version == "v1"
    ]
    if not listed:
        return None
    name = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed}


def version(git_version: str) -> Object:
    """/version."""
    major, minor, _ = git_version.removeprefix("v").split(".", 2)
    return {
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "linux/amd64",
    }


def openapi_index(resources: Iterable[Resource]) -> Object:
    """/openapi/v3."""
    prefixes = dict.fromkeys(r.prefix for r in resources)
    return {"paths": {p.lstrip("/"): {"serverRelativeURL": f"/openapi/v3{p}?hash=0"} for p in prefixes}}


def openapi(resources: Iterable[Resource], prefix: str) -> Object | None:
    """The document of one group and version; None when there is none.

    It says of each resource that PATCH takes ``fieldValidation``, and of custom resources the schema, for
    `kubectl explain`. Built-in kinds have no schema here: kubectl knows their merge keys itself.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for resource in resources:
        if resource.prefix != prefix:
            continue
        scope = "/namespaces/{namespace}" if resource.namespaced else ""
        paths[f"{prefix}{scope}/{resource.plural}/{{name}}"] = _operations(resource)
        kind = _gvk(resource)
        schema: Mapping[str, Any] = resource.schema or {"type": "object"}
        schemas[f"{resource.group or 'core'}.{resource.version}.{resource.kind}"] = {
            **schema,
            "x-kubernetes-group-version-kind": [kind],
        }
    if not paths:
        return None
    info = {"title": "Kubernetes", "version": "sandbox"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operations(resource: Resource) -> Object:
    names = ("fieldManager", "fieldValidation", "dryRun")
    parameters = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names]
    media = {f"application/{kind}-patch+json": {"schema": {"type": "object"}} for kind in ("json", "merge")}
    ref = {"$ref": f"#/components/schemas/{resource.group or 'core'}.{resource.version}.{resource.kind}"}
    answers = {"200": {"description": "OK", "content": {"application/json": {"schema": ref}}}}
    common = {"x-kubernetes-group-version-kind": _gvk(resource), "responses": answers}
    patch = {"x-kubernetes-action": "patch", "parameters": parameters, "requestBody": {"content": media}}
    return {"get": common | {"x-kubernetes-action": "get"}, "patch": common | patch}


def _group(name: str, listed: list[str]) -> Object:
    found = [{"groupVersion": f"{name}/{v}", "version": v} for v in listed]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def _entries(resource: Resource) -> list[Object]:
    base: Object = {"name": resource.plural, "singularName": singular(resource), "namespaced": resource.namespaced}
    base |= {"kind": resource.kind, "verbs": list(VERBS)}
    if resource.short:
        base["shortNames"] = list(resource.short)
    if resource.categories:
        base["categories"] = list(resource.categories)
    listed = [base]
    if resource.status:
        listed.append(_sub(resource, "status", resource.kind, ["get", "patch", "update"]))
    if resource.scale is not None:
        scale = {"group": "autoscaling", "version": "v1"}
        listed.append(_sub(resource, "scale", "Scale", ["get", "patch", "update"]) | scale)
    for name, group_name, of_version, kind in () if resource.custom else _SUBRESOURCES.get(resource.kind, ()):
        verbs = ["get", "patch", "update"] if name == "approval" else ["create"]
        listed.append(
            _sub(resource, name, kind, verbs) | ({"group": group_name, "version": of_version} if of_version else {})
        )
    return listed


def _sub(resource: Resource, name: str, kind: str, verbs: list[str]) -> Object:
    full = f"{resource.plural}/{name}"
    return {"name": full, "singularName": "", "namespaced": resource.namespaced, "kind": kind, "verbs": verbs}
