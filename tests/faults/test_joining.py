"""What may go wrong between an instance that runs and a node that is ready."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.model import names
from tests.faults.playing import HOUR, cluster, launched, nodes, ours, running, settled
from tests.virtual.kubernetes import CSRS, NODES, POOLS, SECRETS
from tests.virtual.land import Joining
from tests.virtual.world import POOL


def test_machines_that_boot_for_longer_than_a_token_lives_join_with_its_successor() -> None:
    token = {"ttlSeconds": 1800, "rotateSeconds": 900, "overlapSeconds": 600}
    with cluster(registrationTimeoutSeconds=7200, token=token) as world:
        world.land.joining = lambda _: Joining(boot_seconds=3000.0)
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(HOUR + 60)
        assert running(world) == 2
        assert launched(world) == 2
        assert settled(world) == []


def test_a_token_that_somebody_deletes_is_replaced_before_the_next_machine_needs_it() -> None:
    with cluster() as world:
        world.land.deploy("scan", 1)
        world.run(30)
        for key in list(world.cluster.objects[SECRETS]):
            world.cluster.remove(f"/api/v1/namespaces/kube-system/secrets/{key.partition('/')[2]}")
        world.run(240)
        assert running(world) == 1
        assert launched(world) == 1
        assert settled(world) == []


def test_a_parameter_store_that_answers_with_the_version_before_lets_machines_join() -> None:
    with cluster() as world:
        world.run(1.2 * HOUR)
        world.cloud.old_parameters = True
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(200)
        assert running(world) == 2
        world.cloud.old_parameters = False
        assert settled(world) == []


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_steps_by_ten_minutes_makes_no_token_that_does_not_work(minutes: int) -> None:
    """A daemon whose clock is ahead takes requests for certificates for old ones: machines join once it is right."""
    with cluster() as world:
        step = timedelta(minutes=minutes)
        world.processes[-1].clock_offset = step
        world.record.skew = max(step, timedelta(0))
        world.expect_token_after(60.0)
        world.land.deploy("scan", 2, cpu="1500m")
        world.run(300)
        assert launched(world) == 2
        world.run(HOUR)
        world.processes[-1].clock_offset = timedelta(0)
        world.run(HOUR)
        assert running(world) == 2
        assert settled(world) == []


@pytest.mark.parametrize("field", ["endpoint", "ca_cert_hashes"])
def test_another_endpoint_or_authority_is_in_the_user_data_of_the_next_machine(field: str) -> None:
    value: Any = "10.9.9.9:6443" if field == "endpoint" else ("sha256:" + "b" * 64,)
    with cluster() as world:
        world.land.deploy("scan", 1)
        world.run(200)
        [first] = ours(world)
        world.processes[-1].classes.facts = msgspec.structs.replace(world.facts, **{field: value})
        world.run(130)
        world.land.deploy("more", 1, cpu="1500m")
        world.run(200)
        [second] = [i for i in ours(world) if i.id != first.id]
        assert second.user_data != first.user_data
        assert first.alive, "a node that works is not replaced for it"
        assert settled(world) == []


def test_machines_that_never_join_cost_at_most_what_it_takes_to_notice() -> None:
    with cluster(registrationTimeoutSeconds=300) as world:
        world.land.joining = lambda _: Joining(boot_seconds=None)
        world.land.deploy("scan", 4, cpu="1500m")
        world.run(12 * HOUR)
        pool = world.cluster.get(f"/{POOLS}/{POOL}")
        assert pool is not None
        assert names.PROTECTED in pool["metadata"]["annotations"]
        # Ten failures, those under way with them, and one trial at a time, at last each hour.
        assert launched(world) <= 10 + 4 + 15
        world.land.joining = lambda _: Joining()
        world.run(2 * HOUR)
        assert running(world) == 4
        assert settled(world) == []


@pytest.mark.parametrize("late", range(-3, 4))
def test_a_machine_that_joins_just_as_it_is_given_up_leaves_nothing_behind(late: int) -> None:
    with cluster(registrationTimeoutSeconds=60) as world:
        found: list[float] = []

        def how(_: object) -> Joining:
            found.append(0.0)
            return Joining(boot_seconds=57.0 + late) if len(found) == 1 else Joining()

        world.land.joining = how
        world.land.deploy("scan", 1)
        world.run(600)
        assert running(world) == 1
        assert len(ours(world)) == 1
        assert [n["metadata"]["name"] for n in nodes(world)] == [ours(world)[0].id]
        assert settled(world) == []


def test_a_node_that_does_not_say_which_instance_it_is_is_found_by_its_name() -> None:
    with cluster() as world:
        world.land.joining = lambda _: Joining(provider_id="")
        world.land.deploy("scan", 1)
        world.run(1200)
        assert len(ours(world)) <= 1
        assert launched(world) <= 2
        for _ in range(2):
            world.run(HOUR)
        assert launched(world) <= 12, "an instance whose node cannot be told is a failed join, and is held back as one"


def test_a_pile_of_requests_that_are_not_ours_holds_up_no_machine_of_ours() -> None:
    with cluster() as world:
        for number in range(300):
            spec = {
                "request": "",
                "signerName": "kubernetes.io/kubelet-serving",
                "usages": ["server auth"],
                "username": f"system:node:n-{number}",
                "groups": ["system:nodes"],
            }
            world.cluster.put(f"/{CSRS}/serving-{number}", {"metadata": {"name": f"serving-{number}"}, "spec": spec})
        world.land.deploy("scan", 1)
        world.run(120)
        assert running(world) == 1
        decided = [c for c in world.cluster.items(CSRS) if c.get("status", {}).get("conditions")]
        assert not [c for c in decided if c["metadata"]["name"].startswith("serving")]
        assert settled(world) == []


def test_a_machine_with_a_stolen_token_gets_no_certificate() -> None:
    with cluster() as world:
        stranger = world.cloud.start("t3.large", "ap-northeast-2a", {})
        published = world.cloud.parameters[world.settings.token_parameter][-1]
        token = world.cluster.user(published)
        assert token is not None
        signed: list[bool] = []
        world.land.request_certificate(stranger.id, token, lambda: signed.append(True))
        world.run(300)
        assert signed == []
        request = world.cluster.items(CSRS)[0]
        assert [c["type"] for c in request["status"]["conditions"]] == ["Denied"]
        assert stranger.alive, "it is not ours to end"


def test_a_node_that_is_deleted_by_hand_takes_its_instance_along_though_its_kubelet_lives() -> None:
    with cluster() as world:
        world.land.deploy("scan", 1)
        world.run(200)
        [first] = ours(world)
        world.cluster.answer("DELETE", f"/{NODES}/{first.id}", msgspec.json.encode({}))
        world.run(600)
        assert not first.alive
        assert running(world) == 1
        assert settled(world) == []
