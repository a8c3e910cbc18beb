"""Nodes as pods find them once the plan is carried out: those that are there, and those that it launches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from agent.core.inputs import PackingInput, PackingResult, Pair
from agent.core.requirements import ABSENT, ANYTHING, Requirements, ValueSet, normalized_labels, type_labels
from agent.core.taints import lasting, tolerates
from agent.model import names
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import Taint, Toleration
from agent.model.names import InstanceTypeName

_FREE: Final = Requirements()
_GOING: Final = ("InstanceTerminating", "DisruptionReason")


@dataclass(slots=True)
class Site:
    """One node."""

    name: str
    known: Mapping[str, str]
    """Labels that it has or will certainly have."""
    taints: tuple[Taint, ...] = ()
    going: bool = False
    types: tuple[InstanceType, ...] = ()
    """Of a node that is not there yet: what it may become."""
    required: Requirements = _FREE
    opened: dict[str, ValueSet] = field(default_factory=dict)
    """What was worked out of labels that are open; sites of launches that are alike share it."""

    def value(self, key: str) -> str | None:
        """The label's value; None when it has none, or it is not certain."""
        if key == names.HOSTNAME:
            return self.name
        found = self.known.get(key)
        return self._open(key).single if found is None and self.types else found

    def lacks(self, key: str) -> bool:
        """Whether it certainly has no such label."""
        return self.value(key) is None and not (self.types and self._open(key) != ABSENT)

    def may_be(self, asked: Requirements) -> bool:
        """Whether it is, or may become, what is asked."""
        return all(
            values.allows(self.name if key == names.HOSTNAME else self.known.get(key))
            if key in self.known or not self.types
            else values.intersects(self._open(key))
            for key, values in asked
        )

    def is_tolerated(self, tolerations: Iterable[Toleration]) -> bool:
        """Whether a pod with these tolerations may run there."""
        return tolerates(tolerations, self.taints)

    def _open(self, key: str) -> ValueSet:
        """What the label of a node to come can be."""
        if key not in self.opened:
            sets = [_of_type(kind, key) for kind in self.types]
            wide = any(s.complement for s in sets)
            every = ValueSet(frozenset(m for s in sets for m in s.members), absent=any(s.absent for s in sets))
            # What no type mentions comes from the claim's labels alone: what may be missing, as NotIn allows, is.
            silent = every.absent and not every.members
            own = self.required.by_key.get(key, ABSENT if silent else ANYTHING)
            if silent and own.absent:
                own = ABSENT
            self.opened[key] = own if wide or silent else every & own
        return self.opened[key]


def _of_type(kind: InstanceType, key: str) -> ValueSet:
    match key:
        case names.INSTANCE_TYPE:
            return ValueSet(frozenset({kind.name}))
        case names.ZONE:
            return ValueSet(frozenset(o.zone for o in kind.offerings))
        case names.CAPACITY_TYPE:
            return ValueSet(frozenset(o.capacity_type for o in kind.offerings))
    return type_labels(kind.requirements).by_key.get(key, ValueSet(absent=True))


def sites(asked: PackingInput, result: PackingResult) -> dict[str, Site]:
    """Every node by name, a claim whose node has not come by its own, a launch as ``launch <id>``."""
    types = {(name, t.name): t for name, listed in asked.instance_types.items() for t in listed}
    found: dict[str, Site] = {}
    for pair in asked.pairs:
        own = {o.meta.name for o in (pair.node, pair.claim) if o is not None}
        if not own & asked.without:
            site = _of_pair(pair, asked)
            found[site.name] = site
    alike: dict[object, Site] = {}
    for launch in result.launches:
        draft, name = launch.draft, f"launch {launch.id}"
        # Launches that are alike were written with the very same values; equal ones that are not cost only time.
        key = (draft.node_class, id(draft.requirements), id(draft.labels), id(draft.taints), id(launch.instance_types))
        if key not in alike:
            required = Requirements.of(draft.requirements)
            single = {key: value for key, values in required if (value := values.single) is not None}
            known = normalized_labels(draft.labels) | single
            kinds = tuple(types[draft.node_class, name] for name in launch.instance_types)
            alike[key] = Site("", known, draft.taints, types=kinds, required=required)
        found[name] = replace(alike[key], name=name)
    return found


def _of_pair(pair: Pair, asked: PackingInput) -> Site:
    node, claim = pair.node, pair.claim
    going = any(o is not None and o.meta.deleted_at is not None for o in (node, claim))
    going |= claim is not None and any(map(claim.is_true, _GOING))
    going |= node is not None and node.has_taint(names.DISRUPTED_TAINT)
    if node is not None:
        labels, taints = dict(node.meta.labels), node.taints
        if claim is not None and not claim.is_true("Initialized"):
            taints = lasting((*taints, *claim.taints), claim)
            labels = labels if claim.is_true("Registered") else {**labels, **claim.meta.labels}
        return Site(node.name, normalized_labels(labels), taints, going)
    assert claim is not None
    required = Requirements.of(claim.requirements) & Requirements.from_labels(claim.meta.labels)
    single = {key: value for key, values in required if (value := values.single) is not None}
    allowed = required.get(names.INSTANCE_TYPE)
    listed = asked.instance_types.get(claim.node_class, ())
    kinds = tuple(t for t in listed if allowed.allows(InstanceTypeName(t.name)))
    return Site(claim.name, single, claim.taints, going, kinds, required)
