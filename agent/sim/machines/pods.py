"""A pod as kubelet reports it: what its status says once its containers run."""

from datetime import datetime
from typing import Any

from agent.kube.times import rfc3339

Manifest = dict[str, Any]


def is_started(pod: Manifest) -> bool:
    """Whether kubelet has reported on it: it runs or has ended."""
    return pod.get("status", {}).get("phase") in {"Running", "Succeeded", "Failed"}


def running_status(pod: Manifest, host_ip: str, pod_ip: str, now: datetime) -> Manifest:
    """The status of a pod of which every container has started and is ready."""
    stamp = rfc3339(now)
    scheduled = next((c for c in pod.get("status", {}).get("conditions", ()) if c["type"] == "PodScheduled"), None)
    said = scheduled or {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp}
    ready = [
        {"type": kind, "status": "True", "lastTransitionTime": stamp}
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    ]
    return {
        "phase": "Running",
        "conditions": [said, *ready],
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": stamp,
        "containerStatuses": [_container(c, stamp) for c in pod["spec"]["containers"]],
    }


def _container(container: Manifest, stamp: str) -> Manifest:
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": container.get("image", ""),
        "containerID": f"containerd://{container['name']}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": stamp}},
    }
