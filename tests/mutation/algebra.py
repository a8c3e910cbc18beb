"""The algebra of requirements without one of the rules (section 7)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

_COLUMNS: Final = "agent/core/columns.py"
_REQUIREMENTS: Final = "agent/core/requirements.py"
_CROSSING: Final = Mutant(
    _REQUIREMENTS,
    "        if least is not None and most is not None and least > most:\n"
    "            return ValueSet(absent=absent, min_values=wanted)\n",
    "",
)

ALGEBRA: Final[Mutants] = {
    "7.1": (
        Mutant(_REQUIREMENTS, "ValueSet(values, complement=True, absent=True,", "ValueSet(values, complement=True,"),
        Mutant(
            _REQUIREMENTS,
            "not (self.complement or self.members or self.absent)",
            "not (self.complement or self.members)",
        ),
    ),
    "7.2": (
        Mutant(_REQUIREMENTS, ".members if self.allows(v) and other.allows(v))", ".members)"),
        Mutant(
            _REQUIREMENTS,
            "most = _tighter(min, self.at_most, other.at_most)\n        wanted",
            "most = self.at_most\n        wanted",
        ),
        Mutant(_REQUIREMENTS, "_tighter(max, self.min_values, other.min_values)", "self.min_values"),
        _CROSSING,
    ),
    "7.3": (
        Mutant(_REQUIREMENTS, "return least is None or most is None or least <= most", "return True"),
        _CROSSING,
    ),
    "7.4": (
        Mutant(_COLUMNS, "fits = values.absent if base is None else", "fits = base is None or"),
        Mutant(_COLUMNS, "fits = values.absent if base is None else", "fits = base is not None and"),
        Mutant(_COLUMNS, "if key not in shelf.by_key and key not in shelf.mentioned:", "if base is None:"),
        Mutant(
            "agent/core/rooms.py",
            "                if not values.absent:\n                    return False\n",
            "                continue\n",
        ),
    ),
    "7.5": (
        Mutant(
            _REQUIREMENTS,
            "ValueSet(complement=True, at_least=least,",
            "ValueSet(complement=True, absent=True, at_least=least,",
        ),
    ),
    "7.6": (
        # As in Karpenter, until it relaxes.
        Mutant(
            "agent/core/nodeaffinity.py",
            "for term in pod.affinity_terms if term)",
            "for term in pod.affinity_terms[:1] if term)",
        ),
    ),
    "7.7": (
        Mutant(_REQUIREMENTS, 'bound + (entry.operator == "Gt")', "bound + 1"),
        Mutant(_REQUIREMENTS, 'bound - (entry.operator == "Lt")', "bound - 1"),
    ),
    "7.8": (Mutant(_COLUMNS, "return found | (silent if wanted.absent else 0)", "return found | silent"),),
}
