"""Static pools without one of the rules (section 14)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

STATIC: Final[Mutants] = {}
