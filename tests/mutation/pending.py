"""Finding who is pending without one of the rules (section 5)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

_BATCH: Final = "agent/daemon/batch.py"
_DECIDE: Final = "agent/core/decide.py"
_PODS: Final = "agent/core/pods.py"

PENDING: Final[Mutants] = {
    "5.1": (
        Mutant(_PODS, "        pod.unschedulable\n        and pod.node_name", "        pod.node_name"),
        Mutant("agent/kube/wire/pods.py", ' and scheduled.reason == "Unschedulable"', ""),
        Mutant(_PODS, "        and pod.nominated_node is None\n", ""),
        Mutant(_PODS, "not (pod.is_daemon or pod.is_mirror or pod.is_finished)\n", "not pod.is_finished\n"),
    ),
    "5.2": (Mutant(_BATCH, "return self.closes_at() is None or now", "return self.closes_at() is not None and now"),),
    "5.3": (
        Mutant(_BATCH, "min(self._last_new + self.idle, self._opened + self.longest)", "self._last_new + self.idle"),
        Mutant(_BATCH, "min(self._last_new + self.idle, self._opened + self.longest)", "self._opened + self.longest"),
        Mutant(_BATCH, "new = uids - self._seen", "new = uids"),
        Mutant(_DECIDE, "provision = snapshot.provision and ", "provision = "),
    ),
    "5.5": (
        Mutant(_DECIDE, "    pods += displaced(world)\n", ""),
        Mutant(_PODS, "protected_until(p, world.snapshot.now) is None and _may_go", "_may_go"),
        Mutant(_PODS, "return len(own) <= 1 and not any", "return not any"),
        Mutant(_PODS, " and not any(budget.blocks for budget in own)", ""),
        Mutant(_PODS, 'pod.meta.deleted_at is None or pod.owner_kind == "StatefulSet"', "pod.meta.deleted_at is None"),
    ),
    "5.6": (
        Mutant("agent/core/templates.py", "{names.NODEPOOL: str(pool.name), names.NODECLASS", "{names.NODECLASS"),
        Mutant("agent/core/templates.py", 'names.HOSTNAME, "In", (UNNAMED,)', 'names.HOSTNAME, "Exists"'),
    ),
    "5.7": (
        # As in Karpenter.
        Mutant(
            _DECIDE,
            "provision = snapshot.provision and ",
            "provision = snapshot.provision and all(c.provider_id for c in snapshot.claims) and ",
        ),
    ),
    "5.9": (
        Mutant("agent/core/buying.py", "if claim.pool in used:", "if claim.pool in used and not claim.provider_id:"),
    ),
    "5.10": (Mutant(_DECIDE, "empty_nodes(world, packed.occupied)", "empty_nodes(world, frozenset())"),),
}
