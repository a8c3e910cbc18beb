"""The list of Karpenter's rules is whole, and whatever it names exists."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.core.rules import RULES, SECTIONS, Rule, Verdict
from tests.mutation.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"test_(?:unlike_)?rule_(\d+)_(\d+)_")


@cache
def written() -> dict[str, tuple[str, ...]]:
    """Of each name of a test the files that have such a test, from the root."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        functions = (node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.FunctionDef))
        for function in functions:
            if function.name.startswith("test_"):
                found[function.name].append(str(path.relative_to(ROOT)))
    return {name: tuple(files) for name, files in found.items()}


def places(name: str) -> list[str]:
    """What pytest calls the tests of this name."""
    return [f"{file}::{name}" for file in written()[name]]


def numbered(name: str) -> str | None:
    found = NAMED.match(name)
    return f"{found[1]}.{found[2]}" if found else None


def shown(rule: Rule) -> set[str]:
    """The tests that show a rule: those that it names, and those that are named after it."""
    return {name for name in written() if numbered(name) == rule.number} | set(rule.tests)


def test_every_rule_is_listed_once_and_in_order() -> None:
    wanted = [f"{section}.{n}" for section, count in SECTIONS.items() for n in range(1, count + 1)]
    assert [rule.number for rule in RULES] == wanted


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.number)
def test_what_a_rule_names_is_there_and_a_rule_that_holds_or_is_changed_has_tests(rule: Rule) -> None:
    assert [name for name in rule.tests if name not in written()] == []
    assert bool(shown(rule)) is (rule.verdict in {Verdict.KEPT, Verdict.DIFFERENT})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.number)
def test_the_program_without_the_rule_is_at_hand_for_those_who_ask_whether_its_tests_bite(rule: Rule) -> None:
    mutants = MUTANTS.get(rule.number, ())
    assert bool(mutants) is (rule.verdict in {Verdict.KEPT, Verdict.DIFFERENT})
    for mutant in mutants:
        assert all(edit.old != edit.new for edit in (mutant, *mutant.also))
        for file, source in mutant.sources().items():
            compile(source, file, "exec")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.number)
def test_what_is_different_or_not_there_yet_stands_in_the_documentation(rule: Rule) -> None:
    page = (ROOT / "docs/differences.md").read_text()
    later = page[page.index("## Not yet") : page.index("## Other habits")]
    match rule.verdict:
        case Verdict.DIFFERENT:
            assert rule.where
            assert rule.where in page.replace(later, "")
        case Verdict.LATER:
            assert rule.where
            assert rule.where in later
        case _:
            assert not rule.where


def test_a_test_named_after_a_rule_is_of_a_rule_that_there_is() -> None:
    after = {number for name in written() if (number := numbered(name)) is not None}
    sections = {number for number in after if int(number.partition(".")[0]) in SECTIONS}
    assert sections - {rule.number for rule in RULES} == set()
