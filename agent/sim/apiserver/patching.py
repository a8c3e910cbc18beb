"""Patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902) and strategic merge patch.

The last is Kubernetes' own: lists of objects are merged by a key that belongs to the field
(kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch). The API server takes the keys from
its types; here they are a table of the fields that have one.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.sim.apiserver.refusals import bad_request, unprocessable

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"

_KEYS: Final[Mapping[str, str]] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "secrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "ownerReferences": "uid",
    "conditions": "type",
    "addresses": "type",
    "podIPs": "ip",
}
_PRIMITIVE: Final = frozenset({"finalizers"})
"""Lists of plain values that are merged rather than replaced."""
_DIRECTIVE: Final = "$patch"


def merge(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def strategic(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Kubernetes' strategic merge."""
    if not isinstance(patch, dict):
        return patch
    if patch.get(_DIRECTIVE) == "replace":
        return {k: v for k, v in patch.items() if k != _DIRECTIVE}
    merged = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        merged = {k: v for k, v in merged.items() if k in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            merged[field] = [v for v in merged.get(field) or () if v not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _list(key, merged.get(key), value, patch)
        else:
            merged[key] = strategic(merged.get(key), value)
    return merged


def _list(field: str, target: Any, patch: list[Any], around: Mapping[str, Any]) -> list[Any]:  # noqa: ANN401
    if field in _PRIMITIVE:
        held = list(target or ())
        return held + [v for v in patch if v not in held]
    key = _key(field, patch, target or ())
    if not key:
        return patch
    if any(isinstance(v, dict) and v.get(_DIRECTIVE) == "replace" for v in patch):
        return [v for v in patch if _DIRECTIVE not in v]
    merged: dict[Any, Any] = {v.get(key): v for v in target or ()}
    for value in patch:
        name = value.get(key)
        if value.get(_DIRECTIVE) == "delete":
            merged.pop(name, None)
        else:
            merged[name] = strategic(merged.get(name), value)
    order = [o.get(key) for o in around.get(f"$setElementOrder/{field}") or ()]
    places = {name: place for place, name in enumerate(order)}
    return sorted(merged.values(), key=lambda v: places.get(v.get(key), len(places))) if order else [*merged.values()]


def _key(field: str, patch: Sequence[Any], target: Sequence[Any]) -> str:
    """The merge key of a field; ``ports`` is a container's or a Service's."""
    elements = [*patch, *target]
    if not all(isinstance(v, dict) for v in elements):
        return ""
    if field == "ports":
        return "containerPort" if any("containerPort" in v for v in elements) else "port"
    return _KEYS.get(field, "")


def json_patch(target: Any, operations: Any) -> Any:  # noqa: ANN401 - any JSON value
    """RFC 6902. Raises a refusal (422) when an operation cannot be carried out, a ``test`` that fails included."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    document = copy.deepcopy(target)
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise unprocessable(f"the JSON patch operation {operation} cannot be carried out: {error}") from error
    return document


def _operate(document: Any, operation: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    kind, path = operation["op"], _pointer(operation["path"])
    if kind == "test":
        if _find(document, path) != operation.get("value"):
            raise ValueError("the test failed")
        return document
    if kind == "remove":
        _take(document, path)
        return document
    if kind in {"move", "copy"}:
        source = _pointer(operation["from"])
        value = _take(document, source) if kind == "move" else copy.deepcopy(_find(document, source))
        return _add(document, path, value)
    if kind == "replace":
        if not path:
            return operation["value"]
        # Unlike RFC 6902, Kubernetes lets a member that is not there be replaced.
        parent = _find(document, path[:-1])
        parent[_index(parent, path[-1])] = operation["value"]
        return document
    if kind == "add":
        return _add(document, path, operation["value"])
    raise ValueError(f"{kind!r} is no operation")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} does not begin with a slash")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _index(parent: Any, step: str) -> str | int:  # noqa: ANN401 - any JSON value
    return int(step) if isinstance(parent, list) else step


def _find(document: Any, path: list[str]) -> Any:  # noqa: ANN401 - any JSON value
    for step in path:
        document = document[_index(document, step)]
    return document


def _take(document: Any, path: list[str]) -> Any:  # noqa: ANN401 - any JSON value
    parent = _find(document, path[:-1])
    return parent.pop(_index(parent, path[-1]))


def _add(document: Any, path: list[str], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not path:
        return value
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else int(path[-1]), value)
    else:
        parent[path[-1]] = value
    return document
