"""Laws of `joinery plan` over whole worlds, under a judge that knows nothing of the engine.

Every run looks at the same worlds; `python -m tests.worlds 0 1000` looks at as many others as wanted.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.core.decide import decide
from agent.core.shelves import Shelves
from agent.model.ec2 import CapacityError
from agent.model.plan import Memory, Snapshot
from tests.checker import Case, faults
from tests.worlds import World, make, objects, seeded
from tests.worlds.planning import after, asked, case, counted, planned

Json = dict[str, Any]
BRAKES: tuple[Json, ...] = ({}, {}, {"maxNodes": 2}, {"launchesPerMinute": 1}, {"minValuesPolicy": "BestEffort"})
worlds = st.randoms(use_true_random=False).map(make)
seeds = st.integers(0, 10**9).map(seeded)
"""Drawn blindly: worlds as large as they come, where the ones of ``worlds`` shrink."""
law = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@law
@given(st.one_of(worlds, seeds), st.sampled_from(BRAKES))
def test_every_plan_may_be_carried_out(world: World, brakes: Json) -> None:
    found = case(world, brakes)
    assert faults(found) == []


@law
@given(seeds, st.integers(0, 1000))
def test_the_order_of_the_objects_means_nothing(world: World, seed: int) -> None:
    draw, listed = random.Random(seed), list(world.objects)
    draw.shuffle(listed)
    types = list(world.catalogue["instanceTypes"])
    draw.shuffle(types)
    assert planned(listed, world.catalogue | {"instanceTypes": types}) == planned(world.objects, world.catalogue)


@law
@given(seeds, seeds, st.integers(2, 3))
def test_what_is_kept_between_decisions_changes_no_plan(world: World, other: World, part: int) -> None:
    """Whatever was decided on before: other pods on the same nodes and catalogue, after a refusal, another cluster."""
    whole = asked(world.objects, world.catalogue)
    fewer = replace(whole, pods=whole.pods[::part], memory=refused(whole))
    shelves = Shelves()
    for snapshot in (fewer, whole, asked(other.objects, other.catalogue), whole, fewer):
        assert decide(snapshot, shelves) == decide(snapshot)


def refused(snapshot: Snapshot) -> Memory:
    """As if EC2 had refused the first type everywhere."""
    named = sorted(t.name for listed in snapshot.instance_types.values() for t in listed)[:1]
    errors = tuple(CapacityError("", snapshot.now + timedelta(minutes=3), instance_type=name) for name in named)
    return replace(snapshot.memory, capacity_errors=errors)


@law
@given(seeds)
def test_a_pod_that_nothing_serves_changes_nothing_else(world: World) -> None:
    spec = objects.containers({"cpu": "1"}) | {"nodeSelector": {"example.com/no-such": "label"}}
    more = objects.pod("stranger", "shop", spec, {"app": "stranger"})
    with_it, without = planned([*world.objects, more], world.catalogue), planned(world.objects, world.catalogue)
    refused = [u for u in with_it["unschedulable"] if u["pod"] == "shop/stranger"]
    assert len(refused) == 1
    with_it["unschedulable"].remove(refused[0])
    assert with_it == without


@law
@given(seeds)
def test_a_pool_that_nobody_may_use_buys_nothing_and_changes_no_purchase(world: World) -> None:
    taint = {"key": "nobody", "effect": "NoSchedule"}
    match = [{"key": "example.com/team", "operator": "DoesNotExist"}, {"key": "example.com/team", "operator": "Exists"}]
    more = objects.pool("zz-useless", {"taints": [taint], "requirements": match}, {})
    with_it, without = planned([*world.objects, more], world.catalogue), planned(world.objects, world.catalogue)
    assert (with_it["actions"], with_it["placements"]) == (without["actions"], without["placements"])


def bought_again(found: Case, again: Json) -> list[str]:
    """Pods that a second plan buys for although it need not.

    A launch counts as the largest type that it may become. Once it is known, limits may allow what they did not. A pod
    that had room on a claim of before has no promise of it: whom the claim was bought for comes first.
    """
    pods = [pod for a in again["actions"] if a["action"] == "launch" for pod in a["pods"]]
    limited = any(o["kind"] == "NodePool" and o["spec"].get("limits") for o in found.objects)
    first = found.plan["placements"]
    return [pod for pod in pods if ("nodeClaim" not in first[pod] if pod in first else not limited)]


def companions(world: World) -> set[str]:
    """Pods that must be beside others."""
    return {
        f"{o['metadata']['namespace']}/{o['metadata']['name']}"
        for o in world.objects
        if o["kind"] == "Pod"
        and o["spec"].get("affinity", {}).get("podAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    }


@law
@given(seeds)
def test_once_a_plan_is_carried_out_there_is_nothing_left_to_launch(world: World) -> None:
    found = case(world, what="provision")
    again = planned(after(found), counted(found), what="provision")
    assert bought_again(found, again) == []
    unpromised = {pod for pod, place in found.plan["placements"].items() if "nodeClaim" in place}
    assert {u["pod"] for u in again["unschedulable"]} - unpromised <= {u["pod"] for u in found.plan["unschedulable"]}


@law
@given(seeds, st.sampled_from(("launched", "asked")))
def test_what_is_on_its_way_is_not_bought_again(world: World, stage: str) -> None:
    """A pod whose companion finds room elsewhere meanwhile may have to wait; a node is not bought for it either."""
    found = case(world, what="provision")
    listed = after(found, stage)
    again = planned(listed, world.catalogue, what="provision")
    assert bought_again(found, again) == []
    launched_for = {pod for pod, place in found.plan["placements"].items() if "launch" in place}
    assert launched_for - companions(world) <= set(again["placements"])
    assert faults(Case(listed, world.catalogue, again, {}, "provision")) == []
