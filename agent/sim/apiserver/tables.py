"""Lists as ``kubectl get`` prints them (meta.k8s.io/v1 Table)."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from agent.kube.timestamps import parse_time
from agent.sim.apiserver.resources import Column, Object, Resource

Cells = Callable[[Object, datetime], list[Any]]

_STEP: Final = re.compile(r'\.((?:[^.\[\\]|\\.)+)|\[\?\(@\.(\w+)\s*==\s*["\']([^"\']*)["\']\)\]|\[(\d+|\*)\]')
_NONE: Final = "<none>"


def wanted(accept: str) -> bool:
    """Whether a table is asked for."""
    return "as=Table" in accept


def table(resource: Resource, objects: Sequence[Object], version: str, now: datetime) -> Object:
    """The table of these objects. Each row carries the object's metadata, for kubectl's own columns."""
    columns, cells = _layout(resource)
    rows = [
        {
            "cells": cells(obj, now),
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            },
        }
        for obj in objects
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [
            {"name": c.name, "type": c.type, "format": "name" if c.name == "Name" else "", "priority": c.priority}
            | {"description": ""}
            for c in columns
        ],
        "rows": rows,
    }


def find(obj: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value at a JSONPath as printer columns use it; None when there is none."""
    value = obj
    for step in _STEP.finditer(path):
        name, key, text, index = step.groups()
        if name is not None:
            value = value.get(name.replace("\\", "")) if isinstance(value, dict) else None
        elif key is not None:
            items = value if isinstance(value, list) else []
            value = next((i for i in items if isinstance(i, dict) and i.get(key) == text), None)
        elif isinstance(value, list):
            value = value[int(index)] if index != "*" and int(index) < len(value) else None
    return value


def age(text: str | None, now: datetime) -> str:
    """Time since then as kubectl has it: ``45s``, ``3m20s``, ``2d``."""
    moment = parse_time(text or "")
    if moment is None:
        return "<unknown>"
    seconds = max(0, int((now - moment).total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < 2 * 60:
        return f"{seconds}s"
    if minutes < 10:  # noqa: PLR2004 - kubectl's own steps
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:  # noqa: PLR2004
        return f"{minutes}m"
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"  # noqa: PLR2004


def _layout(resource: Resource) -> tuple[tuple[Column, ...], Cells]:
    name, born = Column("Name", ".metadata.name"), Column("Age", ".metadata.creationTimestamp", "date")
    if resource.columns:
        columns = (name, *resource.columns)
    elif not resource.custom and resource.kind in _BUILT_IN:
        columns, cells = _BUILT_IN[resource.kind]
        return (name, *columns, born), lambda o, now: [o["metadata"]["name"], *cells(o, now), _cell(o, born, now)]
    else:
        columns = (name, born)
    return columns, lambda o, now: [_cell(o, column, now) for column in columns]


def _cell(obj: Object, column: Column, now: datetime) -> Any:  # noqa: ANN401 - any JSON value
    value = find(obj, column.path)
    if column.type == "date":
        return age(value, now) if value else "<unknown>"
    return value


def _pod(obj: Object, _: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    states = status.get("containerStatuses") or ()
    ready = sum(1 for c in states if c.get("ready"))
    text = "Terminating" if "deletionTimestamp" in obj["metadata"] else status.get("reason") or status.get("phase", "")
    restarts = sum(c.get("restartCount", 0) for c in states)
    total = len(spec.get("containers") or ())
    return [
        f"{ready}/{total}",
        text,
        str(restarts),
        status.get("podIP") or _NONE,
        spec.get("nodeName") or _NONE,
    ]


def _node(obj: Object, _: datetime) -> list[Any]:
    status, prefix = obj.get("status") or {}, "node-role.kubernetes.io/"
    ready = find(status, '.conditions[?(@.type=="Ready")].status')
    text = {"True": "Ready", "False": "NotReady"}.get(ready or "", "Unknown" if ready else "NotReady")
    if obj["spec"].get("unschedulable"):
        text += ",SchedulingDisabled"
    labels = obj["metadata"].get("labels") or {}
    roles = ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or _NONE
    internal = find(status, '.addresses[?(@.type=="InternalIP")].address') or _NONE
    return [text, roles, find(status, ".nodeInfo.kubeletVersion") or "", internal]


def _sets(obj: Object, _: datetime) -> list[Any]:
    status = obj.get("status") or {}
    return [obj["spec"].get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]


def _deployment(obj: Object, _: datetime) -> list[Any]:
    status = obj.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"
    return [ready, status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]


def _daemon_set(obj: Object, _: datetime) -> list[Any]:
    status = obj.get("status") or {}
    return [status.get(f, 0) for f in ("desiredNumberScheduled", "currentNumberScheduled", "numberReady")]


def _budget(obj: Object, _: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    return [spec.get("minAvailable", "N/A"), spec.get("maxUnavailable", "N/A"), status.get("disruptionsAllowed", 0)]


def _request(obj: Object, _: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    kinds = [c["type"] for c in status.get("conditions") or ()] or ["Pending"]
    condition = ",".join([*kinds, *(["Issued"] if status.get("certificate") else [])])
    return [spec["signerName"], spec.get("username", ""), condition]


def _event(obj: Object, now: datetime) -> list[Any]:
    about = obj.get("involvedObject") or {}
    last = obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"]["creationTimestamp"]
    shown = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    return [age(last, now), obj.get("type", ""), obj.get("reason", ""), shown, obj.get("message", "")]


def _job(obj: Object, _: datetime) -> list[Any]:
    status = obj.get("status") or {}
    return [f"{status.get('succeeded', 0)}/{obj['spec'].get('completions', 1)}"]


def _columns(*names: str) -> tuple[Column, ...]:
    """A name in lower case shows with -o wide only."""
    return tuple(Column(n.title() if n.islower() else n, "", "string", 1 if n.islower() else 0) for n in names)


_BUILT_IN: Final[dict[str, tuple[tuple[Column, ...], Cells]]] = {
    "Pod": (_columns("Ready", "Status", "Restarts", "ip", "node"), _pod),
    "Node": (_columns("Status", "Roles", "Version", "internal-ip"), _node),
    "Namespace": (_columns("Status"), lambda o, _: [o["status"]["phase"]]),
    "Secret": (_columns("Type", "Data"), lambda o, _: [o.get("type"), len(o.get("data") or ())]),
    "ConfigMap": (_columns("Data"), lambda o, _: [len(o.get("data") or ())]),
    "Deployment": (_columns("Ready", "Up-to-date", "Available"), _deployment),
    "ReplicaSet": (_columns("Desired", "Current", "Ready"), _sets),
    "StatefulSet": (_columns("Desired", "Current", "Ready"), _sets),
    "DaemonSet": (_columns("Desired", "Current", "Ready"), _daemon_set),
    "Job": (_columns("Completions"), _job),
    "PodDisruptionBudget": (_columns("Min Available", "Max Unavailable", "Allowed Disruptions"), _budget),
    "Lease": (_columns("Holder"), lambda o, _: [(o.get("spec") or {}).get("holderIdentity", "")]),
    "CertificateSigningRequest": (_columns("SignerName", "Requestor", "Condition"), _request),
    "Event": (_columns("Last Seen", "Type", "Reason", "Object", "Message"), _event),
}
