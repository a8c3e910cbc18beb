"""What the claim of a purchase will say: requirements, labels, annotations and requests."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from agent.core.inputs import PROMISED, PackingInput
from agent.core.requirements import Requirements, ValueSet, normalized
from agent.core.shelf import Column
from agent.core.space import Space, bits, lowest
from agent.core.templates import SIMULATED, Template
from agent.core.volumes import without_volumes
from agent.model import names
from agent.model.actions import ClaimDraft, Launch
from agent.model.constraints import Requirement
from agent.model.ec2 import NodeClass
from agent.model.kubernetes import NodePool
from agent.model.labels import DECIDED
from agent.model.names import ClaimName, InstanceTypeName, PodKey, PoolName
from agent.model.reasons import Reason
from agent.model.resources import ZERO, Resources

MOST_KEPT: Final = 256
"""So many patterns are kept."""
MIN_VALUES_RELAXED: Final = "karpenter.sh/nodeclaim-min-values-relaxed"
INSTANCE_KEYS: Final = SIMULATED | {names.INSTANCE_TYPE, names.ZONE, names.CAPACITY_TYPE}
"""Labels of which the launch decides, or that no claim asks for."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What is the same in all launches that may become the same columns and are required to be the same."""

    first: Column
    listed: tuple[InstanceTypeName, ...]
    draft: ClaimDraft
    """Without a name, and without requests."""


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Patterns for some pools, by columns and what is required."""

    templates: tuple[Template, ...]
    classes: tuple[NodeClass, ...]
    policy: str
    """minValuesPolicy."""
    zoned: tuple[bool, ...]
    """Per template: DaemonSets of zones or capacity types differ."""
    known: dict[tuple[int, Requirements], _Pattern] = field(default_factory=dict)

    def of(self, space: Space, mask: int, required: Requirements) -> _Pattern:
        """The pattern of these columns of a space of the pools."""
        key = (mask, required)
        if key not in self.known:
            if len(self.known) == MOST_KEPT:
                self.known.clear()
            self.known[key] = _pattern(self, space, mask, required)
        return self.known[key]


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes launches; alike ones share what is alike."""

    asked: PackingInput

    def launch(
        self,
        space: Space,
        mask: int,
        content: tuple[Resources, Requirements],
        named: tuple[int, Sequence[PodKey]],
    ) -> Launch:
        """The launch of a node that may become any of these columns, all of one pool.

        Args:
            space: The columns.
            mask: The columns that the launch may fall back to.
            content: What its pods ask together, and what they require.
            named: The launch's number and the pods' keys.

        """
        number, pods = named
        zoned = tuple(not own.whole for own in space.together)
        given = (space.templates, self.asked.classes, self.asked.limits.min_values_policy, zoned)
        pattern = self.asked.shelves.kept(_Patterns, *given).of(space, mask, content[1])
        first, draft = pattern.first, pattern.draft
        draft = msgspec.structs.replace(
            draft,
            name=_claim_name(self.asked.seed, draft.pool, number),
            requests=without_volumes(space.load(mask) + content[0]),
            annotations=draft.annotations | {PROMISED: msgspec.json.encode(pods).decode()},
        )
        return Launch(
            reason=Reason("Provisioned", f"room for {len(pods)} pending pod{'s' if len(pods) != 1 else ''}"),
            id=number,
            draft=draft,
            pods=tuple(pods),
            instance_type=first.type.name,
            zone=first.offering.zone,
            capacity_type=first.offering.capacity_type,
            price_nano_usd=first.price,
            instance_types=pattern.listed,
            capacity=first.type.capacity,
            allocatable=first.type.allocatable,
        )


def _pattern(patterns: _Patterns, space: Space, mask: int, required: Requirements) -> _Pattern:
    first, number = space.columns[lowest(mask)], space.owner(lowest(mask))
    own, (kinds, _) = space.templates[number], space.listed(mask)
    pool, listed = own.pool, tuple(kind.name for kind in kinds)
    requirements, relaxed = _requirements(own.base & required, space, mask, zoned=patterns.zoned[number])
    draft = ClaimDraft(
        name=ClaimName(pool.name),
        pool=pool.name,
        pool_uid=pool.meta.uid,
        node_class=pool.node_class,
        requirements=_by_price(requirements.written(), listed),
        requests=ZERO,
        labels=_labels(own, requirements),
        annotations=_annotations(patterns, pool, relaxed) | {mark: "true" for kind in kinds for mark in kind.overlaid},
        taints=pool.taints,
        startup_taints=pool.startup_taints,
        expire_after_seconds=pool.expire_after_seconds,
        termination_grace_seconds=pool.termination_grace_seconds,
    )
    return _Pattern(first, listed, draft)


