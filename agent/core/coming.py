"""Launches that are decided already, as room for what is decided next in the same plan."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from agent.core.inputs import PROMISED, PackingInput, PackingResult, Pair
from agent.core.volumes import without_volumes
from agent.model import names
from agent.model.actions import Launch
from agent.model.kubernetes import Meta, NodeClaim, Pod
from agent.model.names import ClaimName, PodKey
from agent.model.plan import Placement
from agent.model.resources import Resources


def offered(asked: PackingInput, launches: Sequence[Launch]) -> PackingInput:
    """The question with these nodes as room that is coming, counted against limits and brakes."""
    if not launches:
        return asked
    pairs = tuple(Pair(None, _claim(launch, asked)) for launch in launches)
    recent = tuple(asked.now for _ in launches)
    return msgspec.structs.replace(asked, pairs=(*asked.pairs, *pairs), launches=(*asked.launches, *recent))


def merged(asked: PackingInput, launches: Sequence[Launch], packed: PackingResult) -> PackingResult:
    """Both answers as one: pods that were placed on a coming node are its launch's; numbers follow on.

    Args:
        asked: What was asked; ``packed`` answers it with the launches offered.
        launches: Those that were decided before, numbered from 0.
        packed: What was decided next.

    """
    if not launches:
        return packed
    by_name = {launch.draft.name: launch for launch in launches}
    pods = {pod.key: pod for pod in asked.pods}
    sent: defaultdict[ClaimName, list[Pod]] = defaultdict(list)
    placements = []
    for placement in packed.placements:
        own = by_name.get(ClaimName(placement.claim or ""))
        if own is not None:
            sent[own.draft.name].append(pods[placement.pod])
            placements.append(Placement(placement.pod, launch=own.id))
        elif placement.launch is not None:
            placements.append(Placement(placement.pod, launch=placement.launch + len(launches)))
        else:
            placements.append(placement)
    before = tuple(_holding(launch, sent[launch.draft.name], pods) for launch in launches)
    after = tuple(msgspec.structs.replace(x, id=x.id + len(launches)) for x in packed.launches)
    price = packed.price_nano_usd + sum(launch.price_nano_usd for launch in launches)
    return msgspec.structs.replace(
        packed, launches=(*before, *after), placements=tuple(placements), price_nano_usd=price
    )


def _claim(launch: Launch, asked: PackingInput) -> NodeClaim:
    """The claim as it will be, with the room that the least of its types has."""
    draft = launch.draft
    listed = frozenset(launch.instance_types)
    rooms = [t.allocatable for t in asked.instance_types.get(draft.node_class, ()) if t.name in listed]
    labels = draft.labels | {names.NODEPOOL: str(draft.pool), names.NODECLASS: str(draft.node_class)}
    return NodeClaim(
        meta=Meta(draft.name, labels=labels, annotations=draft.annotations),
        node_class=draft.node_class,
        requirements=draft.requirements,
        requests=Resources.of({name: min(r.amount(name) for r in rooms) for name, _ in rooms[0].items()}),
        taints=draft.taints,
        startup_taints=draft.startup_taints,
        pool=draft.pool,
    )


def _holding(launch: Launch, held: Sequence[Pod], pods: dict[PodKey, Pod]) -> Launch:
    """The launch with these pods, in place of those that it was decided with."""
    keys = tuple(sorted(pod.key for pod in held))
    if keys == launch.pods:
        return launch
    draft = launch.draft
    fewer = Resources.total(without_volumes(pods[key].requests) for key in launch.pods)
    requests = sum((without_volumes(pod.requests) for pod in held), start=draft.requests - fewer)
    promise = {PROMISED: msgspec.json.encode(keys).decode()}
    kept = msgspec.structs.replace(draft, requests=requests, annotations=draft.annotations | promise)
    return msgspec.structs.replace(launch, pods=keys, draft=kept)
