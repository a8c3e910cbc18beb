"""Whole decisions: who is bought for, who is refused and why, and that nothing is decided twice."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.decide import decide
from agent.model import actions as a
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import CapacityError
from agent.model.kubernetes import Budget, Node, NodeClaim, Taint, Toleration
from agent.model.names import ClassName, InstanceTypeName
from agent.model.plan import Approvals, Limits, Memory, Plan, Snapshot
from agent.model.resources import Resources
from tests.build import (
    GIB,
    NOW,
    TYPES,
    ZONE_A,
    ZONE_C,
    claim,
    conditions,
    instance_type,
    machine,
    meta,
    node,
    node_class,
    pod,
    pool,
    snapshot,
)


def bought(plan: Plan) -> list[tuple[str, int]]:
    return [(x.instance_type, len(x.pods)) for x in plan.launches]


def why(plan: Plan, name: str = "web") -> list[str]:
    (found,) = [r for r in plan.refusals if r.pod == f"default/{name}"]
    return [str(reason) for _, reason in found.reasons]


def test_the_cheapest_type_that_holds_the_pod_is_bought() -> None:
    assert bought(decide(snapshot(pods=(pod(),)))) == [("t3.medium", 1)]
    assert bought(decide(snapshot(pods=(pod(memory="6Gi"),)))) == [("t3.large", 1)]


def test_of_equal_prices_fewer_nodes_are_bought() -> None:
    pods = tuple(pod(f"w{n}") for n in range(7))
    assert bought(decide(snapshot(pods=pods))) == [("t3.xlarge", 4), ("t3.large", 2), ("t3.medium", 1)]


def test_the_same_world_gives_the_same_plan_in_whatever_order_it_is_told() -> None:
    pods = tuple(pod(f"w{n}", cpu=f"{100 * (n % 5 + 1)}m") for n in range(20))
    assert msgspec.json.encode(decide(snapshot(pods=pods)).actions) == msgspec.json.encode(
        decide(snapshot(pods=pods[::-1])).actions
    )


def test_a_claim_in_flight_is_room_so_that_nothing_is_bought_twice() -> None:
    first = decide(snapshot(pods=(pod(),)))
    draft = first.launches[0].draft
    flying = claim(draft.name, requests=draft.requests, requirements=draft.requirements)
    second = decide(snapshot(pods=(pod(),), claims=(flying,), busy=(draft.name,)))
    assert bought(second) == []
    assert [p.claim for p in second.placements] == [draft.name]


def test_existing_nodes_are_used_before_anything_is_bought_those_that_are_not_ours_too() -> None:
    fixed = node(machine(7), meta=meta("fixed"), taints=(), provider_id=None)
    plan = decide(snapshot(pods=(pod(),), nodes=(fixed,)))
    assert bought(plan) == []
    assert [p.node for p in plan.placements] == ["fixed"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"cpu": "9"}, "0 with cpu ≥ 9"),
        ({"node_selector": {"kubernetes.io/arch": "arm64"}}, "0 with kubernetes.io/arch=arm64"),
        ({"node_selector": {"example.com/team": "blue"}}, "example.com/team=blue"),
    ],
)
def test_a_refusal_names_the_constraint_that_leaves_no_type(changed: dict[str, Any], sentence: str) -> None:
    assert sentence in why(decide(snapshot(pods=(pod(**changed),))))[0]


def test_a_pod_that_does_not_tolerate_the_pools_taint_is_refused_and_one_that_does_is_served() -> None:
    tainted = pool(taints=(Taint("workload", "NoSchedule", "ai"),))
    assert "workload=ai:NoSchedule" in why(decide(snapshot(pods=(pod(),), pools=(tainted,))))[0]
    tolerating = pod(tolerations=(Toleration("workload", "Equal", "ai", "NoSchedule"),))
    assert bought(decide(snapshot(pods=(tolerating,), pools=(tainted,)))) == [("t3.medium", 1)]


def test_a_constraint_that_is_not_known_yet_is_refused_by_name_and_never_placed() -> None:
    fixed = node(machine(7), meta=meta("fixed"), taints=(), provider_id=None)
    picky = pod(unsupported=("spec.topologySpreadConstraints",))
    plan = decide(snapshot(pods=(picky,), nodes=(fixed,)))
    assert (plan.launches, plan.placements) == ((), ())
    assert "spec.topologySpreadConstraints" in why(plan)[0]


def test_the_heavier_pool_is_asked_first_and_the_next_serves_what_it_cannot() -> None:
    heavy = pool("heavy", weight=10, requirements=(Requirement(names.INSTANCE_TYPE, "In", ("t3.medium",)),))
    plan = decide(snapshot(pods=(pod("small"), pod("large", memory="6Gi")), pools=(pool("light"), heavy)))
    assert sorted((x.draft.pool, x.instance_type) for x in plan.launches) == [
        ("heavy", "t3.medium"),
        ("light", "t3.large"),
    ]


@pytest.mark.parametrize(("limit", "expected"), [(4000, 4), (3999, 2), (2000, 2), (1999, 0)])
def test_limits_are_never_overshot_and_used_as_far_as_they_go(limit: int, expected: int) -> None:
    pods = tuple(pod(f"w{n}") for n in range(9))
    plan = decide(snapshot(pods=pods, pools=(pool(limits={"cpu": limit}),)))
    assert sum(len(x.pods) for x in plan.launches) == expected
    assert len(plan.refusals) == 9 - expected
    assert all(r.reasons[0][1].code == "LimitExceeded" for r in plan.refusals)


def test_a_claim_in_flight_counts_against_limits_as_the_largest_it_may_become() -> None:
    flying = claim(requirements=(Requirement(names.INSTANCE_TYPE, "In", ("t3.medium", "t3.xlarge")),))
    plan = decide(
        snapshot(pods=(pod("b", cpu="2"),), claims=(flying,), pools=(pool(limits={"cpu": 5000}),), busy=(flying.name,))
    )
    assert bought(plan) == []


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(max_nodes=0), "MaxNodes"),
        (Limits(launches_per_minute=0), "LaunchRate"),
        (Limits(max_price_nano_usd=1), "MaxPricePerHour"),
    ],
)
def test_a_brake_over_all_pools_holds_and_says_so(limits: Limits, code: str) -> None:
    plan = decide(snapshot(pods=(pod(),), limits=limits))
    assert bought(plan) == []
    assert plan.refusals[0].reasons[0][1].code == code


def test_offerings_that_ec2_refused_lately_are_left_out_until_the_memory_of_it_ends() -> None:
    refused = CapacityError("on-demand", NOW + timedelta(seconds=1), "t3.medium", ZONE_A)
    elsewhere = decide(snapshot(pods=(pod(),), memory=Memory(capacity_errors=(refused,))))
    assert (elsewhere.launches[0].instance_type, elsewhere.launches[0].zone) == ("t3.medium", ZONE_C)
    both = msgspec.structs.replace(refused, zone="")
    dearer = decide(snapshot(pods=(pod(),), memory=Memory(capacity_errors=(both,))))
    assert dearer.launches[0].instance_type == "t3.large"
    later = snapshot(pods=(pod(),), memory=Memory(capacity_errors=(both,)), now=NOW + timedelta(seconds=2))
    assert decide(later).launches[0].instance_type == "t3.medium"


def test_while_the_batch_window_is_open_nothing_is_bought_and_nobody_refused() -> None:
    plan = decide(snapshot(pods=(pod(), pod("big", cpu="99")), provision=False))
    assert (plan.launches, plan.refusals) == ((), ())


def test_paused_nothing_new_is_bought() -> None:
    assert bought(decide(snapshot(pods=(pod(),), approvals=Approvals(paused=True)))) == []


def test_a_faulty_pool_stops_no_other() -> None:
    broken = pool("broken", faults=("spec.weight: must be 1..100",), weight=100)
    plan = decide(snapshot(pods=(pod(),), pools=(broken, pool())))
    assert [x.draft.pool for x in plan.launches] == ["workers"]


def test_what_a_node_turned_out_to_have_replaces_the_estimate() -> None:
    """A pod that does not fit the node that was bought for it must not make us buy the same node for ever."""
    small = Resources(2000, 2 * GIB, 110, 40 * GIB)
    instance = machine(instance_type=InstanceTypeName("t3.large"))
    seen = node(instance, taints=(), capacity=small, allocatable=small)
    held = claim(instance=instance, conditions=conditions("Launched", "Registered", "Initialized"))
    plan = decide(snapshot(pods=(pod(memory="6Gi"),), claims=(held,), machines=(instance,), nodes=(seen,)))
    assert bought(plan) == [("t3.xlarge", 1)]


def empty(number: int = 1, *, idle: int = 60, **fields: Any) -> tuple[NodeClaim, Node]:
    instance = machine(number, claim=f"workers-{number}")
    since = conditions("Launched", "Registered", "Initialized", at=NOW - timedelta(seconds=idle))
    return (
        claim(f"workers-{number}", instance=instance, conditions=since, **fields),
        node(instance, taints=()),
    )


def world(*pairs: tuple[NodeClaim, Node], **fields: Any) -> Snapshot:
    machines = tuple(machine(n + 1, claim=c.name) for n, (c, _) in enumerate(pairs))
    about: dict[str, Any] = {
        "claims": tuple(c for c, _ in pairs),
        "nodes": tuple(n for _, n in pairs),
        "machines": machines,
        "pools": (pool(budgets=()),),
    }
    return snapshot(**(about | fields))


def gone(plan: Plan) -> list[str]:
    return [x.claim.name for x in plan.actions if isinstance(x, a.DisruptNode)]


def test_an_empty_node_goes_after_its_time_and_the_plan_says_when() -> None:
    assert gone(decide(world(empty(idle=30)))) == ["workers-1"]
    early = decide(world(empty(idle=29)))
    assert gone(early) == []
    assert early.next_at == NOW + timedelta(seconds=1)
    assert "consolidateAfter" in early.blocked[0].message


def test_daemons_mirrors_and_finished_pods_do_not_keep_a_node_and_any_other_does() -> None:
    pair = empty()
    name = pair[1].name
    idle = (
        pod("d", node=name, owner_kind="DaemonSet"),
        pod("m", node=name, owner_kind="Node"),
        pod("f", node=name, phase="Succeeded"),
    )
    assert gone(decide(world(pair, pods=idle))) == ["workers-1"]
    assert gone(decide(world(pair, pods=(*idle, pod("w", node=name))))) == []


def test_a_pending_pod_that_fits_keeps_the_node() -> None:
    plan = decide(world(empty(), pods=(pod(),)))
    assert gone(plan) == []
    assert bought(plan) == []


@pytest.mark.parametrize(("nodes", "expected"), [("1", 1), ("50%", 2), ("10%", 1), ("0", 0), ("100%", 3)])
def test_budgets_count_nodes_that_are_going_already(nodes: str, expected: int) -> None:
    pairs = [empty(n) for n in (1, 2, 3)]
    plan = decide(world(*pairs, pools=(pool(budgets=(Budget(nodes),)),)))
    assert len(gone(plan)) == expected
    going = decide(world(*pairs, pools=(pool(budgets=(Budget(nodes),)),), busy=("workers-1",)))
    assert len(gone(going)) == max(0, expected - 1) if expected < 3 else 2


def test_a_taint_that_was_left_behind_is_lifted_when_the_node_is_needed_again() -> None:
    held, bare = empty()
    tainted = msgspec.structs.replace(bare, taints=(Taint(names.DISRUPTED_TAINT, "NoSchedule"),))
    plan = decide(world((held, tainted), pods=(pod("w", node=bare.name),)))
    assert [type(x) for x in plan.actions if isinstance(x, a.UndisruptNode)] == [a.UndisruptNode]


def test_a_disruption_that_was_marked_and_never_carried_out_is_taken_back_and_decided_anew() -> None:
    """As after a crash between the mark and the deletion: the node would take no pods and never go."""
    held, bare = empty()
    marked = msgspec.structs.replace(held, conditions=(*held.conditions, *conditions("DisruptionReason")))
    plan = decide(world((marked, bare), pools=(pool(budgets=(Budget("1"),)),)))
    assert [type(x) for x in plan.actions if isinstance(x, a.UndisruptNode)] == [a.UndisruptNode]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(50, 5000), st.integers(64, 20000)), min_size=1, max_size=25),
    limit=st.one_of(st.none(), st.integers(0, 20000)),
)
def test_every_plan_holds_its_pods_within_limits_and_answers_each_pod_once(
    sizes: list[tuple[int, int]], limit: int | None
) -> None:
    """The verifier inside the engine raises when any of it is not so; limits are summed here once more."""
    pods = tuple(pod(f"p{n}", cpu=f"{c}m", memory=f"{m}Mi") for n, (c, m) in enumerate(sizes))
    limits = {} if limit is None else {"cpu": limit}
    plan = decide(snapshot(pods=pods, pools=(pool(limits=limits),)))
    answered = [p.pod for p in plan.placements] + [r.pod for r in plan.refusals]
    assert sorted(answered) == sorted(p.key for p in pods)
    most = {t.name: t.capacity.cpu_milli for t in TYPES}
    if limit is not None:
        assert sum(max(most[t] for t in x.instance_types) for x in plan.launches) <= limit


def test_spot_is_bought_only_while_it_is_cheaper_than_on_demand() -> None:
    base = instance_type("t3.large")
    both = pool(requirements=(Requirement(names.CAPACITY_TYPE, "In", ("spot", "on-demand")),))
    for price, expected in ((0.05, "spot"), (0.104, "spot"), (0.5, "on-demand")):
        spot = tuple(
            msgspec.structs.replace(o, capacity_type="spot", price_nano_usd=int(price * 1e9)) for o in base.offerings
        )
        kinds = {ClassName("default"): (msgspec.structs.replace(base, offerings=base.offerings + spot),)}
        plan = decide(snapshot(pods=(pod(),), pools=(both,), instance_types=kinds, classes=(node_class(),)))
        assert plan.launches[0].capacity_type == expected
        assert {o.instance_type for o in plan.launches[0].candidates} == {"t3.large"}
