"""A snapshot as a file, so that the decision made from it can be made again elsewhere: what a bug report holds.

Pods' environments and user data never are in a snapshot. Annotations of other tools, certificate requests and the ids
of tokens are left out here.
"""

from typing import Any, Final

import msgspec

from agent.model.names import AWS_GROUP, KARPENTER_GROUP
from agent.model.plan import Snapshot
from agent.report.plan_json import API_VERSION

KIND: Final = "Snapshot"
_OURS: Final = ("joinery.sh", KARPENTER_GROUP, AWS_GROUP)


class Unreadable(Exception):  # noqa: N818 - it is the file that is unreadable
    """The file holds no snapshot of this version, and why."""


class _File(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    snapshot: Snapshot


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as JSON, without what is nobody else's business."""
    kept = msgspec.structs.replace(snapshot, certificate_requests=(), token_ids=())
    body = {"apiVersion": API_VERSION, "kind": KIND, "snapshot": _without_foreign(msgspec.to_builtins(kept))}
    return msgspec.json.encode(body) + b"\n"


def decode(raw: bytes) -> Snapshot:
    """The snapshot of a file. Raises Unreadable."""
    try:
        found = msgspec.json.decode(raw, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"is no saved snapshot of this version: {error}") from error
    if (found.api_version, found.kind) != (API_VERSION, KIND):
        raise Unreadable(f"is a {found.kind} of {found.api_version}, not a {KIND} of {API_VERSION}")
    return found.snapshot


def _without_foreign(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value with only our annotations, wherever there are some."""
    if isinstance(value, list | tuple):
        return [_without_foreign(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {k: v for k, v in item.items() if _is_ours(k)} if key == "annotations" else _without_foreign(item)
        for key, item in value.items()
    }


def _is_ours(annotation: str) -> bool:
    domain = annotation.partition("/")[0]
    return any(domain == own or domain.endswith(f".{own}") for own in _OURS)
