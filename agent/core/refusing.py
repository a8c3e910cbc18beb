"""Why a pool does not serve a pod: the constraint, or the pair of them, that leaves no instance type, with counts."""

from agent.core.inputs import PackingInput
from agent.core.quantity import format_amount
from agent.core.requirements import Requirements
from agent.core.shapes import Shape
from agent.core.space import Space
from agent.core.taints import describe
from agent.model import names
from agent.model.kubernetes import Requirement
from agent.model.reasons import Reason


def no_pools(asked: PackingInput) -> Reason:
    """There is no NodePool to ask at all."""
    if asked.pools:
        return Reason("FailedScheduling", "no NodePool can be used at present")
    return Reason("FailedScheduling", "there is no NodePool; apply one that says what may be bought")


def pool_refusal(space: Space, number: int, shape: Shape, asked: PackingInput) -> Reason | None:
    """Why no column of the template takes a pod of the shape; None: some would."""
    pool = space.templates[number].pool
    taint = shape.repelled_by(pool.taints)
    if taint is not None:
        sentence = f"NodePool {pool.name} has the taint {describe(taint)}, which the pod does not tolerate"
        return Reason("FailedScheduling", sentence)
    total = len(space.templates[number].types)
    if not total:
        sentence = (
            f"NodePool {pool.name} has no instance type: no offering in the zones of its EC2NodeClass has a price"
        )
        return Reason("NoCompatibleInstanceTypes", sentence)
    members = space.members[number]
    if not members:
        return _empty_pool(space, number, asked)
    sentences = [_narrowing(space, members, total, alternative, shape) for alternative in shape.alternatives]
    if not sentences or any(s is None for s in sentences):
        return None
    return Reason("FailedScheduling", f"NodePool {pool.name}: {sentences[0]}")


def _empty_pool(space: Space, number: int, asked: PackingInput) -> Reason:
    pool = space.templates[number].pool
    total = len(space.templates[number].types)
    short = [e for e in asked.capacity_errors if e.until > asked.now]
    if short:
        codes = ", ".join(sorted({e.code for e in short if e.code})) or "no capacity"
        until = max(e.until for e in short)
        sentence = f"EC2 refused its last offerings ({codes}); they are tried again from {until:%H:%M:%S} UTC"
        return Reason("InsufficientCapacity", f"NodePool {pool.name}: {sentence}")
    wanted = ", ".join(_text(r) for r in pool.requirements)
    sentence = f"of {total} instance types none satisfies its requirements ({wanted})"
    return Reason("NoCompatibleInstanceTypes", f"NodePool {pool.name}: {sentence}")


def _narrowing(space: Space, members: int, total: int, asked: Requirements, shape: Shape) -> str | None:
    """The chain of constraints with what each leaves, to the one that leaves nothing; None: something is left."""
    chain = [f"{total} types"]
    left = members
    if space.types(left) < total:
        chain.append(f"{space.types(left)} of the pool")
    for key, values in asked:
        fewer = space.select(Requirements({key: values}), left)
        if fewer != left:
            written = " and ".join(_text(r) for r in values.requirements(key)) or f"without {key}"
            chain.append(f"{space.types(fewer)} with {written}")
        left = fewer
        if not left:
            return " → ".join(chain)
    return _by_size(space, left, chain, shape)


def _by_size(space: Space, left: int, chain: list[str], shape: Shape) -> str | None:
    amounts = space.vector(shape.requests)
    for dimension, (name, amount) in enumerate(zip(space.dimensions, amounts, strict=True)):
        if amount <= 0:
            continue
        fewer = left & space.fits_one(dimension, amount)
        if fewer != left:
            chain.append(f"{space.types(fewer)} with {name} ≥ {format_amount(name, amount)} free for pods")
        left = fewer
        if not left:
            return " → ".join(chain)
    return None


def _text(requirement: Requirement) -> str:
    """As a person writes it."""
    key = requirement.key.removeprefix("karpenter.k8s.aws/") if requirement.key != names.ARCH else requirement.key
    if requirement.operator == "In" and len(requirement.values) == 1:
        return f"{key}={requirement.values[0]}"
    if requirement.values:
        return f"{key} {requirement.operator} [{', '.join(requirement.values)}]"
    return f"{key} {requirement.operator}"
