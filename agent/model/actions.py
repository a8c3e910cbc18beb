"""What a plan may do. Each action names its object, carries its reason, and is carried out by ``agent.daemon.act``.

An action is one step of the life of a node. A step that is interrupted is decided again from what can be
observed, so an action holds everything its effects need and nothing of how far they got.
"""

from datetime import datetime

import msgspec

from agent.model.constraints import Requirement
from agent.model.ec2 import CapacityType, LaunchRequest, Override
from agent.model.kubernetes import Condition, Taint
from agent.model.names import (
    ClaimName,
    ClaimUid,
    ClassName,
    InstanceId,
    InstanceTypeName,
    NodeName,
    PodKey,
    PoolName,
    Zone,
)
from agent.model.reasons import Reason
from agent.model.resources import ZERO, Resources


class Act(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="action"):
    """Base of all actions, for encoding only."""

    reason: Reason


class Target(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An object of the API by name, UID and the version that the decision was made from."""

    name: str
    uid: str = ""
    resource_version: str = ""
    namespace: str = ""


class ClaimDraft(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A NodeClaim to be written."""

    name: ClaimName
    pool: PoolName
    pool_uid: str
    node_class: ClassName
    requirements: tuple[Requirement, ...]
    requests: Resources
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    startup_taints: tuple[Taint, ...] = ()
    expire_after_seconds: int | None = None
    termination_grace_seconds: int | None = None


class Launch(Act, frozen=True, gc=False, omit_defaults=True, tag="launch"):
    """Write a claim and buy its instance. ``id`` is the plan's own number, from 0."""

    id: int
    draft: ClaimDraft
    pods: tuple[PodKey, ...]
    instance_type: InstanceTypeName
    zone: Zone
    capacity_type: CapacityType
    price_nano_usd: int
    """Of the offering expected to be launched: the cheapest allowed."""
    instance_types: tuple[InstanceTypeName, ...]
    """Every type that the launch may fall back to, cheapest first."""
    capacity: Resources = ZERO
    allocatable: Resources = ZERO
    """Of the expected type."""
    candidates: tuple[Override, ...] = ()
    """The overrides of the first CreateFleet request, cheapest first, all of ``capacity_type``."""


class ContinueLaunch(Act, frozen=True, gc=False, omit_defaults=True, tag="continueLaunch"):
    """Buy the instance of a claim that exists already.

    With ``request`` the attempt was written before and is resent word for word (its answer was never seen);
    without, attempt ``attempt`` is composed of ``candidates``, written, and sent.
    """

    claim: Target
    pool: PoolName
    node_class: ClassName
    attempt: int
    request: LaunchRequest | None = None
    capacity_type: CapacityType = "on-demand"
    candidates: tuple[Override, ...] = ()
    reservation: str = ""
    """Id of the capacity reservation that the claim names."""


class RecordLaunch(Act, frozen=True, gc=False, omit_defaults=True, tag="recordLaunch"):
    """Write status.providerID, capacity and Launched=True of a claim whose instance was found by tag."""

    claim: Target
    instance: InstanceId
    zone: Zone
    instance_type: InstanceTypeName
    capacity_type: CapacityType
    image_id: str = ""
    capacity: Resources = ZERO
    allocatable: Resources = ZERO
    labels: dict[str, str] = {}


class RegisterNode(Act, frozen=True, gc=False, omit_defaults=True, tag="registerNode"):
    """Sync the pool's labels, annotations and taints, lift the unregistered taint, then Registered=True."""

    claim: Target
    node: Target
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    """The node's whole list once the pool's are merged in and the unregistered one is out."""
    synced: bool = False
    """The node carries all of it already and only the claim's condition is missing."""


class InitializeNode(Act, frozen=True, gc=False, omit_defaults=True, tag="initializeNode"):
    """Label the node initialized and set Initialized=True on the claim."""

    claim: Target
    node: Target


class RecordPodEvent(Act, frozen=True, gc=False, omit_defaults=True, tag="recordPodEvent"):
    """Write status.lastPodEventTime: a pod that counts came to the node or left it; consolidateAfter begins anew."""

    claim: Target
    at: datetime


class SetCondition(Act, frozen=True, gc=False, omit_defaults=True, tag="setCondition"):
    """Set one condition of a claim."""

    claim: Target
    condition: Condition


class DisruptNode(Act, frozen=True, gc=False, omit_defaults=True, tag="disruptNode"):
    """Taint the node, re-check that it is still what the decision saw, then delete its claim."""

    claim: Target
    node: Target | None
    pool: PoolName
    graceful: bool = True
    savings_nano_usd: int = 0


class UndisruptNode(Act, frozen=True, gc=False, omit_defaults=True, tag="undisruptNode"):
    """Lift a disrupted taint that a decision left behind which no longer holds."""

    node: Target
    claim: Target


class DeleteClaim(Act, frozen=True, gc=False, omit_defaults=True, tag="deleteClaim"):
    """Delete a claim: its finalizer then takes it through drain and termination."""

    claim: Target


class BeginTermination(Act, frozen=True, gc=False, omit_defaults=True, tag="beginTermination"):
    """First step of a deleted claim: taint the node, exclude it from load balancers, date the deadline."""

    claim: Target
    node: Target | None
    deadline: datetime | None = None


class EvictPod(Act, frozen=True, gc=False, omit_defaults=True, tag="evictPod"):
    """Ask the Eviction API, with the pod's UID as precondition; 429 means later, 404 and 409 mean done."""

    pod: Target
    node: NodeName
    claim: ClaimName


class DeletePod(Act, frozen=True, gc=False, omit_defaults=True, tag="deletePod"):
    """Delete a pod past every budget, because the claim's termination deadline says so."""

    pod: Target
    node: NodeName
    claim: ClaimName
    grace_seconds: int = 1


class TerminateMachine(Act, frozen=True, gc=False, omit_defaults=True, tag="terminateMachine"):
    """Terminate an instance of ours. ``claim`` is None for an orphan."""

    instance: InstanceId
    claim: Target | None = None
    claim_uid: ClaimUid | None = None
    drained: NodeName = NodeName("")
    """The node that the decision saw empty: looked at once more before the instance goes. Empty: no need to."""


class DeleteNode(Act, frozen=True, gc=False, omit_defaults=True, tag="deleteNode"):
    """Delete the Node object of an instance that is gone (finalizer of ours included)."""

    node: Target


class RemoveFinalizer(Act, frozen=True, gc=False, omit_defaults=True, tag="removeFinalizer"):
    """Let a claim whose node and instance are gone disappear."""

    claim: Target


class AdoptMachine(Act, frozen=True, gc=False, omit_defaults=True, tag="adoptMachine"):
    """Rebuild the claim of an instance of ours from its tags, because a Node of it exists."""

    instance: InstanceId
    draft: ClaimDraft


class ReviewCertificate(Act, frozen=True, gc=False, omit_defaults=True, tag="reviewCertificate"):
    """Look the instance up in EC2, freshly, and approve or deny a request made with one of our tokens."""

    request: Target
    asked: str
    """The common name asked for: requests for one name are reviewed one after the other, so that one is granted."""


class WritePoolStatus(Act, frozen=True, gc=False, omit_defaults=True, tag="writePoolStatus"):
    """Write status.resources, status.nodes and the pool's conditions."""

    pool: Target
    node_count: int
    resources: Resources
    conditions: tuple[Condition, ...] = ()
    hash: str = ""
    """The pool's hash when its annotation is missing or old."""
    hash_version: str = ""


class WriteOverlayStatus(Act, frozen=True, gc=False, omit_defaults=True, tag="writeOverlayStatus"):
    """Write an overlay's conditions."""

    overlay: Target
    conditions: tuple[Condition, ...]


class WriteClassStatus(Act, frozen=True, gc=False, omit_defaults=True, tag="writeClassStatus"):
    """Write what a class's selectors were resolved to, and its conditions."""

    node_class: Target
    status: dict[str, object]
    hash: str = ""
    """The class's hash when its annotation is missing or old."""
    hash_version: str = ""


class DeleteTemplate(Act, frozen=True, gc=False, omit_defaults=True, tag="deleteTemplate"):
    """Delete a launch template of this cluster that no class and no claim in flight uses."""

    template_id: str


class SetProtectedMode(Act, frozen=True, gc=False, omit_defaults=True, tag="setProtectedMode"):
    """Write or clear (``until`` None) the pool's protected-mode annotation."""

    pool: Target
    until: datetime | None
    trial: int = 0
    annotation: str = ""


Action = (
    Launch
    | ContinueLaunch
    | RecordLaunch
    | RegisterNode
    | InitializeNode
    | RecordPodEvent
    | SetCondition
    | DisruptNode
    | UndisruptNode
    | DeleteClaim
    | BeginTermination
    | EvictPod
    | DeletePod
    | TerminateMachine
    | DeleteNode
    | RemoveFinalizer
    | AdoptMachine
    | ReviewCertificate
    | WritePoolStatus
    | WriteOverlayStatus
    | WriteClassStatus
    | DeleteTemplate
    | SetProtectedMode
)
