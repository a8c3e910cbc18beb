"""Prices: exact where AWS answers, marked where they are borrowed, and never zero."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aws import errors
from agent.aws.prices import Prices, nano_dollars
from agent.aws.session import pricing_region
from agent.aws.shipped import price_table
from agent.model.names import InstanceTypeName, Zone
from tests.sim.server import REGION, ZONE_A, ZONE_C, World

MEDIUM = InstanceTypeName("t3.medium")
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "0", "0.0000000000", "-1", "NaN", "Infinity", "-Infinity", "free", "1e30", "1e-30"]
)
def test_what_is_no_believable_price_is_refused(text: str) -> None:
    assert nano_dollars(text) is None


@given(st.integers(1, 10**13))
def test_a_price_survives_its_text_exactly(nano: int) -> None:
    assert nano_dollars(f"{nano // 10**9}.{nano % 10**9:09d}") == nano


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    price = nano_dollars(text)
    assert price is None or (price > 0 and math.isfinite(price))


def test_a_region_without_shipped_prices_borrows_them_and_says_so() -> None:
    home, borrowed = price_table("us-east-1"), price_table(REGION)
    assert home.exact
    assert not borrowed.exact
    assert "us-east-1 stand in for ap-northeast-2" in borrowed.source
    assert borrowed.price(MEDIUM, Zone(ZONE_A), "on-demand") == home.on_demand[MEDIUM]
    assert borrowed.price(InstanceTypeName("zz.large"), Zone(ZONE_A), "on-demand") is None


def test_on_demand_prices_of_the_region_replace_the_borrowed_ones(world: World) -> None:
    prices = Prices(world.session, lambda: NOW)
    table = prices.refresh_on_demand()
    assert (table.exact, table.date, table.on_demand_at) == (True, "2026-11-25", NOW)
    assert table.on_demand[MEDIUM] == 52_000_000
    assert prices.table() is table
    assert {c["json"]["Filters"][0]["Value"] for c in world.server.calls("GetProducts")} == {REGION}


def test_spot_costs_on_demand_until_the_first_answer_and_then_what_its_zone_costs(world: World) -> None:
    prices = Prices(world.session, lambda: NOW)
    before = prices.table()
    assert before.price(MEDIUM, Zone(ZONE_A), "spot") == before.on_demand[MEDIUM]
    table = prices.refresh_spot()
    a, c = (table.price(MEDIUM, Zone(z), "spot") for z in (ZONE_A, ZONE_C))
    assert a is not None
    assert c is not None
    assert 0 < a < c < 52_000_000
    assert table.spot_at == NOW
    assert table.price(MEDIUM, Zone("ap-northeast-2x"), "spot") is None


def test_what_was_learnt_is_kept_when_the_next_answer_fails(world: World) -> None:
    prices = Prices(world.session, lambda: NOW)
    learnt = (prices.refresh_on_demand(), prices.refresh_spot())[1]
    world.server.fault("GetProducts", code="AccessDeniedException", status=400, times=-1)
    world.server.fault("DescribeSpotPriceHistory", code="InternalError", status=500, times=-1)
    with pytest.raises(errors.Denied, match="pricing:GetProducts"):
        prices.refresh_on_demand()
    with pytest.raises(errors.Retryable):
        prices.refresh_spot()
    assert prices.table() is learnt


def test_answers_without_a_usable_price_change_nothing(world: World) -> None:
    prices = Prices(world.session)
    before = prices.table()
    world.server.ask("/_prices", {"on_demand": {"*": "0.0000000000"}, "spot": {"*": "NaN"}})
    with pytest.raises(errors.Retryable, match="last known prices stay in use"):
        prices.refresh_on_demand()
    with pytest.raises(errors.Retryable, match="last known prices stay in use"):
        prices.refresh_spot()
    assert prices.table() is before


def test_one_bad_price_leaves_the_last_known_one(world: World) -> None:
    prices = Prices(world.session)
    good = prices.refresh_on_demand().on_demand[MEDIUM]
    world.server.ask("/_prices", {"on_demand": {"t3.medium": "0.0000000000", "t3.large": "0.5"}})
    table = prices.refresh_on_demand()
    assert table.on_demand[MEDIUM] == good
    assert table.on_demand[InstanceTypeName("t3.large")] == 500_000_000


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("us-west-2", "us-east-1"),
        ("ap-northeast-2", "ap-south-1"),
        ("eu-west-1", "eu-central-1"),
        ("cn-north-1", "cn-northwest-1"),
    ],
)
def test_the_pricing_api_is_asked_where_it_exists(region: str, endpoint: str) -> None:
    assert pricing_region(region) == endpoint
