"""The checker is worth something: every bug that is planted is found, and found by its name."""

from __future__ import annotations

import pytest

from tests.virtual.chaos import live
from tests.virtual.plants import PLANTS

SEEDS = 100


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found_within_a_hundred_seeds(name: str) -> None:
    plant = PLANTS[name]
    for seed in range(1, SEEDS + 1):
        found = {v.invariant for v in live(seed, 1200.0, plant.lay).violations}
        if plant.breaks in found:
            return
    pytest.fail(f"{name} breaks {plant.breaks}, which nobody noticed in {SEEDS} histories")
