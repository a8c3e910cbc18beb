"""Kubernetes quantities as integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.quantity import (
    QuantityError,
    format_amount,
    format_cpu,
    format_resources,
    parse_amount,
    parse_cpu_milli,
    parse_resources,
)
from agent.model.resources import Resources

MAX = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "milli", "amount"),
    [
        ("1", 1000, 1),
        ("500m", 500, 1),
        ("1.5", 1500, 2),
        (".5", 500, 1),
        ("1.", 1000, 1),
        ("+2", 2000, 2),
        ("-1", -1000, -1),
        ("0", 0, 0),
        ("1n", 1, 1),
        ("100u", 1, 1),
        ("1k", 1_000_000, 1000),
        ("1Ki", 1_024_000, 1024),
        ("4Gi", 4_294_967_296_000, 4 << 30),
        ("1.0000001Gi", 1_073_741_931_375, 1_073_741_932),
        ("1e3", 1_000_000, 1000),
        ("1E3", 1_000_000, 1000),
        ("1e-3", 1, 1),
        ("12e+1", 120_000, 120),
    ],
)
def test_a_quantity_is_read_as_kubernetes_does_and_rounded_away_from_zero(text: str, milli: int, amount: int) -> None:
    assert (parse_cpu_milli(text), parse_amount(text)) == (milli, amount)


def test_e_alone_is_the_suffix_exa_and_with_digits_an_exponent() -> None:
    assert parse_amount("1E") == 10**18
    assert parse_amount("1E1") == 10


@pytest.mark.parametrize("text", ["1e999999", "9e19", "9999999999999999999999", "8Ei"])
def test_what_exceeds_an_int64_is_capped_as_in_kubernetes(text: str) -> None:
    assert parse_amount(text) == MAX


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 Gi",
        "1Gi ",
        "Gi",
        "e",
        "1e",
        "1EE3",
        "1K",
        "1ki",
        "1mm",
        "1Ei3",
        "1me3",
        "0x10",
        "1_000",
        "१",
        "1\n",
        "--1",
        "9" * 200,
    ],
)
def test_everything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(QuantityError, match="expected a number such as"):
        parse_amount(text)


def test_a_resource_list_is_read_in_the_units_of_the_engine_and_numbers_as_yaml_leaves_them() -> None:
    found = parse_resources({"cpu": 0.5, "memory": "1Gi", "pods": 10, "nvidia.com/gpu": "2", "hugepages-2Mi": "4Mi"})
    assert found == Resources(500, 1 << 30, 10, 0, (("hugepages-2Mi", 4 << 20), ("nvidia.com/gpu", 2)))


@pytest.mark.parametrize("amount", ["lots", True, float("nan"), float("inf")])
def test_a_fault_in_a_resource_list_names_the_resource(amount: str | bool | float) -> None:
    with pytest.raises(QuantityError, match=r"^memory: "):
        parse_resources({"cpu": "1", "memory": amount})


def test_amounts_are_written_as_people_write_them() -> None:
    resources = Resources(1500, 3 << 30, 3, 0, (("nvidia.com/gpu", 1),))
    assert format_resources(resources) == {"cpu": "1500m", "memory": "3Gi", "pods": "3", "nvidia.com/gpu": "1"}
    assert format_amount("memory", 1000) == "1000"
    assert format_amount("nodes", 5) == "5"
    assert format_cpu(2000) == "2"


@given(st.integers(0, 2**62))
def test_what_is_written_is_read_back_exactly(amount: int) -> None:
    assert parse_amount(format_amount("memory", amount)) == amount
    assert parse_amount(format_amount("nvidia.com/gpu", amount)) == amount
    milli = amount % 10**15
    assert parse_cpu_milli(format_cpu(milli)) == milli


@given(st.text(max_size=20))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        parse_amount(text)
    except QuantityError:
        return
    assert text.isascii()


@given(st.integers(0, 10**6), st.sampled_from(["Ki", "Mi", "k", "M", ""]), st.integers(0, 10**6))
def test_a_larger_number_of_the_same_unit_is_never_smaller(one: int, suffix: str, more: int) -> None:
    assert parse_amount(f"{one}{suffix}") <= parse_amount(f"{one + more}{suffix}")
