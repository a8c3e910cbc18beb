"""What the next step of a claim is, from what can be observed."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import actions as a
from agent.model import names
from agent.model.ec2 import LaunchRequest, Override
from agent.model.kubernetes import NodeClaim, Taint
from agent.model.names import ClaimUid, InstanceTypeName
from agent.model.plan import LastAnswer, Memory, Plan, Snapshot
from tests.build import (
    NOW,
    TYPES,
    ZONE_A,
    ZONE_C,
    claim,
    conditions,
    machine,
    meta,
    node,
    node_class,
    pod,
    pool,
    snapshot,
)

REQUEST = LaunchRequest(
    1, "lt-1", "1", "on-demand", (Override(InstanceTypeName("t3.large"), ZONE_A, "subnet-a", "ami-1"),)
)


def written(request: LaunchRequest = REQUEST, **fields: Any) -> NodeClaim:
    """A claim whose request stands on it."""
    text = msgspec.json.encode(request).decode()
    about = meta("workers-1", annotations={names.LAUNCH_INTENT: text}, finalizers=(names.TERMINATION_FINALIZER,))
    return claim(meta=about, **fields)


def steps(plan: Plan) -> list[a.Action]:
    return [x for x in plan.actions if not isinstance(x, a.WritePoolStatus | a.WriteClassStatus)]


def step(world: Snapshot) -> a.Action:
    found = steps(decide(world))
    assert len(found) == 1
    return found[0]


def mode(world: Snapshot) -> a.SetProtectedMode:
    found = [x for x in decide(world).actions if isinstance(x, a.SetProtectedMode)]
    assert len(found) == 1
    return found[0]


def test_rule_18_1_each_step_of_a_claim_follows_the_one_before() -> None:
    own, there, at_work = machine(), node(machine()), node(machine(), taints=())
    done = conditions("Launched", "Registered", "Initialized")
    order = (
        snapshot(claims=(claim(),)),
        snapshot(claims=(written(),), machines=(own,)),
        snapshot(claims=(claim(instance=own),), machines=(own,), nodes=(there,)),
        snapshot(claims=(registered(),), machines=(own,), nodes=(at_work,)),
    )
    assert [type(step(world)) for world in order] == [
        a.ContinueLaunch,
        a.RecordLaunch,
        a.RegisterNode,
        a.InitializeNode,
    ]
    never = (pool(consolidate_after_seconds=None),)
    last = snapshot(claims=(registered(conditions=done),), machines=(own,), nodes=(at_work,), pools=never)
    assert steps(decide(last)) == []


def test_a_claim_without_an_intent_is_bought_for_with_every_offering_cheapest_first() -> None:
    found = step(snapshot(claims=(claim(),)))
    assert isinstance(found, a.ContinueLaunch)
    assert (found.attempt, found.request) == (1, None)
    assert [o.instance_type for o in found.candidates] == ["t3.medium"] * 2 + ["t3.large"] * 2 + ["t3.xlarge"] * 2


def test_an_intent_without_an_answer_is_sent_again_word_for_word() -> None:
    found = step(snapshot(claims=(written(),)))
    assert isinstance(found, a.ContinueLaunch)
    assert (found.attempt, found.request) == (1, REQUEST)


def test_an_instance_that_carries_the_claims_uid_is_recorded_and_nothing_is_bought() -> None:
    found = step(snapshot(claims=(written(),), machines=(machine(),)))
    assert isinstance(found, a.RecordLaunch)
    assert found.instance == machine().id
    assert found.labels[names.INSTANCE_TYPE] == "t3.large"


def test_rule_18_4_what_was_launched_stands_on_the_claim_and_is_its_room() -> None:
    other = machine(instance_type=TYPES[2].name, zone=ZONE_C, capacity_type="spot", image_id="ami-7")
    found = step(snapshot(claims=(written(),), machines=(other,)))
    assert isinstance(found, a.RecordLaunch)
    assert (found.instance, found.zone, found.image_id) == (other.id, ZONE_C, "ami-7")
    assert (found.capacity, found.allocatable) == (TYPES[2].capacity, TYPES[2].allocatable)
    assert found.labels == {
        names.ARCH: "amd64",
        names.OS: "linux",
        names.INSTANCE_TYPE: TYPES[2].name,
        names.ZONE: ZONE_C,
        names.CAPACITY_TYPE: "spot",
        names.REGION: "ap-northeast-2",
    }
    # It was asked for one pod, and holds two.
    launched = claim(instance=machine())
    plan = decide(snapshot(pods=(pod("one"), pod("two", cpu="900m")), claims=(launched,), machines=(machine(),)))
    assert [p.claim for p in plan.placements] == [launched.name] * 2


def test_nothing_is_bought_while_ec2_cannot_be_read() -> None:
    assert steps(decide(snapshot(claims=(claim(), written()), machines=None))) == []


def test_nothing_is_done_for_a_claim_whose_effect_is_under_way() -> None:
    assert steps(decide(snapshot(claims=(claim(),), busy=("workers-1",)))) == []


def answer(attempt: int = 1, *, capacity: bool = True, **fields: Any) -> Memory:
    found = LastAnswer(attempt, "InsufficientInstanceCapacity", "no capacity", capacity, NOW, **fields)
    return Memory(answers={ClaimUid("uid-workers-1"): found})


def test_after_a_definite_answer_the_next_attempt_is_composed_anew() -> None:
    found = step(snapshot(claims=(written(),), memory=answer()))
    assert isinstance(found, a.ContinueLaunch)
    assert (found.attempt, found.request) == (2, None)


def test_an_answer_to_an_earlier_attempt_settles_nothing() -> None:
    second = msgspec.structs.replace(REQUEST, attempt=2)
    found = step(snapshot(claims=(written(second),), memory=answer(1)))
    assert isinstance(found, a.ContinueLaunch)
    assert found.request == second


def test_a_refusal_that_offerings_cannot_mend_rests_first() -> None:
    memory = answer(capacity=False, retry_at=NOW + timedelta(minutes=2))
    plan = decide(snapshot(claims=(written(),), memory=memory))
    assert steps(plan) == []
    assert plan.next_at == NOW + timedelta(minutes=2)


@pytest.mark.parametrize("ready", [True, False])
def test_a_claim_is_given_up_when_no_offering_or_no_class_is_left(ready: bool) -> None:
    classes = (node_class(),) if ready else ()
    types = {} if ready else snapshot().instance_types
    found = step(snapshot(claims=(claim(),), classes=classes, instance_types=types))
    assert isinstance(found, a.DeleteClaim)
    assert found.reason.code == ("InsufficientCapacity" if ready else "NodeClassNotReady")


def test_a_claim_not_launched_in_time_is_given_up() -> None:
    late = snapshot(claims=(written(),), now=NOW + timedelta(seconds=300))
    found = step(late)
    assert isinstance(found, a.DeleteClaim)
    assert found.reason.code == "LaunchTimeout"


def test_the_node_of_the_instance_is_registered_with_the_pools_taints_and_without_the_unregistered_one() -> None:
    taint = Taint("workload", "NoSchedule", "ai")
    marked = {names.PRICE_OVERLAY: "true", "example.com/note": "of the pool's template"}
    noted = {names.LAUNCH_INTENT: msgspec.json.encode(REQUEST).decode()}
    about = meta("workers-1", labels={names.NODEPOOL: "workers", "team": "blue"}, annotations=noted | marked)
    launched = claim(instance=machine(), taints=(taint,), meta=about)
    found = step(snapshot(claims=(launched,), machines=(machine(),), nodes=(node(machine()),)))
    assert isinstance(found, a.RegisterNode)
    assert found.taints == (taint,)
    assert found.labels == launched.meta.labels | {names.REGISTERED: "true"}
    assert found.annotations == marked
    assert not found.synced


def test_rule_18_6_a_node_that_sets_its_taints_itself_is_given_none() -> None:
    taints = (Taint("workload", "NoSchedule", "ai"), Taint("cilium", "NoSchedule"))
    launched = claim(instance=machine(), taints=taints[:1], startup_taints=taints[1:])
    own = node(machine(), meta=meta(machine().id, labels={names.DO_NOT_SYNC_TAINTS: "true"}))
    found = step(snapshot(claims=(launched,), machines=(machine(),), nodes=(own,)))
    assert isinstance(found, a.RegisterNode)
    assert found.taints == ()


def test_a_node_that_states_the_provider_id_under_another_name_is_never_registered() -> None:
    liar = node(machine(), meta=meta("somebody"))
    plan = decide(snapshot(claims=(claim(instance=machine()),), machines=(machine(),), nodes=(liar,)))
    assert steps(plan) == []
    assert [n.reason.code for n in plan.notices] == ["NodeImpersonation"]


def test_a_control_plane_node_is_never_taken_for_ours() -> None:
    stolen = node(machine(), meta=meta(machine().id, labels={names.CONTROL_PLANE: ""}))
    plan = decide(snapshot(claims=(claim(instance=machine()),), machines=(machine(),), nodes=(stolen,)))
    assert steps(plan) == []


def test_a_node_without_the_unregistered_taint_is_registered_and_reported() -> None:
    bare = node(machine(), taints=())
    plan = decide(snapshot(claims=(claim(instance=machine()),), machines=(machine(),), nodes=(bare,)))
    assert [type(x) for x in steps(plan)] == [a.RegisterNode]
    assert [n.reason.code for n in plan.notices] == ["UnregisteredTaintMissing"]


def test_an_instance_whose_node_does_not_come_is_given_up_and_counts_as_a_failed_join() -> None:
    late = snapshot(claims=(claim(instance=machine()),), machines=(machine(),), now=NOW + timedelta(seconds=900))
    plan = decide(late)
    assert [(type(x), x.reason.code) for x in steps(plan)] == [(a.DeleteClaim, "RegistrationTimeout")]
    assert plan.memory.join_failures == {"workers": 1}


def registered(**fields: Any) -> NodeClaim:
    return claim(instance=machine(), **({"conditions": conditions("Launched", "Registered")} | fields))


def test_a_ready_node_without_startup_taints_is_initialised() -> None:
    found = step(snapshot(claims=(registered(),), machines=(machine(),), nodes=(node(machine(), taints=()),)))
    assert isinstance(found, a.InitializeNode)


def test_rule_18_8_startup_taints_are_given_with_the_registration_and_never_again() -> None:
    startup = (Taint("cilium", "NoSchedule"),)
    about: dict[str, Any] = {"machines": (machine(),)}
    coming = claim(instance=machine(), startup_taints=startup)
    found = step(snapshot(claims=(coming,), nodes=(node(machine()),), **about))
    assert isinstance(found, a.RegisterNode)
    assert found.taints == startup
    there = registered(startup_taints=startup)
    found = step(snapshot(claims=(there,), nodes=(node(machine(), taints=()),), **about))
    assert isinstance(found, a.InitializeNode)


@pytest.mark.parametrize(
    "waiting",
    [
        {"ready": "False"},
        {"taints": (Taint("cilium", "NoSchedule"),)},
        {"taints": (Taint("node.kubernetes.io/not-ready", "NoSchedule"),)},
        {"allocatable": msgspec.structs.replace(node(machine()).allocatable, memory_bytes=0)},
    ],
)
def test_initialisation_waits_for(waiting: dict[str, Any]) -> None:
    started = registered(startup_taints=(Taint("cilium", "NoSchedule"),))
    world = snapshot(claims=(started,), machines=(machine(),), nodes=(node(machine(), **({"taints": ()} | waiting)),))
    assert steps(decide(world)) == []


def test_a_node_that_was_deleted_by_hand_takes_its_claim_along() -> None:
    found = step(snapshot(claims=(registered(),), machines=(machine(),)))
    assert isinstance(found, a.DeleteClaim)
    assert found.reason.code == "NodeDeleted"


def test_a_terminated_instance_takes_its_claim_along() -> None:
    gone = machine(state="terminated", state_reason="Server.SpotInstanceTermination")
    found = step(snapshot(claims=(registered(),), machines=(gone,), nodes=(node(machine()),)))
    assert isinstance(found, a.DeleteClaim)
    assert "Server.SpotInstanceTermination" in found.reason.message


def test_an_instance_missing_from_one_answer_is_not_judged_dead() -> None:
    old = registered(conditions=conditions("Launched", "Registered", "Initialized", at=NOW - timedelta(hours=1)))
    never = (pool(consolidate_after_seconds=None),)
    world = snapshot(claims=(old,), machines=(), nodes=(node(machine(), taints=()),), pools=never)
    assert steps(decide(world)) == []
    seen_often = Memory(empty_lookups={ClaimUid("uid-workers-1"): 3})
    found = step(msgspec.structs.replace(world, memory=seen_often))
    assert isinstance(found, a.DeleteClaim)


def test_ten_failed_joins_put_a_pool_into_protected_mode_and_a_join_ends_it() -> None:
    late = snapshot(
        claims=(claim(instance=machine()),),
        machines=(machine(),),
        now=NOW + timedelta(seconds=900),
        memory=Memory(join_failures={pool().name: 9}),
    )
    held = mode(late)
    assert held.until == late.now + timedelta(minutes=10)
    protected = pool(meta=meta("workers", generation=1, annotations={names.PROTECTED: held.annotation}))
    joins = snapshot(
        pools=(protected,), claims=(claim(instance=machine()),), machines=(machine(),), nodes=(node(machine()),)
    )
    assert mode(joins).until is None


def test_an_edited_pool_leaves_protected_mode() -> None:
    text = '{"until":"2026-11-25T13:00:00Z","trial":1,"pool_generation":1,"class_generation":1}'
    edited = pool(meta=meta("workers", generation=2, annotations={names.PROTECTED: text}))
    assert mode(snapshot(pools=(edited,))).until is None
