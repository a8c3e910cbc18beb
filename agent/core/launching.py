"""Bought nodes as launches, with the pods that they are for."""

from collections.abc import Collection, Sequence

import msgspec

from agent.core.composing import Composer
from agent.core.inputs import PackingInput
from agent.core.purchases import Purchase
from agent.core.requirements import Requirements
from agent.core.shapes import Shape
from agent.core.space import Space
from agent.core.topology.cells import Deal
from agent.model.actions import Launch
from agent.model.names import PodKey
from agent.model.resources import Resources


class Bought(msgspec.Struct, frozen=True, gc=False):
    """A purchase, of which space it is, and the pods of each deal that it is for."""

    space: Space
    purchase: Purchase
    content: list[tuple[Deal, list[PodKey]]]


def launches(
    asked: PackingInput, shapes: Sequence[Shape], bought: Sequence[Bought], dropped: Collection[PodKey]
) -> tuple[Launch, ...]:
    """What is to be launched; a node of which every pod is ``dropped`` is not."""
    made: list[Launch] = []
    composer = Composer(asked)
    joined: dict[tuple[int, int], Requirements] = {}
    for own in bought:
        content = [(deal, [key for key in keys if key not in dropped]) for deal, keys in own.content]
        pods = sorted(key for _, keys in content for key in keys)
        if not pods:
            continue
        required = own.purchase.found.custom
        for deal, keys in content:
            if keys:
                required = _joined(joined, required, deal.offer.asked)
        amounts = Resources.total(shapes[deal.shape].requests * len(keys) for deal, keys in content)
        made.append(composer.launch(own.space, own.purchase.mask, (amounts, required), (len(made), pods)))
    return tuple(made)


def _joined(known: dict[tuple[int, int], Requirements], one: Requirements, other: Requirements) -> Requirements:
    """Both, or the first alone where they contradict each other.

    ``known`` is by identity: all that is joined stays alive as long as the deals and what is known.
    """
    key = (id(one), id(other))
    if key not in known:
        both = one & other
        known[key] = one if both.conflict is not None else both
    return known[key]
