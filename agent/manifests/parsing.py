"""From manifests to the engine's values. Nothing here raises for what a person wrote: faults are data."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from agent.core.quantity import QuantityError, parse_amount, parse_cpu_milli, parse_resources
from agent.manifests.durations import DurationError, parse_duration, parse_duration_or_never
from agent.manifests.examine import read
from agent.manifests.faults import Place, path_text
from agent.manifests.hashes import HASH_VERSION, class_hash, pool_hash
from agent.manifests.nodeclass import EC2NodeClassManifest, EC2NodeClassSpec, EC2NodeClassStatus
from agent.manifests.nodepool import NodePoolManifest, NodePoolSpec
from agent.manifests.notes import class_notes, pool_notes
from agent.manifests.objects import Condition as WrittenCondition
from agent.manifests.scheduling import ALIASES
from agent.manifests.scheduling import Taint as WrittenTaint
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import Image, KubeletSettings
from agent.model.kubernetes import Budget, Condition, Meta, NodePool, Taint
from agent.model.names import ClassName
from agent.model.resources import CPU, ZERO, Resources

_NO_LIMIT: Final = 2**63 - 1


class NodeClassManifest(msgspec.Struct, frozen=True):
    """An EC2NodeClass as written, before AWS was asked what its terms mean."""

    meta: Meta
    spec: EC2NodeClassSpec | None
    """None: too little of it can be read to do anything with it."""
    conditions: tuple[Condition, ...] = ()
    pinned: tuple[Image, ...] = ()
    """Images of the status: pinned until the pin is moved."""
    status: dict[str, Any] = {}
    """The status as it stands, to tell whether it must be written."""
    hash: str = ""
    hash_version: str = HASH_VERSION
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def meta_of(obj: Mapping[str, Any]) -> Meta:
    """Metadata of an object that nobody has checked; what cannot be read is left out."""
    found = obj.get("metadata")
    raw: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    fields = {
        "name": raw.get("name"),
        "namespace": raw.get("namespace"),
        "uid": raw.get("uid"),
        "resource_version": raw.get("resourceVersion"),
        "generation": raw.get("generation"),
        "created_at": raw.get("creationTimestamp"),
        "deleted_at": raw.get("deletionTimestamp"),
        "labels": raw.get("labels"),
        "annotations": raw.get("annotations"),
        "finalizers": raw.get("finalizers"),
    }
    try:
        return msgspec.convert({k: v for k, v in fields.items() if v is not None}, Meta)
    except msgspec.ValidationError:
        return Meta(name=str(raw.get("name") or ""), uid=str(raw.get("uid") or ""))


def parse_node_pool(obj: Mapping[str, Any], *, given_hash: bool = False) -> NodePool:
    """A NodePool; one with faults keeps what can be read and is never used to buy or disrupt anything.

    With ``given_hash`` the hash that the pool carries in its annotations counts, as in a file that a plan is made
    from; without, it is made anew, so that a pool that was changed a moment ago is seen to have changed.
    """
    examined = read(NodePoolManifest, obj)
    faults = fault_lines(examined.faults)
    meta = meta_of(obj)
    if examined.value is None:
        return NodePool(meta=meta, node_class=ClassName(""), faults=faults or ("it cannot be read",))
    spec = examined.value.spec
    status = examined.value.status
    resources = {k: v for k, v in status.resources.items() if k != "nodes"}
    carried = meta.annotations.get(names.NODEPOOL_HASH, "") if given_hash else ""
    return msgspec.structs.replace(
        _pool(meta, spec),
        conditions=conditions_of(status.conditions),
        node_count=status.nodes,
        resources=_resources(resources),
        hash=carried or pool_hash(spec),
        hash_version=meta.annotations.get(names.NODEPOOL_HASH_VERSION, "") if carried else HASH_VERSION,
        faults=faults,
        notes=pool_notes(spec),
    )


def _pool(meta: Meta, spec: NodePoolSpec) -> NodePool:
    template, disruption = spec.template, spec.disruption
    return NodePool(
        meta=meta,
        node_class=ClassName(template.spec.node_class_ref.name),
        weight=spec.weight or 0,
        labels=dict(template.metadata.labels),
        annotations=dict(template.metadata.annotations),
        taints=_taints(template.spec.taints),
        startup_taints=_taints(template.spec.startup_taints),
        requirements=tuple(
            Requirement(ALIASES.get(r.key, r.key), r.operator, r.values, r.min_values)
            for r in template.spec.requirements
        ),
        limits={name: _limit(name, amount) for name, amount in spec.limits.items()},
        expire_after_seconds=_seconds(template.spec.expire_after),
        termination_grace_seconds=_seconds(template.spec.termination_grace_period),
        consolidation_policy=disruption.consolidation_policy,
        consolidate_after_seconds=_seconds(disruption.consolidate_after),
        budgets=tuple(
            Budget(
                nodes=b.nodes,
                schedule=b.schedule,
                duration_seconds=parse_duration(b.duration) if b.duration is not None else None,
                reasons=tuple(b.reasons) if b.reasons is not None else None,
            )
            for b in disruption.budgets
        ),
        replicas=spec.replicas,
    )


def parse_node_class(obj: Mapping[str, Any], *, given_hash: bool = False) -> NodeClassManifest:
    """An EC2NodeClass; one with faults keeps what can be read. ``given_hash`` as in ``parse_node_pool``."""
    examined = read(EC2NodeClassManifest, obj)
    faults = fault_lines(examined.faults)
    meta = meta_of(obj)
    raw = obj.get("status")
    status: dict[str, Any] = dict(raw) if isinstance(raw, Mapping) else {}
    if examined.value is None:
        return NodeClassManifest(meta, None, status=status, faults=faults or ("it cannot be read",))
    spec = examined.value.spec
    carried = meta.annotations.get(names.NODECLASS_HASH, "") if given_hash else ""
    return NodeClassManifest(
        meta=meta,
        spec=spec,
        conditions=conditions_of(examined.value.status.conditions),
        pinned=_pinned(examined.value.status),
        status=status,
        hash=carried or class_hash(spec, meta.annotations.get(names.USERDATA_MODE, "")),
        hash_version=meta.annotations.get(names.NODECLASS_HASH_VERSION, "") if carried else HASH_VERSION,
        faults=faults,
        notes=class_notes(spec),
    )


def kubelet_settings(cluster: KubeletSettings, kubelet: Mapping[str, Any]) -> KubeletSettings:
    """The cluster's kubelet configuration with a class's (or a ConfigMap's) fields laid over it."""
    hard = kubelet.get("evictionHard") or {}
    return KubeletSettings(
        max_pods=_count(kubelet.get("maxPods"), cluster.max_pods),
        pods_per_core=_count(kubelet.get("podsPerCore"), cluster.pods_per_core),
        kube_reserved=_reserved(kubelet.get("kubeReserved"), cluster.kube_reserved),
        system_reserved=_reserved(kubelet.get("systemReserved"), cluster.system_reserved),
        eviction_memory=str(hard.get("memory.available", cluster.eviction_memory)),
        eviction_storage=str(hard.get("nodefs.available", cluster.eviction_storage)),
    )


def fault_lines(faults: tuple[tuple[Place, str], ...]) -> tuple[str, ...]:
    """Each fault as one sentence with its place in front."""
    return tuple(f"{path_text(place)}: {text}" if place else text for place, text in faults)


def _count(value: object, default: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _reserved(value: object, default: Resources) -> Resources:
    if not isinstance(value, Mapping):
        return default
    return _resources({k: v for k, v in value.items() if k in {"cpu", "memory", "ephemeral-storage"}})


def conditions_of(written: tuple[WrittenCondition, ...]) -> tuple[Condition, ...]:
    """Conditions as they stand in a status."""
    return tuple(
        Condition(
            c.type, c.status, c.reason, c.message, _time(c.last_transition_time), max(c.observed_generation or 0, 0)
        )
        for c in written
    )


def _time(text: str | None) -> datetime | None:
    try:
        return msgspec.convert(text, datetime | None)
    except msgspec.ValidationError:
        return None


def _pinned(status: EC2NodeClassStatus) -> tuple[Image, ...]:
    found = []
    for ami in status.amis:
        architecture = next((r.values[0] for r in ami.requirements if r.key == names.ARCH and r.values), "amd64")
        requirements = tuple(Requirement(r.key, r.operator, r.values) for r in ami.requirements)
        found.append(Image(ami.id, ami.name or "", architecture, None, bool(ami.deprecated), requirements))
    return tuple(found)


def _taints(written: tuple[WrittenTaint, ...]) -> tuple[Taint, ...]:
    return tuple(Taint(t.key, t.effect, t.value) for t in written)


def _seconds(text: str | None) -> int | None:
    try:
        return parse_duration_or_never(text)
    except DurationError:
        return None


def _limit(name: str, amount: str) -> int:
    if name != CPU:
        return parse_amount(amount)
    try:
        return parse_cpu_milli(amount)
    except QuantityError:
        # A quantity, but more milli-CPU than an int64 holds: no limit at all.
        return _NO_LIMIT


def _resources(amounts: Mapping[str, Any]) -> Resources:
    try:
        return parse_resources(dict(amounts))
    except QuantityError:
        return ZERO
