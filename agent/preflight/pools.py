"""Whether there is a NodePool that may buy, and what of it means something else here than its writer may expect."""

from collections.abc import Iterator

from agent.model import names
from agent.model.kubernetes import NodePool
from agent.preflight.finding import Finding
from agent.preflight.site import Site


def usable(site: Site) -> Iterator[Finding]:
    """Each NodePool."""
    if not site.pools:
        yield Finding("nodepool", "warn", "there is no NodePool: nothing is bought", "kubectl apply -f nodepool.yaml")
    known = {manifest.meta.name for manifest in site.classes}
    for pool in site.pools:
        yield from _pool(pool, known)


def _pool(pool: NodePool, classes: set[str]) -> Iterator[Finding]:
    if pool.faults:
        yield Finding("nodepool", "fail", f"{pool.name}: {'; '.join(pool.faults)}", "joinery check -f nodepool.yaml")
        return
    if pool.node_class not in classes:
        yield Finding("nodepool", "fail", f"{pool.name}: there is no EC2NodeClass {pool.node_class}", "create it")
        return
    if names.PROTECTED in pool.meta.annotations:
        message = f"{pool.name}: in protected mode after failed joins"
        yield Finding("nodepool", "warn", message, f"joinery resume {pool.name}, when joins work again")
    elif not pool.limits:
        message = f"{pool.name}: without limits; only maxNodes and launchesPerMinute bound what it buys"
        yield Finding("nodepool", "warn", message, "set spec.limits")
    else:
        yield Finding("nodepool", "ok", f"{pool.name}: may buy within its limits")
    if any(r.key == names.CAPACITY_TYPE and r.operator == "In" and "spot" in r.values for r in pool.requirements):
        message = f"{pool.name}: may buy spot, and this version does not handle interruption notices"
        yield Finding("nodepool", "warn", message, "use it for work that bears two minutes' notice")
