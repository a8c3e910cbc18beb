"""The algebra of requirements without one of the rules (section 7)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

ALGEBRA: Final[Mutants] = {}
