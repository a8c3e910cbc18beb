"""A plan as JSON, for other programs: ``apiVersion: joinery.sh/v1alpha1``, ``kind: Plan``.

The fields are a contract (docs/reference/plan.md): more may come, none is renamed or dropped. Prices are dollars per
hour as numbers, amounts of resources are text, and what names new claims would get is not part of it.
"""

from typing import Final

import msgspec

from agent.core.quantity import format_resources
from agent.kube.times import rfc3339
from agent.model import names
from agent.model.actions import DisruptNode, Launch
from agent.model.constraints import Requirement
from agent.model.kubernetes import Taint
from agent.model.plan import Placement, Plan
from agent.model.reasons import Refusal

API_VERSION: Final = "joinery.sh/v1alpha1"
_NANO: Final = 1_000_000_000
Json = dict[str, object]


def encode(plan: Plan) -> bytes:
    """The document with a line per field: the same plan gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(document(plan)), indent=2)


def document(plan: Plan) -> Json:
    """The document as plain values."""
    launches = plan.launches
    first = max((launch.id for launch in launches), default=-1) + 1
    return {
        "apiVersion": API_VERSION,
        "kind": "Plan",
        "now": rfc3339(plan.now),
        "actions": [
            *(_launch(launch) for launch in launches),
            *(_disruption(first + n, action) for n, action in enumerate(disruptions(plan))),
        ],
        "placements": {p.pod: _destination(p) for p in plan.placements},
        "unschedulable": [_refusal(refusal) for refusal in sorted(plan.refusals, key=lambda r: r.pod)],
        "blocked": [
            {"node": b.node, "reason": b.reason, "blocker": b.blocker, "message": b.message} for b in plan.blocked
        ],
        "pricePerHour": {
            "before": dollars(plan.price.before),
            "after": dollars(plan.price.after),
            "lowerBound": None if plan.price.lower_bound is None else dollars(plan.price.lower_bound),
        },
    }


def disruptions(plan: Plan) -> tuple[DisruptNode, ...]:
    """The nodes that the plan lets go."""
    return tuple(action for action in plan.actions if isinstance(action, DisruptNode))


def dollars(nano_usd: int) -> float:
    """US dollars; the nearest float to an exact amount, so that it prints with at most nine decimals."""
    return nano_usd / _NANO


def _launch(launch: Launch) -> Json:
    draft = launch.draft
    labels = draft.labels | {names.NODEPOOL: str(draft.pool), names.NODECLASS: str(draft.node_class)}
    return {
        "action": "launch",
        "id": launch.id,
        "nodePool": draft.pool,
        "nodeClass": draft.node_class,
        "instanceType": launch.instance_type,
        "zone": launch.zone,
        "capacityType": launch.capacity_type,
        "price": dollars(launch.price_nano_usd),
        "instanceTypes": launch.instance_types,
        "requirements": [_requirement(r) for r in draft.requirements],
        "labels": dict(sorted(labels.items())),
        "annotations": dict(sorted(draft.annotations.items())),
        "taints": _taints(draft.taints),
        "startupTaints": _taints(draft.startup_taints),
        "requests": format_resources(draft.requests),
        "pods": launch.pods,
        "reason": launch.reason.code,
        "message": launch.reason.message,
    }


def _disruption(number: int, action: DisruptNode) -> Json:
    return {
        "action": "disrupt",
        "id": number,
        "nodes": [action.node.name] if action.node is not None else [],
        "nodeClaims": [action.claim.name],
        "reason": action.reason.code,
        "replacements": [],
        "savings": dollars(action.savings_nano_usd),
        "graceful": action.graceful,
        "message": action.reason.message,
    }


def _requirement(requirement: Requirement) -> Json:
    return {
        "key": requirement.key,
        "operator": requirement.operator,
        "values": requirement.values,
        "minValues": requirement.min_values,
    }


def _taints(taints: tuple[Taint, ...]) -> list[Json]:
    return [{"key": t.key, "value": t.value, "effect": t.effect} for t in taints]


def _destination(placement: Placement) -> Json:
    if placement.launch is not None:
        return {"launch": placement.launch}
    return {"node": placement.node} if placement.node is not None else {"nodeClaim": placement.claim}


def _refusal(refusal: Refusal) -> Json:
    return {
        "pod": refusal.pod,
        "reasons": [{"nodePool": pool, "message": r.message, "code": r.code} for pool, r in refusal.reasons],
    }
