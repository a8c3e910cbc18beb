"""What goes into a decision and what comes out of it: ``Snapshot`` in, ``Plan`` out, both frozen."""

from datetime import datetime

import msgspec

from agent.model.actions import Action, Launch
from agent.model.ec2 import CapacityError, InstanceType, Machine, NodeClass
from agent.model.kubernetes import (
    CertificateRequest,
    DaemonSet,
    Node,
    NodeClaim,
    NodePool,
    Pod,
    PodDisruptionBudget,
    VolumeAttachment,
)
from agent.model.names import ClaimUid, ClassName, InstanceId, PodKey, PoolName
from agent.model.overlays import NodeOverlay
from agent.model.reasons import Blocked, Reason, Refusal
from agent.model.volumes import AttachLimits, StorageClass, Volume, VolumeClaim


class Limits(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The daemon's settings that decisions depend on; each with the meaning and default of ``agent.settings``."""

    max_nodes: int = 100
    max_price_nano_usd: int | None = None
    launches_per_minute: int = 20
    launch_timeout_seconds: int = 300
    registration_timeout_seconds: int = 900
    orphan_grace_seconds: int = 600
    preference_policy: str = "Respect"
    min_values_policy: str = "Strict"
    spot_to_spot_consolidation: bool = True
    repair: bool = True
    node_name: str = "instance-id"
    admission: str = "verified"


class Cluster(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Which cluster this is. ``uid`` is the UID of the namespace kube-system: names repeat, it does not."""

    name: str
    uid: str
    region: str = ""


class LastAnswer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """EC2's definite answer to one attempt of a claim."""

    attempt: int
    code: str
    message: str
    capacity: bool
    """True: no capacity for any override of the request; the next attempt leaves those out."""
    at: datetime
    retry_at: datetime | None = None
    """Not before this; for answers that are neither capacity nor final (denied, invalid)."""


class Orphan(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An instance of ours without a claim: since when, and how many looks at EC2 have shown it."""

    first_seen: datetime
    looks: int = 1
    last_seen: datetime | None = None
    """``machines_at`` of the last look that counted."""


class Memory(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the process remembers between cycles to save effort. Losing it costs efficiency, never correctness."""

    capacity_errors: tuple[CapacityError, ...] = ()
    answers: dict[ClaimUid, LastAnswer] = {}
    empty_lookups: dict[ClaimUid, int] = {}
    """Looks at EC2, since the intent was written or this process began, that showed no instance of the claim."""
    sent_at: dict[ClaimUid, datetime] = {}
    """When a claim's request was last sent; looks from before that say nothing."""
    lookups_at: datetime | None = None
    """``machines_at`` of the last look that was counted."""
    launches: tuple[datetime, ...] = ()
    """When claims were created in the last minute."""
    orphans: dict[InstanceId, Orphan] = {}
    terminated: tuple[datetime, ...] = ()
    """When orphans were terminated in the last ten minutes."""
    seen_memory_bytes: dict[str, int] = {}
    """``<class>/<type>`` to the least memory that a node of it was seen to have, when that is less than estimated."""
    pods: dict[ClaimUid, str] = {}
    """Which pods that count were last seen on a claim's node, as a digest; a change is a pod event."""
    join_failures: dict[PoolName, int] = {}
    """Joins that failed in a row."""
    given_up: tuple[ClaimUid, ...] = ()
    """Claims whose failed join is counted already: they stay in sight until their deletion is."""


class Lesson(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an effect learnt that the next decision should know."""

    answer: tuple[ClaimUid, LastAnswer] | None = None
    sent: tuple[ClaimUid, datetime] | None = None
    capacity_errors: tuple[CapacityError, ...] = ()
    terminated: datetime | None = None
    launched: datetime | None = None


class Approvals(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an operator has allowed by command, and until when; kept in the cluster, read with every snapshot."""

    sweep_until: datetime | None = None
    """`joinery sweep --yes`: instances without a claim may be terminated in any number."""
    adopt_until: datetime | None = None
    """`joinery adopt`: instances without a claim get one, in any number."""
    paused: bool = False
    """`joinery pause`: nothing new is launched or disrupted; what was begun is finished."""


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """The world at one instant, own writes included. ``decide`` sees nothing else."""

    now: datetime
    cluster: Cluster
    limits: Limits = Limits()
    seed: str = ""
    """Random text of this cycle, from which names of new claims are derived."""
    provision: bool = True
    """The batch window is closed: pending pods may be provisioned for."""
    disrupt: bool = True
    """Voluntary disruption may be considered."""
    pods: tuple[Pod, ...] = ()
    nodes: tuple[Node, ...] = ()
    claims: tuple[NodeClaim, ...] = ()
    pools: tuple[NodePool, ...] = ()
    classes: tuple[NodeClass, ...] = ()
    instance_types: dict[ClassName, tuple[InstanceType, ...]] = {}
    """Per class, because its kubelet settings, disks, subnets and images decide what a type is worth."""
    overlays: tuple[NodeOverlay, ...] = ()
    """Already applied to ``instance_types``; here for their faults and conflicts."""
    machines: tuple[Machine, ...] | None = ()
    """Instances with the cluster's tag, ours and Terraform's. None: EC2 could not be read."""
    machines_at: datetime | None = None
    """When ``machines`` was read; a look counts only once."""
    reservations_at: datetime | None = None
    """When EC2 was asked last how much room capacity reservations have. None: not known."""
    pdbs: tuple[PodDisruptionBudget, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    attachments: tuple[VolumeAttachment, ...] = ()
    volumes: tuple[Volume, ...] = ()
    volume_claims: tuple[VolumeClaim, ...] = ()
    storage_classes: tuple[StorageClass, ...] = ()
    attach_limits: tuple[AttachLimits, ...] = ()
    namespaces: dict[str, dict[str, str]] = {}
    """Labels of each namespace, for affinity terms that select namespaces."""
    certificate_requests: tuple[CertificateRequest, ...] = ()
    token_ids: tuple[str, ...] = ()
    """Ids (not secrets) of live bootstrap tokens of ours."""
    busy: tuple[str, ...] = ()
    """Names of objects for which an effect is under way; nothing is decided for them until it ends."""
    approvals: Approvals = Approvals()
    memory: Memory = Memory()


class Placement(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a pod goes: onto a node, a claim in flight, or one of the plan's launches (by its id)."""

    pod: PodKey
    node: str | None = None
    claim: str | None = None
    launch: int | None = None


class Price(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Nano-dollars per hour of the nodes that have a claim."""

    before: int = 0
    after: int = 0
    lower_bound: int | None = None
    """What the nodes that are kept, and any new ones for the pods that get new ones, cost at least; proven."""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything one cycle will do and refuses to do, with reasons."""

    now: datetime
    actions: tuple[Action, ...] = ()
    placements: tuple[Placement, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    notices: tuple["Notice", ...] = ()
    price: Price = Price()
    memory: Memory = Memory()
    """What this decision learnt; becomes the next snapshot's memory."""
    next_at: datetime | None = None
    """When time alone would change the decision; None: only an event will."""

    @property
    def launches(self) -> tuple[Launch, ...]:
        """The plan's new claims."""
        return tuple(a for a in self.actions if isinstance(a, Launch))


class Notice(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Something people must know about an object although nothing is done to it: a brake, a wait, a refusal."""

    kind: str
    name: str
    reason: Reason
    namespace: str = ""
    uid: str = ""
    warning: bool = True
