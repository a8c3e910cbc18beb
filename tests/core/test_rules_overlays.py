"""Karpenter's rules 15.1 to 15.5 on NodeOverlays, each with a plan or a catalogue that changes without it."""

from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.core.overlays import overlaid
from agent.manifests import parse_node_overlay
from agent.model import names
from agent.model.actions import WriteOverlayStatus
from agent.model.constraints import Requirement
from agent.model.ec2 import InstanceType, Offering
from agent.model.kubernetes import Condition, NodePool
from agent.model.names import ClassName, InstanceTypeName, PoolName
from agent.model.overlays import NodeOverlay
from agent.model.plan import Plan
from agent.model.resources import Resources
from tests.build import NOW, TYPES, ZONE_A, ZONE_C, claim, machine, meta, pod, pool, snapshot
from tests.manifests.cases import OVERLAY, changed

CLASS = ClassName("default")
CENT = 10_000_000


def overlay(name: str = "o", *requirements: Requirement, **fields: Any) -> NodeOverlay:
    about: dict[str, Any] = {"meta": meta(name), "requirements": requirements}
    return NodeOverlay(**(about | fields))


def of_type(*kinds: str) -> Requirement:
    return Requirement(names.INSTANCE_TYPE, "In", kinds)


def applied(
    *overlays: NodeOverlay, pools: tuple[NodePool, ...] = (), types: tuple[InstanceType, ...] = TYPES
) -> dict[str, InstanceType]:
    found = overlaid({CLASS: types}, pools or (pool(),), overlays)
    return {kind.name: kind for kind in found.instance_types[CLASS]}


def prices(types: dict[str, InstanceType], name: str = "t3.medium") -> list[int]:
    return [o.price_nano_usd for o in types[name].offerings]


def planned(*overlays: NodeOverlay, **fields: Any) -> Plan:
    about: dict[str, Any] = {"pods": (pod(),), "pools": (pool(),)} | fields
    found = overlaid({CLASS: TYPES}, about["pools"], overlays)
    return decide(snapshot(instance_types=found.instance_types, overlays=found.overlays, **about))


# 15.1: prices and capacities.


@pytest.mark.parametrize(
    ("fields", "price"),
    [
        ({"price_nano_usd": 4 * CENT}, 40_000_000),
        ({"price_change_nano_usd": CENT}, 62_000_000),
        ({"price_change_nano_usd": -CENT}, 42_000_000),
        ({"price_change_ppm": -100_000}, 46_800_000),
        ({"price_change_ppm": 250_000}, 65_000_000),
        ({"price_change_ppm": -1_000_000}, 0),
        ({"price_change_nano_usd": -99 * CENT}, 0),
        ({}, 52_000_000),
    ],
)
def test_rules_15_1_and_15_4_a_price_is_set_or_changed_and_never_below_nothing(
    fields: dict[str, int], price: int
) -> None:
    types = applied(overlay("o", of_type("t3.medium"), **fields))
    assert prices(types) == [price, price]
    assert prices(types, "t3.large") == [104_000_000] * 2


def test_a_plan_buys_by_the_overlaid_price_and_says_so() -> None:
    assert [x.instance_type for x in planned().launches] == ["t3.medium"]
    plan = planned(overlay("discount", of_type("t3.xlarge"), price_nano_usd=CENT))
    (launch,) = plan.launches
    assert (launch.instance_type, launch.price_nano_usd, plan.price.after) == ("t3.xlarge", CENT, CENT)
    assert launch.draft.annotations[names.PRICE_OVERLAY] == "true"
    assert names.CAPACITY_OVERLAY not in launch.draft.annotations
    assert names.PRICE_OVERLAY not in planned().launches[0].draft.annotations


def test_rule_15_1_a_capacity_makes_room_for_what_ec2_does_not_know() -> None:
    smart = pod(requests=Resources(1000, 1 << 30, 1, extended=(("smarter-devices/fuse", 1),)))
    assert planned(pods=(smart,)).launches == ()
    devices = overlay("fuse", of_type("t3.large"), capacity=Resources(extended=(("smarter-devices/fuse", 2),)))
    launches = planned(devices, pods=(smart,)).launches
    assert [x.instance_type for x in launches] == ["t3.large"]
    assert launches[0].draft.annotations[names.CAPACITY_OVERLAY] == "true"
    assert launches[0].draft.requests.amount("smarter-devices/fuse") == 1


