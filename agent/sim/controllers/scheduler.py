"""The scheduler: filters, one score, a binding, or the sentence why not.

Rules: kubernetes.io/docs/concepts/scheduling-eviction. Filters run in kube-scheduler's order and the first that refuses
a node speaks for it; the score is LeastAllocated.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from agent.core.nodeaffinity import alternatives
from agent.core.taints import UNSCHEDULABLE, tolerates
from agent.kube import paths, wire
from agent.kube.times import rfc3339
from agent.model.kubernetes import Node, Pod
from agent.model.resources import Resources
from agent.sim.controllers.view import Manifest, View, Write, is_deleted
from agent.sim.machines.world import NODES, PODS

DEFAULT_SCHEDULER: Final = "default-scheduler"


class Seat(msgspec.Struct):
    """A node and what is left on it."""

    node: Node
    free: Resources


def schedule(view: View) -> Iterator[Write]:
    """Bind what fits and say of the rest why it does not; pods of a higher priority and older ones come first."""
    pods = [(p, wire.pod(msgspec.json.encode(p))) for p in view.items(PODS)]
    seats = _seats(view, [model for _, model in pods])
    waiting = [(raw, model) for raw, model in pods if _waits(raw, model)]
    for raw, pod in sorted(waiting, key=lambda p: (-p[1].priority, str(p[1].meta.created_at), p[1].key)):
        seat, message = _choose(pod, seats)
        if seat is None:
            yield from _refused(view, raw, message)
            continue
        seat.free -= pod.requests
        yield _binding(pod, seat.node)


def _seats(view: View, pods: list[Pod]) -> list[Seat]:
    nodes = [wire.node(msgspec.json.encode(n)) for n in view.items(NODES) if not is_deleted(n)]
    used: dict[str, Resources] = {}
    for pod in pods:
        if pod.node_name is not None and not pod.is_finished:
            used[pod.node_name] = used.get(pod.node_name, Resources()) + pod.requests
    return [Seat(n, n.allocatable - used.get(n.name, Resources())) for n in sorted(nodes, key=lambda n: n.name)]


def _waits(raw: Manifest, pod: Pod) -> bool:
    mine = raw["spec"].get("schedulerName", DEFAULT_SCHEDULER) == DEFAULT_SCHEDULER
    return mine and pod.node_name is None and pod.meta.deleted_at is None and not pod.is_finished


def _choose(pod: Pod, seats: list[Seat]) -> tuple[Seat | None, str]:
    """The node with the largest share left, or why there is none."""
    if unknown := _unknown(pod):
        return None, f"the sandbox's scheduler does not know {unknown}, so it binds this pod to no node."
    refusals: Counter[str] = Counter()
    fitting = []
    for seat in seats:
        against = _against(pod, seat)
        refusals.update(against)
        if not against:
            fitting.append(seat)
    if not fitting:
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(refusals.items()))
        tail = f": {said}." if said else "."
        return None, f"0/{len(seats)} nodes are available{tail}"
    return max(fitting, key=lambda s: (_share(pod, s), s.node.name)), ""


def _unknown(pod: Pod) -> str:
    """Hard constraints that no filter here looks at."""
    fields = {
        "required pod affinity": pod.affinity,
        "required pod anti-affinity": pod.anti_affinity,
        "topology spread": [s for s in pod.spread if s.hard],
        "host ports": pod.host_ports,
        "volumes": pod.claims,
    }
    return ", ".join([*pod.unsupported, *(name for name, found in fields.items() if found)])


def _against(pod: Pod, seat: Seat) -> list[str]:
    """What the first filter that refuses the node says; empty when all let the pod pass."""
    node = seat.node
    if node.unschedulable and not tolerates(pod.tolerations, (UNSCHEDULABLE,)):
        return ["node(s) were unschedulable"]
    if not tolerates(pod.tolerations, node.taints):
        return ["node(s) had untolerated taint(s)"]
    if not any(a.admits(node.meta.labels) for a in alternatives(pod)):
        return ["node(s) didn't match Pod's node affinity/selector"]
    return [
        "Too many pods" if name == "pods" else f"Insufficient {name}"
        for name, amount in pod.requests.items()
        if amount > seat.free.amount(name)
    ]


def _share(pod: Pod, seat: Seat) -> float:
    """What would be left of CPU and memory, as a mean share of the whole node."""
    left, whole = seat.free - pod.requests, seat.node.allocatable
    shares = (left.cpu_milli / max(1, whole.cpu_milli), left.memory_bytes / max(1, whole.memory_bytes))
    return sum(shares) / len(shares)


def _binding(pod: Pod, node: Node) -> Write:
    target = {"apiVersion": "v1", "kind": "Node", "name": node.name}
    metadata = {"name": pod.meta.name, "namespace": pod.meta.namespace, "uid": pod.meta.uid}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
    return Write("create", "", paths.pods(pod.meta.namespace, pod.meta.name) + "/binding", body)


def _refused(view: View, raw: Manifest, message: str) -> Iterator[Write]:
    held = next((c for c in raw.get("status", {}).get("conditions") or () if c["type"] == "PodScheduled"), None)
    if held is not None and held.get("message") == message and held["status"] == "False":
        return
    since = held["lastTransitionTime"] if held is not None and held["status"] == "False" else rfc3339(view.now)
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": since,
    }
    path = paths.status(paths.pods(raw["metadata"]["namespace"], raw["metadata"]["name"]))
    yield Write("patch", PODS, path, {"status": {"phase": "Pending", "conditions": [condition]}})
