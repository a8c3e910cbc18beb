"""The algebra of label requirements."""

import pytest
from hypothesis import example, given

from agent.core.nodeaffinity import alternatives, widest
from agent.core.requirements import (
    ABSENT,
    ANYTHING,
    Requirements,
    ValueSet,
    normalized_labels,
    value_set,
)
from agent.model import names
from agent.model.constraints import Operator, Requirement
from agent.model.labels import DECIDED
from tests.build import pod
from tests.strategies import WORDS, requirements, value_sets

VALUES = (None, *WORDS, "zz", "0", "4", "100", "-1")


def of(operator: Operator, *values: str, key: str = "k") -> Requirements:
    return Requirements.of([Requirement(key, operator, values)])


@given(value_sets(), value_sets())
def test_intersection_is_commutative(a: ValueSet, b: ValueSet) -> None:
    assert a & b == b & a


@given(value_sets(), value_sets(), value_sets())
def test_intersection_is_associative(a: ValueSet, b: ValueSet, c: ValueSet) -> None:
    assert (a & b) & c == a & (b & c)


@given(value_sets())
def test_intersection_is_idempotent_and_anything_changes_nothing(a: ValueSet) -> None:
    assert a & a == a
    assert a & ANYTHING == a


@given(value_sets(), value_sets())
def test_a_value_is_in_the_intersection_exactly_when_it_is_in_both(a: ValueSet, b: ValueSet) -> None:
    assert [v for v in VALUES if (a & b).allows(v)] == [v for v in VALUES if a.allows(v) and b.allows(v)]


@given(value_sets(), value_sets())
@example(ValueSet(complement=True, at_least=6), ValueSet(complement=True, at_most=4))
def test_intersects_says_whether_the_intersection_is_empty(a: ValueSet, b: ValueSet) -> None:
    assert a.intersects(b) == (not (a & b).is_empty)


@given(value_sets())
def test_an_empty_set_allows_nothing(a: ValueSet) -> None:
    assert not a.is_empty or not any(map(a.allows, VALUES))


@given(value_sets(), value_sets())
def test_what_a_subset_allows_the_other_allows(a: ValueSet, b: ValueSet) -> None:
    assert not a <= b or all(b.allows(v) for v in VALUES if a.allows(v))


@given(value_sets(), value_sets())
def test_an_intersection_is_a_subset_of_both(a: ValueSet, b: ValueSet) -> None:
    assert a & b <= a
    assert a & b <= b


@given(value_sets())
def test_what_is_written_reads_back_as_the_same_set(a: ValueSet) -> None:
    assert Requirements.of(a.requirements("k")) == Requirements({"k": a})


@given(value_sets())
def test_an_example_is_a_value_that_the_set_allows(a: ValueSet) -> None:
    value = a.example()
    if value is not None:
        assert a.allows(value)
    elif not a.absent and not a.is_empty:
        assert a.complement
        assert a.at_most is not None


@given(requirements())
def test_min_values_survive_and_the_larger_wins(entry: Requirement) -> None:
    both = value_set(entry) & ValueSet(complement=True, absent=True, min_values=2)
    assert both.min_values == max(entry.min_values or 0, 2)


@pytest.mark.parametrize(
    ("operator", "values", "allowed", "refused"),
    [
        ("In", ("a",), ["a"], ["b", None]),
        ("NotIn", ("a",), ["b", None], ["a"]),
        ("Exists", (), ["a"], [None]),
        ("DoesNotExist", (), [None], ["a"]),
        ("Gt", ("3",), ["4", "05"], ["3", "x", None]),
        ("Gte", ("3",), ["3"], ["2", "x", None]),
        ("Lt", ("3",), ["2"], ["3", "x", None]),
        ("Lte", ("3",), ["3"], ["4", "", None]),
        ("Gt", ("-1",), ["0", "4"], ["x", None]),
        ("Lt", ("0",), [], ["0", "-1", None]),
        ("Gt", ("many",), [], ["4", None]),
        ("Gt", (), [], ["4", None]),
    ],
)
def test_operators_mean_what_kubernetes_says(
    operator: Operator, values: tuple[str, ...], allowed: list[str | None], refused: list[str | None]
) -> None:
    found = value_set(Requirement("k", operator, values))
    assert [v for v in allowed if not found.allows(v)] == []
    assert [v for v in refused if found.allows(v)] == []


