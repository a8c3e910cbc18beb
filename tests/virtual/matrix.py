"""The crash matrix: every effect, killed before it, with its answer lost, and after it, and what becomes of the world.

    PYTHONPATH=. python -m tests.virtual.matrix [SCENARIO]

prints it as a table.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Literal, NamedTuple

from tests.virtual.line import Call, Mishap
from tests.virtual.process import Process
from tests.virtual.scenarios import SCENARIOS
from tests.virtual.world import Still, World

Moment = Literal["before", "lost", "cut", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "lost", "cut", "after")
"""before: killed before it is sent. lost: carried out, its answer lost, the process lives. cut: carried out, and killed
before the answer. after: killed when the answer has been seen."""


class Blow(NamedTuple):
    """One disturbance: of which effect, which time it is carried out, and when."""

    effect: str
    number: int
    moment: Moment


class Outcome(NamedTuple):
    """How a scenario ended."""

    faults: tuple[str, ...]
    """Violations, and what the end lacks."""
    struck: bool
    """The disturbance happened."""
    fleet: Counter[tuple[str, str, str]]
    effects: Counter[str]
    """How often each effect was begun."""


def play(scenario: str, blow: Blow | None = None) -> Outcome:
    """Play a scenario with or without a disturbance, to its fixed point."""
    told = SCENARIOS[scenario]
    struck: list[Blow] = []

    def hit(effect: str, number: int, moment: str) -> bool:
        if blow is None or struck or (effect, number, moment) != blow:
            return False
        struck.append(blow)
        return True

    def mishap(call: Call) -> Mishap | None:
        for moment in ("lost", "cut"):
            if call.write and call.effect and hit(call.effect, call.number, moment):
                return Mishap("lost" if moment == "lost" else "cut")
        return None

    def prepare(process: Process) -> None:
        process.line.mishap = mishap
        process.line.checkpoint = lambda effect, moment, number: hit(effect, number, moment)

    with World(seed=1, **told.settings) as world:
        world.supervise("one", prepare)
        try:
            told.play(world)
            world.settle(told.rest_seconds)
        except Still as error:
            return Outcome((str(error),), bool(struck), world.fleet(), Counter())
        faults = [str(v) for v in world.violations()]
        effects: Counter[str] = Counter()
        for process in world.processes:
            effects += process.line.begun
        return Outcome(tuple(faults), bool(struck), world.fleet(), effects)


def difference(usual: Outcome, disturbed: Outcome) -> str:
    """What the end lacks of the undisturbed one; empty when nothing."""
    if usual.fleet == disturbed.fleet:
        return ""
    return f"the end has {dict(disturbed.fleet)} instead of {dict(usual.fleet)}"


def blows(usual: Outcome, *, first_only: bool) -> list[Blow]:
    """Every disturbance of a scenario, of each effect's first time or of all."""
    return [
        Blow(effect, number, moment)
        for effect, count in sorted(usual.effects.items())
        for number in range(1, 2 if first_only else count + 1)
        for moment in MOMENTS
    ]


def main(wanted: list[str]) -> int:
    """Print the whole matrix; 1 when anything in it is not well."""
    bad = 0
    for scenario in wanted or list(SCENARIOS):
        usual = play(scenario)
        print(f"{scenario}: undisturbed {dict(usual.fleet)} {'; '.join(usual.faults) or 'well'}", flush=True)
        results: Counter[tuple[str, str, str]] = Counter()
        for blow in blows(usual, first_only=False):
            outcome = play(scenario, blow)
            faults = [*outcome.faults, difference(usual, outcome)]
            said = "; ".join(f for f in faults if f)
            result = "not there" if not outcome.struck else "well" if not said else "BAD"
            results[blow.effect, blow.moment, result] += 1
            if said:
                bad += 1
                print(f"  {blow}: {said}", flush=True)
        for effect in sorted(usual.effects):
            cells = []
            for moment in MOMENTS:
                there = ((r, n) for (e, m, r), n in results.items() if (e, m) == (effect, moment))
                cells.append(f"{moment} " + ", ".join(f"{n} {r}" for r, n in there))
            print(f"  {effect:28s} " + " | ".join(cells), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
