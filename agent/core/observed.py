"""What nodes turned out to have, where that is less than was estimated.

The kernel's share of a machine's memory is an estimate. Were it wrong for a type, a pod would be promised a node
that it does not fit on, and the same node would be bought again and again; so the least that was ever seen replaces
the estimate.
"""

import msgspec

from agent.core.shelves import Shelves
from agent.core.world import World
from agent.model.ec2 import InstanceType
from agent.model.names import ClassName, InstanceTypeName


def seen_memory(world: World) -> dict[str, int]:
    """The least memory seen per class and type, of nodes that are there now and of what is remembered."""
    seen = dict(world.snapshot.memory.seen_memory_bytes)
    for claim in world.snapshot.claims:
        node = world.node_of(claim)
        kind = world.kind_of(claim)
        if node is None or kind is None or node.capacity.memory_bytes <= 0:
            continue
        key = _key(claim.node_class, kind.name)
        least = min(node.capacity.memory_bytes, seen.get(key, kind.capacity.memory_bytes))
        if least < kind.capacity.memory_bytes:
            seen[key] = least
    return seen


def corrected(
    types: dict[ClassName, tuple[InstanceType, ...]], seen: dict[str, int], shelves: Shelves
) -> dict[ClassName, tuple[InstanceType, ...]]:
    """The types with what was seen in place of what was estimated."""
    if not seen:
        return types
    return {name: _of_class(name, listed, seen, shelves) for name, listed in types.items()}


def _of_class(
    name: ClassName, listed: tuple[InstanceType, ...], seen: dict[str, int], shelves: Shelves
) -> tuple[InstanceType, ...]:
    mine = {key: amount for key, amount in seen.items() if key.startswith(_key(name, InstanceTypeName("")))}
    if not mine:
        return listed
    return shelves.adjusted(name, (listed, mine), lambda: tuple(_corrected(name, kind, mine) for kind in listed))


def _corrected(node_class: ClassName, kind: InstanceType, seen: dict[str, int]) -> InstanceType:
    least = seen.get(_key(node_class, kind.name))
    if least is None or least >= kind.capacity.memory_bytes:
        return kind
    capacity = msgspec.structs.replace(kind.capacity, memory_bytes=least)
    return msgspec.structs.replace(kind, capacity=capacity)


def _key(node_class: ClassName, kind: InstanceTypeName) -> str:
    return f"{node_class}/{kind}"
