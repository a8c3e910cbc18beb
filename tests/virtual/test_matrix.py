"""Whatever the daemon does to the world, it may die before, during and after it, and the world comes out the same."""

from __future__ import annotations

from functools import cache

import pytest

from agent.daemon.act import EFFECTS
from agent.join.rotation import STEPS
from tests.virtual.matrix import MOMENTS, Blow, Outcome, difference, play

CASES = {
    "grown_and_shrunk": (
        "create_claim ensure_template write_intent create_fleet label_claim record_launch decide_certificate sync_node "
        "lift_unregistered_taint set_condition write_pod_event label_initialized taint_disrupted delete_claim "
        "date_deadline exclude_from_load_balancers terminate_instance release_node delete_node release_claim "
        "write_pool_status stamp_pool_hash write_overlay_status write_class_status stamp_class_hash"
    ),
    "drained": "evict_pod",
    "overdue": "delete_pod",
    "marked": "lift_disrupted_taint",
    "protected": "protect_pool",
    "rewritten": "delete_template",
    "rotated": "publish-facts create-secret publish-token retire-secret revoke-secret",
}
"""Scenario to the effects and steps that are disturbed in it."""
SCENARIO_OF = {effect: scenario for scenario, effects in CASES.items() for effect in effects.split()}


@cache
def usual(scenario: str) -> Outcome:
    return play(scenario)


@pytest.mark.parametrize("scenario", [*CASES, "forgotten"])
def test_undisturbed_every_scenario_comes_to_rest_without_a_violation(scenario: str) -> None:
    assert usual(scenario).faults == ()


def test_every_effect_and_every_step_of_a_rotation_has_a_crash_case() -> None:
    """A new effect needs a case: a scenario in which it is carried out."""
    assert set(SCENARIO_OF) == {*EFFECTS, *STEPS}


@pytest.mark.parametrize("effect", sorted({*EFFECTS, *STEPS}))
def test_a_crash_at_an_effect_changes_nothing_in_the_end(effect: str) -> None:
    scenario = SCENARIO_OF[effect]
    expected = usual(scenario)
    times = range(1, expected.effects[effect] + 1)
    for moment in MOMENTS:
        # An effect may find nothing to write at its first time; then a later one is disturbed.
        outcomes = (play(scenario, Blow(effect, number, moment)) for number in times)
        outcome = next((o for o in outcomes if o.struck), None)
        assert outcome is not None, f"{effect} was never disturbed {moment}"
        assert outcome.faults == (), f"{effect} {moment}"
        assert difference(expected, outcome) == "", f"{effect} {moment}"
