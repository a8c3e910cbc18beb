"""Files of manifests: YAML or JSON, many documents or a List, with every fault at its place."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.manifests.examine import read
from agent.manifests.faults import Fault, Note, path_text, similar, text_of
from agent.manifests.nodeclaim import NodeClaimManifest
from agent.manifests.nodeclass import EC2NodeClassManifest
from agent.manifests.nodeoverlay import NodeOverlayManifest
from agent.manifests.nodepool import NodePoolManifest
from agent.manifests.notes import class_notes, pool_notes
from agent.manifests.text import TextError, parsed
from agent.manifests.written import Written

KINDS: Final[dict[tuple[str, str], type[Written]]] = {
    ("karpenter.sh", "NodePool"): NodePoolManifest,
    ("karpenter.sh", "NodeClaim"): NodeClaimManifest,
    ("karpenter.k8s.aws", "EC2NodeClass"): EC2NodeClassManifest,
    ("karpenter.sh", "NodeOverlay"): NodeOverlayManifest,
}
"""API group and kind to the model that reads it."""
_GROUPS: Final = {kind: group for group, kind in KINDS}
_UNREAD: Final = frozenset({"CapacityBuffer"})
"""Kinds of Karpenter's that this version has no model of."""


class Document(msgspec.Struct, frozen=True):
    """One object of a file."""

    source: str
    kind: str
    group: str
    name: str
    obj: dict[str, Any]

    @property
    def model(self) -> type[Written] | None:
        """The model that reads it; None for kinds that people do not write for Joinery."""
        return KINDS.get((self.group, self.kind))


class Documents(msgspec.Struct, frozen=True):
    """What a file holds, and what is wrong with it as a file."""

    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()


class Checked(msgspec.Struct, frozen=True):
    """Faults and notes on the objects of a file that people write for Joinery."""

    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()


def load_documents(text: str, source: str) -> Documents:
    """Take a file apart. A ``List`` is opened; a null document is nothing."""
    found: list[Document] = []
    faults: list[Fault] = []
    try:
        for number, raw in enumerate(parsed(text)):
            for obj in _opened(raw):
                if isinstance(obj, Mapping):
                    found.append(_document(dict(obj), source))
                else:
                    faults.append(
                        Fault(source, "document", str(number), "", "must be an object with apiVersion and kind")
                    )
    except TextError as error:
        faults.append(Fault(source, error.language, "", "", str(error)))
    return Documents(tuple(found), tuple(faults))


def check_documents(documents: tuple[Document, ...]) -> Checked:
    """Every fault and note on objects that people write for Joinery; other kinds are left alone."""
    faults: list[Fault] = []
    notes: list[Note] = []
    for document in documents:
        where = (document.source, document.kind, document.name)
        if document.model is None:
            faults += [Fault(*where, path, text) for path, text in _kind_faults(document)]
            continue
        examined = read(document.model, document.obj)
        faults += [Fault(*where, path_text(place), text) for place, text in examined.faults]
        for note in _notes(examined.value):
            path, _, text = note.partition(": ")
            notes.append(Note(*where, path, text))
    return Checked(tuple(faults), tuple(notes))


def _kind_faults(document: Document) -> Iterator[tuple[str, str]]:
    """What is wrong with an object that no model reads: no kind at all, or one that only looks like ours."""
    for field in ("apiVersion", "kind"):
        if not text_of(document.obj, field):
            yield field, "is required"
            return
    if document.kind in _GROUPS:
        if document.group in {group for group, _ in KINDS} or not document.group:
            version = "v1alpha1" if document.kind == "NodeOverlay" else "v1"
            yield "apiVersion", f"{document.kind} belongs to {_GROUPS[document.kind]}/{version}"
    elif document.group in _GROUPS.values() and document.kind not in _UNREAD:
        meant = similar(document.kind, _GROUPS)
        yield "kind", f'unknown kind "{document.kind}"' + (f" (did you mean {meant}?)" if meant else "")


def _notes(value: Written | None) -> tuple[str, ...]:
    if isinstance(value, NodePoolManifest):
        return pool_notes(value.spec)
    return class_notes(value.spec) if isinstance(value, EC2NodeClassManifest) else ()


def _opened(raw: object) -> Iterator[object]:
    if raw is None:
        return
    if isinstance(raw, Mapping) and str(raw.get("kind", "")).endswith("List") and isinstance(raw.get("items"), list):
        yield from raw["items"]
    else:
        yield raw


def _document(obj: dict[str, Any], source: str) -> Document:
    metadata = obj.get("metadata")
    name = text_of(metadata, "name") if isinstance(metadata, Mapping) else ""
    group, slash, _ = text_of(obj, "apiVersion").partition("/")
    return Document(source, text_of(obj, "kind") or "object", group if slash else "", name, obj)
