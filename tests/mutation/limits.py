"""Limits without one of the rules (section 12)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

LIMITS: Final[Mutants] = {}
