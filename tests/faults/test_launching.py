"""What may go wrong between a pending pod and a running instance."""

from __future__ import annotations

import tracemalloc

from agent.core.decide import decide
from agent.model import names
from benchmarks import mixes
from tests.faults.playing import BOTH, HOUR, Wire, cluster, launched, ours, running, settled, terminated
from tests.virtual.kubernetes import POOLS
from tests.virtual.land import Joining
from tests.virtual.line import Call, Mishap
from tests.virtual.world import POOL

NEEDS_XLARGE = {"cpu": "3"}
ROOMY = {"cpu": 200, "memory": "800Gi"}


def test_of_five_launches_the_three_that_ec2_has_are_kept_and_the_rest_planned_anew() -> None:
    with cluster() as world:
        world.pool(limits=ROOMY)
        world.cloud.capacity["t3.xlarge", "*", "*"] = 3
        world.land.deploy("scan", 5, **NEEDS_XLARGE)
        world.run(HOUR)
        assert running(world) == 3
        del world.cloud.capacity["t3.xlarge", "*", "*"]
        world.run(HOUR)
        assert running(world) == 5
        assert settled(world) == []
        assert launched(world) == 5


def test_a_shape_without_capacity_for_six_hours_holds_up_no_other_and_is_asked_for_seldom() -> None:
    wire = Wire()
    with cluster(wire) as world:
        world.cloud.capacity["t3.xlarge", "*", "*"] = 0
        world.land.deploy("large", 1, **NEEDS_XLARGE)
        world.run(HOUR)
        world.land.deploy("small", 1)
        world.run(120)
        assert running(world, "small") == 1
        world.run(5 * HOUR)
        assert running(world, "large") == 0
        # Remembered for three minutes, so about twenty tries an hour.
        assert wire.calls["CreateFleet"] <= 6 * 22
        world.cloud.capacity.clear()
        world.run(600)
        assert running(world) == 2
        assert settled(world) == []


def test_capacity_that_comes_and_goes_each_minute_buys_nothing_twice() -> None:
    with cluster() as world:
        world.land.deploy("scan", 4, cpu="1500m")
        for minute in range(30):
            world.cloud.capacity["t3.medium", "*", "*"] = minute % 2
            world.cloud.capacity["t3.large", "*", "*"] = (minute + 1) % 2
            world.run(60)
        assert running(world) == 4
        world.cloud.capacity.clear()
        assert settled(world) == []
        assert launched(world) == len(ours(world))


def test_an_account_without_spot_quota_buys_on_demand_where_the_pool_allows_it() -> None:
    with cluster() as world:
        world.template(requirements=BOTH)
        world.cloud.capacity["*", "*", "spot"] = "MaxSpotInstanceCountExceeded"
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(300)
        assert [i.capacity_type for i in ours(world)] == ["on-demand"] * len(ours(world)) != []
        assert running(world) == 2
        assert settled(world) == []


def test_a_full_subnet_sends_the_launch_to_the_other() -> None:
    with cluster() as world:
        world.cloud.capacity["*", "ap-northeast-2a", "*"] = "InsufficientFreeAddressesInSubnet"
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(300)
        assert {i.zone for i in ours(world)} == {"ap-northeast-2c"}
        assert settled(world) == []


def test_a_storm_of_throttled_calls_loses_no_launch() -> None:
    def throttled(call: Call) -> Mishap | None:
        refused = call.service == "ec2" and call.number % 5 != 0
        return Mishap("refuse", "RequestLimitExceeded") if call.action == "CreateFleet" and refused else None

    wire = Wire()
    with cluster(wire, launchesPerMinute=100, maxNodes=100) as world:
        world.pool(limits=ROOMY)
        wire.fault = throttled
        world.land.deploy("scan", 40, **NEEDS_XLARGE)
        world.run(2 * HOUR)
        assert running(world) == 40
        assert launched(world) == 40
        assert wire.calls["CreateFleet"] < 40 * 12
        assert settled(world) == []


