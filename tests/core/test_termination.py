"""How a claim that is being deleted leaves: taint, drain, terminate, forget; and what is never touched."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import actions as a
from agent.model import names
from agent.model.kubernetes import Node, NodeClaim, Pod, Taint, Toleration, VolumeAttachment
from agent.model.names import NodeName
from agent.model.plan import LastAnswer, Memory, Snapshot
from tests.build import NOW, claim, conditions, machine, meta, node, pod, snapshot

ID = machine().id


def leaving(**fields: Any) -> NodeClaim:
    base = claim(instance=machine(), conditions=conditions("Launched", "Registered", "Initialized"))
    about = msgspec.structs.replace(base.meta, deleted_at=NOW)
    return msgspec.structs.replace(base, **({"meta": about} | fields))


def marked(**fields: Any) -> Node:
    labels = {names.EXCLUDE_FROM_LOAD_BALANCERS: "karpenter"}
    about: dict[str, Any] = {
        "meta": meta(ID, labels=labels),
        "taints": (Taint(names.DISRUPTED_TAINT, "NoSchedule"),),
    }
    return node(machine(), **(about | fields))


def world(*pods: Pod, **fields: Any) -> Snapshot:
    about: dict[str, Any] = {"claims": (leaving(),), "machines": (machine(),), "nodes": (marked(),), "pods": pods}
    return snapshot(**(about | fields))


def steps(found: Snapshot) -> list[a.Action]:
    return [x for x in decide(found).actions if not isinstance(x, a.WritePoolStatus | a.Launch)]


def test_first_the_node_is_marked() -> None:
    (found,) = steps(world(nodes=(node(machine(), taints=()),)))
    assert isinstance(found, a.BeginTermination)


def test_plain_pods_go_before_daemons_and_critical_ones_last() -> None:
    plain = pod("plain", node=ID)
    daemon = pod("daemon", node=ID, owner_kind="DaemonSet")
    critical = pod("critical", node=ID, priority_class="system-cluster-critical")
    evicted = [x.pod.name for x in steps(world(critical, daemon, plain)) if isinstance(x, a.EvictPod)]
    assert evicted == ["plain"]
    evicted = [x.pod.name for x in steps(world(critical, daemon)) if isinstance(x, a.EvictPod)]
    assert evicted == ["daemon"]


def test_finished_mirror_and_tolerating_pods_are_not_waited_for() -> None:
    tolerating = pod("stays", node=ID, tolerations=(Toleration(operator="Exists"),))
    finished = pod("done", node=ID, phase="Succeeded")
    mirror = pod("static", node=ID, owner_kind="Node")
    (found,) = steps(world(tolerating, finished, mirror))
    assert isinstance(found, a.TerminateMachine)


def test_a_pod_stuck_in_deletion_is_not_waited_for_longer_than_a_minute() -> None:
    stuck = pod("stuck", node=ID, meta=meta("stuck", namespace="default", deleted_at=NOW))
    assert steps(world(stuck)) == []
    later = world(stuck, now=NOW + timedelta(seconds=61))
    assert [type(x) for x in steps(later)] == [a.TerminateMachine]


def test_a_do_not_disrupt_pod_is_waited_for_but_never_evicted_before_the_deadline() -> None:
    pinned = pod(
        "pinned", node=ID, meta=meta("pinned", namespace="default", annotations={names.DO_NOT_DISRUPT: "true"})
    )
    assert steps(world(pinned)) == []
    dated = leaving(termination_grace_seconds=600)
    text = (NOW + timedelta(seconds=600)).isoformat()
    dated = msgspec.structs.replace(
        dated, meta=msgspec.structs.replace(dated.meta, annotations={names.TERMINATION_TIMESTAMP: text})
    )
    before = world(pinned, claims=(dated,), now=NOW + timedelta(seconds=500))
    assert steps(before) == []
    pinned = msgspec.structs.replace(pinned, termination_grace_seconds=30)
    (found,) = steps(world(pinned, claims=(dated,), now=NOW + timedelta(seconds=575)))
    assert isinstance(found, a.DeletePod)
    assert found.grace_seconds == 25


def test_at_the_deadline_a_pod_is_deleted_once_and_not_again_while_it_goes() -> None:
    text = (NOW + timedelta(seconds=60)).isoformat()
    dated = leaving(termination_grace_seconds=60)
    dated = msgspec.structs.replace(
        dated, meta=msgspec.structs.replace(dated.meta, annotations={names.TERMINATION_TIMESTAMP: text})
    )
    now = NOW + timedelta(seconds=62)
    going = pod("going", node=ID, meta=meta("going", namespace="default", deleted_at=now + timedelta(seconds=1)))
    assert steps(world(going, claims=(dated,), now=now)) == []
    slow = pod("slow", node=ID, meta=meta("slow", namespace="default", deleted_at=now + timedelta(seconds=30)))
    assert [type(x) for x in steps(world(slow, claims=(dated,), now=now))] == [a.DeletePod]


def test_without_a_deadline_no_pod_is_ever_deleted_over_its_budget() -> None:
    held = pod("held", node=ID)
    later = world(held, now=NOW + timedelta(days=30))
    assert [type(x) for x in steps(later)] == [a.EvictPod]


def test_volumes_are_detached_before_the_instance_goes() -> None:
    attached = VolumeAttachment(meta("csi-1"), NodeName(ID), "pv-1")
    assert steps(world(attachments=(attached,))) == []
    assert [type(x) for x in steps(world())] == [a.TerminateMachine]


@pytest.mark.parametrize("state", ["shutting-down"])
def test_the_node_lives_as_long_as_the_instance(state: str) -> None:
    assert steps(world(machines=(machine(state=state),))) == []


def test_then_the_node_and_at_last_the_claim_are_forgotten() -> None:
    gone = machine(state="terminated")
    assert [type(x) for x in steps(world(machines=(gone,)))] == [a.DeleteNode]
    assert [type(x) for x in steps(world(machines=(gone,), nodes=()))] == [a.RemoveFinalizer]


def test_a_claim_that_was_never_bought_for_is_simply_forgotten() -> None:
    never = claim(meta=msgspec.structs.replace(claim().meta, deleted_at=NOW))
    (found,) = steps(snapshot(claims=(never,)))
    assert isinstance(found, a.RemoveFinalizer)


def test_a_claim_whose_launch_was_never_answered_waits_until_ec2_shows_none_twice() -> None:
    about = msgspec.structs.replace(claim().meta, deleted_at=NOW)
    intent = '{"attempt":1,"template_id":"lt","template_version":"1","capacity_type":"on-demand","overrides":[]}'
    sent = claim(meta=msgspec.structs.replace(about, annotations={names.LAUNCH_INTENT: intent}))
    found = snapshot(claims=(sent,))
    looks = 0
    while not steps(found):
        looks += 1
        assert looks < 5
        memory = decide(found).memory
        at = found.machines_at + timedelta(seconds=5) if found.machines_at else NOW
        found = msgspec.structs.replace(found, memory=memory, machines_at=at)
    assert looks == 2
    (last,) = steps(found)
    assert isinstance(last, a.RemoveFinalizer)


def test_a_claim_whose_launch_ec2_refused_is_forgotten_at_once() -> None:
    about = msgspec.structs.replace(claim().meta, deleted_at=NOW)
    intent = '{"attempt":1,"template_id":"lt","template_version":"1","capacity_type":"on-demand","overrides":[]}'
    sent = claim(meta=msgspec.structs.replace(about, annotations={names.LAUNCH_INTENT: intent}))
    answer = LastAnswer(1, "InsufficientInstanceCapacity", "none", True, NOW)
    (found,) = steps(snapshot(claims=(sent,), memory=Memory(answers={sent.uid: answer})))
    assert isinstance(found, a.RemoveFinalizer)


def test_a_control_plane_node_is_never_drained_whatever_it_says_of_itself() -> None:
    stolen = marked(meta=meta(ID, labels={names.CONTROL_PLANE: ""}))
    found = steps(world(pod("x", node=ID), nodes=(stolen,)))
    assert not any(isinstance(x, a.EvictPod | a.DeleteNode | a.BeginTermination) for x in found)


def test_an_instance_without_our_tags_is_never_terminated() -> None:
    foreign = machine(tags={names.TAG_CLUSTER: "team", names.TAG_ROLE: "base"})
    found = steps(world(machines=(foreign,)))
    assert not any(isinstance(x, a.TerminateMachine) for x in found)
