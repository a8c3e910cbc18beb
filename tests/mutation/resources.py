"""Resources, DaemonSets, types and minValues without one of the rules (section 9)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutants

RESOURCES: Final[Mutants] = {}