def test_rule_15_1_a_manifest_is_read_exactly() -> None:
    percent = parse_node_overlay(changed(OVERLAY, ("spec.priceAdjustment", "-12.5%"), ("spec.weight", 7)))
    assert (percent.price_change_ppm, percent.weight, percent.faults) == (-125_000, 7, ())
    assert percent.requirements == (of_type("m5.large"),)
    plus = parse_node_overlay(changed(OVERLAY, ("spec.priceAdjustment", "+.05")))
    assert (plus.price_change_nano_usd, plus.price_change_ppm) == (5 * CENT, None)
    both = changed(OVERLAY, ("spec.priceAdjustment", None), ("spec.price", "0.05"), ("spec.capacity", {"a.b/c": "2"}))
    absolute = parse_node_overlay(both)
    assert (absolute.price_nano_usd, absolute.capacity.extended) == (5 * CENT, (("a.b/c", 2),))
    broken = parse_node_overlay(changed(OVERLAY, ("spec.price", "0.05")))
    assert broken.faults == ("spec.priceAdjustment: price and priceAdjustment exclude each other",)
    own = parse_node_overlay(changed(OVERLAY, ("spec.priceAdjustment", None), ("spec.capacity", {"cpu": "2"})))
    assert "cpu, memory, ephemeral-storage and pods follow from the type" in "".join(own.faults)


# 15.2: what it is about.


def test_rule_15_2_a_price_is_that_of_the_offerings_that_match() -> None:
    spot = tuple(
        msgspec.structs.replace(kind, offerings=(*kind.offerings, Offering(ZONE_A, "spot", 2 * CENT))) for kind in TYPES
    )
    zone = overlay("zone", Requirement(names.ZONE, "In", (ZONE_C,)), price_nano_usd=CENT)
    assert prices(applied(zone, types=spot)) == [52_000_000, CENT, 2 * CENT]
    kind = overlay("spot", Requirement(names.CAPACITY_TYPE, "In", ("spot",)), price_nano_usd=CENT)
    assert prices(applied(kind, types=spot)) == [52_000_000, 52_000_000, CENT]


def test_rule_15_2_a_price_may_be_that_of_one_capacity_reservation() -> None:
    reserved = tuple(
        Offering(ZONE_A, "reserved", 1, requirements=(Requirement(names.RESERVATION, "In", (name,)),))
        for name in ("cr-1", "cr-2")
    )
    types = tuple(msgspec.structs.replace(kind, offerings=(*kind.offerings, *reserved)) for kind in TYPES)
    one = overlay("one", Requirement(names.RESERVATION, "In", ("cr-2",)), price_nano_usd=CENT)
    assert prices(applied(one, types=types)) == [52_000_000, 52_000_000, 1, CENT]
    none = overlay("none", Requirement(names.RESERVATION, "DoesNotExist"), price_nano_usd=CENT)
    assert prices(applied(none, types=types)) == [CENT, CENT, 1, 1]


def test_rule_15_2_a_capacity_is_that_of_the_type_if_any_offering_matches() -> None:
    extra = Resources(extended=(("a.b/c", 1),))
    somewhere = applied(overlay("z", Requirement(names.ZONE, "In", (ZONE_C,)), capacity=extra))
    assert somewhere["t3.medium"].capacity.extended == (("a.b/c", 1),)
    nowhere = applied(overlay("z", Requirement(names.ZONE, "In", ("elsewhere",)), capacity=extra))
    assert nowhere["t3.medium"].capacity.extended == ()


@pytest.mark.parametrize(
    ("requirement", "meant"),
    [
        (Requirement(names.ARCH, "In", ("amd64",)), True),
        (Requirement(names.ARCH, "In", ("arm64",)), False),
        (Requirement("example.com/unknown", "Exists"), False),
        (Requirement("example.com/unknown", "NotIn", ("x",)), True),
        (Requirement("example.com/team", "In", ("blue",)), True),
        (Requirement(names.NODEPOOL, "In", ("workers",)), True),
        (Requirement(names.NODEPOOL, "In", ("others",)), False),
        (Requirement(names.NODECLASS, "In", ("default",)), True),
    ],
)
def test_rule_15_2_labels_are_those_of_type_and_pool_and_unknown_ones_are_denied(
    requirement: Requirement, meant: bool
) -> None:
    blue = pool(labels={"example.com/team": "blue"})
    found = applied(overlay("o", requirement, price_nano_usd=CENT), pools=(blue,))
    assert prices(found) == ([CENT] * 2 if meant else [52_000_000] * 2)


