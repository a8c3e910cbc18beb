"""What is left behind: objects without owners, pods on nodes that are gone, nodes that are silent, kubeadm's joins."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from agent.core.admission import SIGNER
from agent.kube import paths
from agent.kube.times import rfc3339
from agent.kube.timestamps import parse_time
from agent.sim.controllers.view import (
    DAEMON_SETS,
    DEPLOYMENTS,
    LEASES,
    REPLICA_SETS,
    REQUESTS,
    Manifest,
    View,
    Write,
    controller_of,
    is_deleted,
    path_of,
)
from agent.sim.controllers.workloads import remove_pod
from agent.sim.machines.world import NODES, PODS

KUBEADM_GROUP: Final = "system:bootstrappers:kubeadm:default-node-token"
"""kubeadm binds this group to the right to have its first certificate approved unseen."""
SILENT: Final = timedelta(seconds=40)
"""kube-controller-manager's --node-monitor-grace-period was 40 s for long and is 50 s since 1.32."""
YOUNG: Final = timedelta(seconds=5)
"""The node of a pod that was just made may not have been seen yet."""
_UNREACHABLE: Final = "node.kubernetes.io/unreachable"
_OWNERS: Final = {"Deployment": DEPLOYMENTS, "ReplicaSet": REPLICA_SETS, "DaemonSet": DAEMON_SETS}


def garbage(view: View) -> Iterator[Write]:
    """Delete what a Deployment, ReplicaSet or DaemonSet owned that is gone."""
    there = {kind: {o["metadata"]["uid"] for o in view.items(name)} for kind, name in _OWNERS.items()}
    for name in (REPLICA_SETS, PODS):
        for found in view.items(name):
            owner = controller_of(found)
            if owner is None or is_deleted(found) or _is_young(view, found):
                continue
            if owner["kind"] in there and owner["uid"] not in there[owner["kind"]]:
                yield remove_pod(found) if name == PODS else _removal(name, found)


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


def kubeadm_joins(view: View) -> Iterator[Write]:
    """Approve the first certificate of a machine that joins by hand, as kube-controller-manager does."""
    for request in view.items(REQUESTS):
        spec, status = request["spec"], request.get("status") or {}
        if status.get("conditions") or spec["signerName"] != SIGNER or KUBEADM_GROUP not in spec.get("groups", ()):
            continue
        stamp = rfc3339(view.now)
        condition = {
            "type": "Approved",
            "status": "True",
            "reason": "AutoApproved",
            "message": "Auto approving kubelet client certificate after SubjectAccessReview.",
            "lastUpdateTime": stamp,
            "lastTransitionTime": stamp,
        }
        body = request | {"status": status | {"conditions": [condition]}}
        yield Write("replace", REQUESTS, paths.approval(paths.csrs(request["metadata"]["name"])), body)


def _removal(name: str, found: Manifest) -> Write:
    return Write("delete", name, path_of(name, found), uid=found["metadata"]["uid"])


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
