"""Finding who is pending without one of the rules (section 5)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

PENDING: Final[Mutants] = {}
