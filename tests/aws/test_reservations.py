"""Capacity reservations of a class: found by its terms, launched into by their id, and by nobody else."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from agent.aws import errors
from agent.aws.classes import ResolvedClass, Resolver
from agent.aws.fleet import FleetAnswer
from agent.aws.templates import launch_template_data, template_content
from agent.daemon.classes import Classes
from agent.join.userdata import RenderOptions
from agent.manifests import NodeClassManifest
from agent.model.kubernetes import Meta
from agent.model.names import ClassName
from tests.join.classes import FACTS
from tests.sim.server import ZONE_A, ZONE_C, World, class_spec

FAMILIES = frozenset({"Ubuntu"})
KIND = "CapacityReservationsReady"


def reserve(world: World, name: str, count: int = 1, **fields: object) -> None:
    about = {"id": name, "type": "t3.medium", "zone": ZONE_A, "count": count}
    world.server.ask("/_reservations", about | fields)


def resolve(world: World, *terms: object, previous: ResolvedClass | None = None) -> ResolvedClass:
    spec = class_spec(capacityReservationSelectorTerms=list(terms))
    return Resolver(world.session, FAMILIES).resolve(spec, (), (), previous)


def found(world: World, *terms: object) -> dict[str, int]:
    return {r.id: r.places for r in resolve(world, *terms).reservations}


def status(resolved: ResolvedClass) -> tuple[str, str]:
    return next((c.status, c.reason) for c in resolved.conditions if c.type == KIND)


def into(world: World, name: str, claim: str = "claim-uid") -> FleetAnswer:
    content = template_content(class_spec(), world.resolved(), ClassName("default"), "#!/bin/sh\n")
    template_id, version = world.templates.ensure(msgspec.structs.replace(content, reservation=name))
    request = msgspec.structs.replace(
        world.request(kind="reserved", claim=claim),
        template_id=template_id,
        template_version=version,
        reservation=name,
    )
    return world.ec2.create_fleet(request, world.token(claim))


def test_terms_are_alternatives_by_tags_id_owner_and_criteria(world: World) -> None:
    reserve(world, "cr-1", 3, tags={"team": "ml"})
    reserve(world, "cr-2", 2, tags={"team": "web"}, criteria="open")
    reserve(world, "cr-3", 1, owner="210987654321", tags={"team": "ml"})
    assert found(world, {"tags": {"team": "ml"}}) == {"cr-1": 3, "cr-3": 1}
    assert found(world, {"tags": {"team": "*"}, "ownerID": "210987654321"}) == {"cr-3": 1}
    assert found(world, {"id": "cr-2"}, {"id": "cr-3"}) == {"cr-2": 2, "cr-3": 1}
    assert found(world, {"instanceMatchCriteria": "open"}) == {"cr-2": 2}


def test_only_active_ones_for_our_system_are_found_and_small_pages_are_all_read(world: World) -> None:
    reserve(world, "cr-1")
    reserve(world, "cr-2", state="expired")
    reserve(world, "cr-3", platform="Windows")
    reserve(world, "cr-4", 0, endDate="2030-01-01T00:00:00.000Z")
    world.server.ask("/_pages", {"limit": 1})
    assert found(world, {"instanceMatchCriteria": "targeted"}) == {"cr-1": 1, "cr-4": 0}


def test_no_term_asks_nothing_and_no_match_is_no_fault(world: World) -> None:
    nothing = resolve(world)
    assert (nothing.ready, status(nothing)) == (True, ("True", KIND))
    assert world.server.calls("DescribeCapacityReservations") == []
    for term in ({"tags": {"none": "such"}}, {"id": "cr-0"}):
        empty = resolve(world, term)
        assert (empty.ready, empty.reservations, status(empty)) == (True, (), ("True", KIND))


def test_what_was_found_stands_in_while_ec2_throttles_and_a_refusal_keeps_the_class_from_launching(
    world: World,
) -> None:
    reserve(world, "cr-1")
    before = resolve(world, {"id": "cr-1"})
    world.server.fault("DescribeCapacityReservations", code="RequestLimitExceeded", status=503, times=-1)
    meanwhile = resolve(world, {"id": "cr-1"}, previous=before)
    assert (meanwhile.ready, meanwhile.reservations) == (True, before.reservations)
    world.server.ask("/_faults", method="DELETE")
    world.server.fault("DescribeCapacityReservations", code="UnauthorizedOperation", status=403, times=-1)
    denied = resolve(world, {"id": "cr-1"}, previous=before)
    assert (denied.ready, status(denied)[0]) == (False, "Unknown")


def test_an_instance_runs_in_the_reservation_that_its_template_names(world: World) -> None:
    reserve(world, "cr-1", 2)
    answer = into(world, "cr-1")
    assert answer.instance is not None
    assert answer.instance.capacity_type == "reserved"
    machine = world.ec2.machine(answer.instance.id)
    assert machine is not None
    assert (machine.capacity_type, machine.zone) == ("reserved", ZONE_A)
    assert found(world, {"id": "cr-1"}) == {"cr-1": 1}
    world.ec2.terminate(answer.instance.id)
    assert found(world, {"id": "cr-1"}) == {"cr-1": 2}


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("cr-1", "ReservationCapacityExceeded", errors.CapacityUnavailable),
        ("cr-none", "InvalidCapacityReservationId.NotFound", errors.Gone),
    ],
)
def test_a_reservation_that_is_full_or_gone_buys_nothing(
    world: World, name: str, code: str, kind: type[errors.AwsError]
) -> None:
    reserve(world, "cr-1", 0)
    answer = into(world, name)
    assert answer.instance is None
    assert [(e.code, e.instance_type, e.zone) for e in answer.errors] == [(code, "t3.medium", ZONE_A)]
    assert isinstance(answer.failure, kind)


def test_other_launches_leave_open_reservations_alone(world: World) -> None:
    reserve(world, "cr-1", 1, criteria="open")
    machine = world.ec2.machine(world.launch())
    assert machine is not None
    assert machine.capacity_type == "on-demand"
    assert found(world, {"id": "cr-1"}) == {"cr-1": 1}
    assert into(world, "cr-1", claim="second").instance is not None


def test_a_template_says_of_reservations_what_may_be_used(world: World) -> None:
    plain = template_content(class_spec(), world.resolved(), ClassName("default"), "#!/bin/sh\n")
    pinned = msgspec.structs.replace(plain, reservation="cr-1")
    written: list[Any] = [launch_template_data(content) for content in (plain, pinned)]
    asked = [data.pop("CapacityReservationSpecification") for data in written]
    assert written[0] == written[1]
    assert plain.hash != pinned.hash
    assert asked == [
        {"CapacityReservationPreference": "none"},
        {
            "CapacityReservationPreference": "capacity-reservations-only",
            "CapacityReservationTarget": {"CapacityReservationId": "cr-1"},
        },
    ]


def test_an_instance_that_came_into_an_open_reservation_by_chance_is_not_reserved(world: World) -> None:
    reserve(world, "cr-1", 1, criteria="open", zone=ZONE_C)
    world.session.client("ec2").run_instances(
        ImageId=world.override("t3.medium").image_id,
        InstanceType="t3.medium",
        SubnetId=world.subnets[ZONE_C],
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in world.request().tags.items()]}
        ],
    )
    assert [m.capacity_type for m in world.ec2.machines()] == ["on-demand"]
    assert found(world, {"id": "cr-1"}) == {"cr-1": 0}


def test_templates_of_the_reservations_that_a_class_finds_are_in_use(world: World) -> None:
    reserve(world, "cr-1")
    spec = class_spec(capacityReservationSelectorTerms=[{"id": "cr-1"}])
    manifests = (NodeClassManifest(Meta("default", uid="uid"), spec),)
    now = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    classes = Classes(Resolver(world.session, FAMILIES), lambda: manifests, RenderOptions(), lambda: now)
    classes.facts = FACTS
    assert classes.reservations_at() is None
    assert classes.refresh()
    plain, pinned = (classes.blueprint(ClassName("default"), name) for name in ("", "cr-1"))
    assert (plain.reservation, pinned.reservation) == ("", "cr-1")
    assert classes.contents() == {plain.hash, pinned.hash}
    assert classes.reservations_at() == now
    [model] = classes.models()
    assert [(r.id, r.places) for r in model.reservations] == [("cr-1", 1)]