def test_rule_15_2_pools_that_share_a_class_may_pay_differently() -> None:
    only = overlay("only", Requirement(names.NODEPOOL, "In", ("dear",)), price_nano_usd=9 * CENT)
    both = (pool("dear", weight=1), pool("listed"))
    (launch,) = planned(only, pools=both).launches
    assert (launch.draft.pool, launch.price_nano_usd) == ("dear", 9 * CENT)
    assert {o.instance_type for o in launch.candidates} == {"t3.medium", "t3.large", "t3.xlarge"}
    assert len(launch.candidates) == 6  # each offering once
    equal = planned(only, pools=(pool("dear"), pool("listed")))
    assert [(x.draft.pool, x.price_nano_usd) for x in equal.launches] == [("listed", 52_000_000)]


@pytest.mark.parametrize(("of", "price"), [("dear", 9 * CENT), ("listed", 104_000_000)])
def test_what_a_node_costs_is_what_its_pool_pays(of: str, price: int) -> None:
    only = overlay("only", Requirement(names.NODEPOOL, "In", ("dear",)), price_nano_usd=9 * CENT)
    instance = machine(1)
    own = claim(instance=instance, pool=PoolName(of))
    labelled = msgspec.structs.replace(
        own, meta=msgspec.structs.replace(own.meta, labels=own.meta.labels | {names.NODEPOOL: of})
    )
    plan = planned(only, pools=(pool("dear"), pool("listed")), pods=(), claims=(labelled,), machines=(instance,))
    assert plan.price.before == price


def test_a_capacity_for_some_pools_of_a_class_and_not_others_corrects_nothing_and_is_told() -> None:
    extra = Resources(extended=(("a.b/c", 1),))
    only = overlay("only", Requirement(names.NODEPOOL, "In", ("workers",)), capacity=extra)
    plan = planned(only, pools=(pool(), pool("others")))
    (notice,) = [n for n in plan.notices if n.kind == "NodeOverlay"]
    assert (notice.name, notice.reason.code) == ("only", "NodeOverlayNotReady")
    assert "to nodes of NodePool workers and not of others, which share EC2NodeClass default" in notice.reason.message
    apart = msgspec.structs.replace(pool("others"), node_class=ClassName("else"))
    assert [n for n in planned(only, pools=(pool(), apart)).notices if n.kind == "NodeOverlay"] == []


# 15.3: weight and conflicts.


def test_rule_15_3_the_heaviest_counts_for_each_price_and_resource() -> None:
    light = overlay("light", price_nano_usd=3 * CENT, capacity=Resources(extended=(("a.b/c", 1),)), weight=1)
    heavy = overlay("heavy", of_type("t3.medium"), price_nano_usd=CENT, weight=2)
    for order in ((light, heavy), (heavy, light)):
        found = applied(*order)
        assert (prices(found), prices(found, "t3.large")) == ([CENT] * 2, [3 * CENT] * 2)
        assert found["t3.medium"].capacity.extended == (("a.b/c", 1),)


def test_rule_15_3_of_two_with_equal_weight_the_first_of_the_alphabet_counts_nowhere() -> None:
    first = overlay("a", price_nano_usd=CENT)
    last = overlay("b", of_type("t3.medium"), price_nano_usd=2 * CENT)
    for order in ((first, last), (last, first)):
        plan = planned(*order)
        assert plan.launches[0].price_nano_usd == 2 * CENT
        (notice,) = [n for n in plan.notices if n.kind == "NodeOverlay"]
        assert notice.name == "a"
        assert "it conflicts with NodeOverlay b of the same weight over the price of t3.medium" in notice.reason.message
        assert prices(applied(*order), "t3.large") == [104_000_000] * 2


def test_rule_15_3_capacities_conflict_by_resource() -> None:
    def extra(name: str) -> Resources:
        return Resources(extended=((name, 1),))

    found = overlaid(
        {CLASS: TYPES}, (pool(),), (overlay("a", capacity=extra("x/y")), overlay("b", capacity=extra("x/z")))
    )
    assert [o.faults for o in found.overlays] == [(), ()]
    found = overlaid(
        {CLASS: TYPES}, (pool(),), (overlay("a", capacity=extra("x/y")), overlay("b", capacity=extra("x/y")))
    )
    assert ["conflicts" in "".join(o.faults) for o in found.overlays] == [True, False]


def test_rule_15_5_a_broken_overlay_corrects_nothing_and_stops_no_other() -> None:
    broken = overlay("broken", price_nano_usd=CENT, faults=("spec.price: is wrong",))
    good = overlay("good", of_type("t3.xlarge"), price_nano_usd=2 * CENT)
    plan = planned(broken, good)
    assert [(x.instance_type, x.price_nano_usd) for x in plan.launches] == [("t3.xlarge", 2 * CENT)]
    assert [n.reason.message for n in plan.notices if n.kind == "NodeOverlay"] == ["spec.price: is wrong"]


