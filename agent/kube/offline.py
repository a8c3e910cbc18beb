"""Objects of files, as ``kubectl get -o yaml`` prints them or a person writes them, as the values of a decision.

What a cluster would have filled in is filled in here: the namespace, the readiness of a class that nobody has
reconciled, the scheduler's verdict on a pod that it has never seen, and which Node belongs to which NodeClaim.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from agent.kube import wire
from agent.kube.filled import as_pod, claims_made, encoded, inside_namespace, is_undecided, prioritized
from agent.kube.linked import linked
from agent.kube.timestamps import newest
from agent.kube.wire import WireFault
from agent.kube.workloads import (
    WORKLOADS,
    Workload,
    expanded,
    has_pods,
    labels_by_namespace,
    workload,
)
from agent.manifests import (
    Document,
    NodeClassManifest,
    kubelet_settings,
    parse_node_class,
    parse_node_overlay,
    parse_node_pool,
)
from agent.manifests.disks import root_volume_bytes, volumes
from agent.manifests.faults import Fault, Note
from agent.model.ec2 import KubeletSettings, NodeClass, Subnet
from agent.model.kubernetes import (
    Condition,
    DaemonSet,
    Namespace,
    Node,
    NodeClaim,
    NodePool,
    Pod,
    PodDisruptionBudget,
    PriorityClass,
    VolumeAttachment,
)
from agent.model.names import Zone
from agent.model.overlays import NodeOverlay
from agent.model.volumes import AttachLimits, StorageClass, Volume, VolumeClaim

_FOREIGN: Final = "a plan does not read this kind"
_WHY: Final = {
    "InstanceTypeCatalog": "a catalogue is given with --catalog",
}

_NAMELESS: Final = "is required - at `$.metadata.name`"

M = TypeVar("M")


class Objects(msgspec.Struct, frozen=True):
    """What files hold, without instance types, which no file of objects can say."""

    pods: tuple[Pod, ...] = ()
    nodes: tuple[Node, ...] = ()
    claims: tuple[NodeClaim, ...] = ()
    pools: tuple[NodePool, ...] = ()
    classes: tuple[NodeClass, ...] = ()
    overlays: tuple[NodeOverlay, ...] = ()
    pdbs: tuple[PodDisruptionBudget, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    attachments: tuple[VolumeAttachment, ...] = ()
    volumes: tuple[Volume, ...] = ()
    volume_claims: tuple[VolumeClaim, ...] = ()
    storage_classes: tuple[StorageClass, ...] = ()
    attach_limits: tuple[AttachLimits, ...] = ()
    namespaces: dict[str, dict[str, str]] = {}
    newest: datetime | None = None
    """The latest moment that the objects tell of."""
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()


def objects(documents: Iterable[Document], known: Iterable[Fault] = ()) -> Objects:
    """Read all objects of all files. Of an object that has one of the faults ``known`` no more is said here."""
    listed = tuple(documents)
    reading = _Reading(frozenset((f.source, f.kind, f.name) for f in known))
    for document in listed:
        reading.take(document)
    reading.expand()
    nodes, claims = linked(reading.all_of(Node), reading.all_of(NodeClaim))
    return Objects(
        pods=tuple(prioritized(reading.all_of(Pod), reading.all_of(PriorityClass))),
        nodes=nodes,
        claims=claims,
        pools=reading.all_of(NodePool),
        classes=reading.all_of(NodeClass),
        overlays=reading.all_of(NodeOverlay),
        pdbs=reading.all_of(PodDisruptionBudget),
        daemonsets=reading.all_of(DaemonSet),
        attachments=reading.all_of(VolumeAttachment),
        volumes=reading.all_of(Volume),
        volume_claims=reading.volume_claims(),
        storage_classes=reading.all_of(StorageClass),
        attach_limits=reading.all_of(AttachLimits),
        namespaces={n.meta.name: n.meta.labels for n in reading.all_of(Namespace)},
        newest=newest(d.obj for d in listed),
        faults=tuple(reading.faults),
        notes=(*reading.notes, *reading.passed_over()),
    )


def node_class(obj: Mapping[str, Any]) -> NodeClass:
    """A class as its own status says what its terms mean; one without conditions counts as ready."""
    manifest = parse_node_class(obj, given_hash=True)
    spec = manifest.spec
    return NodeClass(
        meta=manifest.meta,
        ami_family=spec.family if spec is not None else "",
        subnets=_subnets(manifest),
        images=manifest.pinned,
        kubelet=kubelet_settings(KubeletSettings(), spec.kubelet) if spec is not None else KubeletSettings(),
        root_volume_bytes=root_volume_bytes(spec) if spec is not None else 0,
        volumes=volumes(spec) if spec is not None else 1,
        hash=manifest.hash,
        hash_version=manifest.hash_version,
        conditions=manifest.conditions or (Condition("Ready", "True", "Assumed"),),
        faults=manifest.faults,
        notes=manifest.notes,
    )


class _WireSubnet(msgspec.Struct):
    id: str = ""
    zone: str = ""


def _subnets(manifest: NodeClassManifest) -> tuple[Subnet, ...]:
    """Of the status, which no person wrote: one that cannot be read is none."""
    try:
        written = msgspec.convert(manifest.status.get("subnets") or (), tuple[_WireSubnet, ...])
    except msgspec.ValidationError:
        return ()
    return tuple(Subnet(s.id, Zone(s.zone)) for s in written if s.zone)


Value = (
    Pod
    | Node
    | NodeClaim
    | NodePool
    | NodeClass
    | NodeOverlay
    | PodDisruptionBudget
    | DaemonSet
    | VolumeAttachment
    | Volume
    | VolumeClaim
    | StorageClass
    | AttachLimits
    | Namespace
    | PriorityClass
)

READERS: Final[Mapping[tuple[str, str], Callable[[Document, bytes], Value]]] = {
    ("", "Pod"): lambda document, raw: as_pod(raw, pending=is_undecided(document.obj)),
    ("", "Node"): lambda _, raw: wire.node(raw),
    ("karpenter.sh", "NodeClaim"): lambda _, raw: wire.node_claim(raw),
    ("karpenter.sh", "NodePool"): lambda document, _: parse_node_pool(document.obj, given_hash=True),
    ("karpenter.k8s.aws", "EC2NodeClass"): lambda document, _: node_class(document.obj),
    ("karpenter.sh", "NodeOverlay"): lambda document, _: parse_node_overlay(document.obj),
    ("policy", "PodDisruptionBudget"): lambda _, raw: wire.pod_disruption_budget(raw),
    ("apps", "DaemonSet"): lambda _, raw: wire.daemonset(raw),
    ("storage.k8s.io", "VolumeAttachment"): lambda _, raw: wire.volume_attachment(raw),
    ("", "PersistentVolume"): lambda _, raw: wire.volume(raw),
    ("", "PersistentVolumeClaim"): lambda _, raw: wire.volume_claim(raw),
    ("storage.k8s.io", "StorageClass"): lambda _, raw: wire.storage_class(raw),
    ("storage.k8s.io", "CSINode"): lambda _, raw: wire.attach_limits(raw),
    ("", "Namespace"): lambda _, raw: wire.namespace(raw),
    ("scheduling.k8s.io", "PriorityClass"): lambda _, raw: wire.priority_class(raw),
}
"""API group and kind to what reads an object of it. Each raises ``WireFault``."""
_NAMESPACED: Final = frozenset(
    {
        ("", "Pod"),
        ("", "PersistentVolumeClaim"),
        ("policy", "PodDisruptionBudget"),
        ("apps", "DaemonSet"),
    }
)


@dataclass(slots=True)
class _Reading:
    """Collects what files hold."""

    faulty: frozenset[tuple[str, str, str]]
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    _made: list[VolumeClaim] = field(default_factory=list)
    _values: list[Value] = field(default_factory=list)
    _workloads: list[tuple[Document, Workload]] = field(default_factory=list)
    _sources: dict[tuple[type[Value], str, str], str] = field(default_factory=dict)
    _ignored: Counter[tuple[str, str]] = field(default_factory=Counter)

    def all_of(self, kind: type[M]) -> tuple[M, ...]:
        """Every value of one kind, in the order of the files."""
        return tuple(value for value in self._values if isinstance(value, kind))

    def volume_claims(self) -> tuple[VolumeClaim, ...]:
        """Those of the files, and those that ephemeral volumes would have got."""
        given = self.all_of(VolumeClaim)
        known = {(c.meta.namespace, c.meta.name) for c in given}
        return (*given, *(c for c in self._made if (c.meta.namespace, c.meta.name) not in known))

    def take(self, document: Document) -> None:
        """Read one object, if it is of a kind that decisions are made from."""
        kind = (document.group, document.kind)
        try:
            if kind in READERS:
                obj = inside_namespace(document.obj) if kind in _NAMESPACED else document.obj
                self._keep(document, obj, READERS[kind](document, encoded(obj)))
            elif kind in WORKLOADS:
                self._workloads.append((document, workload(encoded(document.obj))))
            elif document.obj.get("kind"):
                self._ignored[document.source, document.kind] += 1
        except WireFault as error:
            self._fault(document, error)

    def expand(self) -> None:
        """Give Deployments their pods; say of other workloads that they add none."""
        given = labels_by_namespace(self.all_of(Pod))
        for document, found in self._workloads:
            if found.replicas == 0 or found.is_owned or has_pods(found, given):
                continue
            if document.kind != "Deployment":
                text = "adds no pods: of workloads without their pods only Deployments are expanded"
                self.notes.append(Note(document.source, document.kind, document.name, "", text))
                continue
            try:
                for obj in expanded(document, found):
                    self._keep(document, obj, as_pod(encoded(obj), pending=is_undecided(obj)))
            except WireFault as error:
                self._fault(document, error, inside="spec.template.")

    def passed_over(self) -> tuple[Note, ...]:
        """Kinds that were not read, one note per file and kind, so that nobody takes silence for approval."""
        return tuple(
            Note(source, kind, "", "", f"{count} object{'s' if count != 1 else ''} ignored: {_WHY.get(kind, _FOREIGN)}")
            for (source, kind), count in self._ignored.items()
        )

    def _keep(self, document: Document, obj: Mapping[str, Any], value: Value) -> None:
        meta = value.meta
        if not meta.name:
            self._fault(document, WireFault(_NAMELESS))
            return
        for moment in _moments(value):
            if moment.tzinfo is None:
                text = f"the time {moment.isoformat()} has no zone; write it as {moment.isoformat()}Z"
                self.faults.append(Fault(document.source, document.kind, document.name, "", text))
        key = (type(value), meta.namespace, meta.name)
        first = self._sources.get(key)
        if first is not None:
            where = "" if first == document.source else f", first in {first}"
            what = f"pod {meta.namespace}/{meta.name}" if isinstance(value, Pod) else "the object"
            text = f"{what} is given twice{where}"
            self.faults.append(Fault(document.source, document.kind, document.name, "", text))
            return
        self._sources[key] = document.source
        self._values.append(value)
        if isinstance(value, Pod) and value.claims:
            self._made += claims_made(obj)

    def _fault(self, document: Document, error: WireFault, inside: str = "") -> None:
        """One line, with the place in front as everywhere."""
        if (document.source, document.kind, document.name) in self.faulty:
            return
        text, _, path = str(error).partition(" - at `$")
        place = path.removesuffix("`").removeprefix(".").replace("[...]", "[]")
        sentence = text[:1].lower() + text[1:]
        self.faults.append(Fault(document.source, document.kind, document.name, inside + place, sentence))


def _moments(value: Value) -> Iterator[datetime]:
    """Every time that a decision may compare with now, each once."""
    times = {value.meta.created_at, value.meta.deleted_at}
    if isinstance(value, NodeClaim):
        times |= {value.last_pod_event_at, *(c.last_transition for c in value.conditions)}
    elif isinstance(value, Pod):
        times.add(value.started_at)
    yield from sorted((t for t in times if t is not None), key=datetime.isoformat)
