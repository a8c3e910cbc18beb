"""Takes Joinery out of a cluster: leaves no instance, no finalizer and no right behind, and keeps what people wrote."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Final

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import Conflict, NotFound
from agent.kube.holders import running_holders
from agent.kube.install import InstallError
from agent.kube.kinds import CRD, KINDS, MANAGED_BY, OWNER, Kind, Manifest, is_ours, items
from agent.model import names

_CLAIMS: Final = "nodeclaims.karpenter.sh"
_POOLS: Final = "nodepools.karpenter.sh"
_CLASSES: Final = "ec2nodeclasses.karpenter.k8s.aws"


def uninstall(api: KubeApi, *, delete_crds: Sequence[str] = (), force: bool = False) -> list[str]:
    """Removes what `install` made and returns one ``type/name verbed`` line for each object.

    CRDs stay unless named in ``delete_crds`` (``nodepools.karpenter.sh``): deleting one deletes every object of it.
    ``force`` goes on although NodeClaims exist or the daemon runs, and takes our finalizers off, so that nothing hangs;
    the instances run on and are listed. Objects of CRDs that are not ours are not looked at: they are Karpenter's.

    Raises:
        InstallError: Instances, a running daemon or a foreign CRD forbid it; nothing was changed.
    """
    crds = [crd for crd in items(api, CRD.path()) if _is_karpenters(crd)]
    ours = {crd["metadata"]["name"] for crd in crds if is_ours(crd)}
    _refuse_deletion(ours, delete_crds)
    claims = items(api, paths.node_claims()) if _CLAIMS in ours else []
    if not force:
        _refuse_in_use(api, claims)
    lines = _release(api, ours, claims)
    for kind in reversed(KINDS):
        if kind is not CRD:
            lines += _sweep(api, kind)
    return lines + [_delete_or_keep(api, crd, delete_crds) for crd in crds]


def _refuse_deletion(ours: AbstractSet[str], delete_crds: Sequence[str]) -> None:
    if unknown := sorted(set(delete_crds) - ours):
        raise InstallError(
            f"{', '.join(unknown)} cannot be deleted: there is no such CRD of Joinery's "
            f"(there are: {', '.join(sorted(ours)) or 'none'}). Nothing was changed"
        )


def _refuse_in_use(api: KubeApi, claims: Sequence[Manifest]) -> None:
    if claims:
        listed = ", ".join([claim["metadata"]["name"] for claim in claims])
        raise InstallError(
            f"{len(claims)} NodeClaims still stand for instances that cost money ({listed}). First, with the daemon "
            "running: kubectl delete nodepools.karpenter.sh --all && kubectl delete nodeclaims.karpenter.sh --all, and "
            "wait until both return; then: systemctl disable --now joinery. "
            "To leave the instances running on purpose: joinery uninstall --force. Nothing was changed"
        )
    if running := running_holders(api, datetime.now(UTC), namespace=names.NAMESPACE):
        raise InstallError(
            f"a Joinery daemon is running: {running[0]}. Stop it on every control-plane node first: "
            "systemctl disable --now joinery. Nothing was changed"
        )


def _release(api: KubeApi, ours: AbstractSet[str], claims: Sequence[Manifest]) -> list[str]:
    """Takes our finalizers off: nobody will be there any more to answer them."""
    lines = []
    for claim in claims:
        instance = (claim.get("status") or {}).get("providerID") or "no instance known"
        _drop_finalizer(api, paths.node_claims(), claim, names.TERMINATION_FINALIZER)
        lines.append(f"nodeclaim.karpenter.sh/{claim['metadata']['name']} released: its instance runs on ({instance})")
    collections = (
        (_CLAIMS, "node", paths.nodes(), names.TERMINATION_FINALIZER),
        (_POOLS, "nodepool.karpenter.sh", paths.node_pools(), names.TERMINATION_FINALIZER),
        (_CLASSES, "ec2nodeclass.karpenter.k8s.aws", paths.node_classes(), names.CLASS_FINALIZER),
    )
    for crd, label, path, finalizer in collections:
        lines += [
            f"{label}/{item['metadata']['name']} released"
            for item in (items(api, path) if crd in ours else ())
            if _drop_finalizer(api, path, item, finalizer)
        ]
    return lines


def _drop_finalizer(api: KubeApi, collection: str, item: Manifest, finalizer: str) -> bool:
    metadata = item["metadata"]
    if finalizer not in metadata.get("finalizers", ()):
        return False
    kept = [name for name in metadata["finalizers"] if name != finalizer]
    body = {"metadata": {"finalizers": kept, "resourceVersion": metadata["resourceVersion"]}}
    try:
        api.merge_patch(f"{collection}/{metadata['name']}", body)
    except NotFound:
        return False
    return True


def _sweep(api: KubeApi, kind: Kind) -> list[str]:
    lines = []
    for item in items(api, kind.path(), {"labelSelector": f"{MANAGED_BY}={OWNER}"}):
        metadata = item["metadata"]
        try:
            api.delete(kind.path(metadata["name"], metadata.get("namespace", "")), uid=metadata["uid"])
        except (NotFound, Conflict):
            continue  # gone already, or made anew by somebody else
        lines.append(f"{kind.label(metadata['name'])} deleted")
    return lines


def _delete_or_keep(api: KubeApi, crd: Manifest, delete_crds: Sequence[str]) -> str:
    name = crd["metadata"]["name"]
    if not is_ours(crd):
        return f"{CRD.label(name)} kept: not Joinery's"
    if name not in delete_crds:
        return f"{CRD.label(name)} kept: deleting it deletes every object of it; to do so add --delete-crd {name}"
    try:
        api.delete(CRD.path(name), uid=crd["metadata"]["uid"])
    except NotFound:
        return f"{CRD.label(name)} was gone already"
    return f"{CRD.label(name)} deleted, with every object of it"


def _is_karpenters(crd: Manifest) -> bool:
    return crd["spec"]["group"] in (names.KARPENTER_GROUP, names.AWS_GROUP)
