"""Files of manifests: YAML or JSON, many documents or a List, with every fault at its place."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_FORMER: Final = {"Provisioner": "NodePool", "Machine": "NodeClaim", "AWSNodeTemplate": "EC2NodeClass"}
"""Kinds of Karpenter before 0.32, and what stands in their place."""
_LIST: Final = "List"
_NO_ITEMS: Final = object()
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
    lists: bool = False
    """It holds a List, which says what there is also where it is empty."""


class Checked(msgspec.Struct, frozen=True):
    """Faults and notes on the objects of a file that people write for Joinery."""

    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()


def load_documents(text: str, source: str) -> Documents:
    """Take a file apart. A ``List`` is opened; a null document is nothing."""
    found: list[Document] = []
    faults: list[Fault] = []
    lists = False
    try:
        for number, raw in enumerate(parsed(text)):
            items = _items(raw)
            lists |= items is not None
            for document in _documents((raw,), _Within(source)):
                if document is not None:
                    found.append(document)
                else:
                    faults.append(
                        Fault(source, "document", str(number), "", "must be an object with apiVersion and kind")
                    )
    except TextError as error:
        faults.append(Fault(source, error.language, "", "", str(error)))
    return Documents(tuple(found), tuple(faults), lists)


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
        former, meant = _FORMER.get(document.kind), similar(document.kind, _GROUPS)
        hint = f" (did you mean {meant}?)" if meant else ""
        if former is not None:
            hint = f" (of Karpenter before 0.32; {former} of {_GROUPS[former]}/v1 stands in its place)"
        yield "kind", f'unknown kind "{document.kind}"{hint}'


def _notes(value: Written | None) -> tuple[str, ...]:
    if isinstance(value, NodePoolManifest):
        return pool_notes(value.spec)
    return class_notes(value.spec) if isinstance(value, EC2NodeClassManifest) else ()


class _Within(msgspec.Struct, frozen=True):
    """Where objects stand, and what those are that do not say it themselves."""

    source: str
    kind: str = ""
    api_version: str = ""


def _documents(items: Iterable[object], within: _Within) -> Iterator[Document | None]:
    """The document of each object, those of a List one by one; None for what is no object."""
    for item in items:
        inner = _items(item)
        if inner is not None:
            yield from _documents(inner, _inside(item, within))
        elif item is not None:
            document = _document(item, within)
            if document is not None and _is_list(document.kind) and isinstance(document.content, msgspec.Raw):
                yield from _documents((document.obj,), within)
            else:
                yield document


def _items(raw: object) -> Sequence[object] | None:
    """What a List holds; None: it is none. ``null`` is how Go writes a list of nothing."""
    if not (isinstance(raw, Mapping) and _is_list(raw.get("kind"))):
        return None
    items = raw.get("items", [] if raw["kind"] == _LIST else _NO_ITEMS)
    return items if isinstance(items, list) else [] if items is None else None


def _is_list(kind: object) -> bool:
    return isinstance(kind, str) and kind.endswith(_LIST)


def _inside(listed: object, within: _Within) -> _Within:
    """Items of a PodList are Pods, which the API server does not repeat (``kubectl get --raw``)."""
    kind, version = (
        (text_of(listed, "kind"), text_of(listed, "apiVersion")) if isinstance(listed, Mapping) else ("", "")
    )
    return msgspec.structs.replace(within, kind=kind.removesuffix(_LIST), api_version=version)


class _HeadMeta(msgspec.Struct):
    name: str | None = None


class _Head(msgspec.Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None
    metadata: _HeadMeta | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


def _document(item: object, within: _Within) -> Document | None:
    """The document of an item that is an object; None for any other."""
    if isinstance(item, msgspec.Raw):
        return _raw_document(item, within)
    if not isinstance(item, Mapping):
        return None
    obj = dict(item)
    metadata = obj.get("metadata")
    name = text_of(metadata, "name") if isinstance(metadata, Mapping) else ""
    kind, version = _said(within, text_of(obj, "kind"), text_of(obj, "apiVersion"))
    if "kind" not in obj and kind:
        obj |= {"apiVersion": version, "kind": kind}
    return Document(within.source, kind or _NO_KIND, version, name, obj)


def _said(within: _Within, kind: str, version: str) -> tuple[str, str]:
    """Kind and version of an object, as it says or else the typed list in which it stands."""
    return (kind, version) if kind or version or not within.kind else (within.kind, within.api_version)


def _raw_document(item: msgspec.Raw, within: _Within) -> Document | None:
    """The document of an item of a JSON List; None when it is no object.

    Only what people write for Joinery is decoded as a whole: of other objects a reader takes what it needs.
    """
    try:
        head = _HEAD.decode(item)
    except msgspec.ValidationError:
        return _document(value(item), within)
    name = (head.metadata.name if head.metadata is not None else None) or ""
    kind, version = _said(within, head.kind or "", head.api_version or "")
    document = Document(within.source, kind or _NO_KIND, version, name, item)
    return document if document.model is None else _document(document.obj, within)
