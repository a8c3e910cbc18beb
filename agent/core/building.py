"""Puts together what could be bought for pools of one weight: the columns that they allow, and what runs on each."""

from collections.abc import Iterable, Sequence
from typing import Final

from agent.core.columns import ColumnLabels
from agent.core.daemons import Together, divided
from agent.core.shelf import Steps, union
from agent.core.space import Part, Space, bits
from agent.core.templates import Template
from agent.model.ec2 import CapacityError
from agent.model.kubernetes import Pod
from agent.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, Resources

BASE_DIMENSIONS: Final = (CPU, MEMORY, PODS, EPHEMERAL_STORAGE)
_NONE: Final = Steps()


def extended(asked: Iterable[Resources]) -> tuple[str, ...]:
    """The resources that are asked for beside those that every node has, by name."""
    return tuple(sorted({name for resources in asked for name, _ in resources.extended}))


def build(
    templates: Sequence[Template],
    errors: Sequence[CapacityError],
    daemons: Sequence[Pod],
    more: Sequence[str] = (),
) -> Space:
    """All offerings that the pools allow, less those that EC2 refused lately, with ``more`` dimensions than usual."""
    dimensions = (*BASE_DIMENSIONS, *more)
    labels = tuple(ColumnLabels(own) for own in templates)
    loads = tuple(daemon.requests for daemon in daemons)
    parts: list[Part] = []
    reserved: dict[str, int] = {}
    offsets, offset = [], 0
    together: list[Together] = []
    for number, own in enumerate(labels):
        shelf = own.template.shelf
        every = own.matching(own.template.base)
        allowed = every & ~shelf.exhausted(errors)
        steps = tuple(shelf.allocatable.get(name, _NONE) for name in dimensions)
        for running, mask in divided(own, allowed, daemons):
            load = Resources.total(loads[d] for d in bits(running))
            for name, amount in load.items():
                # A node on which not even the DaemonSets fit is never bought (Karpenter's rule 9.2).
                mask &= shelf.allocatable.get(name, _NONE).at_least(amount)  # noqa: PLW2901 - what is left of it
            vector = tuple(load.amount(name) for name in dimensions)
            if mask:
                parts.append(Part(number, shelf, offset, mask << offset, running, vector, steps))
        together.append(Together.of(own, every, daemons))
        for name, mask in shelf.by_reservation.items():
            reserved[name] = reserved.get(name, 0) | mask << offset
        offsets.append(offset)
        offset += len(shelf.columns)
    return Space(
        templates=tuple(templates),
        columns=sum((own.template.shelf.columns for own in labels), start=()),
        dimensions=dimensions,
        parts=tuple(parts),
        loads=loads,
        every=union(part.mask for part in parts),
        members=tuple(union(p.mask for p in parts if p.template == n) for n in range(len(labels))),
        together=tuple(together),
        reserved=reserved,
        _offsets=tuple(offsets),
        _labels=labels,
    )
