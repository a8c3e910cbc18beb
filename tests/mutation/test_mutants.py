"""Each rule is taken out of the program, and each of its tests must fail without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache

import pytest

from tests.core.rules import RULES, Rule, Verdict
from tests.core.test_rules import places, shown
from tests.mutation import ROOT
from tests.mutation.mutants import MUTANTS

BITING = ("AssertionError", "PlanInvalid", "Failed", "FlakyFailure", "ExceptionGroup")
"""How a test says no: itself, or by the verifier of every plan. Anything else is a mutant that does not run."""
SECONDS = 900
"""For all mutants of a rule, on a machine that does other things too."""
SHOWN = tuple(rule for rule in RULES if rule.verdict in {Verdict.KEPT, Verdict.DIFFERENT})


@cache
def failed(rule: str, number: int) -> frozenset[str]:
    """The tests of a rule that fail on one of its mutants."""
    tests = [place for name in sorted(shown(next(r for r in RULES if r.number == rule))) for place in places(name)]
    command = [sys.executable, "-m", "tests.mutation.child", rule, str(number), *tests]
    # Examples that fail here are not to be tried first in other runs.
    environment = os.environ | {"HYPOTHESIS_STORAGE_DIRECTORY": tempfile.mkdtemp()}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    strange = {name: kinds for name, kinds in answer["failed"].items() if set(kinds) - set(BITING)}
    assert not strange, f"mutant {number} of rule {rule} does not run: {strange}"
    assert answer["code"] in {0, 1}, done.stdout
    return frozenset(answer["failed"])


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.number)
def test_without_the_rule_each_of_its_tests_fails(rule: Rule) -> None:
    count = len(MUTANTS[rule.number])
    bitten = [failed(rule.number, number) for number in range(count)]
    assert all(bitten), f"nothing fails without it: mutant {bitten.index(frozenset())}"
    assert not shown(rule) - frozenset[str]().union(*bitten), "these do not need the rule"