def test_instances_that_end_while_they_are_pending_put_the_pool_into_protected_mode() -> None:
    with cluster() as world:
        world.cloud.stillborn = lambda _: "Client.InternalError"
        world.land.deploy("scan", 3, cpu="1500m")
        world.run(6 * HOUR)
        pool = world.cluster.get(f"/{POOLS}/{POOL}")
        assert pool is not None
        assert names.PROTECTED in pool["metadata"]["annotations"]
        # Ten that failed, those that were under way with them, then one trial at a time, at last one an hour.
        assert launched(world) <= 10 + 3 + 9
        world.cloud.stillborn = lambda _: ""
        world.run(2 * HOUR)
        assert running(world) == 3
        assert settled(world) == []


def test_an_instance_that_ec2_does_not_show_for_half_a_minute_is_not_bought_again() -> None:
    with cluster() as world:
        world.cloud.hidden_seconds = 30.0
        world.land.deploy("scan", 3, cpu="1500m")
        world.run(300)
        assert running(world) == 3
        assert launched(world) == 3
        assert settled(world) == []


def test_states_that_ec2_tells_late_are_come_to_terms_with() -> None:
    with cluster() as world:
        world.cloud.lag_seconds = 45.0
        world.land.deploy("scan", 3, cpu="1500m")
        world.run(300)
        world.land.deploy("scan", 1)
        world.run(300)
        assert len(ours(world)) == 1
        assert settled(world) == []


def test_half_a_fleet_that_is_missing_from_a_list_is_neither_replaced_nor_terminated() -> None:
    with cluster() as world:
        world.land.deploy("scan", 4, cpu="1500m")
        world.run(200)
        before = sorted(i.id for i in ours(world))
        half = set(before[: len(before) // 2])
        world.cloud.missing = lambda i: i.id in half
        world.run(45)
        world.cloud.missing = lambda _: False
        world.run(600)
        assert sorted(i.id for i in ours(world)) == before
        assert terminated(world) == []
        assert settled(world) == []


def test_a_node_smaller_than_its_type_promises_is_learnt_from_and_not_bought_again_and_again() -> None:
    with cluster() as world:
        world.land.joining = lambda _: Joining(memory_share=0.85)
        world.land.deploy("scan", 1, cpu="500m", memory="3200Mi")
        world.run(HOUR)
        assert running(world) == 1, "a larger type holds it"
        assert launched(world) <= 3
        world.run(5 * HOUR)
        assert launched(world) <= 3
        assert settled(world) == []


def test_a_taint_that_appears_on_every_new_node_buys_few_nodes_and_no_crowd() -> None:
    """One pod must never lead to a crowd of nodes."""
    extra = ({"key": "network.example.com/broken", "effect": "NoSchedule"},)
    with cluster() as world:
        world.pool(disruption={"consolidationPolicy": "WhenEmpty", "consolidateAfter": "10m"})
        world.land.joining = lambda _: Joining(startup_taints=extra)
        world.land.deploy("scan", 1)
        world.run(300)
        assert launched(world) == 2
        world.run(HOUR)
        assert len(ours(world)) <= 2
        # Empty, they are given back after ten minutes, and tried again.
        assert launched(world) <= 14


def test_pods_that_the_scheduler_puts_elsewhere_leave_a_node_that_is_given_back() -> None:
    with cluster() as world:
        world.land.deploy("scan", 1)
        world.until(lambda: launched(world) == 1)
        # Before the node comes, a place is free on another: the scheduler takes what it sees.
        base = world.cluster.get(f"/api/v1/nodes/{world.foreign[1]}")
        assert base is not None
        world.cluster.change(f"/api/v1/nodes/{world.foreign[1]}", {"spec": {"taints": []}})
        world.land.soon()
        world.run(600)
        assert running(world) == 1
        assert launched(world) == 1
        assert ours(world) == []
        assert settled(world) == []


def test_pods_that_nothing_serves_delay_nobody() -> None:
    with cluster() as world:
        world.pool(limits=ROOMY)
        world.land.deploy("impossible", 50, cpu="64")
        world.run(30)
        world.land.deploy("scan", 20, cpu="900m")
        world.run(240)
        assert running(world, "scan") == 20
        assert running(world, "impossible") == 0


def test_ten_thousand_pods_at_once_are_decided_on_within_bounded_memory_beside_a_thousand_impossible_ones() -> None:
    whole = mixes.snapshot("micro", 10_000)
    tracemalloc.start()
    try:
        plan = decide(mixes.with_impossible(whole, 1_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(plan.placements) == 10_000
    assert peak < 150 << 20
