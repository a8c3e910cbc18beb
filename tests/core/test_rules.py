"""The list of Karpenter's rules is whole, and whatever it names exists."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.core.rules import RULES, SECTIONS, Rule, Verdict

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"test_(?:unlike_)?rule_(\d+)_(\d+)_")


@cache
def written() -> Counter[str]:
    """How often each name of a test stands in the tests."""
    trees = (ast.parse(path.read_bytes()) for path in sorted((ROOT / "tests").rglob("test_*.py")))
    functions = (n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    return Counter(f.name for f in functions if f.name.startswith("test_"))


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
    assert [name for name in rule.tests if not written()[name]] == []
    assert bool(shown(rule)) is (rule.verdict in {Verdict.KEPT, Verdict.DIFFERENT})


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
