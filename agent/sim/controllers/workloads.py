"""Deployments, ReplicaSets and DaemonSets: as many pods as are wanted, where they may be."""

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from agent.core.nodeaffinity import alternatives
from agent.core.taints import DAEMON_TOLERATIONS, tolerates
from agent.kube import paths, wire
from agent.kube.times import rfc3339
from agent.model.kubernetes import Node
from agent.sim.controllers.view import (
    DAEMON_SETS,
    DEPLOYMENTS,
    REPLICA_SETS,
    Manifest,
    View,
    Write,
    changed,
    collection,
    controller_of,
    is_active,
    is_deleted,
    is_true,
    owner_reference,
    path_of,
)
from agent.sim.machines.world import NODES, PODS

HASH: Final = "pod-template-hash"
BURST: Final = 500
"""Pods that one ReplicaSet makes in one go."""


def deployments(view: View) -> Iterator[Write]:
    """One ReplicaSet for each template that a Deployment has had; the newest gets the pods, the others give them up."""
    for deployment in view.items(DEPLOYMENTS):
        if is_deleted(deployment):
            continue
        sets = list(view.owned(REPLICA_SETS, deployment))
        wanted, name = _replicas(deployment), _set_name(deployment)
        newest = next((s for s in sets if s["metadata"]["name"] == name), None)
        if newest is None:
            yield _new_set(deployment, name)
            continue
        left = max(0, wanted - int(newest.get("status", {}).get("readyReplicas") or 0))
        for found in sets:
            target = wanted if found is newest else min(left, _replicas(found))
            if _replicas(found) != target:
                yield Write("patch", REPLICA_SETS, path_of(REPLICA_SETS, found), {"spec": {"replicas": target}})
        status = _deployment_status(view, deployment, sets, newest)
        if changed(deployment, status):
            yield _status(DEPLOYMENTS, deployment, status)


def replica_sets(view: View) -> Iterator[Write]:
    """As many active pods as the set says."""
    for found in view.items(REPLICA_SETS):
        if is_deleted(found):
            continue
        pods = [p for p in view.owned(PODS, found) if is_active(p)]
        missing = _replicas(found) - len(pods)
        for _ in range(min(missing, BURST)):
            yield _pod(found, "ReplicaSet", {})
        for pod in sorted(pods, key=_spare, reverse=True)[: max(0, -missing)]:
            yield remove_pod(pod)
        status = _counts(found, pods)
        if changed(found, status):
            yield _status(REPLICA_SETS, found, status)


def daemon_sets(view: View) -> Iterator[Write]:
    """One pod on each node that a DaemonSet's template may run on; it is bound by being made there."""
    nodes = [wire.node(msgspec.json.encode(n)) for n in view.items(NODES) if not is_deleted(n)]
    for found in view.items(DAEMON_SETS):
        if is_deleted(found):
            continue
        template = wire.daemonset(msgspec.json.encode(found)).template
        tolerations = (*template.tolerations, *DAEMON_TOLERATIONS)
        labels = alternatives(template)

        def suits(node: Node, tolerations: tuple = tolerations, labels: tuple = labels) -> bool:  # type: ignore[type-arg]
            return tolerates(tolerations, node.taints) and any(a.admits(node.meta.labels) for a in labels)

        pods = [p for p in view.owned(PODS, found) if is_active(p)]
        there, wanted = {p["spec"].get("nodeName") for p in pods}, {n.meta.name for n in nodes if suits(n)}
        for node in sorted(wanted - there):
            yield _pod(found, "DaemonSet", {"nodeName": node})
        for pod in pods:
            if pod["spec"].get("nodeName") not in wanted:
                yield remove_pod(pod)
        status = _daemon_status(found, pods, len(wanted))
        if changed(found, status):
            yield _status(DAEMON_SETS, found, status)


def remove_pod(pod: Manifest) -> Write:
    """Delete one pod; one that was never bound has nothing to wait for."""
    metadata = pod["metadata"]
    path = paths.pods(metadata["namespace"], metadata["name"])
    return Write("delete", PODS, path, uid=metadata["uid"], grace_seconds=None if pod["spec"].get("nodeName") else 0)


