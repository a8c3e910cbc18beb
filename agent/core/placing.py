"""Putting pods onto room that is there already or coming.

A claim names the pods that it was bought for, and they get its room first. Without that, packing anew in another
order would now and then find no place for one of them, and buy a second node for what is on its way already.
"""

from collections.abc import Iterable, Mapping, Sequence

from agent.core.rooms import Room
from agent.core.shapes import Shape
from agent.model.names import PodKey
from agent.model.plan import Placement
from agent.model.resources import Resources


def place(rooms: Iterable[Room], shapes: Sequence[Shape], left: dict[int, list[PodKey]]) -> list[Placement]:
    """First fit over the rooms in their order, promised pods before all others; ``left`` loses what found a place.

    Args:
        rooms: Where pods may go.
        shapes: Kinds of pods, by number.
        left: Per number of a shape: its pods that have no place yet, in order of name.

    """
    usable = [room for room in rooms if all(amount >= 0 for _, amount in room.free.items())]
    free = {room.name: room.free for room in usable}
    placements = _keep_promises(usable, shapes, left, free)
    for room in usable:
        for number, shape in enumerate(shapes):
            if not left[number] or not shape.requests.fits_in(free[room.name]) or not room.accepts(shape):
                continue
            count = 0
            while count < len(left[number]) and shape.requests.fits_in(free[room.name]):
                free[room.name] = free[room.name] - shape.requests
                count += 1
            placements += [_on(room, key) for key in left[number][:count]]
            del left[number][:count]
    return placements


def _keep_promises(
    rooms: Sequence[Room], shapes: Sequence[Shape], left: Mapping[int, list[PodKey]], free: dict[str, Resources]
) -> list[Placement]:
    if not any(room.promised for room in rooms):
        return []
    number_of = {key: number for number, keys in left.items() for key in keys}
    placed: dict[PodKey, Placement] = {}
    for room in rooms:
        for key in room.promised:
            number = number_of.get(key)
            if number is None or key in placed:
                continue
            requests = shapes[number].requests
            if requests.fits_in(free[room.name]) and room.accepts(shapes[number]):
                free[room.name] = free[room.name] - requests
                placed[key] = _on(room, key)
    for keys in left.values():
        keys[:] = [key for key in keys if key not in placed]
    return list(placed.values())


def _on(room: Room, pod: PodKey) -> Placement:
    return Placement(pod, node=room.name) if room.is_node else Placement(pod, claim=room.name)
