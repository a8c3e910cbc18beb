"""A taint that something puts on every new node must not buy one node after the other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.core.inputs import PROMISED
from agent.model import names
from agent.model.kubernetes import Taint, Toleration
from agent.model.plan import Snapshot
from tests.build import claim, conditions, machine, meta, node, pod, snapshot

WHOLE = ("Launched", "Registered", "Initialized")
REGISTERED = {names.REGISTERED: "true", names.INITIALIZED: "true", names.NODEPOOL: "workers"}
STRANGE = Taint("network.example.com/broken", "NoSchedule")


def world(count: int, taint: Taint = STRANGE, **more: Any) -> Snapshot:
    """A pending pod, and so many nodes that were bought for it and carry a taint."""
    waiting = pod(**more)
    promise = {PROMISED: msgspec.json.encode((waiting.key,)).decode()}
    machines = tuple(machine(number, claim=f"c{number}") for number in range(1, count + 1))
    claims = []
    for number, there in enumerate(machines, 1):
        made = claim(f"c{number}", instance=there)
        about = msgspec.structs.replace(made.meta, annotations=promise)
        claims.append(msgspec.structs.replace(made, meta=about, conditions=conditions(*WHOLE)))
    nodes = tuple(node(there, taints=(taint,), meta=meta(there.id, labels=REGISTERED)) for there in machines)
    return snapshot(pods=(waiting,), claims=tuple(claims), nodes=nodes, machines=machines)


def test_after_one_such_node_another_is_tried_and_after_two_no_more() -> None:
    assert len(decide(world(1)).launches) == 1
    plan = decide(world(2))
    assert plan.launches == ()
    [refusal] = plan.refusals
    sentence = str(refusal.reasons)
    assert "2 nodes were bought for it" in sentence
    assert "network.example.com/broken:NoSchedule" in sentence


@pytest.mark.parametrize("key", ["node.kubernetes.io/unreachable", "node.kubernetes.io/disk-pressure"])
def test_nodes_that_are_ill_are_replaced_as_often_as_it_takes(key: str) -> None:
    assert len(decide(world(3, Taint(key, "NoSchedule"))).launches) == 1


def test_a_pod_that_tolerates_the_taint_goes_there() -> None:
    plan = decide(world(2, tolerations=(Toleration(operator="Exists"),)))
    assert plan.launches == ()
    assert plan.refusals == ()
