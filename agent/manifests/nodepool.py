"""NodePool, karpenter.sh/v1: what may be bought, and when it may go."""

from typing import Annotated, Literal

from pydantic import Field

from agent.manifests.objects import CONDITION_LIST, SHORT_NAME, Conditions, NodeClassRef, ObjectMeta
from agent.manifests.scalars import (
    Between,
    BudgetDuration,
    Duration,
    DurationOrNever,
    LabelValue,
    Matching,
    Quantity,
    Whole,
)
from agent.manifests.schedules import Schedule, is_time_zone
from agent.manifests.scheduling import DISTINCT_TAINTS, RESTRICTED, PoolLabel, PoolRequirement, Taint, restricted_keys
from agent.manifests.written import Observed, Rule, Written
from agent.model import names

BUDGET_NODES = "((100|[0-9]{1,2})%|[0-9]+)"


class Budget(Written):
    """How many nodes may be in disruption at once, always or within a window."""

    nodes: Annotated[str, Matching(BUDGET_NODES, "a number of nodes or a percentage of 0%..100%")] = "10%"
    """A count such as "5", or a percentage such as "10%", which rounds up. "0" forbids disruption."""
    schedule: Schedule | None = None
    """When the window opens: five cron fields or a macro such as @daily, in UTC unless the pool's annotation
    joinery.sh/time-zone says otherwise. Unset: the budget always applies."""
    duration: BudgetDuration | None = None
    """How long the window stays open after each firing, in hours and minutes."""
    reasons: Annotated[tuple[Literal["Underutilized", "Empty", "Drifted"], ...], Field(max_length=50)] | None = None
    """Reasons that the budget counts for. Unset: for all. An empty list: for none."""

    RULES = (
        Rule(
            "schedule and duration go together",
            holds=lambda budget: (budget.schedule is None) == (budget.duration is None),
            reads=("schedule", "duration"),
            cel="has(self.schedule) == has(self.duration)",
        ),
    )


class Disruption(Written):
    """When nodes may be removed or replaced to save money, and how many at once."""

    consolidate_after: DurationOrNever = "0s"
    """How long a node must be without pods coming or going before it is considered; Never switches consolidation
    off. 0s: at once."""
    consolidation_policy: Literal["WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"] = "WhenEmptyOrUnderutilized"
    """WhenEmpty removes nodes without pods; WhenEmptyOrUnderutilized also moves pods to cheaper nodes; Balanced does
    so only when the saving is worth the moves."""
    budgets: tuple[Budget, ...] = Field(
        default_factory=lambda: (Budget(),), max_length=50, json_schema_extra={"default": [{"nodes": "10%"}]}
    )
    """Brakes on voluntary disruption; of those that apply the smallest counts. An empty list: no limit."""


class TemplateMetadata(Written):
    """Labels and annotations that every node of the pool gets."""

    labels: Annotated[dict[PoolLabel, LabelValue], Field(max_length=100)] = Field(
        default_factory=dict,
        json_schema_extra={
            "x-kubernetes-validations": [{"rule": f"self.all(key, {restricted_keys('key')})", "message": RESTRICTED}]
        },
    )
    """Labels of the nodes. Pods may select them. A change makes the nodes drift."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the nodes. A change makes the nodes drift, as in Karpenter."""


class TemplateSpec(Written):
    """What every node of the pool is."""

    node_class_ref: NodeClassRef
    """The class that says how machines are made."""
    requirements: tuple[PoolRequirement, ...] = Field(max_length=100)
    """Which nodes may be bought, by label; required, but the list may be empty."""
    taints: tuple[Taint, ...] = Field(default=(), max_length=100)
    """Taints that the nodes keep."""
    startup_taints: tuple[Taint, ...] = Field(default=(), max_length=100)
    """Taints that something else will lift once the node is prepared; pods are planned as if they were gone."""
    expire_after: DurationOrNever = "720h"
    """Age at which a node is replaced, budgets or not, so that images and kubelets do not grow old; Never: no age."""
    termination_grace_period: Duration | None = None
    """How long a drain may take before the remaining pods are deleted over every budget. Unset: as long as it takes."""

    RULES = (DISTINCT_TAINTS,)


class Template(Written):
    """What every node of the pool looks like."""

    metadata: TemplateMetadata = Field(default_factory=TemplateMetadata)
    """Labels and annotations of the nodes."""
    spec: TemplateSpec
    """Everything else."""


class NodePoolSpec(Written):
    """What the pool may buy and when its nodes may go."""

    template: Template
    """What its nodes look like."""
    disruption: Disruption = Field(
        default_factory=Disruption, json_schema_extra={"default": {"consolidateAfter": "0s"}}
    )
    """When its nodes may go."""
    limits: dict[str, Quantity] = Field(default_factory=dict)
    """The most that the pool's nodes may have together, by resource: cpu, memory, nodes, or any other. Unset: no
    limit of its own; the daemon's maxNodes and maxPricePerHour hold all the same."""
    weight: Annotated[Whole, Between(1, 100)] | None = Field(None, json_schema_extra={"format": "int32"})
    """Of the pools that suit a pod the heaviest is asked first. Unset: 0."""
    replicas: Annotated[Whole, Between(0)] | None = Field(None, json_schema_extra={"format": "int64"})
    """Makes the pool static: it keeps so many nodes whether pods need them or not."""

    RULES = (
        Rule(
            "a static pool (with replicas) has no weight",
            holds=lambda spec: spec.replicas is None or spec.weight is None,
            reads=("replicas", "weight"),
            at="weight",
            cel="!has(self.replicas) || !has(self.weight)",
        ),
        Rule(
            "a static pool (with replicas) may limit only nodes",
            holds=lambda spec: spec.replicas is None or set(spec.limits) <= {"nodes"},
            reads=("replicas", "limits"),
            at="limits",
            cel="!has(self.replicas) || !has(self.limits) || self.limits.all(name, name == 'nodes')",
        ),
        Rule(
            "a pool cannot become static, nor cease to be: replicas may not come or go",
            cel="has(self.replicas) == has(oldSelf.replicas)",
        ),
    )


class NodePoolStatus(Observed):
    """What is known of the pool; written by the daemon."""

    resources: dict[str, Quantity] = Field(default_factory=dict)
    """Capacity of the pool's nodes together."""
    nodes: Whole = Field(0, json_schema_extra={"format": "int64", "default": 0})
    """How many nodes the pool has."""
    node_class_observed_generation: Whole | None = Field(None, json_schema_extra={"format": "int64"})
    """The generation of the class that the conditions speak of."""
    conditions: Conditions = CONDITION_LIST
    """Ready, ValidationSucceeded, NodeClassReady, NodeRegistrationHealthy."""


class NodePoolManifest(Written):
    """A NodePool says what may be bought for pending pods, within which limits, and when nodes may go."""

    api_version: Literal["karpenter.sh/v1"]
    """karpenter.sh/v1."""
    kind: Literal["NodePool"]
    """NodePool."""
    metadata: ObjectMeta
    """Name, labels, annotations."""
    spec: NodePoolSpec
    """What it may buy and when its nodes may go."""
    status: NodePoolStatus = NodePoolStatus()
    """What is known of it."""

    RULES = (
        SHORT_NAME,
        Rule(
            f"{names.TIME_ZONE} is not a time zone that this system knows (one is Asia/Seoul)",
            holds=lambda pool: is_time_zone(pool.metadata.annotations.get(names.TIME_ZONE, "UTC")),
            reads=("metadata",),
            at="metadata.annotations",
        ),
    )
