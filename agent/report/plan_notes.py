"""What a reader of a plan should know beside it: whose prices it counts with, and what this version leaves out."""

from collections.abc import Iterable, Iterator

from agent.aws.offline import Shipped
from agent.core.requirements import normalized
from agent.model import names
from agent.model.kubernetes import NodeClaim, NodePool
from agent.model.plan import Limits, Plan, Snapshot

_BRAKES = {"LaunchRate": "launchesPerMinute", "MaxNodes": "maxNodes", "MaxPricePerHour": "maxPricePerHour"}
"""Codes of refusals that the daemon's own brakes give, and their settings."""


def prices(shipped: Shipped, pools: Iterable[NodePool]) -> Iterator[str]:
    """Where instance types, prices and zones come from when no catalogue was given."""
    table = shipped.table
    exact = "exact for on-demand" if table.exact else "not exact"
    yield (
        f"instance types and prices are the shipped ones ({table.source}; {table.date}; {exact}); "
        "spot counts at the on-demand price, which is its ceiling; give others with --catalog"
    )
    if shipped.assumed:
        yield f"the files name no zone; {', '.join(shipped.zones)} are assumed"
    elif any(names.ZONE not in {normalized(r.key) for r in pool.requirements} for pool in pools):
        yield f"pools that name no zone are planned in those that are named elsewhere: {', '.join(shipped.zones)}"


def notes(snapshot: Snapshot, plan: Plan, brakes: Limits) -> Iterator[str]:
    """What this version does not plan although the objects ask for it, and what brakes hold back, here or later.

    Args:
        snapshot: What was planned for.
        plan: What came of it.
        brakes: Those that the daemon would have; the snapshot's may be wider.

    """
    if snapshot.disrupt and (asking := sorted(p.name for p in snapshot.pools if _asks_more(p, snapshot.claims))):
        yield (
            "of disruption this version plans that of empty nodes and of static pools only; "
            f"NodePool {', '.join(asking)} asks for more (consolidation of underutilized nodes, drift or expiry)"
        )
    for overlay in snapshot.overlays:
        for fault in overlay.faults:
            yield f"NodeOverlay {overlay.meta.name}: {fault}"
    yield from _short(snapshot, plan)
    held = {code for r in plan.refusals for _, reason in r.reasons if (code := reason.code) in _BRAKES}
    for code in sorted(held):
        setting = _BRAKES[code]
        yield f"{setting}, a brake of the daemon, holds launches back; --set {setting}=VALUE plans with another"
    yield from _later(snapshot, len(plan.launches), brakes)


def _short(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    """Why static pools get fewer nodes than they keep; there may be no pod whose refusal would say it."""
    static = {pool.name for pool in snapshot.pools if pool.replicas is not None}
    for notice in plan.notices:
        if notice.kind == "NodePool" and notice.name in static:
            about, sentence = f"NodePool {notice.name}", notice.reason.message
            yield sentence if about in sentence else f"{about} gets fewer nodes than it keeps: {sentence}"


def _later(snapshot: Snapshot, launches: int, brakes: Limits) -> Iterator[str]:
    """What the daemon would take several minutes for, or stop at."""
    if launches > brakes.launches_per_minute:
        yield (
            f"the daemon buys {brakes.launches_per_minute} nodes a minute at most (launchesPerMinute), "
            f"so this plan takes it {-(-launches // brakes.launches_per_minute)} minutes"
        )
    nodes = len(snapshot.claims) + launches
    if nodes > brakes.max_nodes:
        yield f"the daemon stops at {brakes.max_nodes} nodes of its own (maxNodes), and this plan comes to {nodes}"


def _asks_more(pool: NodePool, claims: tuple[NodeClaim, ...]) -> bool:
    if pool.consolidation_policy != "WhenEmpty" and pool.replicas is None:
        return True
    own = [c for c in claims if c.pool == pool.name]
    return any(c.expire_after_seconds is not None or c.is_true("Drifted") for c in own)
