"""What effects write: statuses of pools, and what a node is given when it registers."""

from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from agent.core.world import target
from agent.daemon.act.nodes import sync_node
from agent.daemon.act.registry import Hands
from agent.daemon.act.status import write_pool_status
from agent.model import names
from agent.model.actions import RegisterNode, WritePoolStatus
from agent.model.kubernetes import Node, NodePool, Taint
from agent.model.reasons import Reason
from agent.model.resources import ZERO, Resources
from tests.build import NOW, claim, machine, meta, node, pool

REASON = Reason("StatusChanged", "a test")


@dataclass
class Cluster:
    """Hands that hold one object and keep what is written."""

    held: NodePool | Node
    written: list[Any] = field(default_factory=list)

    @property
    def api(self) -> "Cluster":
        return self

    @property
    def cache(self) -> "Cluster":
        return self

    def get(self, _kind: str, _name: str) -> NodePool | Node:
        return self.held

    def merge_patch(self, _path: str, body: Any) -> bytes:
        self.written.append(body)
        return b'{"metadata": {"name": "held"}}'

    def wrote(self, _kind: str, _raw: bytes) -> None:
        return None

    def clock(self) -> object:
        return NOW

    def fence(self) -> None:
        return None

    def checkpoint(self, _name: str, _moment: str) -> None:
        return None


def resources(before: Resources, now: Resources, nodes: int) -> dict[str, str | None]:
    """What a pool's status says of its resources."""
    cluster = Cluster(pool(resources=before))
    action = WritePoolStatus(reason=REASON, pool=target(cluster.held.meta), node_count=nodes, resources=now)
    write_pool_status(cast("Hands", cluster), action)
    (body,) = cluster.written
    found: dict[str, str | None] = body["status"]["resources"]
    return found


def test_rule_19_4_what_a_pool_has_none_of_is_nothing_and_not_left_out() -> None:
    nothing: dict[str, str | None] = {"cpu": "0", "memory": "0", "pods": "0", "ephemeral-storage": "0", "nodes": "0"}
    assert resources(ZERO, ZERO, 0) == nothing
    gpu = Resources(4000, 1 << 30, 110, 1 << 30, (("nvidia.com/gpu", 1),))
    full = {"cpu": "4", "memory": "1Gi", "pods": "110", "ephemeral-storage": "1Gi", "nvidia.com/gpu": "1", "nodes": "1"}
    assert resources(ZERO, gpu, 1) == full
    # A merge patch keeps what it does not name.
    assert resources(gpu, ZERO, 0) == nothing | {"nvidia.com/gpu": None}


def registered(there: Node) -> dict[str, Any]:
    """What is written of a node that registers, before pods may come."""
    cluster = Cluster(there)
    action = RegisterNode(
        reason=REASON,
        claim=target(claim().meta),
        node=target(there.meta),
        labels={names.REGISTERED: "true"},
        annotations={"example.com/note": "x"},
        taints=(Taint("workload", "NoSchedule", "ai"),),
        synced=False,
    )
    sync_node(cast("Hands", cluster), action)
    found: dict[str, Any] = cluster.written[0]
    return found


def test_rule_18_6_a_node_gets_a_finalizer_labels_annotations_and_taints() -> None:
    there = msgspec.structs.replace(node(machine()), meta=meta(machine().id, finalizers=("example.com/own",)))
    body = registered(there)
    assert body["metadata"]["finalizers"] == ["example.com/own", names.TERMINATION_FINALIZER]
    assert body["metadata"]["labels"] == {names.REGISTERED: "true"}
    assert body["metadata"]["annotations"] == {"example.com/note": "x"}
    taints = [(t["key"], t["effect"]) for t in body["spec"]["taints"]]
    # The unregistered one goes last, in a write of its own.
    assert taints == [("workload", "NoSchedule"), (names.UNREGISTERED_TAINT, "NoExecute")]


def test_unlike_rule_18_6_a_node_is_not_owned_by_its_claim() -> None:
    """Else Kubernetes would delete the nodes of claims that were lost with their CRD, or by a restored etcd."""
    assert "ownerReferences" not in registered(node(machine()))["metadata"]
