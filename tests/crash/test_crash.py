"""The real daemon is killed at each of its effects, and started again: the world comes out as if nothing had happened.

before: killed before the write is sent. cut: the write is carried out, and the process is killed before the answer.
lost: carried out, the answer is lost, the process lives. after: killed when it has seen the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.daemon.act import EFFECTS
from agent.join.rotation import STEPS
from tests.crash.scenarios import SCENARIOS
from tests.crash.stage import SharedEc2, Stage, strike

CASES = {
    "grown_and_shrunk": (
        "create_claim ensure_template write_intent create_fleet label_claim record_launch decide_certificate sync_node "
        "lift_unregistered_taint set_condition write_pod_event label_initialized taint_disrupted delete_claim "
        "date_deadline exclude_from_load_balancers terminate_instance release_node delete_node release_claim "
        "write_pool_status stamp_pool_hash write_overlay_status write_class_status stamp_class_hash "
        "publish-facts create-secret publish-token"
    ),
    "drained": "evict_pod",
    "overdue": "delete_pod",
    "marked": "lift_disrupted_taint",
    "protected": "protect_pool",
    "rewritten": "delete_template",
}
"""Scenario to the effects and steps that are disturbed in it."""
SCENARIO_OF = {effect: scenario for scenario, effects in CASES.items() for effect in effects.split()}
BY_COMMAND = {"retire-secret", "revoke-secret"}
"""Steps of a rotation that only the second one has: the command's cases have them."""
MOMENTS = ("before", "cut", "lost", "after")


def test_every_effect_and_every_step_of_a_rotation_has_a_case() -> None:
    """A new effect needs a scenario in which it is carried out."""
    assert set(SCENARIO_OF) | BY_COMMAND == {*EFFECTS, *STEPS}


@pytest.mark.parametrize("name", SCENARIOS)
def test_undisturbed_a_scenario_ends_as_it_should(name: str, ec2: SharedEc2, tmp_path: Path) -> None:
    with Stage(tmp_path, ec2) as stage:
        assert played(stage, name, "", "") == []
        assert stage.deaths == 0


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("effect", SCENARIO_OF)
def test_killed_at_an_effect_the_end_is_the_same(
    effect: str,
    moment: str,
    ec2: SharedEc2,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("case", (effect, moment))
    with Stage(tmp_path, ec2) as stage:
        faults = played(stage, SCENARIO_OF[effect], effect, moment)
        record_property("counts", dict(stage.counts()))
        struck = stage.deaths == 1 if moment != "lost" else stage.witness.struck
    assert struck, "the disturbance did not happen"
    assert faults == []


def played(stage: Stage, name: str, effect: str, moment: str) -> list[str]:
    """Play a scenario to its end; what was not as it must be."""
    told = SCENARIOS[name]
    told.before(stage)
    strike(stage, effect, moment)
    told.play(stage)
    stage.silence()
    fleet = Counter(i.type for i in stage.ours())
    ends = [] if fleet == told.end else [f"the end has {dict(fleet)} instead of {dict(told.end)}"]
    return [*stage.faults(), *ends]
