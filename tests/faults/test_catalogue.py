"""The list of faults is whole, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS, GROUPS, Fault

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"
ESSENTIAL = "ABCF"


@cache
def defined(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_there_are_ninety_each_once() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 91))
    sizes = Counter(fault.group for fault in FAULTS)
    assert sizes == {"A": 30, "B": 18, "C": 19, "D": 10, "E": 7, "F": 6}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.number))
def test_a_fault_has_tests_that_exist_or_says_why_not(fault: Fault) -> None:
    assert sum(map(bool, (fault.tests, fault.waits_for, fault.not_here))) == 1
    for named in fault.tests:
        file, _, test = named.partition("::")
        assert test in defined(file), named


def test_nearly_all_that_a_buyer_of_nodes_must_withstand_is_shown() -> None:
    assert sum(1 for f in FAULTS if f.group in ESSENTIAL and f.tests) >= 60


def test_the_documentation_counts_them_as_they_are() -> None:
    page = PAGE.read_text()
    for group, title in GROUPS.items():
        mine = [f for f in FAULTS if f.group == group]
        row = (len(mine), sum(bool(f.tests) for f in mine), sum(bool(f.waits_for) for f in mine))
        assert re.search(rf"^\| {title} \| {row[0]} \| {row[1]} \| {row[2]} \|", page, re.MULTILINE), (title, row)
