"""The constraints in turn with the instance types that each leaves, and what to do about the one that leaves none.

A chain begins with all types of the catalogue, then come the pool's own requirements, then what the pod asks. Where two
constraints leave none only together, the pair is named.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from agent.core.columns import ColumnLabels
from agent.core.quantity import format_amount, format_rounded
from agent.core.requirements import Requirements, ValueSet, normalized
from agent.core.shapes import Shape
from agent.core.shelf import Steps
from agent.core.space import Space, bits
from agent.core.templates import SIMULATED, Template
from agent.core.topology.selectors import as_written
from agent.model import names
from agent.model.resources import PODS

_FEW: Final = 6
"""So many values of a label are listed."""


class _Step(NamedTuple):
    """One constraint, and the columns that satisfy it alone."""

    text: str
    mask: int
    dimension: int | None = None
    """Of a resource: its place among the dimensions."""
    amount: int = 0
    """Of a resource."""
    key: str = ""
    """Of a label."""


def emptied(template: Template) -> str:
    """Why nothing can be bought for a pool, whoever asks: what of its own requirements leaves no type."""
    shelf, labels = template.shelf, ColumnLabels(template)
    chain, left, passed = [_types(len(shelf.types))], shelf.every, list[_Step]()
    if (there := _distinct(template, left)) < len(shelf.types):
        chain.append(f"{there} that can be bought")
        if not left:
            return f"{' → '.join(chain)}; none has an offering that is available, and more than its overhead"
    for step in _own(labels):
        fewer = left & step.mask
        if fewer != left:
            chain.append(f"{_distinct(template, fewer)} with {step.text}")
        if not fewer:
            return f"{' → '.join(chain)}; {_own_advice(labels, step, passed)}"
        left = fewer
        passed.append(step)
    return f"{' → '.join(chain)} → 0 with room for the DaemonSets that would run there; allow larger types"


def narrowed(space: Space, number: int, asked: Requirements, shape: Shape) -> str | None:
    """The chain for pods of a shape, to the constraint that leaves nothing of a pool; None: something is left."""
    members = space.members[number]
    total = len(space.templates[number].shelf.types)
    chain = [_types(total)]
    if space.types(members) < total:
        chain.append(f"{space.types(members)} of the pool")
    left = members
    passed: list[_Step] = []
    for step in _steps(space, members, asked, shape):
        fewer = left & step.mask
        if fewer != left:
            chain.append(f"{space.types(fewer)} with {step.text}")
        if not fewer:
            partner = _partner(step, passed)
            if partner is not None:
                return f"{' → '.join(chain)}; {_paired(space, step, partner)}"
            return f"{' → '.join(chain)}; {_advice(space, number, (left, step), asked)}"
        left = fewer
        passed.append(step)
    return None


def _types(count: int) -> str:
    return f"{count} type{'' if count == 1 else 's'}"


def _distinct(template: Template, mask: int) -> int:
    return len({template.shelf.columns[i].type.name for i in bits(mask)})


def _own(labels: ColumnLabels) -> Iterator[_Step]:
    """What a pool requires, in the order in which it is written, then the labels that its nodes are given."""
    base = labels.template.base
    written = dict.fromkeys(normalized(r.key) for r in labels.template.pool.requirements)
    for key in (*written, *(key for key, _ in base if key not in written)):
        if key not in SIMULATED:
            yield _Step(_texts(key, base.get(key)), labels.columns(key, base.get(key)), key=key)


def _own_advice(labels: ColumnLabels, step: _Step, passed: Sequence[_Step]) -> str:
    if not step.mask:
        there = labels.values(labels.template.shelf.every, step.key)
        known = f", they have {', '.join(sorted(there))}" if 0 < len(there) <= _FEW else ""
        return f"no type has it{known}; change the NodePool's requirement"
    partner = _partner(step, passed)
    if partner is None:
        return "each leaves some, all together none; change one of the NodePool's requirements"
    return f"no type has both {partner.text} and {step.text}; change one of the NodePool's requirements"


def _steps(space: Space, members: int, asked: Requirements, shape: Shape) -> Iterator[_Step]:
    """Labels as asked, then amounts."""
    for key, values in asked:
        yield _Step(_texts(key, values), space.select(Requirements({key: values}), members), key=key)
    amounts = space.vector(shape.requests)
    for dimension, (name, amount) in enumerate(zip(space.dimensions, amounts, strict=True)):
        if amount > 0:
            text = f"{name} ≥ {format_amount(name, amount)} free for pods" if name != PODS else "room for a pod"
            yield _Step(text, members & space.fits_one(dimension, amount), dimension, amount)


def _partner(step: _Step, passed: Sequence[_Step]) -> _Step | None:
    """The one earlier constraint that alone is at odds with this one, if each of the two leaves something."""
    return next((other for other in passed if step.mask and not other.mask & step.mask), None)


def _paired(space: Space, step: _Step, partner: _Step) -> str:
    """What to change of two constraints that leave none together."""
    if step.dimension is None:
        return f"no type has both {partner.text} and {step.text}; drop one of them from the pod"
    most = _most(space, partner.mask, step.dimension)
    return f"those with {partner.text} have at most {most}: ask for less, or drop {partner.text}"


def _advice(space: Space, number: int, at: tuple[int, _Step], asked: Requirements) -> str:
    """What to change of a constraint that leaves none by itself, or together with what the pool requires."""
    left, step = at
    labels = ColumnLabels(space.templates[number])
    if step.dimension is not None:
        most = _most(space, left, step.dimension)
        amounts = space.templates[number].shelf.allocatable.get(space.dimensions[step.dimension], Steps())
        partner = _pool_partner(labels, amounts.at_least(step.amount))
        if partner is not None:
            some = "none" if most == "0" else f"at most {most}"
            return f"those with the NodePool's {partner} have {some}: ask for less, or widen the NodePool"
        if most == "0":
            return "these have none: drop it from the pod, or allow types that have some"
        return f"the most that these have is {most}: ask for less, or allow larger types"
    return _label_advice(labels, step, asked.get(step.key), space.members[number])


def _label_advice(labels: ColumnLabels, step: _Step, values: ValueSet, members: int) -> str:
    key, base = step.key, labels.template.base
    if key == names.HOSTNAME:
        return "what a new node is called is not known before; drop it from the pod"
    if key == names.NODEPOOL:
        return "the pod asks for another NodePool"
    if key in base.by_key and not base.get(key).intersects(values):
        own = _texts(key, base.get(key))
        return f"the NodePool has {own}; drop {step.text} from the pod, or allow it in the NodePool"
    partner = _pool_partner(labels, labels.columns(key, values))
    if partner is not None:
        return f"no type has both that and the NodePool's {partner}; drop it from the pod, or widen the NodePool"
    there = labels.values(members, key)
    if not (there or labels.values(labels.template.shelf.every, key)):
        return f"drop it from the pod, or set {key} in the NodePool's spec.template.metadata.labels"
    known = f" (its types have {', '.join(sorted(there))})" if 0 < len(there) <= _FEW else ""
    return f"drop it from the pod, or let the NodePool have nodes with {step.text}{known}"


def _pool_partner(labels: ColumnLabels, mask: int) -> str | None:
    """What the pool requires that alone leaves none of these columns of its class, of which there are some."""
    if not mask:
        return None
    return next((step.text for step in _own(labels) if step.mask and not step.mask & mask), None)


def _most(space: Space, among: int, dimension: int) -> str:
    """The most that pods can have of a resource, as people write it."""
    name = space.dimensions[dimension]
    amount = max(space.net(i)[dimension] for i in space.maximal(among, (dimension,)))
    return format_rounded(name, amount)


def _texts(key: str, values: ValueSet) -> str:
    """As a person writes it, without the prefix of EC2's labels."""
    short = key.removeprefix("karpenter.k8s.aws/") if key != names.ARCH else key
    written = (msgspec.structs.replace(r, key=short) for r in values.requirements(key))
    return " and ".join(as_written(r) for r in written) or f"without {short}"
