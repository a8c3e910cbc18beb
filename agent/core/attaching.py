"""How many volumes a node attaches, as one more resource of it, so that packing counts them like any other.

Of a node that is there its CSINode says so; of a new one what its type attaches by EC2's account, or less where a
node of the same type was seen to attach less (a driver keeps some back, or further network interfaces take some).
Unlike Karpenter (rule 11.6), new nodes have the limit too: one bought for more volumes than it takes leaves a pod
pending. A volume that several pods share counts for each of them that is placed anew, and once where they run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from agent.core.requirements import Requirements, normalized_labels
from agent.core.volumes import ATTACHABLE, Storage, attached_on
from agent.model import names
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import Node, NodeClaim, Pod
from agent.model.names import NodeName
from agent.model.plan import Snapshot
from agent.model.resources import ZERO, Resources

EBS: Final = "ebs.csi.aws.com"
UNLIMITED: Final = 1 << 20
"""Where nothing states a limit: more volumes than any node ever had."""


@dataclass(frozen=True, slots=True)
class Attaching:
    """Limits and use of the drivers whose volumes the pods to be placed mount."""

    drivers: tuple[str, ...]
    limits: Mapping[NodeName, Mapping[str, int]]
    used: Mapping[NodeName, Mapping[str, int]]
    seen: Mapping[str, Mapping[str, int]]
    """Per instance type: the least that a node of it states."""

    @classmethod
    def of(cls, snapshot: Snapshot, storage: Storage, pods: Iterable[Pod]) -> "Attaching":
        """For these pods, which carry their counts already."""
        asked = {name for pod in pods if pod.claims for name, _ in pod.requests.extended if name.startswith(ATTACHABLE)}
        if not asked:
            return cls((), {}, {}, {})
        limits = {n.node_name: n.limits for n in snapshot.attach_limits}
        seen: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for node in snapshot.nodes:
            kind = normalized_labels(node.meta.labels).get(names.INSTANCE_TYPE, "")
            for driver, limit in limits.get(node.name, {}).items():
                seen[kind][driver] = min(limit, seen[kind].get(driver, limit))
        drivers = tuple(sorted(name.removeprefix(ATTACHABLE) for name in asked))
        return cls(drivers, limits, attached_on(snapshot, storage), seen)

    def types(self, listed: tuple[InstanceType, ...]) -> tuple[InstanceType, ...]:
        """The types with what a node of each attaches."""
        if not self.drivers:
            return listed
        return tuple(
            msgspec.structs.replace(kind, capacity=self._with(kind.capacity, self._of_type(kind))) for kind in listed
        )

    def node(self, node: Node, kind: InstanceType | None) -> Node:
        """The node with what it can still attach beside what is attached."""
        if not self.drivers:
            return node
        stated, used = self.limits.get(node.name, {}), self.used.get(node.name, {})
        usual = self._of_type(kind) if kind is not None else {}
        free = {d: max(0, stated.get(d, usual.get(d, UNLIMITED)) - used.get(d, 0)) for d in self.drivers}
        return msgspec.structs.replace(node, allocatable=self._with(node.allocatable, free))

    def claim(self, claim: NodeClaim, listed: Iterable[InstanceType]) -> NodeClaim:
        """A claim whose node has not come, with what the least of the types that it may become attaches."""
        if not self.drivers:
            return claim
        wanted = Requirements.of(claim.requirements) & Requirements.from_labels(
            {k: v for k, v in claim.meta.labels.items() if k == names.INSTANCE_TYPE}
        )
        possible = [self._of_type(t) for t in listed if wanted.get(names.INSTANCE_TYPE).allows(t.name)]
        least = {d: min((limits[d] for limits in possible), default=UNLIMITED) for d in self.drivers}
        launched = claim.allocatable if claim.allocatable == ZERO else self._with(claim.allocatable, least)
        return msgspec.structs.replace(claim, requests=self._with(claim.requests, least), allocatable=launched)

    def _of_type(self, kind: InstanceType) -> dict[str, int]:
        """A catalogue may state it as a resource of the type; then that counts."""
        estimated = {EBS: kind.ebs_attachments} if kind.ebs_attachments is not None else {}
        stated = {d: kind.capacity.amount(ATTACHABLE + d) for d in self.drivers}
        known = {d: stated[d] or estimated.get(d, UNLIMITED) for d in self.drivers}
        return {d: min(limit, self.seen.get(kind.name, {}).get(d, limit)) for d, limit in known.items()}

    def _with(self, amounts: Resources, limits: Mapping[str, int]) -> Resources:
        return Resources.of(dict(amounts.items()) | {ATTACHABLE + d: limits[d] for d in self.drivers})
