"""The judge rejects a plan that takes what a reservation does not have, or may use one that it does not name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checker.scene import A, Broken, Scene, Spoil, rejected
from tests.worlds import objects
from tests.worlds.objects import CAPACITY_TYPE, RESERVATION

Json = dict[str, Any]
broken = Broken()


def entry(key: str, *values: str) -> Json:
    return {"key": key, "operator": "In", "values": list(values)}


def reserve(scene: Scene, places: int, name: str = "cr-1") -> None:
    """The launch of a sound plan is into a reservation."""
    offering = {"zone": A, "capacityType": "reserved", "price": 0.05, "requirements": [entry(RESERVATION, name)]}
    scene.catalogue["instanceTypes"][0]["offerings"].append(offering | {"reservationCapacity": places})
    scene.pool["spec"]["template"]["spec"]["requirements"] = []
    scene.launch["capacityType"], scene.launch["instanceTypes"] = "reserved", ["small"]
    scene.launch["requirements"] = [entry(CAPACITY_TYPE, "reserved"), entry(RESERVATION, name)]


def coming(scene: Scene, *kinds: str) -> None:
    """A claim of the same reservation, with these conditions."""
    kind = scene.catalogue["instanceTypes"][0]
    labels = {objects.POOL: "default", objects.ZONE: A, objects.TYPE: "small", CAPACITY_TYPE: "reserved"}
    made = objects.claim("coming", labels | {RESERVATION: "cr-1"}, kind, kind["capacity"])
    made["status"]["conditions"] = [objects.condition(k) for k in kinds]
    scene.objects.append(made)
    scene.plan["pricePerHour"] |= {"before": 0.05, "after": 0.1}


def test_a_launch_into_a_reservation_with_room_is_sound() -> None:
    scene = Scene()
    reserve(scene, 1)
    assert scene.faults() == []
    coming(scene, "Launched", "Registered", "Initialized")
    assert scene.faults() == []


@broken("1 more launches into capacity reservation cr-1 than it has room for")
def too_many(scene: Scene) -> None:
    reserve(scene, 0)


@broken("1 more launches into capacity reservation cr-1 than it has room for")
def beside_one_on_its_way(scene: Scene) -> None:
    reserve(scene, 1)
    coming(scene, "Launched")


@broken("launch 0: there is no offering small eu-west-1a reserved that is available and allowed")
def not_named(scene: Scene) -> None:
    reserve(scene, 1)
    scene.launch["requirements"].pop()


@broken("launch 0 is for a capacity reservation and may become something else")
def open_to_more(scene: Scene) -> None:
    reserve(scene, 1)
    scene.launch["requirements"][0] = entry(CAPACITY_TYPE, "reserved", "spot")


@broken("launch 0 is for a capacity reservation and may become something else")
def two_at_once(scene: Scene) -> None:
    reserve(scene, 1)
    scene.launch["requirements"][1] = entry(RESERVATION, "cr-1", "cr-2")


@broken("pod shop/web-0 is refused although NodePool default has small in eu-west-1a for it")
def room_that_is_left(scene: Scene) -> None:
    reserve(scene, 2)
    scene.spec("web-0")["nodeSelector"] = {RESERVATION: "cr-1"}
    del scene.plan["placements"]["shop/web-0"]
    scene.plan["unschedulable"].append({"pod": "shop/web-0", "reasons": [{"nodePool": "default", "message": "no"}]})


@pytest.mark.parametrize(("spoil", "sentence"), [way[1:] for way in broken.ways], ids=[way[0] for way in broken.ways])
def test_a_broken_plan_is_rejected_for_what_is_broken(spoil: Spoil, sentence: str) -> None:
    assert rejected(spoil, sentence)
