"""What a cluster would have filled in: namespaces, claims of ephemeral volumes, priorities, what controllers say."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.core.pdbs import disruptions_allowed
from agent.kube import wire
from agent.kube.wire import WireFault
from agent.kube.workloads import DEFAULT_NAMESPACE
from agent.model.kubernetes import Pod, PodDisruptionBudget, PriorityClass
from agent.model.volumes import Volume, VolumeClaim

_UNSAID: Final = (None, "")


class _Condition(msgspec.Struct, gc=False):
    type: str | None = None


class _Spec(msgspec.Struct, gc=False, rename="camel"):
    scheduling_gates: tuple[msgspec.Raw, ...] | None = None


class _Status(msgspec.Struct, gc=False):
    conditions: tuple[_Condition, ...] | None = None


class _Judged(msgspec.Struct, gc=False):
    spec: _Spec | None = None
    status: _Status | None = None


_judged: Final = msgspec.json.Decoder(_Judged)


def as_pod(raw: bytes | msgspec.Raw) -> Pod:
    """The pod; one that no scheduler has said anything of, as one that no node was found for. Raises ``WireFault``."""
    found = wire.pod(raw)
    if found.node_name is not None or found.unschedulable or not _is_undecided(raw):
        return found
    return msgspec.structs.replace(found, unschedulable=True)


def _is_undecided(raw: bytes | msgspec.Raw) -> bool:
    """Whether no scheduler has said anything of the pod: a person wrote it, and it counts as pending, unless gated."""
    judged = _judged.decode(raw)
    if judged.spec is not None and judged.spec.scheduling_gates:
        return False
    conditions = (judged.status.conditions if judged.status is not None else None) or ()
    return all(c.type != "PodScheduled" for c in conditions)


def as_volume_claim(raw: bytes | msgspec.Raw) -> VolumeClaim:
    """The claim; one that names its volume and that no cluster has seen, as bound to it. Raises ``WireFault``."""
    found = wire.volume_claim(raw)
    return found if found.phase == "Pending" else msgspec.structs.replace(found, is_binding=False)


def bound(claims: Iterable[VolumeClaim], volumes: Iterable[Volume]) -> Iterator[VolumeClaim]:
    """The claims; those that no cluster has seen bound to the volume that is kept for them."""
    kept = {v.claim: v.meta.name for v in volumes if v.claim and not v.claim_uid}
    for claim in claims:
        name = "" if claim.phase or claim.volume else kept.get(f"{claim.meta.namespace}/{claim.meta.name}", "")
        yield msgspec.structs.replace(claim, volume=name) if name else claim


def prioritized(pods: Iterable[Pod], classes: Iterable[PriorityClass]) -> Iterator[Pod]:
    """The pods with the priority that admission would have written, where nobody has (kubernetes.io, Pod Priority)."""
    listed = tuple(classes)
    by_name = {c.meta.name: c.value for c in listed}
    default = max((c.value for c in listed if c.is_default), default=0)
    for pod in pods:
        value = by_name.get(pod.priority_class, 0) if pod.priority_class else default
        yield msgspec.structs.replace(pod, priority=value) if value and not pod.priority else pod


def counted(budgets: Iterable[PodDisruptionBudget], pods: Iterable[Pod]) -> Iterator[PodDisruptionBudget]:
    """The budgets with the count that the disruption controller would have written, where nobody has."""
    listed = tuple(pods)
    for budget in budgets:
        if budget.is_counted:
            yield budget
        else:
            allowed = disruptions_allowed(budget, listed)
            yield msgspec.structs.replace(budget, disruptions_allowed=allowed, is_counted=True)


def inside_namespace(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object in its namespace; one that names none is in the default one."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("namespace") not in _UNSAID:
        return obj
    return {**obj, "metadata": {**metadata, "namespace": DEFAULT_NAMESPACE}}


def claims_made(obj: Mapping[str, Any]) -> Iterator[VolumeClaim]:
    """The claims that a cluster makes for a pod's ephemeral volumes. Raises ``WireFault``."""
    metadata, spec = obj.get("metadata"), obj.get("spec")
    volumes = spec.get("volumes") if isinstance(spec, Mapping) else None
    for volume in volumes or ():
        ephemeral = volume.get("ephemeral") if isinstance(volume, Mapping) else None
        if not isinstance(ephemeral, Mapping) or not isinstance(metadata, Mapping):
            continue
        where = {"name": f"{metadata.get('name')}-{volume.get('name')}", "namespace": metadata.get("namespace")}
        template = ephemeral.get("volumeClaimTemplate")
        of = template.get("spec") if isinstance(template, Mapping) else None
        yield wire.volume_claim(encoded({"metadata": where, "spec": of}))


def encoded(obj: Mapping[str, Any]) -> bytes:
    """The object as an API server would send it. Raises ``WireFault`` for what JSON cannot say."""
    try:
        return msgspec.json.encode(obj)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireFault(f"cannot be said in JSON: {error}") from error
