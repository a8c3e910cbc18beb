"""Spread and affinity without one of the rules (section 10)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

TOPOLOGY: Final[Mutants] = {}
