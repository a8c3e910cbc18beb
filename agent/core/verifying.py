"""An exact check of every answer before it leaves, written without the structures that made it."""

from collections import defaultdict

from agent.core.inputs import PackingInput, PackingResult, PlannedLaunch
from agent.core.requirements import Requirements, alternatives
from agent.core.taints import untolerated
from agent.model import names
from agent.model.kubernetes import Pod
from agent.model.names import PodKey
from agent.model.resources import ZERO, Resources


class PlanInvalid(AssertionError):  # noqa: N818 - it is the plan that is invalid
    """The engine contradicts itself; nothing of the plan may be carried out."""


def verify(asked: PackingInput, result: PackingResult) -> None:
    """Check that every pod is answered once, that every launch holds its pods, and that limits hold.

    Raises:
        PlanInvalid: naming the pod, launch or limit.
    """
    pods = {p.key: p for p in asked.pods}
    _each_once(pods, result)
    for launch in result.launches:
        _holds(asked, launch, [pods[key] for key in launch.pods])
    _within_limits(asked, result)


def _each_once(pods: dict[PodKey, Pod], result: PackingResult) -> None:
    answered = [p.pod for p in result.placements] + [r.pod for r in result.refusals] + list(result.waiting)
    if sorted(answered) != sorted(pods):
        raise PlanInvalid("a pod is answered twice, not at all, or was never asked about")
    launched = [key for launch in result.launches for key in launch.pods]
    if sorted(launched) != sorted(p.pod for p in result.placements if p.launch is not None):
        raise PlanInvalid("placements and launches name different pods")


def _holds(asked: PackingInput, launch: PlannedLaunch, pods: list[Pod]) -> None:
    """Whatever type the launch falls back to must hold the pods and satisfy what they require."""
    name = f"launch {launch.id} of NodePool {launch.pool}"
    types = {t.name: t for t in asked.instance_types.get(launch.node_class, ())}
    needed = sum((p.requests if p.requests.pods else p.requests + Resources(pods=1) for p in pods), start=ZERO)
    allowed = Requirements.of(launch.requirements)
    for pod in pods:
        if (taint := untolerated(pod.tolerations, launch.taints)) is not None:
            raise PlanInvalid(f"{name}: pod {pod.key} does not tolerate {taint.key}")
    for type_name in launch.instance_types:
        kind = types.get(type_name)
        if kind is None or not any(_offered(allowed, o.zone, o.capacity_type) for o in kind.offerings):
            raise PlanInvalid(f"{name}: {type_name} is not offered as required")
        if not needed.fits_in(kind.allocatable):
            raise PlanInvalid(f"{name}: its pods do not fit on {type_name}")
        described = Requirements.of(kind.requirements)
        for pod in pods:
            if not any(_possible(asked_of, described, allowed) for asked_of in alternatives(pod)):
                raise PlanInvalid(f"{name}: pod {pod.key} may not run on {type_name}")


def _offered(allowed: Requirements, zone: str, capacity_type: str) -> bool:
    return allowed.get(names.ZONE).allows(zone) and allowed.get(names.CAPACITY_TYPE).allows(capacity_type)


def _possible(asked: Requirements, described: Requirements, allowed: Requirements) -> bool:
    return all(
        values.intersects(described.by_key[key]) if key in described.by_key else values.intersects(allowed.get(key))
        for key, values in asked
    )


def _within_limits(asked: PackingInput, result: PackingResult) -> None:
    largest: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for launch in result.launches:
        types = {t.name: t for t in asked.instance_types.get(launch.node_class, ())}
        capacities = [dict(types[n].capacity.items()) for n in launch.instance_types]
        for resource in {r for c in capacities for r in c}:
            largest[launch.pool][resource] += max(c.get(resource, 0) for c in capacities)
        largest[launch.pool]["nodes"] += 1
    for pool in asked.pools:
        for resource, limit in pool.limits.items():
            held = sum(
                p.claim.capacity.amount(resource) if resource != "nodes" else 1
                for p in asked.pairs
                if p.claim is not None and p.claim.pool == pool.name
            )
            if largest[pool.name][resource] and held + largest[pool.name][resource] > limit:
                raise PlanInvalid(f"NodePool {pool.name} would use more {resource} than its limit")
