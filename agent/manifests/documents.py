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
from agent.manifests.text import TextError, parsed, value
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
_NO_KIND: Final = "object"
"""What an object is called that does not say what it is."""


class Document(msgspec.Struct, frozen=True):
    """One object of a file."""

    source: str
    kind: str
    api_version: str
    name: str
    content: dict[str, Any] | msgspec.Raw
    """Raw: as it stands in a JSON List, of which people write few and clusters print large ones."""

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""

    @property
    def obj(self) -> dict[str, Any]:
        """The object as plain values; raw content is decoded each time. Raises ``TextError``."""
        if isinstance(self.content, dict):
            return self.content
        decoded: dict[str, Any] = value(self.content)
        return decoded

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
            for item in _opened(raw):
                if (document := _document(item, source)) is not None:
                    found.append(document)
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
    if not document.api_version:
        yield "apiVersion", "is required"
        return
    if document.kind == _NO_KIND and not text_of(document.obj, "kind"):
        yield "kind", "is required"
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


class _HeadMeta(msgspec.Struct):
    name: str | None = None


class _Head(msgspec.Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None
    metadata: _HeadMeta | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


def _document(item: object, source: str) -> Document | None:
    """The document of an item that is an object; None for any other."""
    if isinstance(item, msgspec.Raw):
        return _raw_document(item, source)
    if not isinstance(item, Mapping):
        return None
    obj = dict(item)
    metadata = obj.get("metadata")
    name = text_of(metadata, "name") if isinstance(metadata, Mapping) else ""
    return Document(source, text_of(obj, "kind") or _NO_KIND, text_of(obj, "apiVersion"), name, obj)


def _raw_document(item: msgspec.Raw, source: str) -> Document | None:
    """The document of an item of a JSON List; None when it is no object.

    Only what people write for Joinery is decoded as a whole: of other objects a reader takes what it needs.
    """
    try:
        head = _HEAD.decode(item)
    except msgspec.ValidationError:
        return _document(value(item), source)
    name = (head.metadata.name if head.metadata is not None else None) or ""
    document = Document(source, head.kind or _NO_KIND, head.api_version or "", name, item)
    return document if document.model is None else _document(document.obj, source)
