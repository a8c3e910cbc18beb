"""Resources, DaemonSets, types and minValues without one of the rules (section 9)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

_BINS: Final = "agent/core/bins.py"
_AIMING: Final = "agent/core/aiming.py"
_BUILDING: Final = "agent/core/building.py"
_BUYING: Final = "agent/core/buying.py"
_CATALOG: Final = "agent/core/catalog.py"
_COMPOSING: Final = "agent/core/composing.py"
_DAEMONS: Final = "agent/core/daemons.py"
_NARROWING: Final = "agent/core/narrowing.py"
_REQUESTS: Final = "agent/kube/wire/requests.py"
_SHELF: Final = "agent/core/shelf.py"
_SPACE: Final = "agent/core/space.py"
_TEMPLATES: Final = "agent/core/templates.py"

RESOURCES: Final[Mutants] = {
    "9.1": (
        Mutant(_REQUESTS, "return total + ONE_POD", "return total"),
        Mutant(_REQUESTS, "total = running if peak == ZERO else running.largest(peak)", "total = running"),
        Mutant(_REQUESTS, "peak = peak.largest(sidecars + needs)", "peak = peak.largest(needs)"),
        Mutant(_REQUESTS, "        total = total + resources(overhead)\n", "        pass\n"),
        Mutant(_REQUESTS, "        total = _pod_level(total, whole)\n", "        pass\n"),
        Mutant(_REQUESTS, "given.infeasible else spec.largest(held)", "given.infeasible else spec"),
    ),
    "9.2": (
        Mutant(
            _SPACE,
            "            if amount > 0:\n                found &=",
            "            if amount >= 0:\n                found &=",
        ),
        Mutant(
            "agent/core/topology/scene.py",
            "if not room.going and not room.free.overdrawn",
            "if not room.going",
        ),
        Mutant(_BUILDING, "for name, amount in load.items():", "for name, amount in Resources().items():"),
    ),
    "9.3": (
        Mutant(
            "agent/model/ec2.py", "memory_bytes=max(0, free.memory_bytes - pages)", "memory_bytes=free.memory_bytes"
        ),
        Mutant("agent/model/ec2.py", "free = self.capacity - self.overhead", "free = self.capacity"),
        Mutant(
            _CATALOG,
            "        kubelet.kube_reserved\n        + kubelet.system_reserved\n        + Resources(",
            "        Resources(",
        ),
        Mutant(_CATALOG, "memory_bytes=_threshold(kubelet.eviction_memory, capacity.memory_bytes),", ""),
    ),
    "9.5": (
        Mutant(_SHELF, "                if offering.available\n", ""),
        Mutant(
            _BUILDING,
            "own.matching(own.template.base)",
            "own.matching(own.template.base.without(BOUGHT))",
            also=(Mutant(_BUILDING, "import Together, divided", "import BOUGHT, Together, divided"),),
        ),
    ),
    "9.6": (Mutant(_DAEMONS, "reach = union(own.matching(asked) for asked in terms)", "reach = allowed"),),
    "9.7": (
        Mutant(_DAEMONS, "if tolerates(daemon.tolerations, own.template.pool.taints):", "if daemon.is_daemon:"),
        Mutant(
            _DAEMONS, "own.template.pool.taints):", "(*own.template.pool.taints, *own.template.pool.startup_taints)):"
        ),
        Mutant(_DAEMONS, "yield number, alternatives(daemon)", "yield number, alternatives(daemon)[:1]"),
        Mutant(_DAEMONS, "own.matching(asked) for asked", "own.template.shelf.every for asked"),
    ),
    "9.8": (
        Mutant(
            _TEMPLATES,
            "requests = daemonset.template.requests if running is None else running.requests",
            "requests = daemonset.template.requests",
        ),
        Mutant(_TEMPLATES, "_age(pod) > _age(held)", "_age(pod) < _age(held)"),
        Mutant(_TEMPLATES, "        daemonset.template, meta", "        running or daemonset.template, meta"),
    ),
    "9.9": (
        Mutant(
            _NARROWING,
            'chain.append(f"{space.types(fewer)} with {step.text}")',
            'chain.append(f"{space.types(fewer)}")',
        ),
        Mutant(_NARROWING, "            partner = _partner(step, passed)", "            partner = None"),
    ),
    "9.10": (
        Mutant(
            _BINS,
            "return found if any(found) else ()",
            "return ()",
            also=(Mutant(_BUYING, "return self._diverse(space, purchases, known)", "return purchases"),),
        ),
        Mutant(_COMPOSING, '"true" if relaxed else "false"', '"false"'),
    ),
    "9.11": (
        Mutant(
            _BINS,
            "        if self.best_effort:\n            floor = min(floor, len(self.space.values(opened, key)))\n",
            "",
        ),
    ),
    "9.13": (
        Mutant(
            _COMPOSING,
            "tuple(kind.name for kind in kinds)",
            "tuple(k.name for k in sorted(kinds, key=lambda k: min(o.price_nano_usd for o in k.offerings)))",
        ),
    ),
    "9.15": (
        # As in Karpenter.
        Mutant(
            _AIMING,
            "(offering.price_nano_usd, _PRECEDENCE.index(offering.capacity_type), name",
            "(_PRECEDENCE.index(offering.capacity_type), offering.price_nano_usd, name",
        ),
        Mutant(_AIMING, "_PRECEDENCE.index(offering.capacity_type), name", "0, name"),
    ),
}
