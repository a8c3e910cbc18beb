"""Puts Joinery's objects into a cluster; may be repeated, and says what it did.

An object of ours carries ``app.kubernetes.io/managed-by: joinery``. One that has our name but not that label is
somebody else's (Karpenter's CRDs have the same names by intent) and is refused before anything is written. Server-side
apply is not used: an object of ours is wholly ours, and what left the manifest must leave the cluster.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from agent.kube.api import KubeApi
from agent.kube.errors import AlreadyExists, Conflict, NotFound, Retryable
from agent.kube.holders import running_holders
from agent.kube.kinds import (
    CRD,
    KINDS,
    MANAGED_BY,
    NAMESPACE,
    OWNER,
    Manifest,
    is_ours,
    kind_of,
    label_of,
    path_of,
    read,
)
from agent.kube.rbac import KARPENTER_LEASE

APPLIED: Final = "joinery.sh/applied"
"""Annotation: digest of the manifest as it was last written; tells an old version of ours from the present one."""

_ATTEMPTS: Final = 5
_ESTABLISHED_SECONDS: Final = 10.0
# What a write replaces as a whole. All else (status, metadata) belongs to the server and to others.
_NOT_OURS: Final = frozenset({"apiVersion", "kind", "metadata", "status"})


class InstallError(Exception):
    """Nothing was changed, because it must not be; the text says why and what to do."""


def karpenter_running(api: KubeApi, now: datetime | None = None) -> str | None:
    """Says which Karpenter is at work in the cluster, by the Lease it renews; None when there is none."""
    found = running_holders(api, now or datetime.now(UTC), name=KARPENTER_LEASE)
    return f"Karpenter is running: {found[0]}" if found else None


def install(api: KubeApi, objects: Iterable[Manifest], *, adopt_crds: bool = False) -> list[str]:
    """Creates or corrects the objects and returns one ``type/name verbed`` line for each.

    Args:
        api: A connection with the rights of a cluster administrator.
        objects: The manifests, in any order.
        adopt_crds: Make CRDs that exist and are not ours into ours.

    Raises:
        InstallError: Something of that name belongs to somebody else; nothing was written.
    """
    order = {kind.name: position for position, kind in enumerate(KINDS)}
    wanted = sorted((_marked(manifest) for manifest in objects), key=lambda m: order[kind_of(m).name])
    present = [read(api, path_of(manifest)) for manifest in wanted]
    _refuse_vanishing([item for item in present if item])
    _refuse_foreign(api, zip(wanted, present, strict=True), adopt_crds)
    lines = [_apply(api, manifest) for manifest in wanted]
    return lines + _wait_established(api, [m["metadata"]["name"] for m in wanted if kind_of(m) is CRD])


def _refuse_vanishing(present: Sequence[Manifest]) -> None:
    """Nothing can be made in a namespace that is on its way out, and a CRD would go with all that was made since."""
    if going := [label_of(item) for item in present if item["metadata"].get("deletionTimestamp")]:
        raise InstallError(
            f"{', '.join(going)} is still being deleted; wait until it is gone (kubectl wait --for=delete {going[0]}), "
            "then run the command again. Nothing was changed"
        )


def _refuse_foreign(api: KubeApi, pairs: Iterable[tuple[Manifest, Manifest | None]], adopt_crds: bool) -> None:
    foreign = [wanted for wanted, present in pairs if present and not is_ours(present)]
    crds = [m["metadata"]["name"] for m in foreign if kind_of(m) is CRD]
    others = [label_of(m) for m in foreign if kind_of(m) not in (CRD, NAMESPACE)]
    if others:
        raise InstallError(
            f"{', '.join(others)} exist already and are not Joinery's (no label {MANAGED_BY}={OWNER}); "
            "rename or delete them, then run the command again. Nothing was changed"
        )
    if crds and not adopt_crds:
        raise InstallError(
            f"the CRDs {', '.join(crds)} exist already and are not Joinery's (no label {MANAGED_BY}={OWNER}): "
            "they came with Karpenter or by hand. To let Joinery take them over, with the objects in them, run: "
            "joinery install --adopt-crds. Nothing was changed"
        )
    if crds and (running := karpenter_running(api)):
        raise InstallError(f"{running}; stop it before its CRDs change hands. Nothing was changed")


def _apply(api: KubeApi, wanted: Manifest) -> str:
    for _ in range(_ATTEMPTS):
        present = read(api, path_of(wanted))
        try:
            verb = _write(api, wanted, present)
        except (AlreadyExists, Conflict, NotFound):
            continue  # somebody was faster: look again
        except Retryable as error:
            if not error.maybe_done:
                raise
            continue  # the answer is lost, the deed perhaps not: look again
        return f"{label_of(wanted)} {verb}"
    raise InstallError(f"{label_of(wanted)} kept changing under our hands; find out who writes it, then run it again")


def _write(api: KubeApi, wanted: Manifest, present: Manifest | None) -> str:
    kind, path = kind_of(wanted), path_of(wanted)
    if present is None:
        api.create(kind.path(namespace=wanted["metadata"].get("namespace", "")), wanted)
        return "created"
    if kind is NAMESPACE and not is_ours(present):
        return "left as it is"  # a namespace may be made beforehand, with labels and quotas of its owner
    if _same(wanted, present):
        return "unchanged"
    if wanted.get("roleRef") != present.get("roleRef"):
        # A binding's roleRef cannot be changed (RBAC reference): it has to be made anew.
        api.delete(path, uid=present["metadata"]["uid"])
        api.create(kind.path(namespace=wanted["metadata"].get("namespace", "")), wanted)
        return "replaced"
    api.json_patch(path, _corrections(wanted, present))
    return "configured"


def _same(wanted: Manifest, present: Manifest) -> bool:
    annotations = present["metadata"].get("annotations") or {}
    return annotations.get(APPLIED) == wanted["metadata"]["annotations"][APPLIED] and _covers(present, wanted)


def _covers(present: object, wanted: object) -> bool:
    """Whether everything wanted is there. The server adds defaults to objects, but never elements to lists."""
    if isinstance(wanted, Mapping):
        return isinstance(present, Mapping) and all(_covers(present.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(present, list)
            and len(present) == len(wanted)
            and all(_covers(have, want) for have, want in zip(present, wanted, strict=True))
        )
    return present == wanted


def _corrections(wanted: Manifest, present: Manifest) -> list[Manifest]:
    """JSON patch that replaces our parts as a whole, so that what is no longer wanted goes."""
    metadata = present["metadata"]
    # Written rather than tested: a stale version is then answered with 409, a failed test with 422.
    patch: list[Manifest] = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    ]
    for field in ("labels", "annotations"):
        merged = {**(metadata.get(field) or {}), **wanted["metadata"][field]}
        patch.append({"op": "add", "path": f"/metadata/{field}", "value": merged})
    return patch + [
        {"op": "add", "path": f"/{field}", "value": value} for field, value in wanted.items() if field not in _NOT_OURS
    ]


def _marked(manifest: Manifest) -> Manifest:
    metadata = dict(manifest["metadata"])
    digest = hashlib.sha256(msgspec.json.encode(manifest, order="deterministic")).hexdigest()[:16]
    metadata["labels"] = {**(metadata.get("labels") or {}), MANAGED_BY: OWNER}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), APPLIED: digest}
    return {**manifest, "metadata": metadata}


def _wait_established(api: KubeApi, crds: Sequence[str]) -> list[str]:
    """Waits until objects of the new kinds can be written: the next command is usually ``kubectl apply``."""
    deadline = time.monotonic() + _ESTABLISHED_SECONDS
    waiting = list(crds)
    while waiting := [name for name in waiting if not _established(msgspec.json.decode(api.get(CRD.path(name))))]:
        if time.monotonic() > deadline:
            return [
                f"the API server does not serve {', '.join(waiting)} yet; look at: kubectl describe crd {waiting[0]}"
            ]
        time.sleep(0.1)
    return []


def _established(crd: Manifest) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
