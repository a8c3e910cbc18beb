"""Volumes, their claims and classes, and what a node attaches, on the wire.

Sources: kubernetes.io/docs/concepts/storage/persistent-volumes, .../storage-classes and .../storage-limits.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from agent.kube.wire.affinity import NodeSelector
from agent.kube.wire.objects import LabelSelector, Quantities, WireMeta, resources, texts
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.names import NodeName
from agent.model.volumes import AttachLimits, StorageClass, Traits, Volume, VolumeClaim

EBS: Final = "ebs.csi.aws.com"
IN_TREE: Final = {"kubernetes.io/aws-ebs": EBS}
"""Provisioners that Kubernetes had inside and has handed over to a CSI driver (.../storage/volumes#csi-migration)."""
_ZONED: Final = (
    names.ZONE,
    names.REGION,
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
"""Labels of an old volume that bind it although it has no node affinity; several values are joined by ``__``."""
_BOUND: Final = "pv.kubernetes.io/bind-completed"
"""On a claim, with any value: kube-scheduler takes the volume that it names for its own only then."""
_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_DEFAULT: Final = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_NOWHERE: Final = (Requirement(names.HOSTNAME, "In"),)
"""A term that no node satisfies."""
_VOLUME_ID: Final = re.compile(r"vol-[0-9a-f]+")


class _Reference(msgspec.Struct, gc=False):
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class _Csi(msgspec.Struct, gc=False, rename="camel"):
    driver: str | None = None
    volume_handle: str | None = None


class _Ebs(msgspec.Struct, gc=False):
    id: str | None = msgspec.field(default=None, name="volumeID")


class _VolumeAffinity(msgspec.Struct, gc=False):
    required: NodeSelector | None = None


class _VolumeSpec(msgspec.Struct, gc=False, rename="camel"):
    csi: _Csi | None = None
    aws_elastic_block_store: _Ebs | None = None
    node_affinity: _VolumeAffinity | None = None
    storage_class_name: str | None = None
    claim_ref: _Reference | None = None
    capacity: Quantities | None = None
    access_modes: tuple[str, ...] | None = None
    volume_mode: str | None = None


class WireVolume(msgspec.Struct, gc=False):
    """A PersistentVolume."""

    metadata: WireMeta
    spec: _VolumeSpec | None = None


def volume_model(wire: WireVolume) -> Volume:
    """As the engine has it; a node affinity that is not understood lets the volume go nowhere.

    Raises:
        WireFault: its capacity cannot be read.
    """
    spec = wire.spec or _VolumeSpec()
    driver, handle = "", ""
    if spec.csi is not None:
        driver, handle = spec.csi.driver or "", spec.csi.volume_handle or ""
    elif spec.aws_elastic_block_store is not None:
        written = spec.aws_elastic_block_store.id or ""
        found = _VOLUME_ID.search(written)
        driver, handle = EBS, found[0] if found else written
    meta = wire.metadata.model(frozenset({_CLASS}))
    required = spec.node_affinity.required if spec.node_affinity is not None else None
    terms = (required.model() or (_NOWHERE,)) if required is not None else ()
    labelled = tuple(Requirement(k, "In", tuple(v.split("__"))) for k, v in meta.labels.items() if k in _ZONED)
    if labelled:
        terms = tuple((*term, *labelled) for term in terms or ((),))
    kept_for = spec.claim_ref
    return Volume(
        meta=msgspec.structs.replace(meta, labels={}, annotations={}) if kept_for is not None else meta,
        driver=driver,
        handle=handle,
        terms=terms,
        storage_class=meta.annotations.get(_CLASS, spec.storage_class_name) or "",
        claim=f"{kept_for.namespace or ''}/{kept_for.name or ''}" if kept_for is not None else "",
        claim_uid=(kept_for.uid if kept_for is not None else None) or "",
        traits=_traits(spec.capacity, spec.access_modes, spec.volume_mode),
    )


def _traits(storage: Quantities | None, modes: tuple[str, ...] | None, mode: str | None) -> Traits:
    size_bytes = resources(storage).amount("storage") if storage else 0
    return Traits(size_bytes, tuple(sorted(modes or ())), mode == "Block")


class _Requested(msgspec.Struct, gc=False):
    requests: Quantities | None = None


class _ClaimSpec(msgspec.Struct, gc=False, rename="camel"):
    volume_name: str | None = None
    storage_class_name: str | None = None
    access_modes: tuple[str, ...] | None = None
    volume_mode: str | None = None
    resources: _Requested | None = None
    selector: LabelSelector | None = None


class _ClaimStatus(msgspec.Struct, gc=False):
    phase: str | None = None


class WireVolumeClaim(msgspec.Struct, gc=False):
    """A PersistentVolumeClaim."""

    metadata: WireMeta
    spec: _ClaimSpec | None = None
    status: _ClaimStatus | None = None


def volume_claim_model(wire: WireVolumeClaim) -> VolumeClaim:
    """As the engine has it, without its labels.

    Raises:
        WireFault: its size or its selector cannot be read.
    """
    spec, meta = wire.spec or _ClaimSpec(), wire.metadata.model(frozenset({_CLASS, _BOUND}))
    return VolumeClaim(
        meta=msgspec.structs.replace(meta, labels={}, annotations={}),
        volume=spec.volume_name or "",
        storage_class=meta.annotations.get(_CLASS, spec.storage_class_name),
        single_pod="ReadWriteOncePod" in (spec.access_modes or ()),
        traits=_traits(spec.resources.requests if spec.resources else None, spec.access_modes, spec.volume_mode),
        selector=spec.selector.model() if spec.selector is not None else (),
        is_binding=bool(spec.volume_name) and _BOUND not in meta.annotations,
        phase=(wire.status.phase if wire.status is not None else None) or "",
    )


class _TopologyTerm(msgspec.Struct, gc=False):
    key: str | None = None
    values: tuple[str, ...] | None = None


class _Topology(msgspec.Struct, gc=False, rename="camel"):
    match_label_expressions: tuple[_TopologyTerm, ...] | None = None


class WireStorageClass(msgspec.Struct, gc=False, rename="camel"):
    """A StorageClass."""

    metadata: WireMeta
    provisioner: str | None = None
    volume_binding_mode: str | None = None
    allowed_topologies: tuple[_Topology, ...] | None = None


def storage_class_model(wire: WireStorageClass) -> StorageClass:
    """As the engine has it."""
    provisioner = wire.provisioner or ""
    marks = texts(wire.metadata.annotations)
    return StorageClass(
        wire.metadata.model(frozenset()),
        IN_TREE.get(provisioner, provisioner),
        tuple(term for t in wire.allowed_topologies or () if (term := tuple(_topology(t)))),
        late=wire.volume_binding_mode == "WaitForFirstConsumer",
        is_default=any(marks.get(key) == "true" for key in _DEFAULT),
    )


def _topology(wire: _Topology) -> Iterator[Requirement]:
    for entry in wire.match_label_expressions or ():
        yield Requirement(entry.key or "", "In", entry.values or ())


class _Allocatable(msgspec.Struct, gc=False):
    count: int | None = None


class _Driver(msgspec.Struct, gc=False):
    name: str | None = None
    allocatable: _Allocatable | None = None


class _CsiNodeSpec(msgspec.Struct, gc=False):
    drivers: tuple[_Driver, ...] | None = None


class WireCsiNode(msgspec.Struct, gc=False):
    """A CSINode."""

    metadata: WireMeta
    spec: _CsiNodeSpec | None = None


def attach_limits_model(wire: WireCsiNode) -> AttachLimits:
    """As the engine has it: the drivers that state how many volumes they attach."""
    drivers = (wire.spec.drivers if wire.spec is not None else None) or ()
    stated = {
        d.name: d.allocatable.count
        for d in drivers
        if d.name and d.allocatable is not None and d.allocatable.count is not None
    }
    meta = wire.metadata.model(frozenset())
    return AttachLimits(msgspec.structs.replace(meta, labels={}), NodeName(meta.name), stated)
