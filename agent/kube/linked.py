"""Which Node belongs to which NodeClaim, when both come from files and EC2 is not asked.

By provider id, else by the label karpenter.sh/nodepool and the same name. A file proves the identity of nobody; the
daemon does not use this.
"""

from collections.abc import Iterable

import msgspec

from agent.core.requirements import normalized_labels
from agent.model import names
from agent.model.kubernetes import Node, NodeClaim
from agent.model.names import NodeName, ProviderId
from agent.model.resources import ZERO

_OF_THE_NODE = (names.INSTANCE_TYPE, names.ZONE, names.CAPACITY_TYPE)


def linked(nodes: Iterable[Node], claims: Iterable[NodeClaim]) -> tuple[tuple[Node, ...], tuple[NodeClaim, ...]]:
    """The same objects, each pair with one provider id, the claim with its node's name.

    What a claim leaves out and its node says (capacity, the labels that tell its price) is taken from the node.
    """
    by_name = {node.name: node for node in nodes}
    by_provider: dict[ProviderId, NodeName] = {}
    for node in by_name.values():
        if node.provider_id is not None:
            by_provider.setdefault(node.provider_id, node.name)
    known = []
    for claim in claims:
        found = by_provider.get(claim.provider_id) if claim.provider_id is not None else None
        if found is None:
            found = next((NodeName(n) for n in (claim.node_name, claim.name) if n and _is_named(by_name, n)), None)
        if found is None:
            known.append(claim)
            continue
        node = by_name[found]
        provider = claim.provider_id or node.provider_id or ProviderId(f"file:///{node.name}")
        by_name[found] = msgspec.structs.replace(node, provider_id=provider)
        known.append(_completed(claim, node, provider))
    return tuple(by_name.values()), tuple(known)


def _is_named(by_name: dict[NodeName, Node], name: str) -> bool:
    node = by_name.get(NodeName(name))
    return node is not None and names.NODEPOOL in node.meta.labels


def _completed(claim: NodeClaim, node: Node, provider: ProviderId) -> NodeClaim:
    of_node = normalized_labels(node.meta.labels)
    labels = {k: of_node[k] for k in _OF_THE_NODE if k in of_node} | claim.meta.labels
    return msgspec.structs.replace(
        claim,
        meta=msgspec.structs.replace(claim.meta, labels=labels),
        provider_id=provider,
        node_name=node.name,
        capacity=node.capacity if claim.capacity == ZERO else claim.capacity,
        allocatable=node.allocatable if claim.allocatable == ZERO else claim.allocatable,
    )
