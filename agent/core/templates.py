"""What nodes of a pool look like before an instance type is chosen, and why a pool buys nothing at all."""

from datetime import datetime
from typing import Final

import msgspec

from agent.core.inputs import PackingInput
from agent.core.requirements import Requirements, normalized_labels
from agent.core.shelf import Shelf
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.kubernetes import RESOURCE_CLAIMS, DaemonSet, NodePool, Pod
from agent.model.reasons import Reason
from agent.model.resources import Resources

UNNAMED: Final = "*"
"""Stands for the host name of a node that does not exist yet; no label can have this value."""
SIMULATED: Final = frozenset({names.HOSTNAME, names.REGISTERED, names.INITIALIZED})
"""Labels that a node will have in the end, but that its claim must not ask for."""


class Template(msgspec.Struct, frozen=True):
    """Nodes of one pool: what is required of them, the labels they are given, and the types they may be."""

    pool: NodePool
    base: Requirements
    labels: dict[str, str]
    shelf: Shelf
    """What its class's types are offered as; not all satisfy ``base``."""


def template(pool: NodePool, shelf: Shelf) -> Template:
    """Requirements of the pool, its labels and those that every node gets (Karpenter's rule 6.4)."""
    labels = pool_labels(pool)
    every = Requirements.from_labels(labels | {names.REGISTERED: "true", names.INITIALIZED: "true"})
    host = Requirements.of([Requirement(names.HOSTNAME, "In", (UNNAMED,))])
    return Template(pool, Requirements.of(pool.requirements) & every & host, labels, shelf)


def pool_labels(pool: NodePool) -> dict[str, str]:
    """Labels that every node of the pool has: those of its template, its name and its class."""
    return normalized_labels(pool.labels) | {names.NODEPOOL: str(pool.name), names.NODECLASS: str(pool.node_class)}


def by_weight(pools: tuple[NodePool, ...]) -> tuple[tuple[NodePool, ...], ...]:
    """Pools of equal weight together, the heaviest first, by name within a weight."""
    weights = sorted({pool.weight for pool in pools}, reverse=True)
    return tuple(tuple(sorted((p for p in pools if p.weight == w), key=lambda p: p.name)) for w in weights)


def unusable(pool: NodePool, asked: PackingInput) -> Reason | None:
    """Why the pool buys nothing for pending pods at present; None: it may be asked."""
    if pool.replicas is not None:
        sentence = f"NodePool {pool.name} is static (spec.replicas): it keeps its nodes and buys none for pending pods"
        return Reason("FailedScheduling", sentence)
    return unready(pool, asked)


def unready(pool: NodePool, asked: PackingInput) -> Reason | None:
    """Why no node of the pool can be bought at present, whoever it would be for; None: it can."""
    name = f"NodePool {pool.name}"
    if pool.meta.deleted_at is not None:
        return Reason("NodePoolNotReady", f"{name} is being deleted")
    if pool.faults:
        return Reason("NodePoolNotReady", f"{name} has faults: {'; '.join(pool.faults)}")
    base = Requirements.of(pool.requirements) & Requirements.from_labels(pool.labels)
    if base.conflict is not None:
        return Reason(
            "NodePoolNotReady", f"{name} can have no node: nothing satisfies its requirements on {base.conflict}"
        )
    node_class = next((c for c in asked.classes if c.name == pool.node_class), None)
    if node_class is None and pool.node_class not in asked.instance_types:
        return Reason("NodeClassNotReady", f"EC2NodeClass {pool.node_class} of {name} does not exist; create it")
    if node_class is not None and not node_class.ready:
        ready = next((c for c in node_class.conditions if c.type == "Ready"), None)
        why = "; ".join(node_class.faults) or (ready.message if ready else "") or "its selectors are not resolved yet"
        return Reason("NodeClassNotReady", f"EC2NodeClass {pool.node_class} of {name} is not ready: {why}")
    # What was last written counts only where the class itself is not at hand: a dry run writes nothing.
    ready = next((c for c in pool.conditions if c.type == "Ready"), None) if node_class is None else None
    if ready is not None and ready.status != "True":
        return Reason("NodePoolNotReady", f"{name} is not ready: {ready.message or ready.reason}")
    return _protected(pool, asked)


def _protected(pool: NodePool, asked: PackingInput) -> Reason | None:
    until = asked.protected.get(pool.name)
    if until is None:
        return None
    name = f"NodePool {pool.name}"
    if until > asked.now:
        sentence = f"{name} is in protected mode after failed joins: next trial launch at {_time(until)}"
        return Reason("ProtectedMode", f"{sentence}; `joinery resume {pool.name}` ends it")
    trial = next(
        (p.claim for p in asked.pairs if p.claim and p.claim.pool == pool.name and not p.claim.is_true("Registered")),
        None,
    )
    if trial is None:
        return None
    return Reason("ProtectedMode", f"{name} is in protected mode: the trial launch {trial.name} has not joined yet")


def daemon_pods(asked: PackingInput) -> tuple[Pod, ...]:
    """One pod of each DaemonSet, by key: asking what its newest running pod asks, else what its template asks.

    Those with resource claims are left out, as their pods are never placed (Karpenter's rule 8.14).
    """
    return asked.shelves.latest(_daemon_pods, asked.daemonsets, asked.bound) if asked.daemonsets else ()


def _daemon_pods(daemonsets: tuple[DaemonSet, ...], bound: tuple[Pod, ...]) -> tuple[Pod, ...]:
    newest: dict[str, Pod] = {}
    for pod in bound:
        if pod.is_daemon and not pod.is_finished:
            held = newest.get(pod.owner_uid)
            if held is None or _age(pod) > _age(held):
                newest[pod.owner_uid] = pod
    return tuple(
        _sized(d, newest.get(d.meta.uid))
        for d in sorted(daemonsets, key=lambda d: (d.meta.namespace, d.meta.name))
        if RESOURCE_CLAIMS not in d.template.unsupported
    )


def _sized(daemonset: DaemonSet, running: Pod | None) -> Pod:
    requests = daemonset.template.requests if running is None else running.requests
    if not requests.pods:
        requests = requests + Resources(pods=1)
    return msgspec.structs.replace(
        daemonset.template, meta=daemonset.meta, requests=requests, owner_kind="DaemonSet", owner_uid=daemonset.meta.uid
    )


def _age(pod: Pod) -> tuple[float, str]:
    return (pod.meta.created_at.timestamp() if pod.meta.created_at else 0.0, pod.key)


def _time(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S UTC")
