"""Kubernetes objects as the engine sees them: frozen, with only what a decision needs."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from agent.model.constraints import HostPort, PodAffinityTerm, PodCount, PreferredTerm, Requirement, TopologySpread
from agent.model.names import ClaimName, ClaimUid, ClassName, NodeName, PodKey, PoolName, ProviderId
from agent.model.resources import ZERO, Resources

Status = Literal["True", "False", "Unknown"]
RESOURCE_CLAIMS: Final = "spec.resourceClaims"
"""Among a pod's unsupported constraints: it asks for devices by dynamic resource allocation (DRA)."""


class Taint(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A node taint. Two taints are the same when key and effect are (Kubernetes' identity of taints)."""

    key: str
    effect: str
    value: str = ""


class Toleration(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A pod's toleration; an empty key with ``Exists`` tolerates everything, an empty effect any effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class Condition(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A status condition. ``last_transition`` is when ``status`` last changed."""

    type: str
    status: Status
    reason: str = ""
    message: str = ""
    last_transition: datetime | None = None
    observed_generation: int = 0
    """The generation of the spec that it was said about; 0: it does not say."""


class Meta(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What all objects share: identity, version and the two timestamps that matter."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    created_at: datetime | None = None
    deleted_at: datetime | None = None
    """``metadata.deletionTimestamp``."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


class Pod(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A pod. ``requests`` is the scheduler's figure (init containers, sidecars, overhead) with ``pods: 1``."""

    meta: Meta
    requests: Resources = ZERO
    phase: str = "Pending"
    node_name: NodeName | None = None
    nominated_node: NodeName | None = None
    unschedulable: bool = False
    """PodScheduled has the reason Unschedulable: the scheduler looked and found no node."""
    ready: bool = False
    owner_kind: str = ""
    """Kind of the controlling owner: ReplicaSet, DaemonSet, Node (a mirror pod), or empty for a bare pod."""
    owner_uid: str = ""
    node_selector: dict[str, str] = {}
    affinity_terms: tuple[tuple[Requirement, ...], ...] = ()
    """Required node affinity: the terms are alternatives, the requirements of a term hold together. Empty: none."""
    preferred_terms: tuple[PreferredTerm, ...] = ()
    """Preferred node affinity."""
    affinity: tuple[PodAffinityTerm, ...] = ()
    """Required pod affinity."""
    anti_affinity: tuple[PodAffinityTerm, ...] = ()
    """Required pod anti-affinity."""
    preferred_affinity: tuple[PodAffinityTerm, ...] = ()
    preferred_anti_affinity: tuple[PodAffinityTerm, ...] = ()
    spread: tuple[TopologySpread, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    volume_terms: tuple[tuple[Requirement, ...], ...] = ()
    """Where its volumes can be attached: alternatives, worked out of its claims by ``agent.core.volumes``, not read.

    Empty: anywhere. They decide where the pod can run, and nothing else: they are no affinity of the pod (rule 10.19).
    """
    tolerations: tuple[Toleration, ...] = ()
    unsupported: tuple[str, ...] = ()
    """Hard constraints that the engine does not know, by their field path; such a pod is refused, never misplaced."""
    priority: int = 0
    priority_class: str = ""
    termination_grace_seconds: int | None = None
    claims: tuple[str, ...] = ()
    """Names of the PersistentVolumeClaims it mounts."""
    started_at: datetime | None = None

    @property
    def key(self) -> PodKey:
        """``namespace/name``."""
        return PodKey(f"{self.meta.namespace}/{self.meta.name}")

    @property
    def is_daemon(self) -> bool:
        """Owned by a DaemonSet: follows its node and never keeps one."""
        return self.owner_kind == "DaemonSet"

    @property
    def is_mirror(self) -> bool:
        """A static pod's mirror: cannot be evicted, goes with its node."""
        return self.owner_kind == "Node"

    @property
    def is_finished(self) -> bool:
        """Succeeded or Failed: holds no resources."""
        return self.phase in {"Succeeded", "Failed"}


class Node(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A Node object. What a node says of itself (labels, providerID) is never proof of who it is."""

    meta: Meta
    provider_id: ProviderId | None = None
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    capacity: Resources = ZERO
    allocatable: Resources = ZERO
    ready: Status = "Unknown"

    @property
    def name(self) -> NodeName:
        """The node's name; for nodes of ours the EC2 instance id."""
        return NodeName(self.meta.name)

    def has_taint(self, key: str) -> bool:
        """Whether any taint has this key."""
        return any(t.key == key for t in self.taints)


class NodeClaim(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The durable intent to have a node, and the ledger of what came of it."""

    meta: Meta
    node_class: ClassName
    requirements: tuple[Requirement, ...] = ()
    requests: Resources = ZERO
    taints: tuple[Taint, ...] = ()
    startup_taints: tuple[Taint, ...] = ()
    expire_after_seconds: int | None = None
    termination_grace_seconds: int | None = None
    provider_id: ProviderId | None = None
    node_name: NodeName | None = None
    image_id: str | None = None
    capacity: Resources = ZERO
    allocatable: Resources = ZERO
    conditions: tuple[Condition, ...] = ()
    last_pod_event_at: datetime | None = None
    pool: PoolName | None = None
    """From the label karpenter.sh/nodepool; a claim made by hand may have none."""

    @property
    def name(self) -> ClaimName:
        """The claim's name; also the instance's Name tag."""
        return ClaimName(self.meta.name)

    @property
    def uid(self) -> ClaimUid:
        """The claim's UID, of which the ClientToken is made."""
        return ClaimUid(self.meta.uid)

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type, if it was ever set."""
        return next((c for c in self.conditions if c.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Whether the condition of this type is True."""
        found = self.condition(kind)
        return found is not None and found.status == "True"


class Budget(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A disruption budget. ``nodes`` is an integer or a percentage as text; without a schedule it always applies."""

    nodes: str = "10%"
    schedule: str | None = None
    duration_seconds: int | None = None
    reasons: tuple[str, ...] | None = None


class NodePool(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What may be bought and when it may go. A pool with ``faults`` buys and disrupts nothing."""

    meta: Meta
    node_class: ClassName
    weight: int = 0
    labels: dict[str, str] = {}
    """Labels of ``spec.template.metadata``."""
    annotations: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    startup_taints: tuple[Taint, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    limits: dict[str, int] = {}
    """Resource name to amount, in the units of ``Resources``; ``nodes`` is a count."""
    expire_after_seconds: int | None = None
    termination_grace_seconds: int | None = None
    consolidation_policy: str = "WhenEmptyOrUnderutilized"
    consolidate_after_seconds: int | None = 0
    """None means Never."""
    budgets: tuple[Budget, ...] = (Budget(),)
    replicas: int | None = None
    """Not None: a static pool."""
    hash: str = ""
    hash_version: str = ""
    conditions: tuple[Condition, ...] = ()
    node_count: int = 0
    """``status.nodes`` as last written."""
    resources: Resources = ZERO
    """``status.resources`` as last written."""
    faults: tuple[str, ...] = ()
    """What is wrong with the manifest, one sentence each, although it passed the CRD's schema."""
    notes: tuple[str, ...] = ()
    """What is accepted but means nothing without EKS, one sentence each."""

    @property
    def name(self) -> PoolName:
        """The pool's name."""
        return PoolName(self.meta.name)


class PodDisruptionBudget(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A PDB; ``selector`` None matches nothing (policy/v1), an empty one every pod of the namespace."""

    meta: Meta
    selector: tuple[Requirement, ...] | None = None
    min_available: PodCount | None = None
    max_unavailable: PodCount | None = None
    disruptions_allowed: int = 0
    is_counted: bool = True
    """False: the status says nothing of it, so that 0 is no count."""
    always_allow_unhealthy: bool = False
    blocks: bool = False
    """It lets no pod go, ever: maxUnavailable 0 or 0 %, or minAvailable 100 %."""


class DaemonSet(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A DaemonSet: what one pod of it asks, and which nodes it runs on."""

    meta: Meta
    template: Pod


class Namespace(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A namespace, for its labels."""

    meta: Meta


class PriorityClass(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A PriorityClass; the API server writes its value into pods, so that only files need it."""

    meta: Meta
    value: int = 0
    is_default: bool = False
    """``globalDefault``."""


class VolumeAttachment(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A volume attached to a node; a node is terminated only when none is left."""

    meta: Meta
    node_name: NodeName
    volume: str = ""


class CertificateRequest(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A CertificateSigningRequest, its PEM parsed at the edge. ``fault`` says why it could not be parsed."""

    meta: Meta
    signer: str
    username: str
    groups: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()
    common_name: str = ""
    organizations: tuple[str, ...] = ()
    sans: tuple[str, ...] = ()
    """Every subject alternative name of any kind, as ``kind:value``."""
    public_key: str = ""
    """SHA-256 of the SubjectPublicKeyInfo, hex."""
    key_fault: str = ""
    """Why the key or the signature is not acceptable; empty when it is."""
    decided: bool = False
    """Approved, denied or failed already."""
    issued: bool = False
    fault: str = ""
