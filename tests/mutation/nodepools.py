"""What is done for pools without one of the rules (section 19)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

NODEPOOLS: Final[Mutants] = {}
