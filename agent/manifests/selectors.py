"""Terms by which a class finds its images, subnets, security groups and reservations.

The terms of a list are alternatives; the fields of a term hold together (AND).
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue

from agent.manifests.scalars import Matching, NonEmpty, fault
from agent.manifests.written import Rule, Written

ALIAS_FAMILIES: Final = {
    "al2": "AL2",
    "al2023": "AL2023",
    "bottlerocket": "Bottlerocket",
    "ubuntu": "Ubuntu",
    "debian": "Debian",
    "rhel": "RHEL",
    "flatcar": "Flatcar",
    "windows2019": "Windows2019",
    "windows2022": "Windows2022",
    "windows2025": "Windows2025",
}
"""The family part of an image alias, and the amiFamily that it stands for."""

ALIAS: Final = f"({'|'.join(ALIAS_FAMILIES)})@[A-Za-z0-9._-]+"

Tags = Annotated[
    dict[NonEmpty, NonEmpty],
    Field(
        max_length=20,
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "self.all(key, key != '' && self[key] != '')", "message": "tags have no empty key or value"}
            ]
        },
    ),
]


def _has(*fields: str) -> str:
    return " || ".join(f"has(self.{field})" for field in fields)


def _said(term: Any, field: str) -> bool:  # noqa: ANN401  any kind of term
    attribute = next(name for name, info in type(term).model_fields.items() if info.alias == field)
    return bool(getattr(term, attribute))


def _any_of(*fields: str) -> Rule:
    def holds(term: Any) -> bool:  # noqa: ANN401  any kind of term
        return any(_said(term, field) for field in fields)

    *first, last = fields
    return Rule(f"needs {', '.join(first)} or {last}", holds=holds, reads=fields, cel=_has(*fields))


def _alone(field: str, *others: str) -> Rule:
    def holds(term: Any) -> bool:  # noqa: ANN401  any kind of term
        return not (_said(term, field) and any(_said(term, other) for other in others))

    *first, last = others
    names = f"{', '.join(first)} or {last}" if first else last
    return Rule(
        f"{field} cannot stand together with {names}",
        holds=holds,
        reads=(field, *others),
        cel=f"!has(self.{field}) || !({_has(*others)})",
    )


class AmiSelectorTerm(Written):
    """One way to find images."""

    alias: Annotated[str, Matching(ALIAS, 'an image alias such as "ubuntu@latest"', 30)] | None = None
    """family@version, the family in lower case. "latest" is resolved once and pinned in the status. Off EKS this is
    the plain image of the distribution, not an EKS-optimised one."""
    tags: Tags = Field(default_factory=dict)
    """Tags that the image has; the value * means that the key exists."""
    id: Annotated[str, Matching("ami-[0-9a-z]+", "an image id (ami-…)", 30)] | None = None
    """Image id."""
    name: NonEmpty | None = None
    """Image name; * and ? are EC2's wildcards."""
    owner: NonEmpty | None = None
    """Account id, self, amazon or aws-marketplace; narrows the other fields. With a name alone: self and amazon."""
    ssm_parameter: NonEmpty | None = None
    """Name or ARN of an SSM parameter that holds the image id."""

    RULES = (
        _any_of("tags", "id", "name", "alias", "ssmParameter"),
        _alone("id", "alias", "tags", "name", "owner"),
        _alone("alias", "tags", "name", "owner"),
    )


class SubnetSelectorTerm(Written):
    """One way to find subnets."""

    tags: Tags = Field(default_factory=dict)
    """Tags that the subnet has; the value * means that the key exists."""
    id: Annotated[str, Matching("subnet-[0-9a-z]+", "a subnet id (subnet-…)", 40)] | None = None
    """Subnet id."""

    RULES = (_any_of("tags", "id"), _alone("id", "tags"))


class SecurityGroupSelectorTerm(Written):
    """One way to find security groups."""

    tags: Tags = Field(default_factory=dict)
    """Tags that the group has; the value * means that the key exists."""
    id: Annotated[str, Matching("sg-[0-9a-z]+", "a security group id (sg-…)", 40)] | None = None
    """Group id."""
    name: NonEmpty | None = None
    """The group's own name (GroupName), not its Name tag."""

    RULES = (_any_of("tags", "id", "name"), _alone("id", "tags", "name"), _alone("name", "tags"))


class CapacityReservationSelectorTerm(Written):
    """One way to find capacity reservations."""

    tags: Tags = Field(default_factory=dict)
    """Tags that the reservation has; the value * means that the key exists."""
    id: Annotated[str, Matching("cr-[0-9a-z]+", "a capacity reservation id (cr-…)", 40)] | None = None
    """Reservation id."""
    owner_id: Annotated[str, Matching("[0-9]{12}", "an account id of twelve digits")] | None = Field(
        None, alias="ownerID"
    )
    """Account that owns the reservation; narrows the other fields."""
    instance_match_criteria: Literal["open", "targeted"] | None = None
    """Whether instances that do not name the reservation may use it."""

    RULES = (
        _any_of("tags", "id", "instanceMatchCriteria"),
        _alone("id", "tags", "ownerID", "instanceMatchCriteria"),
    )


class PlacementGroupSelector(Written):
    """The placement group that instances go into."""

    name: NonEmpty | None = None
    """Group name."""
    id: Annotated[str, Matching("pg-[0-9a-z]+", "a placement group id (pg-…)", 40)] | None = None
    """Group id."""

    RULES = (
        Rule(
            "needs exactly one of name and id",
            holds=lambda group: (group.name is None) != (group.id is None),
            reads=("name", "id"),
            cel="has(self.name) != has(self.id)",
        ),
    )


RESERVED_TAGS: Final = (
    "eks:eks-cluster-name",
    "karpenter.sh/nodepool",
    "karpenter.sh/nodeclaim",
    "karpenter.k8s.aws/ec2nodeclass",
)


def instance_tag(key: str) -> str:
    """The key, if a person may set it on instances: ownership tags are the daemon's."""
    if not key:
        raise fault("a tag's key must not be empty")
    if key in RESERVED_TAGS or key.startswith(("kubernetes.io/cluster", "joinery.sh/")):
        raise fault(f'"{key}" is restricted: by it machines are told whose they are')
    return key


INSTANCE_TAGS_RULE: Final[dict[str, JsonValue]] = {
    "rule": "self.all(key, key != '' && !(key in ["
    + ", ".join(f"'{tag}'" for tag in RESERVED_TAGS)
    + "]) && !key.startsWith('kubernetes.io/cluster') && !key.startsWith('joinery.sh/'))",
    "message": "tags have no empty key, and those that say whose a machine is are restricted",
}
