"""Overlays without one of the rules (section 15)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

OVERLAYS: Final[Mutants] = {}