def _claim_name(seed: str, pool: PoolName, number: int) -> ClaimName:
    """``<pool>-<five characters>``, made of the cycle's seed: a repeated create is a conflict, not a second claim."""
    digest = hashlib.sha256(f"{seed}/{pool}/{number}".encode()).digest()
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    suffix = "".join(alphabet[b % len(alphabet)] for b in digest[:5])
    return ClaimName(f"{pool[:57]}-{suffix}")


def _requirements(asked: Requirements, space: Space, mask: int, *, zoned: bool) -> tuple[Requirements, bool]:
    """Types, capacity types, zones, and the rest as asked; and whether minValues were lowered.

    Zones are left out when all are open, unless the DaemonSets of zones or capacity types differ (``zoned``).

    Columns of a capacity reservation are all of the same one, which the launch names (Karpenter's rule 13.4).
    minValues are lowered to what there is: under the policy Strict there is never less than they ask.
    """
    by_key = dict(asked.without(SIMULATED).by_key)
    chosen: dict[str, frozenset[str]] = {
        names.INSTANCE_TYPE: frozenset(kind.name for kind in space.listed(mask)[0]),
        names.CAPACITY_TYPE: space.values(mask, names.CAPACITY_TYPE),
    }
    if zoned or names.ZONE in by_key:
        chosen[names.ZONE] = space.values(mask, names.ZONE)
    if (reservation := space.columns[lowest(mask)].offering.reservation) is not None:
        chosen[names.RESERVATION] = frozenset({reservation})
    for key, members in chosen.items():
        by_key[key] = ValueSet(members, min_values=by_key[key].min_values if key in by_key else None)
    relaxed = False
    floors = [(key, values) for key, values in by_key.items() if values.min_values is not None]
    columns = [space.columns[i] for i in bits(mask)] if floors else []
    for key, values in floors:
        there = len(distinct(key, columns))
        if there < (values.min_values or 0):
            by_key[key] = msgspec.structs.replace(values, min_values=max(there, 1))
            relaxed = True
    return Requirements(by_key), relaxed


def too_few(pool: NodePool, columns: Sequence[Column]) -> tuple[Requirement, int] | None:
    """The first requirement whose minValues these columns do not reach, and how many values they have of it."""
    for entry in pool.requirements:
        if entry.min_values is not None:
            there = len(distinct(normalized(entry.key), columns))
            if there < entry.min_values:
                return entry, there
    return None


def distinct(key: str, columns: Sequence[Column]) -> frozenset[str]:
    """The values of a label that there are among columns, as minValues counts them."""
    match key:
        case names.INSTANCE_TYPE:
            return frozenset(column.type.name for column in columns)
        case names.ZONE:
            return frozenset(column.offering.zone for column in columns)
        case names.CAPACITY_TYPE:
            return frozenset(column.offering.capacity_type for column in columns)
        case names.RESERVATION:
            return frozenset(own for column in columns if (own := column.offering.reservation) is not None)
    kinds = {column.type.name: column.type for column in columns}
    return frozenset(
        value
        for kind in kinds.values()
        for entry in kind.requirements
        if normalized(entry.key) == key and entry.operator == "In"
        for value in entry.values
    )


def _labels(own: Template, requirements: Requirements) -> dict[str, str]:
    """The pool's labels, and a value for every label that the pods need and the instance does not decide.

    Karpenter's rule 2.5, but the same value every time: without a definite one the node would come without the label,
    and its pods would never run on it.
    """
    decided = DECIDED | own.shelf.mentioned
    found = {}
    for key, values in requirements:
        value = values.single
        if value is None and key not in decided and not values.absent:
            value = values.example()
        if value is not None and key not in INSTANCE_KEYS:
            found[key] = value
    return found | own.labels


def _annotations(patterns: _Patterns, pool: NodePool, relaxed: bool) -> dict[str, str]:
    annotations = dict(pool.annotations)
    if patterns.policy == "BestEffort":
        annotations[MIN_VALUES_RELAXED] = "true" if relaxed else "false"
    if pool.hash:
        annotations |= {names.NODEPOOL_HASH: pool.hash, names.NODEPOOL_HASH_VERSION: pool.hash_version}
    node_class = next((c for c in patterns.classes if c.name == pool.node_class), None)
    if node_class is not None and node_class.hash:
        annotations |= {
            names.NODECLASS_HASH: node_class.hash,
            names.NODECLASS_HASH_VERSION: node_class.hash_version,
        }
    return annotations


def _by_price(written: tuple[Requirement, ...], listed: Sequence[InstanceTypeName]) -> tuple[Requirement, ...]:
    """The entry for instance types in the order in which they are to be tried."""
    return tuple(
        msgspec.structs.replace(r, values=tuple(listed)) if r.key == names.INSTANCE_TYPE else r for r in written
    )
