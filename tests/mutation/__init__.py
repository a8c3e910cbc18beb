"""Shows that the tests of Karpenter's rules (``tests/core/rules.py``) bite: without the rule they fail.

A mutant is the program with one rule taken out, by other words in one place of one file, or in several where the
program sees to a rule more than once. Nothing is written to disk: the changed text is what a child process imports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """The program without a rule."""

    file: str
    """Where, from the root of the repository."""
    old: str
    """A text that stands there once."""
    new: str
    """What stands there instead."""

    also: tuple[Mutant, ...] = ()
    """Further places, where one alone is not all that the program does for the rule."""

    def sources(self) -> dict[str, str]:
        """The changed files, by their paths from the root.

        Raises:
            ValueError: a text does not stand in its file exactly once, so that the mutant says nothing.
        """
        changed: dict[str, str] = {}
        for edit in (self, *self.also):
            text = changed.get(edit.file) or (ROOT / edit.file).read_text()
            if (found := text.count(edit.old)) != 1:
                raise ValueError(f"{edit.file} has {found} times: {edit.old}")
            changed[edit.file] = text.replace(edit.old, edit.new)
        return changed


Mutants = dict[str, tuple[Mutant, ...]]
"""By the number of the rule: several where one change does not reach all that the rule says."""
