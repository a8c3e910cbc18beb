"""The windows that a budget's schedule makes, as they really are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.budgets import window_open, windows
from agent.model.kubernetes import Budget

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
"""A Wednesday."""
HOUR = 3600


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def test_a_schedule_without_overlap_has_a_window_for_each_hit() -> None:
    found = windows(Budget("0", "0 9 * * mon-fri", 8 * HOUR), NOON)
    assert found is not None
    assert [(w.starts, w.ends, w.hits) for w in found] == [
        (at(25, 9), at(25, 17), 1),
        (at(26, 9), at(26, 17), 1),
        (at(27, 9), at(27, 17), 1),
    ]


def test_a_schedule_that_hits_every_working_hour_for_eight_hours_blocks_until_one_at_night() -> None:
    found = windows(Budget("0", "0 9-17 * * mon-fri", 8 * HOUR), NOON)
    assert found is not None
    assert (found[0].starts, found[0].ends, found[0].hits) == (at(25, 9), at(26, 1), 9)


def test_windows_are_those_of_the_pools_time_zone() -> None:
    found = windows(Budget("0", "0 9 * * *", HOUR), NOON, "Asia/Seoul")
    assert found is not None
    assert (found[0].starts, found[0].ends) == (at(26, 0), at(26, 1))


def test_a_window_that_is_closed_is_not_told() -> None:
    found = windows(Budget("0", "0 9 * * *", HOUR), NOON)
    assert found is not None
    assert found[0].starts == at(26, 9)


@pytest.mark.parametrize(("schedule", "seconds"), [("* * * * *", 120), ("@daily", 24 * HOUR)])
def test_a_schedule_that_never_lets_its_window_close_has_one_without_end(schedule: str, seconds: int) -> None:
    found = windows(Budget("0", schedule, seconds), NOON)
    assert found is not None
    assert [(w.starts, w.ends) for w in found] == [(None, None)]


def test_a_budget_without_a_schedule_has_no_windows_and_one_that_cannot_be_read_has_none() -> None:
    assert windows(Budget("0"), NOON) == ()
    assert windows(Budget("0", "0 9 * *", HOUR), NOON) is None
    assert windows(Budget("0", "0 9 * * *", HOUR), NOON, "Nowhere/City") is None


@settings(deadline=None)
@given(
    st.sampled_from(("0 9-17 * * mon-fri", "30 */5 * * *", "0 0 * * sat,sun", "15 3 1,25 * *")),
    st.integers(1, 30),
    st.integers(0, 14 * 24 * 60),
)
def test_the_first_window_is_open_exactly_when_the_budget_is(schedule: str, hours: int, minutes: int) -> None:
    budget, now = Budget("0", schedule, hours * HOUR), NOON + timedelta(minutes=minutes)
    found = windows(budget, now)
    assert found
    first = found[0]
    assert window_open(budget, now) is (first.starts is None or first.starts <= now)
    if first.ends is not None:
        assert window_open(budget, first.ends - timedelta(seconds=1)) is True
        assert window_open(budget, first.ends) is (len(found) > 1 and found[1].starts == first.ends)
