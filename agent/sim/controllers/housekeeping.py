"""What machines leave behind that are gone without a word: their pods, and nodes that are silent."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from agent.kube import paths
from agent.kube.times import rfc3339
from agent.kube.timestamps import parse_time
from agent.model.names import CONTROL_PLANE
from agent.sim.controllers.view import LEASES, Manifest, View, Write, is_deleted
from agent.sim.machines.world import NODES, PODS

SILENT: Final = timedelta(seconds=40)
"""kube-controller-manager's --node-monitor-grace-period was 40 s for long and is 50 s since 1.32."""
YOUNG: Final = timedelta(seconds=5)
"""The node of a pod that was just made may not have been seen yet."""
_UNREACHABLE: Final = "node.kubernetes.io/unreachable"


def lost_pods(view: View) -> Iterator[Write]:
    """Pods on a node that is no more have ended with it."""
    nodes = {n["metadata"]["name"] for n in view.items(NODES)}
    for pod in view.items(PODS):
        node, metadata = pod["spec"].get("nodeName"), pod["metadata"]
        if node and node not in nodes and not _is_young(view, pod):
            path = paths.pods(metadata["namespace"], metadata["name"])
            yield Write("delete", PODS, path, uid=metadata["uid"], grace_seconds=0)


def silent_nodes(view: View) -> Iterator[Write]:
    """A node that has not renewed its Lease is not ready, and is tainted so; kubelet takes the first back itself."""
    renewed = {o["metadata"]["name"]: parse_time(o.get("spec", {}).get("renewTime") or "") for o in view.items(LEASES)}
    for node in view.items(NODES):
        last = renewed.get(node["metadata"]["name"]) or _created(node)
        if last is None or is_deleted(node):
            continue
        path = paths.nodes(node["metadata"]["name"])
        if view.now - last > SILENT and _ready(node) == "True":
            yield Write("patch", NODES, paths.status(path), {"status": {"conditions": _unknown(view, node)}})
        taints = node["spec"].get("taints") or []
        others = [t for t in taints if t["key"] != _UNREACHABLE]
        wanted = others + ([] if _ready(node) != "Unknown" else _unreachable())
        if wanted != taints:
            yield Write("patch", NODES, path, {"spec": {"taints": wanted}})


def roles(view: View) -> Iterator[Write]:
    """Label control-plane nodes with their role, as kubeadm does after joining: a kubelet may not do it itself."""
    for node in view.items(NODES):
        tainted = any(t["key"] == CONTROL_PLANE for t in node["spec"].get("taints") or ())
        if tainted and CONTROL_PLANE not in (node["metadata"].get("labels") or {}):
            body = {"metadata": {"labels": {CONTROL_PLANE: ""}}}
            yield Write("patch", NODES, paths.nodes(node["metadata"]["name"]), body)


def _created(found: Manifest) -> datetime | None:
    return parse_time(found["metadata"].get("creationTimestamp") or "")


def _is_young(view: View, found: Manifest) -> bool:
    created = _created(found)
    return created is not None and view.now - created < YOUNG


def _ready(node: Manifest) -> str:
    conditions = node.get("status", {}).get("conditions") or ()
    return next((str(c["status"]) for c in conditions if c["type"] == "Ready"), "False")


def _unknown(view: View, node: Manifest) -> list[Manifest]:
    said = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    stamp = {"status": "Unknown", "lastTransitionTime": rfc3339(view.now)}
    return [c | stamp | said for c in node["status"]["conditions"]]


def _unreachable() -> list[Manifest]:
    return [{"key": _UNREACHABLE, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
