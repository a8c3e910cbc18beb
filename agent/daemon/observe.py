"""One Snapshot from caches, EC2's last look, resolved classes and memory, or the reason why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agent.core.overlays import overlaid
from agent.daemon.classes import Classes
from agent.daemon.machines import Machines
from agent.daemon.market import Market
from agent.kube.cache import Cache
from agent.model import names
from agent.model.actions import ClaimDraft
from agent.model.kubernetes import Meta, NodeClaim
from agent.model.plan import Approvals, Cluster, Limits, Memory, Snapshot

STALE_SECONDS = 120.0
"""A kind of object that the API server has not spoken of for this long is too old to act on."""


class NotYet(Exception):  # noqa: N818 - a state, not a fault
    """There is nothing to decide from yet, and why."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Everything that can be seen, from where it is kept."""

    cache: Cache
    machines: Machines
    market: Market
    classes: Classes
    cluster: Cluster
    limits: Limits
    busy: Callable[[], tuple[str, ...]]
    drafts: Callable[[], tuple[ClaimDraft, ...]]

    def snapshot(self, now: datetime, seed: str, memory: Memory) -> Snapshot:
        """The world now; ``provision`` says whether enough is known to buy.

        Raises:
            NotYet: a cache has not synced or is stale; deciding from half a view would do harm.
        """
        self._check()
        classes, pools = self.classes.models(), self.cache.items("nodepools")
        known = overlaid(self.market.instance_types(classes), pools, self.cache.items("nodeoverlays"))
        look = self.machines.view()
        return Snapshot(
            now=now,
            cluster=self.cluster,
            limits=self.limits,
            seed=seed,
            provision=self.market.ready() and self.classes.resolved(),
            pods=self.cache.items("pods"),
            nodes=self.cache.items("nodes"),
            claims=self._claims(now),
            pools=pools,
            classes=classes,
            instance_types=known.instance_types,
            overlays=known.overlays,
            machines=look.machines,
            machines_at=look.at,
            reservations_at=self.classes.reservations_at(),
            pdbs=self.cache.items("poddisruptionbudgets"),
            daemonsets=self.cache.items("daemonsets"),
            attachments=self.cache.items("volumeattachments"),
            volumes=self.cache.items("persistentvolumes"),
            volume_claims=self.cache.items("persistentvolumeclaims"),
            storage_classes=self.cache.items("storageclasses"),
            attach_limits=self.cache.items("csinodes"),
            namespaces={n.meta.name: n.meta.labels for n in self.cache.items("namespaces")},
            certificate_requests=self.cache.items("certificatesigningrequests"),
            token_ids=tuple(sorted(t.id for t in self.cache.items("tokens"))),
            busy=self.busy(),
            approvals=next(iter(self.cache.items("approvals")), Approvals()),
            memory=memory,
        )

    def _check(self) -> None:
        if not self.cache.synced():
            raise NotYet("the caches are not synced yet")
        if unread := self.cache.unreadable("nodeclaims"):
            raise NotYet(f"NodeClaims {', '.join(unread)} cannot be read; their instances would look like orphans")
        if stale := self.cache.stale(STALE_SECONDS):
            raise NotYet(f"the API server has been silent about {', '.join(stale)} for {STALE_SECONDS:.0f} s")

    def _claims(self, now: datetime) -> tuple[NodeClaim, ...]:
        """The claims, those included whose creation is under way: room that is being bought is not bought twice."""
        claims: tuple[NodeClaim, ...] = self.cache.items("nodeclaims")
        known = {c.name for c in claims}
        return claims + tuple(_expected(d, now) for d in self.drafts() if d.name not in known)


def _expected(draft: ClaimDraft, now: datetime) -> NodeClaim:
    """A claim as it will be once the API server has it; without a UID, so that nothing is done to it."""
    labels = draft.labels | {names.NODEPOOL: draft.pool, names.NODECLASS: draft.node_class}
    return NodeClaim(
        meta=Meta(name=draft.name, created_at=now, labels=labels, annotations=draft.annotations),
        node_class=draft.node_class,
        requirements=draft.requirements,
        requests=draft.requests,
        taints=draft.taints,
        startup_taints=draft.startup_taints,
        expire_after_seconds=draft.expire_after_seconds,
        termination_grace_seconds=draft.termination_grace_seconds,
        pool=draft.pool,
    )
