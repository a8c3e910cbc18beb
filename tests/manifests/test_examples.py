from pathlib import Path

import pytest

from agent import settings
from agent.manifests import check_documents, load_documents

EXAMPLES = Path(__file__).parents[2] / "examples"
FAULTY = {"broken-nodepool.yaml", "side-project-as-posted.yaml"}
MANIFESTS = sorted(p.name for p in EXAMPLES.glob("*.yaml") if p.name != "agent.yaml")


def faults_of(name: str) -> list[str]:
    found = load_documents((EXAMPLES / name).read_text("utf-8"), name)
    return [str(f) for f in (*found.faults, *check_documents(found.documents).faults)]


@pytest.mark.parametrize("name", [n for n in MANIFESTS if n not in FAULTY])
def test_a_sound_example_has_no_fault(name: str) -> None:
    assert faults_of(name) == []


def test_the_broken_pool_is_answered_with_its_five_faults_at_once() -> None:
    assert faults_of("broken-nodepool.yaml") == [
        "broken-nodepool.yaml: NodePool/broken: spec.disruption.budgets[0]: schedule and duration go together",
        "broken-nodepool.yaml: NodePool/broken: spec.limit: unknown field (did you mean spec.limits?)",
        'broken-nodepool.yaml: NodePool/broken: spec.template.spec.expireAfter: "30 days" is not a duration',
        'broken-nodepool.yaml: NodePool/broken: spec.template.spec.requirements[0].operator: unknown operator "Within"',
        "broken-nodepool.yaml: NodePool/broken: spec.weight: must be 1..100",
    ]


def test_each_fault_of_the_broken_pool_stands_in_its_own_comment() -> None:
    comment = [
        line[4:] for line in (EXAMPLES / "broken-nodepool.yaml").read_text("utf-8").splitlines() if line[:4] == "#   "
    ]
    assert sorted(comment) == sorted(
        line.partition("NodePool/broken: ")[2] for line in faults_of("broken-nodepool.yaml")
    )


def test_a_misspelt_limit_is_a_fault_and_an_empty_weight_is_none() -> None:
    assert faults_of("side-project-as-posted.yaml") == [
        "side-project-as-posted.yaml: NodePool/side-project: spec.limit: unknown field (did you mean spec.limits?)"
    ]


def test_the_example_settings_load_and_are_the_defaults() -> None:
    loaded = settings.load(str(EXAMPLES / "agent.yaml"))
    assert loaded == settings.Settings.model_validate({"clusterName": "my-cluster", "region": "ap-northeast-2"})
