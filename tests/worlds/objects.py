"""The objects that worlds are made of, in the shape of kubectl's output."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
NOW = "2026-11-25T12:00:00Z"
ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
NAMESPACES: dict[str, dict[str, str]] = {"shop": {"team": "web"}, "lab": {"team": "research"}}
HOSTNAME, ZONE, ARCH = "kubernetes.io/hostname", "topology.kubernetes.io/zone", "kubernetes.io/arch"
CAPACITY_TYPE, TYPE = "karpenter.sh/capacity-type", "node.kubernetes.io/instance-type"
RESERVATION = "karpenter.k8s.aws/capacity-reservation-id"
POOL, CLASS = "karpenter.sh/nodepool", "karpenter.k8s.aws/ec2nodeclass"
RUNTIME_CLASS, OVERHEAD = "heavy", {"cpu": "50m", "memory": "32Mi"}
STORAGE_CLASS, DRIVER = "ebs", "ebs.csi.aws.com"


def condition(kind: str, status: str = "True", reason: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason or kind, "message": "", "lastTransitionTime": NOW}


def namespace(name: str) -> Json:
    labels = {"kubernetes.io/metadata.name": name, **NAMESPACES[name]}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(name: str, namespace_: str, spec: Json, labels: dict[str, str]) -> Json:
    meta = {"name": name, "namespace": namespace_, "uid": f"uid-{namespace_}-{name}", "labels": labels}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "uid-rs", "controller": True}
    status = {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable")]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, "ownerReferences": [owner], "creationTimestamp": NOW},
        "spec": spec,
        "status": status,
    }


def running(found: Json, node: str, owner: Json | None = None) -> Json:
    """The pod on a node; with ``owner``, a DaemonSet, as its pod there."""
    meta = found["metadata"]
    if owner is not None:
        reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "controller": True}
        uid = owner["metadata"]["uid"]
        meta = meta | {"ownerReferences": [reference | {"name": owner["metadata"]["name"], "uid": uid}]}
    status = {"phase": "Running", "conditions": [condition("PodScheduled"), condition("Ready")], "startTime": NOW}
    return found | {"metadata": meta, "spec": found["spec"] | {"nodeName": node}, "status": status}


def containers(requests: Json, **more: Any) -> Json:
    return {"containers": [{"name": "main", "image": "pause", "resources": {"requests": requests}, **more}]}


def pool(name: str, template: Json, labels: dict[str, str], **spec: Any) -> Json:
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    disruption = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "0s", "budgets": [{"nodes": "100%"}]}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": NOW},
        "spec": {
            "template": {
                "metadata": {"labels": labels},
                "spec": {"nodeClassRef": reference, "expireAfter": "Never", **template},
            },
            "disruption": disruption,
            **spec,
        },
    }


def daemonset(name: str, spec: Json) -> Json:
    labels = {"daemon": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "creationTimestamp": NOW},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def node(name: str, labels: dict[str, str], room: Json, taints: list[Json], provider: str = "") -> Json:
    spec = {"taints": taints, **({"providerID": provider} if provider else {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {HOSTNAME: name, **labels},
            "creationTimestamp": NOW,
        },
        "spec": spec,
        "status": {"capacity": room, "allocatable": room, "conditions": [condition("Ready")]},
    }


def claim(name: str, labels: dict[str, str], kind: Json, allocatable: Json, node_name: str = "") -> Json:
    """A NodeClaim, launched; with ``node_name`` its node is there and initialised."""
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    kinds = ("Launched", "Registered", "Initialized") if node_name else ("Launched",)
    requirements = [{"key": k, "operator": "In", "values": [v]} for k, v in sorted(labels.items())]
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels, "creationTimestamp": NOW},
        "spec": {
            "nodeClassRef": reference,
            "requirements": requirements,
            "expireAfter": "Never",
            "resources": {"requests": {"cpu": "100m"}},
        },
        "status": {
            "providerID": f"aws:///{labels[ZONE]}/{node_name or 'i-of-' + name}",
            "nodeName": node_name,
            "capacity": kind["capacity"],
            "allocatable": allocatable,
            "conditions": [condition(k) for k in kinds],
        },
    }


def volume(name: str, zone: str) -> Json:
    """A PersistentVolume of the EBS driver, bound to the claim of the same name in the namespace shop."""
    entry = {"key": ZONE, "operator": "In", "values": [zone]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "uid": f"uid-pv-{name}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {"driver": DRIVER, "volumeHandle": f"vol-{name}"},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": name},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [entry]}]}},
        },
        "status": {"phase": "Bound"},
    }


def volume_claim(name: str, bound_to: str = "", *, is_bound: bool = True) -> Json:
    spec: Json = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": STORAGE_CLASS,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-pvc-{name}",
            "annotations": {"pv.kubernetes.io/bind-completed": "yes"} if bound_to and is_bound else {},
        },
        "spec": spec | ({"volumeName": bound_to} if bound_to else {}),
        "status": {"phase": "Bound" if bound_to and is_bound else "Pending"},
    }


def storage_class(zones: tuple[str, ...] = ()) -> Json:
    allowed = [{"matchLabelExpressions": [{"key": ZONE, "values": list(zones)}]}] if zones else []
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": DRIVER,
        "volumeBindingMode": "WaitForFirstConsumer",
        **({"allowedTopologies": allowed} if allowed else {}),
    }
