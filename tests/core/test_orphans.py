"""Instances of ours without a claim: adopted, terminated after a while, or asked about."""

from datetime import timedelta
from typing import Any

import msgspec

from agent.core.decide import decide
from agent.model import actions as a
from agent.model import names
from agent.model.ec2 import Machine
from agent.model.plan import Approvals, Plan, Snapshot
from tests.build import NOW, claim, machine, node, pod, pool, snapshot

LIVING = claim("workers-9", instance=machine(9, claim="workers-9"))
"""Some claim, so that the claim list is not empty."""


def world(*homeless: Machine, **fields: Any) -> Snapshot:
    about: dict[str, Any] = {"claims": (LIVING,), "machines": (machine(9, claim="workers-9"), *homeless)}
    return snapshot(**(about | fields))


def after(found: Snapshot, seconds: int) -> Snapshot:
    """The same world later, with what was remembered, and a fresh look at EC2."""
    now = NOW + timedelta(seconds=seconds)
    return msgspec.structs.replace(found, now=now, machines_at=now, memory=decide(found).memory)


def terminated(plan: Plan) -> list[str]:
    return [x.instance for x in plan.actions if isinstance(x, a.TerminateMachine)]


def test_an_instance_with_a_node_is_adopted() -> None:
    lost = machine(1)
    plan = decide(world(lost, nodes=(node(lost),)))
    adopted = [x.draft for x in plan.actions if isinstance(x, a.AdoptMachine)]
    assert [draft.annotations[names.ADOPT] for draft in adopted] == [lost.id]
    assert adopted[0].labels[names.NODEPOOL] == "workers"
    assert terminated(plan) == []


def test_an_adopted_claim_records_its_instance_and_buys_none() -> None:
    lost = machine(1)
    adopted = claim("adopted", meta=msgspec.structs.replace(claim("adopted").meta, annotations={names.ADOPT: lost.id}))
    plan = decide(world(lost, claims=(LIVING, adopted)))
    assert [x.instance for x in plan.actions if isinstance(x, a.RecordLaunch)] == [lost.id]
    assert not any(isinstance(x, a.ContinueLaunch | a.AdoptMachine) for x in plan.actions)


def test_one_without_a_node_is_terminated_after_ten_minutes_and_two_looks() -> None:
    first = world(machine(1))
    assert terminated(decide(first)) == []
    assert terminated(decide(after(first, 599))) == []
    assert terminated(decide(after(first, 601))) == [machine(1).id]


def test_one_look_is_never_enough() -> None:
    first = world(machine(1))
    later = msgspec.structs.replace(after(first, 3600), machines_at=NOW)
    assert terminated(decide(later)) == []


def test_a_sweep_of_many_stops_and_asks_until_it_is_approved() -> None:
    first = world(machine(1), machine(2, claim="b"), machine(3, claim="c"))
    later = after(first, 601)
    plan = decide(later)
    assert terminated(plan) == []
    assert "SweepBrake" in [n.reason.code for n in plan.notices]
    approved = msgspec.structs.replace(later, approvals=Approvals(sweep_until=later.now + timedelta(minutes=10)))
    assert len(terminated(decide(approved))) == 3


def test_instances_but_no_claims_at_all_is_asked_about_never_acted_on() -> None:
    lost = machine(1)
    empty = world(lost, claims=(), machines=(lost,), nodes=(node(lost),))
    plan = decide(after(empty, 3600))
    assert terminated(plan) == []
    assert not any(isinstance(x, a.AdoptMachine) for x in plan.actions)
    assert "SweepBrake" in [n.reason.code for n in plan.notices]
    asked = msgspec.structs.replace(empty, approvals=Approvals(adopt_until=NOW + timedelta(minutes=10)))
    assert any(isinstance(x, a.AdoptMachine) for x in decide(asked).actions)


def test_base_machines_and_those_of_another_cluster_of_this_name_are_never_touched() -> None:
    base = machine(1, tags={names.TAG_CLUSTER: "team", names.TAG_ROLE: "base"})
    other = machine(2, tags=machine(2).tags | {names.TAG_CLUSTER_UID: "another"})
    found = after(world(base, other), 3600)
    assert terminated(decide(found)) == []


def test_a_second_instance_of_one_claim_is_an_orphan() -> None:
    first, second = machine(1), machine(2)
    launched = claim(instance=first)
    found = world(first, second, claims=(launched,), machines=(first, second))
    assert terminated(decide(after(found, 601))) == [second.id]


def test_an_instance_without_a_claim_counts_against_the_limits_of_its_pool() -> None:
    """It costs, and is adopted or terminated later; a node bought in its place would be one too many."""
    lost = machine(1)
    about: dict[str, Any] = {
        "pools": (pool(limits={"cpu": 4000}),),
        "pods": tuple(pod(f"p{n}", cpu="1500m") for n in range(3)),
    }
    full = decide(world(lost, nodes=(node(lost),), **about))
    assert not full.launches
    assert {reason.code for r in full.refusals for _, reason in r.reasons} == {"LimitExceeded"}
    assert decide(world(**about)).launches
