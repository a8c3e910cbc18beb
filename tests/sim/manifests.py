"""Objects as the API server has them, for the controllers of the sandbox."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from agent.kube.times import rfc3339
from agent.sim.controllers.view import View, owner_reference

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
Manifest = dict[str, Any]
_numbers = count(1)


def view(**objects: list[Manifest]) -> View:
    return View(NOW, {name: tuple(listed) for name, listed in objects.items()})


def metadata(name: str, *, age_seconds: int = 60, **more: Any) -> Manifest:
    created = rfc3339(NOW - timedelta(seconds=age_seconds))
    made = {"name": name, "namespace": "default", "uid": f"uid-{name}", "creationTimestamp": created, "generation": 1}
    return made | more


def node(name: str, *, cpu: str = "2", memory: str = "4Gi", ready: str = "True", **spec: Any) -> Manifest:
    amounts = {"cpu": cpu, "memory": memory, "pods": "110"}
    return {
        "metadata": metadata(name, labels=spec.pop("labels", {})),
        "spec": spec,
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(name: str = "", *, cpu: str = "1", memory: str = "1Gi", owner: Manifest | None = None, **more: Any) -> Manifest:
    name = name or f"pod-{next(_numbers)}"
    meta = metadata(name, labels=more.pop("labels", {}), **more.pop("meta", {}))
    if owner is not None:
        meta["ownerReferences"] = [owner]
    status = {"phase": more.pop("phase", "Pending")}
    if more.pop("ready", False):
        status |= {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    containers = [{"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]
    return {"metadata": meta, "spec": {"containers": containers} | more, "status": status}


def workload(name: str = "web", replicas: int | None = 3, **more: Any) -> Manifest:
    """A Deployment, ReplicaSet or DaemonSet."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod()["spec"] | more}
    spec: Manifest = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"metadata": metadata(name), "spec": spec}


def owned_by(owner: Manifest, kind: str) -> Manifest:
    return owner_reference(owner, "apps/v1", kind)