def _replicas(found: Manifest) -> int:
    wanted = found["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def _set_name(deployment: Manifest) -> str:
    text = msgspec.json.encode(deployment["spec"]["template"], order="sorted")
    return f"{deployment['metadata']['name']}-{hashlib.sha256(text).hexdigest()[:10]}"


def _new_set(deployment: Manifest, name: str) -> Write:
    spec, metadata = deployment["spec"], deployment["metadata"]
    label = {HASH: name.rpartition("-")[2]}
    selector = dict(spec["selector"])
    selector["matchLabels"] = (selector.get("matchLabels") or {}) | label
    template = dict(spec["template"])
    labels = (template.get("metadata", {}).get("labels") or {}) | label
    template["metadata"] = (template.get("metadata") or {}) | {"labels": labels}
    body = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
        },
        "spec": {"replicas": _replicas(deployment), "selector": selector, "template": template},
    }
    return Write("create", REPLICA_SETS, collection(REPLICA_SETS, metadata["namespace"]), body)


def _pod(owner: Manifest, kind: str, spec: Manifest) -> Write:
    template, metadata = owner["spec"]["template"], owner["metadata"]
    given = template.get("metadata") or {}
    tolerations = list(template["spec"].get("tolerations") or ())
    if kind == "DaemonSet":
        tolerations += [{"key": t.key, "operator": t.operator, "effect": t.effect} for t in DAEMON_TOLERATIONS]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": given.get("labels") or {},
            "annotations": given.get("annotations") or {},
            "ownerReferences": [owner_reference(owner, "apps/v1", kind)],
        },
        "spec": template["spec"] | {"tolerations": tolerations} | spec,
    }
    return Write("create", PODS, paths.pods(metadata["namespace"]), body)


def _spare(pod: Manifest) -> tuple[bool, bool, str, str]:
    """Which pod goes first: unbound, then not ready, then the youngest (the ReplicaSet controller's order)."""
    metadata = pod["metadata"]
    unbound = not pod["spec"].get("nodeName")
    return unbound, not is_true(pod, "Ready"), metadata.get("creationTimestamp", ""), metadata["name"]


def _status(name: str, found: Manifest, status: Manifest) -> Write:
    return Write("patch", name, paths.status(path_of(name, found)), {"status": status})


def _counts(found: Manifest, pods: list[Manifest]) -> Manifest:
    ready = sum(is_true(p, "Ready") for p in pods)
    return {
        "replicas": len(pods),
        "fullyLabeledReplicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": found["metadata"].get("generation", 1),
    }


def _deployment_status(view: View, deployment: Manifest, sets: list[Manifest], newest: Manifest) -> Manifest:
    uids = {s["metadata"]["uid"] for s in sets}
    pods = [p for p in view.items(PODS) if is_active(p) and (c := controller_of(p)) is not None and c["uid"] in uids]
    status = _counts(deployment, pods)
    del status["fullyLabeledReplicas"]
    wanted = _replicas(deployment)
    status["updatedReplicas"] = sum(is_active(p) for p in view.owned(PODS, newest))
    status["unavailableReplicas"] = max(0, wanted - int(status["availableReplicas"]))
    enough = "True" if status["availableReplicas"] >= wanted else "False"
    status["conditions"] = [_condition(view, deployment, "Available", enough)]
    return status


def _condition(view: View, found: Manifest, kind: str, status: str) -> Manifest:
    held = next((c for c in found.get("status", {}).get("conditions") or () if c["type"] == kind), None)
    if held is not None and held["status"] == status:
        return dict(held)
    reason = "MinimumReplicasAvailable" if status == "True" else "MinimumReplicasUnavailable"
    stamp = rfc3339(view.now)
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": stamp, "lastUpdateTime": stamp}


def _daemon_status(found: Manifest, pods: list[Manifest], wanted: int) -> Manifest:
    ready = sum(is_true(p, "Ready") for p in pods)
    return {
        "currentNumberScheduled": len(pods),
        "desiredNumberScheduled": wanted,
        "numberAvailable": ready,
        "numberMisscheduled": 0,
        "numberReady": ready,
        "updatedNumberScheduled": len(pods),
        "observedGeneration": found["metadata"].get("generation", 1),
    }