def test_bounds_that_cross_leave_nothing() -> None:
    assert (of("Gt", "5") & of("Lt", "5")).conflict == "k"
    assert (of("Gt", "5") & of("Lt", "7")).conflict is None


def test_not_in_keeps_its_exclusions_beside_bounds_when_written() -> None:
    written = (of("Gte", "2") & of("NotIn", "3")).written()
    assert [(r.operator, r.values) for r in written] == [("Gte", ("2",)), ("NotIn", ("3",))]


def test_beta_names_and_the_volume_drivers_zone_mean_the_stable_labels() -> None:
    asked = Requirements.from_labels(
        {
            "failure-domain.beta.kubernetes.io/zone": "z",
            "beta.kubernetes.io/arch": "arm64",
            "beta.kubernetes.io/os": "linux",
        }
    )
    assert set(asked.by_key) == {names.ZONE, names.ARCH, names.OS}
    assert of("In", "z", key="topology.ebs.csi.aws.com/zone") == of("In", "z", key=names.ZONE)
    assert normalized_labels({"beta.kubernetes.io/os": "x", names.OS: "linux"}) == {names.OS: "linux"}


def test_a_key_that_a_node_does_not_define_is_missing_there_unless_the_instance_decides_it() -> None:
    node = of("In", "a", key="team")
    assert node.incompatible(of("In", "a", key="team")) is None
    assert node.incompatible(of("In", "b", key="team")) == "team"
    assert node.incompatible(of("Exists", key="other")) == "other"
    assert node.incompatible(of("NotIn", "x", key="other")) is None
    assert node.incompatible(of("DoesNotExist", key="other")) is None
    assert node.incompatible(of("In", "z", key=names.ZONE)) == names.ZONE
    assert node.incompatible(of("In", "z", key=names.ZONE), DECIDED) is None
    assert of("NotIn", "a").incompatible(of("DoesNotExist")) is None


def test_a_selector_holds_with_every_term_and_terms_are_alternatives() -> None:
    terms = ((Requirement("k", "In", ("a",)),), (Requirement("k", "In", ("b",)),), ())
    found = alternatives(pod(node_selector={"s": "1"}, affinity_terms=terms))
    assert [a.written() for a in found] == [
        (Requirement("k", "In", ("a",)), Requirement("s", "In", ("1",))),
        (Requirement("k", "In", ("b",)), Requirement("s", "In", ("1",))),
    ]
    assert alternatives(pod(node_selector={"k": "c"}, affinity_terms=terms)) == ()
    assert alternatives(pod()) == (Requirements(),)


def test_an_alternative_that_another_one_covers_says_nothing() -> None:
    narrow, wide, other = (
        Requirements.of(entries)
        for entries in (
            (Requirement("zone", "In", ("a",)), Requirement("size", "Lt", ("6",))),
            (Requirement("zone", "In", ("a", "b")),),
            (Requirement("zone", "In", ("c",)), Requirement("size", "Lt", ("6",))),
        )
    )
    assert widest((narrow, wide, other)) == widest((wide, narrow, other)) == (wide, other)
    assert widest((narrow, narrow)) == (narrow,)


def test_labels_admit_or_not() -> None:
    asked = of("NotIn", "a", key="team") & of("Gt", "2", key="size")
    assert asked.admits({"size": "3"})
    assert not asked.admits({"size": "3", "team": "a"})
    assert not asked.admits({})


def test_absence_is_a_value_of_its_own() -> None:
    assert not (ABSENT & value_set(Requirement("k", "NotIn", ("a",)))).is_empty
    assert (ABSENT & value_set(Requirement("k", "Exists"))).is_empty
