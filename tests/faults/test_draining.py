"""What may go wrong between a node that must go and an instance that is gone."""

from __future__ import annotations

import msgspec
import pytest

from agent.model import names
from tests.faults.playing import HOUR, Wire, cluster, launched, nodes, ours, running, settled, terminated
from tests.virtual.kubernetes import CLAIMS, NODES, PODS
from tests.virtual.line import Call, Mishap
from tests.virtual.scenarios import budget
from tests.virtual.world import World


def delete_claims(world: World) -> None:
    for claim in world.claims():
        world.cluster.answer("DELETE", f"/{CLAIMS}/{claim['metadata']['name']}", msgspec.json.encode({}))


def test_two_nodes_that_drain_behind_one_budget_both_come_to_an_end() -> None:
    with cluster() as world:
        world.land.deploy("web", 2, cpu="1500m")
        budget(world, "web", 1)
        world.run(200)
        assert len(ours(world)) == 2
        before = {i.id for i in ours(world)}
        delete_claims(world)
        world.run(HOUR)
        assert running(world) == 2
        assert not before & {i.id for i in ours(world)}
        assert settled(world) == []


@pytest.mark.parametrize("pinned", [True, False])
def test_a_pod_that_comes_as_its_node_is_found_empty_is_not_lost(pinned: bool) -> None:
    """The watch of pods is behind, so that the node looks empty although a pod is bound to it."""
    annotations = {names.DO_NOT_DISRUPT: "true"} if pinned else {}
    for wait in (1.0, 2.0, 3.0, 5.0):
        with cluster() as world:
            world.template(terminationGracePeriod="10m")
            world.land.deploy("first", 1)
            world.run(200)
            world.cluster.put(f"/{NODES}/{world.foreign[1]}", {"spec": {"unschedulable": True}})
            world.weather.lag["pods"] = 6.0
            world.land.deploy("first", 0)
            world.run(wait)
            world.land.deploy("second", 1, annotations=annotations)
            world.run(30)
            world.weather.lag.clear()
            world.run(300)
            assert running(world, "second") == 1
            assert settled(world) == []


def test_terminations_that_ec2_throttles_are_repeated_until_they_are_done() -> None:
    def refused(call: Call) -> Mishap | None:
        return Mishap("refuse", "RequestLimitExceeded") if call.action == "TerminateInstances" else None

    wire = Wire()
    with cluster(wire) as world:
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(200)
        wire.fault = refused
        world.land.deploy("scan", 0)
        world.run(600)
        assert len(ours(world)) == 2
        assert len(world.claims()) == 2, "what is not ended is still counted"
        assert wire.calls["TerminateInstances"] <= 2 * 40
        wire.fault = lambda _: None
        world.run(300)
        assert ours(world) == []
        assert settled(world) == []


def test_an_instance_with_termination_protection_is_reported_and_asked_for_seldom() -> None:
    wire = Wire()
    with cluster(wire) as world:
        world.land.deploy("scan", 1)
        world.run(200)
        [machine] = ours(world)
        machine.protected = True
        world.land.deploy("scan", 0)
        world.run(HOUR)
        assert machine.alive
        assert len(world.claims()) == 1
        assert wire.calls["TerminateInstances"] <= 80
        assert [e for e in world.cluster.events if "take termination protection" in str(e)]
        machine.protected = False
        world.run(HOUR)
        assert ours(world) == []
        assert settled(world) == []


def test_a_node_that_somebody_elses_finalizer_keeps_holds_up_no_other() -> None:
    with cluster() as world:
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(200)
        kept = nodes(world)[0]["metadata"]["name"]
        path = f"/{NODES}/{kept}"
        held = world.cluster.get(path)
        assert held is not None
        finalizers = [*held["metadata"].get("finalizers", []), "example.com/keep"]
        world.cluster.change(path, {"metadata": {"finalizers": finalizers}})
        world.land.deploy("scan", 0)
        world.run(1200)
        assert ours(world) == [], "no instance is paid for while somebody thinks about its Node"
        left = [n["metadata"]["name"] for n in nodes(world)]
        assert left in ([kept], [])


def test_while_evictions_and_changes_of_nodes_fail_instances_are_still_launched() -> None:
    """An admission webhook without a backend refuses them; its own pods may be what waits for a node."""

    def refused(call: Call) -> Mishap | None:
        stopped = call.action in {"POST pods/eviction", "PATCH nodes", "DELETE nodes"}
        return Mishap("refuse", "500") if stopped else None

    wire = Wire()
    with cluster(wire) as world:
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(200)
        wire.fault = refused
        delete_claims(world)
        world.land.deploy("webhook", 1, cpu="1500m")
        world.run(300)
        assert launched(world) >= 3
        wire.fault = lambda _: None
        world.run(HOUR)
        assert running(world) == 3
        assert settled(world) == []


def test_a_node_that_somebody_cordoned_stays_so_and_gets_nothing() -> None:
    with cluster() as world:
        world.land.deploy("scan", 1, cpu="300m")
        world.run(200)
        [first] = nodes(world)
        path = f"/{NODES}/{first['metadata']['name']}"
        world.cluster.change(path, {"spec": {"unschedulable": True}})
        world.land.deploy("more", 1, cpu="300m")
        world.run(300)
        assert running(world) == 2
        assert launched(world) == 2
        held = world.cluster.get(path)
        assert held is not None
        assert held["spec"]["unschedulable"]
        assert settled(world) == []


def test_a_pod_that_will_not_end_holds_its_node_for_a_minute_beyond_its_grace() -> None:
    with cluster() as world:
        world.land.deploy("scan", 1)
        world.run(200)
        [pod] = world.cluster.items(PODS)
        world.land.stuck.add(f"default/{pod['metadata']['name']}")
        world.land.deploy("scan", 0)
        world.run(5)
        delete_claims(world)
        world.run(300)
        assert ours(world) == []
        assert len(terminated(world)) == 1
        assert settled(world) == []
