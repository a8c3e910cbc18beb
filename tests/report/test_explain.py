"""Explanations in words, of what manifests are not let through with but a cluster may hold."""

from agent.core.decide import decide
from agent.core.explaining import explain_pool
from agent.model import names
from agent.model.kubernetes import Budget, NodePool
from agent.report.explain import pool_json, pool_text
from tests.build import meta, pool, snapshot


def told(own: NodePool) -> str:
    world = snapshot(pools=(own,))
    found = explain_pool(world, decide(world), own.name)
    assert found is not None
    assert pool_json(found)
    return pool_text(found)


def test_a_time_zone_that_is_none_closes_the_pool_and_is_told() -> None:
    lost = meta("workers", annotations={names.TIME_ZONE: "Nowhere/City"})
    said = told(pool(meta=lost, budgets=(Budget("0", "0 9 * * *", 3600),)))
    assert "  0: nodes: 0: the schedule 0 9 * * * or the time zone Nowhere/City cannot be read: nothing may go" in said
    assert "Empty: 0 (budget 0 of NodePool workers has a schedule that cannot be read" in said


def test_a_budget_that_never_closes_is_told_so() -> None:
    said = told(pool(budgets=(Budget("0", "*/5 * * * *", 3600 + 1800, ("Empty", "Drifted")),)))
    assert "  0: nodes: 0 for Empty, Drifted, */5 * * * * for 1h30m: open now" in said
    assert "     long ago to no end" in said
    assert "warning: the schedule hits again before 1h30m are over, so this budget never closes" in said


def test_a_pool_without_budgets_lets_any_number_go() -> None:
    assert "Empty: any number (no budget of NodePool workers limits it)" in told(pool(budgets=()))


def test_faults_and_notes_of_a_pool_are_told() -> None:
    said = told(pool(faults=("spec.weight: must be 1..100",), notes=("spec.x: means nothing here",)))
    assert "  fault: spec.weight: must be 1..100" in said
    assert "  note: spec.x: means nothing here" in said
    assert "  x workers: NodePool workers has faults: spec.weight: must be 1..100" in said
