"""Objects of files, as ``kubectl get -o yaml`` prints them or a person writes them, as the values of a decision.

What a cluster would have filled in is filled in here: the namespace, the readiness of a class that nobody has
reconciled, the scheduler's verdict on a pod that it has never seen, what a budget allows whose pods nobody has counted,
and which Node belongs to which NodeClaim.
"""

import difflib
import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from agent.kube.diagnosis import diagnosed
from agent.kube.filled import as_pod, bound, claims_made, counted, encoded, inside_namespace, prioritized
from agent.kube.linked import linked
from agent.kube.readers import READERS, Value, value_of
from agent.kube.slips import slips
from agent.kube.timestamps import COUNTABLE_YEAR, newest
from agent.kube.wire import WireFault
from agent.kube.workloads import (
    WORKLOADS,
    Workload,
    expanded,
    has_pods,
    labels_by_namespace,
    workload,
)
from agent.manifests import Document
from agent.manifests.faults import Fault, Note
from agent.manifests.text import TextError
from agent.model.ec2 import NodeClass
from agent.model.kubernetes import (
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
from agent.model.overlays import NodeOverlay
from agent.model.volumes import AttachLimits, StorageClass, Volume, VolumeClaim

_FOREIGN: Final = "a plan does not read this kind"
_WHY: Final = {
    "InstanceTypeCatalog": "a catalogue is given with --catalog",
}
_VERSIONS: Final = {
    kind: f"{group}/v1" if group else "v1"
    for group, kind in (*READERS, *WORKLOADS)
    if not group.startswith("karpenter.")
}
"""Kinds of Kubernetes' own that a plan reads. Others may have kinds of the same names in their groups."""
_OWN_GROUPS: Final = frozenset({group for group, kind in (*READERS, *WORKLOADS) if kind in _VERSIONS} | {"extensions"})
_SLIP: Final = 0.85
"""So much alike are a word and its misspelling; ``Job`` and ``CronJob`` are less."""

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
        pdbs=tuple(counted(reading.all_of(PodDisruptionBudget), reading.all_of(Pod))),
        daemonsets=reading.all_of(DaemonSet),
        attachments=reading.all_of(VolumeAttachment),
        volumes=reading.all_of(Volume),
        volume_claims=tuple(bound(reading.volume_claims(), reading.all_of(Volume))),
        storage_classes=reading.all_of(StorageClass),
        attach_limits=reading.all_of(AttachLimits),
        namespaces={n.meta.name: n.meta.labels for n in reading.all_of(Namespace)},
        newest=newest(d.content for d in listed),
        faults=tuple(reading.faults),
        notes=(*reading.notes, *reading.misspelt(), *reading.passed_over()),
    )


