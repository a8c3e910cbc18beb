"""Shelves: what pools, limits and refusals leave of a catalogue that was indexed once."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from agent.core.aiming import overrides
from agent.core.building import build
from agent.core.packing import pack
from agent.core.shelf import Shelf
from agent.core.shelves import MOST_KEPT, Shelves
from agent.core.space import bits
from agent.core.templates import template
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import CapacityError, InstanceType, Offering
from agent.model.names import ClassName
from agent.model.resources import Resources
from tests.build import NOW, TYPES, ZONE_A, ZONE_C, instance_type, node_class, pod, pool
from tests.core.test_packing import question

CLASS = ClassName("default")


def offered(*kinds: tuple[str, float], name: str = "m5.large") -> InstanceType:
    """A type in one zone, as (capacity type, price)."""
    own = instance_type(name)
    offerings = tuple(Offering(ZONE_A, kind, round(price * 1e9)) for kind, price in kinds)  # type: ignore[arg-type]
    return msgspec.structs.replace(own, offerings=offerings)


def test_a_shelf_is_kept_as_long_as_its_types_are_equal() -> None:
    shelves, equal, fewer = Shelves.of({CLASS: TYPES}), tuple(kind for kind in TYPES), TYPES[:1]
    assert shelves.shelf(CLASS, equal) is shelves.shelf(CLASS, TYPES)
    assert shelves.shelf(CLASS, TYPES) is not Shelves().shelf(CLASS, TYPES)
    assert shelves.shelf(CLASS, fewer).source is fewer


def test_what_is_made_of_equal_things_is_made_once_and_the_least_used_is_forgotten() -> None:
    shelves, calls = Shelves(), list[int]()

    def doubled(number: int) -> list[int]:
        calls.append(number)
        return [number, number]

    first = shelves.kept(doubled, 0)
    for number in range(MOST_KEPT):
        assert shelves.kept(doubled, number) == [number, number]
        assert shelves.kept(doubled, 0) is first
    assert calls == list(range(MOST_KEPT))
    shelves.kept(doubled, MOST_KEPT)
    shelves.kept(doubled, 1)
    assert calls == [*range(MOST_KEPT), MOST_KEPT, 1]


def letters(text: Iterable[str]) -> list[str]:
    return list(text)


def test_of_what_is_made_of_a_whole_cluster_only_the_last_is_kept() -> None:
    shelves, pods = Shelves(), ["a", "b"]
    first = shelves.latest(letters, tuple(pods))
    assert shelves.latest(letters, tuple(pods)) is first
    assert shelves.latest(letters, ("b",)) == ["b"]
    assert shelves.latest(letters, tuple(pods)) == first
    assert shelves.latest(letters, tuple(pods)) is not first


def test_what_was_made_of_types_goes_with_them() -> None:
    shelves = Shelves.of({CLASS: TYPES})
    held = shelves.kept(letters, "ab")
    shelves.shelf(CLASS, TYPES)
    assert shelves.kept(letters, "ab") is held
    shelves.shelf(CLASS, TYPES[:1])
    assert shelves.kept(letters, "ab") is not held


def test_what_was_made_for_a_node_is_forgotten_when_a_decision_does_not_see_the_node() -> None:
    shelves = Shelves()
    held = shelves.of_node("a", letters, "ab")
    shelves.begin()
    assert shelves.of_node("a", letters, "ab") is held
    assert shelves.of_node("a", letters, "cd") == ["c", "d"]
    shelves.begin()
    shelves.begin()
    assert shelves.of_node("a", letters, "ab") is not held


def test_a_kept_shelf_changes_nothing_of_the_answer() -> None:
    asked = question(pod("a"), pod("b", cpu="3"))
    kept = msgspec.structs.replace(asked, shelves=Shelves.of(asked.instance_types))
    pack(kept)
    assert pack(kept) == pack(asked)


def test_what_ec2_refused_is_left_out_and_an_empty_field_of_the_error_stands_for_any() -> None:
    shelf = Shelf.of(TYPES)
    later = NOW + timedelta(minutes=3)
    whole_zone = CapacityError("", later, zone=ZONE_A)
    one_type = CapacityError(code="x", until=later, instance_type=TYPES[0].name, zone=ZONE_C, capacity_type="on-demand")
    left = [shelf.columns[i] for i in bits(shelf.every & ~shelf.exhausted([whole_zone, one_type]))]
    assert {column.offering.zone for column in left} == {ZONE_C}
    assert {column.type.name for column in left} == {TYPES[1].name, TYPES[2].name}


def test_of_equal_prices_spot_comes_before_on_demand_and_reserved_before_both() -> None:
    """Karpenter's rule 9.15, in the plan and in the request alike."""
    kind = offered(("on-demand", 0.1), ("spot", 0.1))
    (launch,) = pack(question(pod(), instance_types={CLASS: (kind,)})).launches
    assert launch.capacity_type == "spot"
    wanted = (Requirement(names.INSTANCE_TYPE, "In", (str(kind.name),)),)
    assert overrides(wanted, node_class(), (kind,), (), NOW).capacity_type == "spot"
    with_reserved = offered(("on-demand", 0.1), ("spot", 0.1), ("reserved", 0.1))
    assert Shelf.of((with_reserved,)).columns[0].offering.capacity_type == "reserved"


def test_a_cheaper_on_demand_offering_comes_before_spot() -> None:
    kind = offered(("on-demand", 0.1), ("spot", 0.11))
    assert Shelf.of((kind,)).columns[0].offering.capacity_type == "on-demand"


def test_the_cheapest_column_of_several_pools_is_found_whichever_comes_first() -> None:
    dear, cheap = Shelf.of((instance_type("m5.large", 2, 8, 0.2),)), Shelf.of((instance_type("t3.large", 2, 8, 0.1),))
    for shelves in ((dear, cheap), (cheap, dear)):
        own = build([template(pool(f"p{n}"), shelf) for n, shelf in enumerate(shelves)], (), (), ())
        found = own.cheapest(own.every)
        assert own.columns[found].price == 100_000_000
        assert own.templates[own.owner(found)].shelf is cheap


def test_types_whose_daemonsets_do_not_fit_are_never_bought() -> None:
    """Karpenter's rule 9.2, and what is left of the others is less by what the DaemonSets ask."""
    daemon = pod("log", requests=Resources(100, 5 << 30, 1))
    own = build([template(pool(), Shelf.of(TYPES))], (), (daemon,), ())
    assert {own.columns[i].type.name for i in bits(own.every)} == {"t3.large", "t3.xlarge"}
    first = next(bits(own.every))
    assert own.net(first)[0] == 1900
    assert not own.fits((1901, 0, 0, 0)) & 1 << first
    assert own.fits((1900, 0, 0, 0)) & 1 << first


def test_columns_that_others_exceed_for_no_more_money_are_not_efficient() -> None:
    kinds = (instance_type("a", 4, 8, 0.1), instance_type("b", 2, 4, 0.12), instance_type("c", 2, 16, 0.2))
    own = build([template(pool(), Shelf.of(kinds))], (), (), ())
    assert [own.columns[i].type.name for i in own.efficient(own.every, (0, 1))] == ["a", "c"]
    assert [own.columns[i].type.name for i in own.efficient(own.every, (0,))] == ["a"]
    assert {own.columns[i].type.name for i in own.maximal(own.every, (0, 1))} == {"a", "c"}
    assert {own.columns[i].type.name for i in own.maximal(own.every, (1,))} == {"c"}
