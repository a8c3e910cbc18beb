"""The scheduling loop without one of its rules (section 8)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

_COMPOSING: Final = "agent/core/composing.py"
_DEALING: Final = "agent/core/topology/dealing.py"
_LEVELS: Final = "agent/core/topology/levels.py"
_SCENE: Final = "agent/core/topology/scene.py"
_TAINTS: Final = "agent/core/taints.py"
_EACH_LEVEL: Final = "for at in range(len(self.shapes[number].levels)):"
_ORDER: Final = "= (likes, dislikes, wanted, anyway)"

LOOP: Final[Mutants] = {
    "8.1": (
        # As in Karpenter.
        Mutant(
            "agent/core/priority.py",
            "return _in_turn(asked, sorted(set(priorities.values()), reverse=True))",
            "return together",
        ),
    ),
    "8.2": (
        Mutant(
            _DEALING,
            "                progress |= len(self.left[number]) < before\n",
            "",
            also=(Mutant("agent/core/packing.py", "again = _round(packing)", "again = False and _round(packing)"),),
        ),
    ),
    "8.3": (
        Mutant(_DEALING, _EACH_LEVEL, "for at in range(len(self.shapes[number].levels))[-1:]:"),
        Mutant(_DEALING, _EACH_LEVEL, "for at in range(len(self.shapes[number].levels))[:1]:"),
    ),
    "8.4": (
        Mutant(_DEALING, "            if cell.places:\n", "            if cell.places and cell.offer is None:\n"),
        Mutant(_DEALING, "in reversed(row.holding(shape.requests)):", "in ():"),
    ),
    "8.5": (
        Mutant(_DEALING, "place.room.accepts(rules, rules.levels[at])", "place.room.accepts(rules, rules.levels[-1])"),
    ),
    "8.6": (
        Mutant(_LEVELS, "return sorted(terms, key=lambda term: -term.weight)", "return list(terms)"),
        Mutant(_LEVELS, _ORDER, "= (dislikes, likes, wanted, anyway)"),
        Mutant(_LEVELS, _ORDER, "= (likes, wanted, dislikes, anyway)"),
        Mutant(_LEVELS, _ORDER, "= (likes, dislikes, anyway, wanted)"),
        Mutant(_LEVELS, "            self.soft_taints,\n", ""),
        Mutant(
            _LEVELS, "            yield replace(required, minds_soft_taints=False)\n", "            yield required\n"
        ),
    ),
    "8.7": (
        Mutant(_SCENE, ", *(r.taints for r in there)", ","),
        # As in Karpenter.
        Mutant(
            _LEVELS, "            yield replace(required, minds_soft_taints=False)\n", "            yield required\n"
        ),
    ),
    "8.9": (
        Mutant(_SCENE, 'asked.limits.preference_policy == "Respect", soft', "True, soft"),
        Mutant(_SCENE, '== "Respect", soft)', '== "Respect", soft and asked.limits.preference_policy == "Respect")'),
    ),
    "8.12": (
        Mutant(
            "agent/core/buying.py",
            "        for purchase in purchases:\n            self._widen(space, purchase, known)\n",
            "",
        ),
        Mutant(
            _COMPOSING,
            "if zoned or names.ZONE in by_key:",
            "if mask:",
            also=(
                Mutant(
                    _COMPOSING,
                    "chosen[names.ZONE] = space.values(mask, names.ZONE)",
                    "chosen[names.ZONE] = space.values(mask & -mask, names.ZONE)",
                ),
            ),
        ),
    ),
    "8.13": (
        Mutant(_TAINTS, "return next(found, None)\n\n\ndef is_eph", "return None\n\n\ndef is_eph"),
        Mutant(_TAINTS, "if (soft or t.effect != SOFT) and", 'if t.effect == "NoSchedule" and'),
        Mutant(_TAINTS, '_COMPARED: Final = frozenset({"Gt", "Lt"})', "_COMPARED: Final = frozenset[str]()"),
    ),
    "8.14": (
        Mutant(
            "agent/core/packing.py",
            "looked = [(pod, asked.refused(pod)) for",
            "looked = [(pod, asked.obstacles.get(pod.key)) for",
        ),
        Mutant("agent/kube/wire/pods.py", "yield RESOURCE_CLAIMS", "pass"),
        Mutant("agent/core/templates.py", "        if RESOURCE_CLAIMS not in d.template.unsupported\n", ""),
    ),
}
