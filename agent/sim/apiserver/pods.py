"""Eviction and binding of pods (kubernetes.io/docs/concepts/scheduling-eviction/api-eviction)."""

from typing import Any, Final

from agent.kube.times import rfc3339
from agent.sim.apiserver.messages import Clock, Request, Target, User
from agent.sim.apiserver.objects import Objects
from agent.sim.apiserver.refusals import Refusal, bad_request, conflict, internal
from agent.sim.apiserver.resources import BY_KIND, POD, Object
from agent.sim.apiserver.selecting import selects
from agent.sim.apiserver.store import Store, Stored

_BUDGET: Final = BY_KIND["PodDisruptionBudget"]
_PROCESSING_SECONDS: Final = 10


class Pods:
    """The two subresources by which pods come to nodes and leave them."""

    def __init__(self, store: Store, clock: Clock, objects: Objects) -> None:
        self._store = store
        self._clock = clock
        self._objects = objects

    def evict(self, target: Target, request: Request, user: User) -> Object:
        """Delete a pod unless a PodDisruptionBudget forbids it now."""
        body = request.object()
        options = dict(body.get("deleteOptions") or {})
        pod = self._objects.stored(target)
        conditions = options.get("preconditions") or {}
        self._objects.check_preconditions(POD, pod, conditions.get("uid"), conditions.get("resourceVersion"))
        if not self._free(pod):
            self._spend(pod, request)
        self._objects.delete(target, options, user, request)
        return success(target)

    def bind(self, target: Target, request: Request) -> Object:
        """Give a pod its node."""
        node = (request.object().get("target") or {}).get("name")
        if not node:
            raise bad_request("target.name: Required value")
        pod = self._objects.stored(target).copy()
        held = pod["spec"].get("nodeName")
        if held:
            raise conflict(POD, target.name, f"pod {target.name} is already assigned to node {held!r}")
        if "deletionTimestamp" in pod["metadata"]:
            raise conflict(POD, target.name, f"pod {target.name} is being deleted, cannot be assigned to a host")
        pod["spec"]["nodeName"] = node
        now = rfc3339(self._clock())
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
        kept = [c for c in pod["status"].get("conditions") or () if c["type"] != "PodScheduled"]
        pod["status"]["conditions"] = [*kept, scheduled]
        if not request.dry:
            self._store.put(POD.store, pod)
        return success(target)

    def _free(self, pod: Stored) -> bool:
        """Whether no budget is asked: the pod does not run, or goes already."""
        phase = (pod.object.get("status") or {}).get("phase")
        return phase in {"Succeeded", "Failed", "Pending"} or "deletionTimestamp" in pod.object["metadata"]

    def _spend(self, pod: Stored, request: Request) -> None:
        meta = pod.object["metadata"]
        labels = meta.get("labels") or {}
        budgets = [
            s
            for s in self._store.all(_BUDGET.store, meta["namespace"])
            if selects((s.object.get("spec") or {}).get("selector"), labels)
        ]
        if len(budgets) > 1:
            raise internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        for budget in budgets:
            self._take(budget, pod, request)

    def _take(self, budget: Stored, pod: Stored, request: Request) -> None:
        obj = budget.copy()
        status = obj.setdefault("status", {})
        if not _ready(pod.object) and _unhealthy_may_go(obj):
            return
        name = obj["metadata"]["name"]
        if status.get("observedGeneration", 0) < obj["metadata"]["generation"]:
            told = f"The disruption budget {name} is still being processed by the server."
            raise _blocked(told, _PROCESSING_SECONDS)
        if status.get("disruptionsAllowed", 0) <= 0:
            desired, current = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
            raise _blocked(f"The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        if request.dry:
            return
        status["disruptionsAllowed"] -= 1
        gone = status.setdefault("disruptedPods", {})
        gone[pod.object["metadata"]["name"]] = rfc3339(self._clock())
        self._store.put(_BUDGET.store, obj)


def success(target: Target, uid: str = "") -> Object:
    """A Status that says so."""
    details: dict[str, Any] = {"name": target.name, "kind": target.resource.plural}
    details |= {"group": target.resource.group} if target.resource.group else {}
    details |= {"uid": uid} if uid else {}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _blocked(cause: str, retry_after_seconds: int | None = None) -> Refusal:
    text = "Cannot evict pod as it would violate the pod's disruption budget."
    details = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    return Refusal(429, "TooManyRequests", text, details=details, retry_after_seconds=retry_after_seconds)


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _unhealthy_may_go(budget: Object) -> bool:
    """``unhealthyPodEvictionPolicy``: a pod that is not ready disrupts nothing, if the others are enough."""
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget["status"]
    desired = status.get("desiredHealthy", 0)
    return bool(desired > 0 and status.get("currentHealthy", 0) >= desired)
