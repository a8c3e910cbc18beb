"""When a node was last used, from which consolidateAfter is measured (Karpenter's rule 18.15)."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import actions as a
from agent.model.kubernetes import NodeClaim, Pod
from agent.model.plan import Memory, Plan, Snapshot
from tests.build import NOW, claim, conditions, machine, meta, node, pod, snapshot

LONG_AGO = NOW - timedelta(hours=1)
ON = machine().id


def world(*pods: Pod, memory: Memory | None = None, **fields: Any) -> Snapshot:
    """A node in use for an hour, with these pods."""
    about: dict[str, Any] = {"conditions": conditions("Launched", "Registered", "Initialized", at=LONG_AGO)}
    own = claim(instance=machine(), **(about | fields))
    there = node(machine(), taints=())
    return snapshot(claims=(own,), machines=(machine(),), nodes=(there,), pods=pods, memory=memory or Memory())


def events(plan: Plan) -> list[a.RecordPodEvent]:
    return [x for x in plan.actions if isinstance(x, a.RecordPodEvent)]


def after(before: Snapshot, *pods: Pod, **fields: Any) -> list[a.RecordPodEvent]:
    """The events of a look at other pods, when another look came before."""
    return events(decide(world(*pods, memory=decide(before).memory, **fields)))


def running(name: str, **fields: Any) -> Pod:
    return pod(name, node=ON, **fields)


def going(name: str) -> Pod:
    return running(name, meta=meta(name, namespace="default", deleted_at=NOW))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ((), (running("web"),)),
        ((running("web"),), ()),
        ((running("web"),), (running("web", phase="Succeeded"),)),
        ((running("web"),), (going("web"),)),
        ((running("web"),), (running("web"), running("other"))),
    ],
)
def test_rule_18_15_a_pod_that_comes_finishes_or_goes_is_the_nodes_last_event(
    before: tuple[Pod, ...], now: tuple[Pod, ...]
) -> None:
    found = after(world(*before), *now)
    assert [(x.claim.name, x.at) for x in found] == [("workers-1", NOW)]
    assert after(world(*before), *before) == []


def test_rule_18_15_pods_of_daemonsets_are_no_events() -> None:
    assert after(world(), running("log", owner_kind="DaemonSet")) == []


def test_rule_18_15_within_ten_seconds_of_an_event_there_is_no_other_unless_the_node_is_empty_now() -> None:
    lately = NOW - timedelta(seconds=9)
    assert after(world(), running("web"), last_pod_event_at=lately) == []
    assert len(after(world(running("web")), last_pod_event_at=lately)) == 1
    assert len(after(world(), running("web"), last_pod_event_at=NOW - timedelta(seconds=10))) == 1


def test_unlike_rule_18_15_the_first_look_of_a_new_process_is_no_event() -> None:
    assert events(decide(world(running("web")))) == []


def test_rule_18_15_an_empty_node_goes_so_long_after_its_last_event() -> None:
    def gone(own: NodeClaim, memory: Memory) -> list[str]:
        plan = decide(msgspec.structs.replace(world(memory=memory), claims=(own,)))
        return [x.claim.name for x in plan.actions if isinstance(x, a.DisruptNode)]

    known = decide(world()).memory
    used = world(last_pod_event_at=NOW - timedelta(seconds=29)).claims[0]
    assert gone(used, known) == []
    assert gone(msgspec.structs.replace(used, last_pod_event_at=NOW - timedelta(seconds=30)), known) == ["workers-1"]
