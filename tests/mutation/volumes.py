"""Volumes and host ports without one of the rules (section 11)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

VOLUMES: Final[Mutants] = {}
