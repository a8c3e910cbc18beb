"""What may happen to a cluster and to the daemon while nothing is bought or drained."""

from __future__ import annotations

import pytest

from agent.model import names
from tests.faults.playing import HOUR, Wire, cluster, launched, nodes, ours, running, settled, terminated
from tests.virtual.kubernetes import CLAIMS
from tests.virtual.line import Call, Mishap


def test_every_node_not_ready_at_once_ends_none_of_them() -> None:
    """The API server or its load balancer was away: kubelets could not tell that they live."""
    with cluster() as world:
        world.land.deploy("scan", 3, cpu="1500m")
        world.run(200)
        names_of = [str(n["metadata"]["name"]) for n in nodes(world)]
        for name in names_of:
            world.land.make_unready(name)
        world.run(600)
        assert terminated(world) == []
        for name in names_of:
            world.land.make_ready(name)
        assert settled(world) == []
        assert launched(world) == 3


def test_a_node_that_is_ready_and_not_ready_each_minute_is_left_alone() -> None:
    with cluster() as world:
        world.land.deploy("scan", 1)
        world.run(200)
        [node] = nodes(world)
        name = str(node["metadata"]["name"])
        for _ in range(20):
            world.land.make_unready(name)
            world.run(50)
            world.land.make_ready(name)
            world.run(50)
        assert terminated(world) == []
        assert launched(world) == 1
        assert settled(world) == []


def test_a_queue_that_fills_and_empties_every_three_minutes_keeps_its_nodes() -> None:
    with cluster() as world:
        world.pool(disruption={"consolidationPolicy": "WhenEmpty", "consolidateAfter": "5m"})
        for _ in range(10):
            world.land.deploy("scan", 3, cpu="1500m")
            world.run(180)
            world.land.deploy("scan", 0)
            world.run(180)
        assert launched(world) == 3
        assert settled(world) == []
        assert ours(world) == []


def test_a_pool_that_is_edited_and_edited_back_ends_where_it_was() -> None:
    with cluster() as world:
        world.land.deploy("scan", 3, cpu="1500m")
        world.run(300)
        before = world.fleet()
        for limits in ({"cpu": 2}, {"cpu": 0}, {"cpu": 20, "memory": "40Gi"}):
            world.pool(limits=limits)
            world.run(300)
        assert world.fleet() == before
        assert running(world) == 3
        assert settled(world) == []


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired", "AuthFailure"])
def test_credentials_that_expired_are_waited_out(code: str) -> None:
    def refused(call: Call) -> Mishap | None:
        return Mishap("refuse", code) if call.service in {"ec2", "ssm"} else None

    wire = Wire()
    with cluster(wire) as world:
        world.land.deploy("scan", 1)
        world.run(200)
        wire.fault = refused
        world.land.deploy("more", 2, cpu="1500m")
        world.run(1800)
        assert running(world) == 1
        assert terminated(world) == []
        assert len(world.processes) == 1, "it did not die of it"
        wire.fault = lambda _: None
        world.run(900)
        assert running(world) == 3
        assert settled(world) == []


def test_an_instance_that_is_stopped_by_hand_is_replaced_once() -> None:
    with cluster() as world:
        world.land.deploy("scan", 1)
        world.run(200)
        [first] = ours(world)
        world.cloud.stop(first)
        world.run(HOUR)
        assert running(world) == 1
        assert launched(world) == 2
        assert settled(world) == []


def test_a_restored_etcd_without_claims_terminates_nothing_by_itself() -> None:
    with cluster() as world:
        world.land.deploy("scan", 3, cpu="1500m")
        world.run(200)
        for claim in world.claims():
            world.cluster.remove(f"/{CLAIMS}/{claim['metadata']['name']}")
        world.cluster.compact()
        world.run(2 * HOUR)
        assert terminated(world) == []
        assert len(ours(world)) >= 3


def test_a_zone_that_is_gone_sends_launches_to_the_other_and_ends_nothing_in_a_hurry() -> None:
    with cluster() as world:
        world.land.deploy("scan", 3, cpu="1500m")
        world.run(200)
        gone = ours(world)[0].zone
        world.cloud.capacity["*", gone, "*"] = 0
        for node in nodes(world):
            if node["metadata"]["labels"][names.ZONE] == gone:
                world.land.make_unready(str(node["metadata"]["name"]))
        world.land.deploy("more", 2, cpu="1500m")
        world.run(600)
        assert terminated(world) == []
        assert running(world, "more") == 2
        assert {i.zone for i in ours(world)[3:]} != {gone}


def test_a_watch_that_says_nothing_is_noticed_and_the_queue_is_served() -> None:
    with cluster() as world:
        world.weather.stalled.add("pods")
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(300)
        world.weather.stalled.clear()
        world.run(120)
        assert running(world) == 2
        assert settled(world) == []
