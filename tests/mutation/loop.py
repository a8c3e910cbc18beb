"""The scheduling loop without one of its rules (section 8)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

LOOP: Final[Mutants] = {
    "8.13": (
        Mutant(
            "agent/core/taints.py",
            "return next(found, None)\n\n\ndef is_eph",
            "return None\n\n\ndef is_eph",
        ),
    ),
}
