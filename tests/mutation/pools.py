"""Pools and existing nodes without one of the rules (section 6)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

POOLS: Final[Mutants] = {}
