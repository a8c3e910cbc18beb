"""Overlays without one of the rules (section 15)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

ENGINE: Final = "agent/core/overlays.py"
MANIFEST: Final = "agent/manifests/nodeoverlay.py"
MODEL: Final = "agent/model/overlays.py"

OVERLAYS: Final[Mutants] = {
    "15.1": (
        # Prices stay as AWS lists them.
        Mutant(ENGINE, "if overlay.has_price:", "if False:"),
        # There is a capacity of everything.
        Mutant(MANIFEST, "holds=lambda spec: not set(spec.capacity) & set(_OWN)", "holds=lambda spec: True"),
        # A capacity is not added.
        Mutant(ENGINE, "capacity = Resources.of(dict(kind.capacity.items()) | amounts)", "capacity = kind.capacity"),
        # A percentage is dollars.
        Mutant(
            MANIFEST,
            'percent = change is not None and change.endswith("%")',
            "percent = False",
            (Mutant(MANIFEST, "_scaled(change, 9)", '_scaled(change.removesuffix("%"), 9)'),),
        ),
        # Price and adjustment may both be there.
        Mutant(
            MANIFEST,
            "holds=lambda spec: spec.price is None or spec.price_adjustment is None",
            "holds=lambda spec: True",
        ),
        # Of one that counts the conditions leave that open.
        Mutant(
            ENGINE,
            'return tuple(Condition(kind, "True", kind, observed_generation=generation) for kind in _TYPES)',
            'return tuple(Condition(kind, "Unknown", kind, observed_generation=generation) for kind in _TYPES)',
        ),
    ),
    "15.2": (
        # Every offering of a type is meant.
        Mutant(ENGINE, "meant = [o for o in kind.offerings if _is_meant(asked, o)]", "meant = list(kind.offerings)"),
        # Reservations are not told apart.
        Mutant(ENGINE, "names.RESERVATION: offering.reservation,", "names.RESERVATION: None,"),
        # A capacity needs every offering to be meant.
        Mutant(
            ENGINE,
            "for resource in amounts if pools]",
            "for resource in amounts if pools and len(meant) == len(kind.offerings)]",
        ),
        # A label that nobody has may be anything.
        Mutant(
            ENGINE,
            "return (given & type_labels(kind.requirements)).incompatible(asked.without(_OFFERED)) is None",
            "return (given & type_labels(kind.requirements) & asked.without(_OFFERED)).conflict is None",
        ),
        # Labels of the pool are not looked at.
        Mutant(
            ENGINE,
            "Requirements.from_labels({**labels, names.INSTANCE_TYPE",
            "Requirements.from_labels({names.INSTANCE_TYPE",
        ),
        # Every pool of a class pays the same.
        Mutant(
            ENGINE,
            "if meant and _describes(labels, kind, asked)]",
            "if meant and any(_describes(own, kind, asked) for own in self.pools[name].values())]",
        ),
    ),
    "15.3": (
        # The first by name counts, whatever it weighs.
        Mutant(
            ENGINE,
            "key=lambda o: o.meta.name, reverse=True), key=lambda o: -o.weight)",
            "key=lambda o: o.meta.name, reverse=True), key=lambda o: 0)",
        ),
        # Of equal weights the other one counts.
        Mutant(ENGINE, "key=lambda o: o.meta.name, reverse=True)", "key=lambda o: o.meta.name)"),
        # Equal weights are no conflict.
        Mutant(ENGINE, "if other is not None and other.weight == overlay.weight:", "if False:"),
        # An overlay that conflicts counts where it does not.
        Mutant(
            ENGINE,
            "            return msgspec.structs.replace(overlay, faults=(conflict,), conflicts=True)\n",
            "            overlay = msgspec.structs.replace(overlay, faults=(conflict,), conflicts=True)\n",
        ),
        # Any two capacities conflict.
        Mutant(
            ENGINE,
            "held += [(self._resources.get(r), r[2], r[1]) for r in wanted.resources]",
            "held += [(own, r[2], r[1]) for r in wanted.resources for own in self._resources.values()]",
        ),
    ),
    "15.4": (
        # A price may be below nothing.
        Mutant(MODEL, "return max(0, changed)", "return changed"),
    ),
    "15.5": (
        # Faults are not looked at.
        Mutant(ENGINE, "if overlay.faults:", "if False:"),
        # Its condition says nothing of them.
        Mutant(ENGINE, "    if not overlay.faults:\n        return tuple(", "    if True:\n        return tuple("),
    ),
}