# What their conditions say.


def written(*overlays: NodeOverlay, **fields: Any) -> dict[str, tuple[Condition, ...]]:
    """The conditions that are written, by overlay."""
    actions = planned(*overlays, **fields).actions
    return {x.overlay.name: x.conditions for x in actions if isinstance(x, WriteOverlayStatus)}


def said(found: tuple[Condition, ...]) -> list[tuple[str, str, str]]:
    return [(c.type, c.status, c.reason) for c in found]


def test_rule_15_1_an_overlay_that_counts_is_ready() -> None:
    sound = overlay("o", price_nano_usd=CENT, meta=meta("o", generation=3))
    (found,) = written(sound).values()
    assert said(found) == [("ValidationSucceeded", "True", "ValidationSucceeded"), ("Ready", "True", "Ready")]
    assert [(c.message, c.observed_generation) for c in found] == [("", 3), ("", 3)]


def test_rule_15_3_the_condition_of_one_that_conflicts_names_the_other() -> None:
    found = written(overlay("a", price_nano_usd=CENT), overlay("b", price_nano_usd=2 * CENT))
    assert said(found["a"]) == [("ValidationSucceeded", "False", "Conflict"), ("Ready", "False", "Conflict")]
    assert {c.message.partition(" over ")[0] for c in found["a"]} == {
        "it conflicts with NodeOverlay b of the same weight"
    }
    assert said(found["b"])[1] == ("Ready", "True", "Ready")


def test_rule_15_5_the_condition_of_a_broken_one_is_its_fault() -> None:
    only = overlay(
        "only",
        Requirement(names.NODEPOOL, "In", ("workers",)),
        capacity=Resources(extended=(("a.b/c", 1),)),
    )
    broken = overlay("broken", faults=("spec.price: is wrong", "spec.weight: is wrong"))
    found = written(only, broken, pools=(pool(), pool("others")))
    for conditions in found.values():
        assert [c.reason for c in conditions] == ["NodeOverlayValidationFailed"] * 2
    assert found["broken"][0].message == "spec.price: is wrong; spec.weight: is wrong"
    assert "and not of others" in found["only"][0].message


@pytest.mark.parametrize("faults", [(), ("spec.price: is wrong",)])
def test_conditions_that_say_so_already_are_not_written_again(faults: tuple[str, ...]) -> None:
    one = overlay("o", price_nano_usd=CENT, faults=faults)
    (found,) = written(one).values()
    dated = tuple(msgspec.structs.replace(c, last_transition=NOW) for c in found)
    foreign = Condition("Seen", "True")
    held = msgspec.structs.replace(one, conditions=(foreign, *dated))
    assert written(held) == {}
    edited = msgspec.structs.replace(held, meta=meta("o", generation=2))
    assert [c.observed_generation for c in written(edited)["o"]] == [2, 2]
    assert written(msgspec.structs.replace(held, faults=("spec.price: is wrong otherwise",))).keys() == {"o"}


def test_before_the_catalogue_is_known_nothing_is_said_to_be_sound() -> None:
    """Its conflict may be about a type that is not known yet."""
    sound, broken = overlay("sound", price_nano_usd=CENT), overlay("broken", faults=("spec.price: is wrong",))
    assert written(sound, broken, provision=False).keys() == {"broken"}


def test_an_overlay_that_is_being_deleted_is_told_nothing() -> None:
    assert written(overlay("o", price_nano_usd=CENT, meta=meta("o", deleted_at=NOW))) == {}


def test_conditions_are_read_from_an_overlay_however_little_of_it_can_be() -> None:
    when = "2026-11-25T12:00:00Z"
    status = {
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": when, "observedGeneration": 4}
        ]
    }
    for more in ((), (("spec.price", "0.05"),), (("spec", None),)):
        found = parse_node_overlay(changed(OVERLAY, *more) | {"status": status})
        assert found.conditions == (Condition("Ready", "True", "Ready", "", NOW, 4),)
        assert bool(found.faults) == bool(more)
    assert parse_node_overlay(OVERLAY | {"status": {"conditions": "none"}}).conditions == ()


def test_a_type_that_no_overlay_is_about_stays_as_it_is() -> None:
    found = applied(overlay("o", of_type("t3.medium"), price_nano_usd=CENT))
    assert found[InstanceTypeName("t3.large")] is TYPES[1]
    assert applied() == {kind.name: kind for kind in TYPES}
