"""What every Kubernetes object has: metadata, and conditions in its status."""

from typing import Any, Literal

from pydantic import Field

from agent.manifests.scalars import NonEmpty, ObjectName, Whole
from agent.manifests.written import Observed, Rule, Written

SHORT_NAME = Rule(
    "must have at most 63 characters, because it becomes a label value",
    holds=lambda manifest: len(manifest.metadata.name) <= 63,  # noqa: PLR2004  the length of a label value
    reads=("metadata",),
    at="metadata.name",
    cel="self.metadata.name.size() <= 63",
)
"""Names of pools and classes are label values of nodes, and Kubernetes allows those 63 characters."""


class ObjectMeta(Written):
    """Name, labels and annotations; the rest is the API server's."""

    name: ObjectName
    """The object's name, by which everything else refers to it."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the object itself; the nodes' labels stand in its template."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the object itself."""
    namespace: str | None = None
    """Ignored: these kinds belong to the cluster, not to a namespace."""
    generate_name: str | None = None
    """Prefix of a name that the API server makes."""
    uid: str | None = None
    """Set by the API server."""
    resource_version: str | None = None
    """Set by the API server."""
    generation: Whole | None = None
    """Set by the API server; counts changes of the spec."""
    creation_timestamp: str | None = None
    """Set by the API server."""
    deletion_timestamp: str | None = None
    """Set by the API server when a deletion was asked for."""
    deletion_grace_period_seconds: Whole | None = None
    """Set by the API server."""
    finalizers: tuple[str, ...] = ()
    """What must happen before the object may disappear."""
    owner_references: tuple[dict[str, Any], ...] = ()
    """Objects that this one belongs to."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Which client set which field."""
    self_link: str | None = None
    """Empty since Kubernetes 1.20."""


class Condition(Observed):
    """One condition of a status, in the shape that Kubernetes uses everywhere."""

    type: str
    """What the condition is about, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str = ""
    """A word for machines."""
    message: str = ""
    """A sentence for people."""
    last_transition_time: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When the status last changed."""
    observed_generation: Whole | None = None
    """The generation of the spec that this was said about."""


Conditions = tuple[Condition, ...]
CONDITION_LIST = Field(
    default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
)


class NodeClassRef(Written):
    """Which EC2NodeClass says how the machines are made."""

    group: NonEmpty
    """API group of the class: karpenter.k8s.aws."""
    kind: NonEmpty
    """Kind of the class: EC2NodeClass."""
    name: ObjectName
    """Name of the class. It may be changed; nodes of the old class then count as drifted."""

    RULES = (
        Rule(
            "group must not contain a slash (a version does not belong here)",
            holds=lambda ref: "/" not in ref.group,
            reads=("group",),
            at="group",
            cel="!self.group.contains('/')",
        ),
        Rule("group and kind cannot be changed", cel="self.group == oldSelf.group && self.kind == oldSelf.kind"),
    )
