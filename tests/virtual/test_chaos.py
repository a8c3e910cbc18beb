"""Random histories come right, and a seed is one history."""

from __future__ import annotations

import pytest

from tests.virtual.chaos import live


@pytest.mark.parametrize("seed", range(1, 7))
def test_whatever_goes_wrong_no_invariant_is_violated(seed: int) -> None:
    lived = live(seed)
    assert [str(v) for v in lived.violations] == [], f"replay it with: python -m tests.virtual {seed}"


def test_a_seed_is_replayed_exactly() -> None:
    first, again = live(3, 900.0), live(3, 900.0)
    assert (first.digest, first.told) == (again.digest, again.told)
