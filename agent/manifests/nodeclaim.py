"""NodeClaim, karpenter.sh/v1: the intent to have one node. Written by the daemon, seldom by hand."""

from typing import Literal

from pydantic import Field

from agent.manifests.objects import CONDITION_LIST, Conditions, NodeClassRef, ObjectMeta
from agent.manifests.scalars import Duration, DurationOrNever, Quantity
from agent.manifests.scheduling import DISTINCT_TAINTS, ClaimRequirement, Taint
from agent.manifests.written import Observed, Rule, Written


class ResourceRequests(Written):
    """How much room the node must have."""

    requests: dict[str, Quantity] = Field(default_factory=dict)
    """Amount by resource: what the pods that it was bought for ask together, daemons included."""


class NodeClaimSpec(Written):
    """What the node must be. It cannot be changed."""

    node_class_ref: NodeClassRef
    """The class that says how the machine is made."""
    requirements: tuple[ClaimRequirement, ...] = Field(max_length=100)
    """Which node may be bought, by label."""
    resources: ResourceRequests = Field(default_factory=ResourceRequests)
    """How much room it must have."""
    taints: tuple[Taint, ...] = ()
    """Taints that the node keeps."""
    startup_taints: tuple[Taint, ...] = ()
    """Taints that something else will lift once the node is prepared."""
    expire_after: DurationOrNever = "720h"
    """Age at which the node is replaced; Never: no age."""
    termination_grace_period: Duration | None = None
    """How long its drain may take before the remaining pods are deleted over every budget."""

    RULES = (DISTINCT_TAINTS, Rule("a NodeClaim's spec cannot be changed", cel="self == oldSelf"))


class NodeClaimStatus(Observed):
    """What came of the claim; written by the daemon."""

    node_name: str | None = None
    """Name of its Node; for nodes of ours the EC2 instance id."""
    provider_id: str | None = Field(None, alias="providerID")
    """aws:///<zone>/<instance id>."""
    image_id: str | None = Field(None, alias="imageID")
    """AMI that it was launched from."""
    capacity: dict[str, Quantity] = Field(default_factory=dict)
    """What the node has, by resource."""
    allocatable: dict[str, Quantity] = Field(default_factory=dict)
    """What pods can have of it."""
    last_pod_event_time: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When a pod last came or went; consolidateAfter counts from here."""
    conditions: Conditions = CONDITION_LIST
    """Launched, Registered, Initialized, then Drifted, Drained, VolumesDetached, InstanceTerminating."""


class NodeClaimManifest(Written):
    """A NodeClaim is the durable intent to have one node, and the ledger of what came of it."""

    api_version: Literal["karpenter.sh/v1"]
    """karpenter.sh/v1."""
    kind: Literal["NodeClaim"]
    """NodeClaim."""
    metadata: ObjectMeta
    """Name, labels, annotations."""
    spec: NodeClaimSpec
    """What the node must be."""
    status: NodeClaimStatus = NodeClaimStatus()
    """What came of it."""
