"""Shows that the tests of Karpenter's rules (``tests/core/rules.py``) bite: without the rule they fail.

A mutant is the program with one rule taken out, by other words in one place of one file. Nothing is written to disk:
the changed text is what a child process imports.
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

    def source(self) -> str:
        """The changed file.

        Raises:
            ValueError: the text does not stand in the file exactly once, so that the mutant says nothing.
        """
        text = (ROOT / self.file).read_text()
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.file} has {found} times: {self.old}")
        return text.replace(self.old, self.new)

    @property
    def module(self) -> str:
        """The name by which the file is imported."""
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


Mutants = dict[str, tuple[Mutant, ...]]
"""By the number of the rule: several where one change does not reach all that the rule says."""
