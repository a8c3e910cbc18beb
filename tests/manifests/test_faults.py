import json

import pytest

from agent.manifests import check_documents, load_documents
from tests.manifests.cases import CASES, CLAIM, CLASS, POOL, Case


def lines(obj: object) -> list[str]:
    found = load_documents(json.dumps(obj), "f")
    assert not found.faults
    return [fault.sentence for fault in check_documents(found.documents).faults]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_fault_is_answered_with_one_line(case: Case) -> None:
    assert lines(case.obj) == [case.line]


@pytest.mark.parametrize("obj", [POOL, CLASS, CLAIM], ids=lambda obj: obj["kind"])
def test_the_manifests_that_the_cases_are_made_from_have_no_fault(obj: object) -> None:
    assert lines(obj) == []
