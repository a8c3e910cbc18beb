"""What people run: Deployments and their pods, and which nodes would take a pod."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.core.taints import tolerates
from agent.model import names
from agent.model.kubernetes import Taint, Toleration
from tests.virtual.kubernetes import Json

TOLERATED = {"key": "workload", "operator": "Equal", "value": "ai", "effect": "NoSchedule"}


@dataclass
class Deployment:
    """A Deployment, of which the ReplicaSet is left out."""

    name: str
    replicas: int = 0
    cpu: str = "1"
    memory: str = "2Gi"
    annotations: dict[str, str] = field(default_factory=dict)
    grace_seconds: int = 30
    owner: str = "ReplicaSet"
    selector: dict[str, str] = field(default_factory=dict)
    extra: Json = field(default_factory=dict)
    """More of the pods' spec."""

    def pod(self) -> Json:
        owner = {"kind": self.owner, "name": self.name, "uid": f"rs-{self.name}", "controller": True}
        meta: Json = {"labels": {"app": self.name}, "annotations": self.annotations}
        if self.owner:
            meta["ownerReferences"] = [owner]
        asked = {"requests": {"cpu": self.cpu, "memory": self.memory}}
        spec: Json = {
            "containers": [{"name": "main", "resources": asked}],
            "tolerations": [TOLERATED],
            "terminationGracePeriodSeconds": self.grace_seconds,
        }
        if self.selector:
            spec["nodeSelector"] = self.selector
        return {"metadata": meta, "spec": spec | self.extra, "status": {"phase": "Pending"}}


def admits(node: Json, pod: Json) -> bool:
    """Whether the scheduler would consider the node at all."""
    if node["spec"].get("unschedulable") or "deletionTimestamp" in node["metadata"]:
        return False
    ready = [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"]
    labels = node["metadata"].get("labels", {})
    if ready != ["True"] or any(labels.get(k) != v for k, v in pod["spec"].get("nodeSelector", {}).items()):
        return False
    taints = tuple(
        Taint(t["key"], t["effect"], t.get("value", ""))
        for t in node["spec"].get("taints", [])
        if t["effect"] != "PreferNoSchedule"
    )
    return tolerates(tolerations(pod), taints)


def tolerations(pod: Json) -> tuple[Toleration, ...]:
    return tuple(
        Toleration(t.get("key", ""), t.get("operator", "Equal"), t.get("value", ""), t.get("effect", ""))
        for t in pod["spec"].get("tolerations", [])
    )


def is_waited_for(pod: Json, now: datetime) -> bool:
    """Whether a drain has to wait for the pod: not a daemon's, not finished, not stuck on its way out."""
    owners = {o["kind"] for o in pod["metadata"].get("ownerReferences", [])}
    if owners & {"DaemonSet", "Node"} or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return False
    if tolerates(tolerations(pod), (Taint(names.DISRUPTED_TAINT, "NoSchedule"),)):
        return False
    deleted = pod["metadata"].get("deletionTimestamp")
    return deleted is None or now < datetime.fromisoformat(deleted) + timedelta(seconds=60)
