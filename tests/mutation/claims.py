"""The life of a claim without one of the rules (section 18)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

CLAIMS: Final[Mutants] = {}