@dataclass(slots=True)
class _Reading:
    """Collects what files hold."""

    faulty: frozenset[tuple[str, str, str]]
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    _made: list[VolumeClaim] = field(default_factory=list)
    _values: defaultdict[type, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _workloads: list[tuple[Document, Workload]] = field(default_factory=list)
    _sources: dict[tuple[type[Value], str, str], str] = field(default_factory=dict)
    _slips: defaultdict[tuple[str, str, str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _ignored: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def all_of(self, kind: type[M]) -> tuple[M, ...]:
        """Every value of one kind, in the order of the files."""
        return tuple(self._values[kind])

    def volume_claims(self) -> tuple[VolumeClaim, ...]:
        """Those of the files, and those that ephemeral volumes would have got."""
        given = self.all_of(VolumeClaim)
        known = {(c.meta.namespace, c.meta.name) for c in given}
        return (*given, *(c for c in self._made if (c.meta.namespace, c.meta.name) not in known))

    def take(self, document: Document) -> None:
        """Read one object, if it is of a kind that decisions are made from."""
        kind = (document.group, document.kind)
        if isinstance(document.content, dict):
            for path, meant in slips(document.kind, document.content) if kind in READERS or kind in WORKLOADS else ():
                self._slips[document.source, document.kind, path, meant].append(document.name)
        try:
            if kind in READERS:
                self._keep(document, value_of(document))
            elif kind in WORKLOADS:
                self._workloads.append((document, workload(encoded(document.obj))))
            elif document.obj.get("kind") and (document.source, document.kind, document.name) not in self.faulty:
                self._ignored[document.source, document.kind, document.api_version] += 1
        except (WireFault, TextError) as error:
            read = READERS.get(kind)
            self._faults(document, error, _Tried(workload if read is None else functools.partial(read, document)))

    def expand(self) -> None:
        """Give Deployments their pods; say of other workloads that they add none."""
        given = labels_by_namespace(self.all_of(Pod)) if self._workloads else {}
        for document, found in self._workloads:
            if found.replicas == 0 or found.is_going or found.is_owned or has_pods(found, given):
                continue
            if document.kind != "Deployment":
                text = "adds no pods: of workloads without their pods only Deployments are expanded"
                self.notes.append(Note(document.source, document.kind, document.name, "", text))
                continue
            for obj in expanded(document, found):
                try:
                    self._keep(document, as_pod(encoded(obj)), obj)
                except (WireFault, TextError) as error:
                    self._faults(document, error, _Tried(as_pod, obj, "spec.template."))
                    break

    def misspelt(self) -> tuple[Note, ...]:
        """Fields that are nearly called like ones that Kubernetes has; pods of one workload share a note."""
        return tuple(
            Note(source, kind, names[0], path, f"unknown field (did you mean {meant}?){_more(len(names) - 1)}")
            for (source, kind, path, meant), names in self._slips.items()
        )

    def passed_over(self) -> tuple[Note, ...]:
        """Kinds that were not read, one note per file and kind, so that nobody takes silence for approval."""
        return tuple(
            Note(source, kind, "", "", f"{count} object{'s' if count != 1 else ''} ignored: {_why(kind, version)}")
            for (source, kind, version), count in self._ignored.items()
        )

    def _keep(self, document: Document, value: Value, made: Mapping[str, Any] | None = None) -> None:
        """Take the value of a document, or of an object that was made of it."""
        meta = value.meta
        if not meta.name:
            self._say(document, "metadata.name", "is required")
            return
        for moment in _moments(value):
            if moment.tzinfo is None:
                text = f"the time {moment.isoformat()} has no zone; write it as {moment.isoformat()}Z"
                self._say(document, "", text)
            elif moment.year >= COUNTABLE_YEAR:
                self._say(document, "", f"the time {moment.isoformat()} is later than any that can be counted with")
        key = (type(value), meta.namespace, meta.name)
        first = self._sources.get(key)
        if first is not None:
            where = "" if first == document.source else f", first in {first}"
            what = f"pod {meta.namespace}/{meta.name}" if isinstance(value, Pod) else "the object"
            text = f"{what} is given twice{where}"
            self._say(document, "", text)
            return
        self._sources[key] = document.source
        self._values[type(value)].append(value)
        if isinstance(value, Pod) and value.claims:
            self._made += claims_made(made or inside_namespace(document.obj))

    def _say(self, document: Document, path: str, sentence: str) -> None:
        self.faults.append(Fault(document.source, document.kind, document.name, path, sentence))

    def _faults(self, document: Document, error: ValueError, tried: "_Tried") -> None:
        """All that is wrong with an object that its reader refused, with the place in front as everywhere."""
        if (document.source, document.kind, document.name) in self.faulty:
            return
        try:
            found = diagnosed(encoded(tried.obj if tried.obj is not None else document.obj), tried.read)
        except (WireFault, TextError):
            found = ()
        for path, sentence in found or (("", str(error)),):
            self._say(document, tried.inside + path, sentence)


class _Tried(NamedTuple):
    """What refused an object."""

    read: Callable[[bytes], object]
    obj: Mapping[str, Any] | None = None
    """What was read instead of the document itself."""
    inside: str = ""
    """Where in the document that stands."""


def _more(others: int) -> str:
    return f"; so in {others} more" if others else ""


def _why(kind: str, version: str) -> str:
    """Why objects of a kind are not read; a slip of the pen among Kubernetes' own kinds is told as one."""
    group, slash, _ = version.partition("/")
    if not slash or group in _OWN_GROUPS:
        if kind in _VERSIONS:
            return f"{kind} belongs to {_VERSIONS[kind]}, not to {version}"
        lower = {known.lower(): known for known in _VERSIONS}
        meant = difflib.get_close_matches(kind.lower(), sorted(lower), n=1, cutoff=_SLIP)
        if meant:
            return f"there is no such kind (did you mean {lower[meant[0]]}?)"
    return _WHY.get(kind, _FOREIGN)


def _moments(value: Value) -> Iterator[datetime]:
    """Every time that a decision may compare with now, each once."""
    times = {value.meta.created_at, value.meta.deleted_at}
    if isinstance(value, NodeClaim):
        times |= {value.last_pod_event_at, *(c.last_transition for c in value.conditions)}
    elif isinstance(value, Pod):
        times.add(value.started_at)
    yield from sorted((t for t in times if t is not None), key=datetime.isoformat)
