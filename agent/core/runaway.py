"""Pods for which nodes were bought that something keeps them off: two such nodes are enough.

A taint that appears on every new node, from a network plugin that fails or a controller that nobody thought of, keeps
the pod pending, and each look at the cluster would buy one more node for it. Karpenter knows this as a runaway of
scale-up.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from agent.core.rooms import promised_pods
from agent.core.taints import describe, lasting, untolerated
from agent.core.world import World
from agent.model import names
from agent.model.kubernetes import NodeClaim, Pod, Taint
from agent.model.names import NodeName, PodKey
from agent.model.reasons import Reason

MOST: Final = 2
"""Nodes for one pod that do not take it: the first may be an accident, of a second one learns."""
_OF_KUBERNETES: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Their taints say that this one node is ill or on its way, which another node may well not be."""


def kept_off(world: World, pods: Iterable[Pod]) -> dict[PodKey, Reason]:
    """Pods for which no more is bought, and which taints of which nodes keep them off those that they were promised."""
    strange = {c.name: found for c in world.snapshot.claims if (found := _strange(world, c))}
    if not strange:
        return {}
    nodes: defaultdict[PodKey, list[tuple[NodeName, tuple[Taint, ...]]]] = defaultdict(list)
    for name, found in strange.items():
        for key in promised_pods(world.claim[name]):
            nodes[key].append(found)
    told = {}
    for pod in pods:
        minded = ((node, untolerated(pod.tolerations, taints)) for node, taints in nodes.get(pod.key, ()))
        kept = [(node, taint) for node, taint in minded if taint is not None]
        if len(kept) >= MOST:
            told[pod.key] = _reason(kept)
    return told


def _strange(world: World, claim: NodeClaim) -> tuple[NodeName, tuple[Taint, ...]] | None:
    """The claim's node and its taints that neither its pool has given it nor Kubernetes for its health."""
    node = world.node_of(claim)
    if node is None or claim.meta.deleted_at is not None or node.has_taint(names.DISRUPTED_TAINT):
        return None
    known = {(t.key, t.effect) for t in (*claim.taints, *claim.startup_taints)}
    found = tuple(
        t
        for t in lasting(node.taints, claim)
        if (t.key, t.effect) not in known and not t.key.startswith(_OF_KUBERNETES)
    )
    return (node.name, found) if found else None


def _reason(kept: list[tuple[NodeName, Taint]]) -> Reason:
    listed = ", ".join(f"{node} has {describe(taint)}" for node, taint in sorted(kept)[:MOST])
    sentence = (
        f"{len(kept)} nodes were bought for it and taints keep it off them ({listed}); no further one is bought. "
        "Find out who sets it: name it in startupTaints of the NodePool if it goes away, or tolerate or remove it"
    )
    return Reason("FailedScheduling", sentence)
