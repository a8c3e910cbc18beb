"""What a cluster would have filled in: the namespace, a pod's priority, and the scheduler's verdict on it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from agent.kube import wire
from agent.kube.workloads import DEFAULT_NAMESPACE
from agent.model.kubernetes import Pod, PriorityClass


def as_pod(raw: bytes, *, pending: bool) -> Pod:
    """The pod; with ``pending`` one that no node was found for, unless it has one. Raises ``WireFault``."""
    found = wire.pod(raw)
    return msgspec.structs.replace(found, unschedulable=True) if pending and found.node_name is None else found


def prioritized(pods: Iterable[Pod], classes: Iterable[PriorityClass]) -> Iterator[Pod]:
    """The pods with the priority that admission would have written, where nobody has (kubernetes.io, Pod Priority)."""
    listed = tuple(classes)
    by_name = {c.meta.name: c.value for c in listed}
    default = max((c.value for c in listed if c.is_default), default=0)
    for pod in pods:
        value = by_name.get(pod.priority_class, 0) if pod.priority_class else default
        yield msgspec.structs.replace(pod, priority=value) if value and not pod.priority else pod


def is_undecided(obj: Mapping[str, Any]) -> bool:
    """Whether no scheduler has said anything of the pod: a person wrote it, and it counts as pending, unless gated."""
    status, spec = obj.get("status"), obj.get("spec")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if isinstance(spec, Mapping) and spec.get("schedulingGates"):
        return False
    return not any(isinstance(c, Mapping) and c.get("type") == "PodScheduled" for c in conditions or ())


def inside_namespace(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object in its namespace; one that names none is in the default one."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("namespace"):
        return obj
    return {**obj, "metadata": {**metadata, "namespace": DEFAULT_NAMESPACE}}
