"""Who is at work in a cluster, as seen from outside: the Leases that somebody keeps renewing."""

from datetime import datetime, timedelta

import msgspec

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import NotFound


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime | None = None


class _Metadata(msgspec.Struct):
    name: str
    namespace: str = ""


class _Lease(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Leases(msgspec.Struct):
    items: list[_Lease]


def running_holders(api: KubeApi, now: datetime, *, namespace: str = "", name: str = "") -> list[str]:
    """Says who holds which Lease, for every Lease that was renewed within its own duration.

    With ``name`` only Leases of that name are asked for, in a way that RBAC can limit to that name.
    """
    params = {"fieldSelector": f"metadata.name={name}"} if name else None
    try:
        pages = [msgspec.json.decode(page, type=_Leases) for page in api.pages(paths.leases(namespace or None), params)]
    except NotFound:
        return []
    leases = [lease for page in pages for lease in page.items if not name or lease.metadata.name == name]
    return [
        f"{lease.spec.holder_identity} renews the Lease {lease.metadata.namespace}/{lease.metadata.name}"
        for lease in leases
        if _is_alive(lease.spec, now)
    ]


def _is_alive(spec: _Spec, now: datetime) -> bool:
    # A holder that steps down clears its name (client-go's release), so an empty one is nobody.
    if not spec.holder_identity or spec.renew_time is None:
        return False
    return now < spec.renew_time + timedelta(seconds=spec.lease_duration_seconds or 0)
