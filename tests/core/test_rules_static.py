"""Karpenter's rules 14.1 to 14.4 on static pools, and what differs from them: each plan changes without its rule."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import names
from agent.model.actions import DisruptNode
from agent.model.constraints import Requirement
from agent.model.ec2 import Machine
from agent.model.kubernetes import Budget, Condition, DaemonSet, Meta, Node, NodeClaim, NodePool, Pod, Taint
from agent.model.names import PoolName
from agent.model.plan import Limits, Plan, Snapshot
from agent.model.resources import ZERO, Resources
from tests.build import NOW, claim, conditions, machine, meta, node, pod, pool, snapshot

FREE = (Budget("100%"),)
READY = ("Launched", "Registered", "Initialized")


def static(replicas: int, **fields: Any) -> NodePool:
    return pool("fixed", replicas=replicas, **({"budgets": FREE} | fields))


def owned(number: int, *, true: tuple[str, ...] = READY, **fields: Any) -> tuple[Machine, NodeClaim, Node]:
    """One node of the static pool: its instance, claim and node."""
    name = f"fixed-{number}"
    instance = machine(number, claim=name)
    labels = {names.NODEPOOL: "fixed", names.INSTANCE_TYPE: "t3.large", names.ZONE: instance.zone}
    labels |= {names.CAPACITY_TYPE: "on-demand"}
    about: dict[str, Any] = {
        "meta": meta(name, labels=labels, finalizers=(names.TERMINATION_FINALIZER,)),
        "pool": PoolName("fixed"),
        "conditions": conditions(*true),
    }
    return instance, claim(name, instance=instance, **(about | fields)), node(instance, taints=())


def ending(number: int) -> tuple[Machine, NodeClaim, Node]:
    """One whose ``expireAfter`` is nearly over."""
    instance, old, there = owned(number, expire_after_seconds=100)
    about = msgspec.structs.replace(old.meta, created_at=NOW - timedelta(seconds=90))
    return instance, msgspec.structs.replace(old, meta=about), there


def world(pools: NodePool, *owned_nodes: tuple[Machine, NodeClaim, Node], **fields: Any) -> Snapshot:
    machines, claims, nodes = zip(*owned_nodes, strict=True) if owned_nodes else ((), (), ())
    about: dict[str, Any] = {"pools": (pools,), "machines": machines, "claims": claims, "nodes": nodes}
    return snapshot(**(about | fields))


def gone(plan: Plan) -> list[str]:
    return [a.claim.name for a in plan.actions if isinstance(a, DisruptNode)]


def on(name: str, number: int, **fields: Any) -> Pod:
    return pod(name, node=machine(number).id, **fields)


# 14.1, 14.2: scaling up.


def test_rule_14_2_a_static_pool_is_filled_up_to_its_replicas() -> None:
    plan = decide(world(static(3), owned(1)))
    assert [(x.draft.pool, x.reason.code, x.instance_type, x.pods) for x in plan.launches] == [
        ("fixed", "Static", "t3.medium", ())
    ] * 2
    assert [x.id for x in plan.launches] == [0, 1]
    assert len({x.draft.name for x in plan.launches}) == 2
    assert decide(world(static(1), owned(1))).launches == ()


def test_rule_14_2_claims_under_way_count_and_deleted_ones_do_not() -> None:
    flying = claim("fixed-9", pool=PoolName("fixed"))
    assert decide(world(static(2), owned(1), claims=(owned(1)[1], flying))).launches == ()
    leaving = msgspec.structs.replace(flying, meta=msgspec.structs.replace(flying.meta, deleted_at=NOW))
    assert len(decide(world(static(2), owned(1), claims=(owned(1)[1], leaving))).launches) == 1


def test_rule_14_2_the_limit_on_nodes_holds_and_is_told() -> None:
    plan = decide(world(static(5, limits={"nodes": 2}), owned(1)))
    assert len(plan.launches) == 1
    told = [(n.name, n.reason.code) for n in plan.notices if n.kind == "NodePool"]
    assert told == [("fixed", "LimitExceeded")]


def test_the_brakes_of_the_settings_hold_for_static_pools_too() -> None:
    plan = decide(world(static(5), limits=Limits(max_nodes=2)))
    assert len(plan.launches) == 2
    assert [n.reason.code for n in plan.notices] == ["MaxNodes"]


def test_rule_14_2_a_pool_that_is_not_ready_buys_nothing_and_says_why() -> None:
    plan = decide(world(static(2, faults=("spec: x",))))
    assert plan.launches == ()
    assert {n.reason.code for n in plan.notices} == {"NodePoolNotReady"}


def test_a_static_pool_without_a_type_says_so() -> None:
    narrow = static(2, requirements=(Requirement(names.ARCH, "In", ("arm64",)),))
    plan = decide(world(narrow))
    assert (plan.launches, [n.reason.code for n in plan.notices]) == ((), ["NoCompatibleInstanceTypes"])


@pytest.mark.parametrize("fields", [{"provision": False}, {"machines": None}])
def test_nothing_static_is_bought_while_nothing_may_be_bought(fields: dict[str, Any]) -> None:
    assert decide(world(static(2), **fields)).launches == ()


def test_rule_14_4_a_static_claim_requires_what_its_pool_does_and_requests_nothing() -> None:
    wide = static(1, requirements=(Requirement(names.CAPACITY_TYPE, "In", ("on-demand",)),))
    (launch,) = decide(world(wide)).launches
    assert launch.draft.requests == ZERO
    written = {r.key: r.values for r in launch.draft.requirements}
    assert names.INSTANCE_TYPE not in written
    assert written[names.CAPACITY_TYPE] == ("on-demand",)


def test_rule_14_1_a_static_pool_buys_no_node_for_pending_pods_beyond_its_replicas() -> None:
    pods = tuple(pod(f"w{n}", cpu="1500m") for n in range(3))
    plan = decide(world(static(1), pods=pods))
    assert [x.draft.pool for x in plan.launches] == ["fixed"]
    assert len(plan.refusals) == 2
    assert "is static (spec.replicas)" in plan.refusals[0].reasons[0][1].message


def test_pending_pods_use_the_nodes_that_a_static_pool_lacks_before_others_are_bought() -> None:
    """Else each burst would be bought twice while a static pool is being filled."""
    pods = tuple(pod(f"w{n}", cpu="1500m") for n in range(2))
    plan = decide(snapshot(pods=pods, pools=(static(1), pool("dynamic"))))
    assert [(x.draft.pool, len(x.pods)) for x in plan.launches] == [("fixed", 1), ("dynamic", 1)]
    assert sorted(p.launch for p in plan.placements if p.launch is not None) == [0, 1]
    first = plan.launches[0]
    assert first.draft.requests == pods[0].requests
    flying = claim(
        first.draft.name,
        pool=PoolName("fixed"),
        requests=first.draft.requests,
        requirements=first.draft.requirements,
        meta=meta(first.draft.name, annotations=first.draft.annotations, labels=first.draft.labels),
    )
    (kept,) = first.pods
    again = decide(
        snapshot(
            pods=tuple(p for p in pods if p.key == kept),
            pools=(static(1), pool("dynamic")),
            claims=(flying,),
            busy=(flying.name,),
        )
    )
    assert (again.launches, [p.claim for p in again.placements]) == ((), [flying.name])


# 14.3: scaling down.


def test_rule_14_3_nodes_beyond_the_replicas_go() -> None:
    plan = decide(world(static(1), owned(1), owned(2), owned(3)))
    assert gone(plan) == ["fixed-1", "fixed-2"]
    assert [(b.node, b.reason) for b in plan.blocked] == []
    assert {a.reason.code for a in plan.actions if isinstance(a, DisruptNode)} == {"Static"}
    assert gone(decide(world(static(3), owned(1), owned(2), owned(3)))) == []


def test_rule_14_3_claims_without_an_instance_go_first_then_empty_nodes_then_unprotected_ones() -> None:
    protected = on("kept", 1, meta=meta("kept", namespace="default", annotations={names.DO_NOT_DISRUPT: "true"}))
    # Those with pods will not live long, so that by cost alone they would go before the empty one.
    nodes = (ending(1), ending(2), owned(3))
    flying = claim("fixed-9", pool=PoolName("fixed"))
    about = {"pods": (protected, on("plain", 2), on("log", 3, owner_kind="DaemonSet"))}
    order = []
    for replicas in (3, 2, 1, 0):
        plan = decide(world(static(replicas), *nodes, claims=(*(n[1] for n in nodes), flying), **about))
        order += [name for name in gone(plan) if name not in order]
    assert order == ["fixed-9", "fixed-3", "fixed-2", "fixed-1"]


def test_rule_14_3_of_nodes_with_pods_those_that_cost_least_to_move_go_first() -> None:
    dear = on("dear", 1, priority=2**25)
    plan = decide(world(static(1), owned(1), owned(2), pods=(dear, on("cheap", 2))))
    assert gone(plan) == ["fixed-2"]
    plan = decide(world(static(1), ending(1), owned(2), pods=(dear, on("cheap", 2))))
    assert gone(plan) == ["fixed-1"]


def test_unlike_rule_21_6_scaling_down_keeps_within_budgets_and_says_what_holds_it() -> None:
    plan = decide(world(static(0, budgets=(Budget("1"),)), owned(1), owned(2)))
    assert gone(plan) == ["fixed-1"]
    assert [(b.node, b.reason, b.blocker) for b in plan.blocked] == [(machine(2).id, "Static", "NodePool fixed")]


def test_claims_whose_nodes_never_came_go_whatever_budgets_say() -> None:
    flying = claim("fixed-9", pool=PoolName("fixed"))
    assert gone(decide(world(static(0, budgets=(Budget("0"),)), claims=(flying,)))) == ["fixed-9"]


def test_nothing_goes_while_something_of_the_pool_is_under_way() -> None:
    """It may be the removal itself, which shows nowhere yet."""
    nodes = (owned(1), owned(2))
    assert gone(decide(world(static(1), *nodes, busy=("fixed-2",)))) == []
    going = msgspec.structs.replace(
        nodes[1][1], conditions=(*nodes[1][1].conditions, Condition("DisruptionReason", "True"))
    )
    assert gone(decide(world(static(1), nodes[0], (nodes[1][0], going, nodes[1][2])))) == []


def test_rule_14_1_empty_nodes_of_a_static_pool_stay() -> None:
    idle = static(1, consolidation_policy="WhenEmpty", consolidate_after_seconds=0)
    assert gone(decide(world(idle, owned(1)))) == []


def test_static_scaling_goes_before_emptiness_and_one_of_them_acts_in_a_plan() -> None:
    machine_9 = machine(9)
    other = claim(instance=machine_9, conditions=conditions(*READY, at=NOW - timedelta(hours=1)))
    alone = snapshot(
        pools=(static(0), pool()), claims=(other,), machines=(machine_9,), nodes=(node(machine_9, taints=()),)
    )
    assert gone(decide(alone)) == ["workers-1"]
    first = owned(1)
    both = msgspec.structs.replace(
        alone,
        claims=(*alone.claims, first[1]),
        machines=(machine_9, first[0]),
        nodes=(*alone.nodes, first[2]),
    )
    assert gone(decide(both)) == ["fixed-1"]


def test_a_daemonsets_share_of_a_coming_static_node_is_not_given_to_pods() -> None:
    daemon = pod("log", cpu="600m", owner_kind="DaemonSet")
    plan = decide(world(static(1), pods=(pod(cpu="1500m"),), daemonsets=(DaemonSet(Meta("log", uid="d"), daemon),)))
    assert plan.placements == ()
    assert [x.pods for x in plan.launches] == [()]


def test_taints_of_a_static_pool_keep_pods_off_its_coming_nodes() -> None:
    tainted = static(1, taints=(Taint("role", "NoSchedule", "db"),))
    plan = decide(snapshot(pods=(pod(),), pools=(tainted, pool("dynamic"))))
    assert sorted((x.draft.pool, len(x.pods)) for x in plan.launches) == [("dynamic", 1), ("fixed", 0)]


def test_a_launch_of_a_static_pool_counts_against_the_room_of_its_least_type() -> None:
    """Whichever type comes, the pods that were promised it fit: a pod larger than the least gets another node."""
    wide = static(1)
    big = pod(memory="6Gi")
    plan = decide(snapshot(pods=(big,), pools=(wide, pool("dynamic"))))
    assert [(x.draft.pool, len(x.pods)) for x in plan.launches] == [("fixed", 0), ("dynamic", 1)]
    assert Resources(memory_bytes=6 << 30).fits_in(plan.launches[1].allocatable)
