"""Karpenter's rules 13.1 to 13.4: capacity reservations. The fifth is about drift."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.aws.shipped import shipped_catalog
from agent.core.catalog import Market, instance_types
from agent.core.decide import decide
from agent.core.inputs import PackingInput, PackingResult
from agent.core.packing import pack
from agent.core.verifying import PlanInvalid, verify
from agent.core.world import World
from agent.model import names
from agent.model.actions import Launch
from agent.model.constraints import PreferredTerm, Requirement
from agent.model.ec2 import CapacityError, CapacityReservation, InstanceType, Machine, Offering, Subnet
from agent.model.kubernetes import NodeClaim
from agent.model.names import ClassName, InstanceTypeName
from agent.model.plan import Limits, Plan, Snapshot
from tests.build import NOW, TYPES, ZONE_A, ZONE_C, claim, conditions, machine, meta, node_class, pod, pool, snapshot

DEFAULT = ClassName("default")


def reserved(kind: InstanceType, left: int | None, name: str = "cr-1", **fields: Any) -> InstanceType:
    """The type with one more offering: a reservation with so much room, near to free as Karpenter has it."""
    about: dict[str, Any] = {
        "zone": ZONE_A,
        "capacity_type": "reserved",
        "price_nano_usd": kind.offerings[0].price_nano_usd // 10_000_000,
        "requirements": (Requirement(names.RESERVATION, "In", (name,)),),
        "reservation_capacity": left,
    }
    return msgspec.structs.replace(kind, offerings=(*kind.offerings, Offering(**(about | fields))))


MEDIUM, LARGE, XLARGE = TYPES


def asked(*types: InstanceType, pods: int = 6, **fields: Any) -> Snapshot:
    """Pods of which each of the small types holds one, and the largest three."""
    about: dict[str, Any] = {
        "pods": tuple(pod(f"web-{n}", cpu="1200m", memory="2Gi") for n in range(pods)),
        "instance_types": {DEFAULT: types},
    }
    return snapshot(**(about | fields))


def requirement(launch: Launch, key: str) -> tuple[str, ...] | None:
    return next((r.values for r in launch.draft.requirements if r.key == key and r.operator == "In"), None)


def taken(plan: Plan) -> list[str]:
    """The reservations of the launches that take a place of one."""
    return sorted(name for x in plan.launches for name in requirement(x, names.RESERVATION) or ())


def in_flight(name: str = "cr-1", instance: Machine | None = None, *true: str) -> NodeClaim:
    wanted = (Requirement(names.CAPACITY_TYPE, "In", ("reserved",)), Requirement(names.RESERVATION, "In", (name,)))
    labels = {
        names.NODEPOOL: "workers",
        names.INSTANCE_TYPE: "t3.medium",
        names.ZONE: ZONE_A,
        names.CAPACITY_TYPE: "reserved",
        names.RESERVATION: name,
    }
    own = meta("workers-0", labels=labels)
    if instance is None:
        return claim("workers-0", meta=own, requirements=wanted)
    return claim("workers-0", instance=instance, meta=own, requirements=wanted, conditions=conditions(*true))


def test_rule_13_1_one_decision_plans_no_more_launches_than_a_reservation_has_room_for() -> None:
    plan = decide(asked(reserved(MEDIUM, 2)))
    assert taken(plan) == ["cr-1", "cr-1"]
    assert len(plan.placements) == 6


def test_rule_13_1_several_reservations_are_used_up_before_anything_is_paid_for() -> None:
    types = (reserved(reserved(MEDIUM, 1), 2, "cr-2", zone=ZONE_C), reserved(XLARGE, 1, "cr-3"))
    plan = decide(asked(*types, pods=7))
    assert taken(plan) == ["cr-1", "cr-2", "cr-2", "cr-3"]
    assert [x.capacity_type for x in plan.launches].count("on-demand") == len(plan.launches) - 4
    assert len(plan.placements) == 7


def test_rule_13_1_pools_and_classes_share_a_reservation_and_the_least_count_of_it_holds() -> None:
    pools = (pool("first", node_class=DEFAULT), pool("second", node_class=ClassName("other")))
    types = {DEFAULT: (reserved(MEDIUM, 3),), ClassName("other"): (reserved(MEDIUM, 1),)}
    found = asked(pools=pools, classes=(node_class(), node_class("other")), instance_types=types)
    assert taken(decide(found)) == ["cr-1"]


def test_rule_13_1_a_claim_counts_until_its_node_is_registered() -> None:
    types = (reserved(MEDIUM, 2),)
    waiting = asked(*types, claims=(in_flight(),))
    assert taken(decide(waiting)) == ["cr-1"]
    own = machine(1, claim="workers-0", capacity_type="reserved")
    launched = in_flight("cr-1", own, "Launched")
    assert taken(decide(asked(*types, claims=(launched,), machines=(own,)))) == ["cr-1"]
    joined = in_flight("cr-1", own, "Launched", "Registered", "Initialized")
    assert taken(decide(asked(*types, claims=(joined,), machines=(own,)))) == ["cr-1", "cr-1"]


@pytest.mark.parametrize(
    ("counted_after", "kinds", "places"),
    [
        (60, ("Launched",), 2),
        (60, ("Launched", "Registered"), 2),
        (5, ("Launched", "Registered"), 1),
        (-60, ("Launched", "Registered"), 1),
        (60, (), 1),
    ],
)
def test_rule_13_1_where_it_is_known_when_ec2_counted_a_claim_counts_until_that_is_after_its_launch(
    counted_after: int, kinds: tuple[str, ...], places: int
) -> None:
    own = machine(1, claim="workers-0", capacity_type="reserved")
    held = in_flight("cr-1", own if kinds else None, *kinds)
    at = NOW + timedelta(seconds=counted_after)
    found = asked(reserved(MEDIUM, 2), claims=(held,), machines=(own,) if kinds else (), reservations_at=at)
    assert len(taken(decide(found))) == places


def test_rule_13_1_offerings_are_made_of_the_reservations_that_a_class_found() -> None:
    kind = InstanceTypeName("m5.large")
    own = CapacityReservation("cr-1", kind, ZONE_A, 3)
    others = (
        CapacityReservation("cr-2", kind, ZONE_C, 1),
        CapacityReservation("cr-3", InstanceTypeName("m5.xlarge"), ZONE_A, 1),
        msgspec.structs.replace(own, id="cr-4", kind="capacity-block"),
        msgspec.structs.replace(own, id="cr-5", interruptible=True),
    )
    subnets = (Subnet("subnet-a", ZONE_A),)
    market = Market(zones={kind: (ZONE_A, ZONE_C)}, on_demand={kind: 118_000_000})
    facts = [f for f in shipped_catalog().types if f.name == kind]
    [made] = instance_types(facts, market, node_class(subnets=subnets, reservations=(own, *others)))
    found = [o for o in made.offerings if o.capacity_type == "reserved"]
    assert [(o.reservation, o.zone, o.price_nano_usd, o.reservation_capacity) for o in found] == [
        ("cr-1", ZONE_A, 12, 3)
    ]


def test_rule_13_1_a_full_reservation_is_not_bought_from_and_one_without_a_count_has_no_end() -> None:
    assert taken(decide(asked(reserved(MEDIUM, 0)))) == []
    assert taken(decide(asked(reserved(MEDIUM, None)))) == ["cr-1"] * 6


def test_rule_13_1_static_pools_and_pending_pods_draw_from_the_same_reservation() -> None:
    pools = (pool("fixed", replicas=3), pool("workers"))
    plan = decide(asked(reserved(LARGE, 2), pods=9, pools=pools))
    static = [x for x in plan.launches if x.reason.code == "Static"]
    assert len(static) == 3
    assert taken(plan) == ["cr-1", "cr-1"]
    assert [requirement(x, names.RESERVATION) for x in static].count(("cr-1",)) == 2


def test_unlike_rule_13_2_a_launch_takes_a_place_of_one_reservation_only_and_others_of_none() -> None:
    types = (reserved(reserved(MEDIUM, 1), 1, "cr-2"), reserved(LARGE, 1, "cr-3", price_nano_usd=10**9))
    plan = decide(asked(*types))
    assert taken(plan) == ["cr-1", "cr-2"]
    for launch in plan.launches:
        expected = ("reserved",) if requirement(launch, names.RESERVATION) else ("on-demand",)
        assert requirement(launch, names.CAPACITY_TYPE) == expected


def test_limits_hold_for_launches_into_reservations_too() -> None:
    limited = pool(limits={"nodes": 2})
    plan = decide(asked(reserved(MEDIUM, 5), pools=(limited,)))
    assert taken(plan) == ["cr-1", "cr-1"]
    assert {reason.code for r in plan.refusals for _, reason in r.reasons} == {"LimitExceeded"}


def test_unlike_rule_13_3_what_does_not_fit_is_bought_otherwise_in_the_same_decision() -> None:
    plan = decide(asked(reserved(MEDIUM, 1)))
    assert sorted(p.pod for p in plan.placements) == sorted(p.key for p in asked().pods)
    rest = [x for x in plan.launches if x.capacity_type == "on-demand"]
    assert (taken(plan), sum(len(x.pods) for x in rest)) == (["cr-1"], 5)


def test_unlike_rule_8_8_a_wish_for_reserved_capacity_is_dropped_for_whom_there_is_none() -> None:
    wish = PreferredTerm(1, (Requirement(names.CAPACITY_TYPE, "In", ("reserved",)),))
    wishing = tuple(pod(f"web-{n}", cpu="1200m", preferred_terms=(wish,)) for n in range(3))
    plan = decide(snapshot(pods=wishing, instance_types={DEFAULT: (reserved(MEDIUM, 1),)}))
    assert (taken(plan), len(plan.placements)) == (["cr-1"], 3)


def test_pods_that_only_a_reservation_serves_are_refused_once_it_is_full() -> None:
    selector = {names.CAPACITY_TYPE: "reserved"}
    wanting = tuple(pod(f"web-{n}", cpu="1200m", node_selector=selector) for n in range(3))
    for left, served in ((1, 1), (0, 0)):
        plan = decide(snapshot(pods=wanting, instance_types={DEFAULT: (reserved(MEDIUM, left),)}))
        assert (len(plan.placements), len(plan.refusals)) == (served, 3 - served)
        reasons = [reason for r in plan.refusals for _, reason in r.reasons]
        assert {reason.code for reason in reasons} == {"ReservationsFull"}
        assert "cr-1" in reasons[0].message


def test_unlike_rule_13_3_pods_without_an_alternative_have_the_reservation_before_others() -> None:
    only = pod("zz-only", cpu="1200m", node_selector={names.RESERVATION: "cr-1"})
    others = tuple(pod(f"web-{n}", cpu="1200m", memory="2Gi") for n in range(3))
    plan = decide(snapshot(pods=(*others, only), instance_types={DEFAULT: (reserved(MEDIUM, 1),)}))
    assert plan.refusals == ()
    assert next(x for x in plan.launches if only.key in x.pods).capacity_type == "reserved"


def test_rule_13_4_a_launch_into_a_reservation_names_it_and_nothing_else() -> None:
    launch = decide(asked(reserved(MEDIUM, 1), LARGE, pods=1)).launches[0]
    assert (launch.capacity_type, launch.instance_types) == ("reserved", ("t3.medium",))
    assert requirement(launch, names.CAPACITY_TYPE) == ("reserved",)
    assert requirement(launch, names.RESERVATION) == ("cr-1",)
    assert launch.draft.labels[names.RESERVATION] == "cr-1"
    assert [o.zone for o in launch.candidates] == [ZONE_A]


def test_rule_13_4_a_reservation_that_ec2_refused_is_left_alone_and_others_are_not() -> None:
    full = CapacityError("reserved", NOW.replace(year=2027), "t3.medium", ZONE_A, "cr-1", "ReservationCapacityExceeded")
    types = (reserved(reserved(MEDIUM, 2), 2, "cr-2"),)
    found = asked(*types)
    memory = msgspec.structs.replace(found.memory, capacity_errors=(full,))
    assert taken(decide(msgspec.structs.replace(found, memory=memory))) == ["cr-2", "cr-2"]


@pytest.mark.parametrize(("policy", "count"), [("Strict", 0), ("BestEffort", 2)])
def test_rule_13_4_min_values_keep_a_pool_off_a_reservation_unless_they_may_be_lowered(policy: Any, count: int) -> None:
    wide = pool(requirements=(Requirement(names.INSTANCE_TYPE, "Exists", (), 2),))
    found = asked(reserved(MEDIUM, 2), LARGE, XLARGE, pools=(wide,), limits=Limits(min_values_policy=policy))
    plan = decide(found)
    assert (len(taken(plan)), plan.refusals) == (count, ())


def test_no_label_of_a_pool_makes_a_node_of_a_reservation() -> None:
    pinned = pool(requirements=(Requirement(names.RESERVATION, "In", ("cr-1",)),))
    plan = decide(asked(reserved(MEDIUM, 1), pools=(pinned,)))
    assert (len(plan.launches), taken(plan)) == (1, ["cr-1"])
    assert decide(asked(MEDIUM, pools=(pinned,))).launches == ()


def question(left: int) -> tuple[PackingInput, PackingResult]:
    found = asked(reserved(MEDIUM, left), pods=2)
    given = PackingInput.of(World.of(found), found.pods)
    return given, pack(given)


def test_an_answer_that_takes_too_many_places_is_not_let_through() -> None:
    given, answer = question(2)
    fewer = msgspec.structs.replace(given, instance_types={DEFAULT: (reserved(MEDIUM, 1),)})
    with pytest.raises(PlanInvalid, match="cr-1"):
        verify(fewer, answer)
    verify(given, answer)


def test_an_answer_whose_reserved_launch_may_become_something_else_is_not_let_through() -> None:
    given, answer = question(2)
    loose = tuple(r for r in answer.launches[0].draft.requirements if r.key != names.CAPACITY_TYPE)
    draft = msgspec.structs.replace(answer.launches[0].draft, requirements=loose)
    launches = (msgspec.structs.replace(answer.launches[0], draft=draft), *answer.launches[1:])
    with pytest.raises(PlanInvalid, match="not of one capacity reservation"):
        verify(given, msgspec.structs.replace(answer, launches=launches))


def test_the_bound_does_not_pass_the_price_when_a_reservation_holds_only_some_of_the_pods() -> None:
    for left in range(4):
        price = decide(asked(reserved(MEDIUM, left))).price
        assert 0 < (price.lower_bound or 0) <= price.after
