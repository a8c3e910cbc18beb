"""What a claim that is there uses of limits, and what it costs: the most that it may, until it is launched."""

from agent.core.composing import INSTANCE_KEYS
from agent.core.inputs import PackingInput
from agent.core.offerings import is_named
from agent.core.requirements import Requirements
from agent.model import names
from agent.model.kubernetes import NodeClaim

NODES = "nodes"
"""The limit on how many there are, beside resources."""


def possible(claim: NodeClaim, asked: PackingInput) -> dict[str, int]:
    """What a claim uses: its instance's capacity, or before it is launched the largest it may become."""
    if claim.provider_id is not None:
        return dict(claim.capacity.items()) | {NODES: 1}
    allowed = Requirements.of(claim.requirements).get(names.INSTANCE_TYPE)
    largest: dict[str, int] = {NODES: 1}
    for kind in asked.instance_types.get(claim.node_class, ()):
        if allowed.allows(kind.name):
            for name, amount in kind.capacity.items():
                largest[name] = max(largest.get(name, 0), amount)
    return largest


def dearest(claim: NodeClaim, asked: PackingInput) -> int:
    """Of the claim's offering; before it is launched, of the dearest offering that it may become."""
    types = asked.instance_types.get(claim.node_class, ())
    wanted = Requirements.of(claim.requirements) & Requirements.from_labels(
        {k: claim.meta.labels[k] for k in INSTANCE_KEYS if k in claim.meta.labels}
    )
    prices = [
        o.price_nano_usd
        for t in types
        if wanted.get(names.INSTANCE_TYPE).allows(t.name)
        for o in t.offerings
        if wanted.get(names.ZONE).allows(o.zone) and wanted.get(names.CAPACITY_TYPE).allows(o.capacity_type)
        if not o.requirements or is_named(wanted, o)
    ]
    return max(prices, default=0)
