"""EC2NodeClass, karpenter.k8s.aws/v1: how the machines are made."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from agent.manifests.hardware import (
    BlockDeviceMapping,
    ConnectionTracking,
    CpuOptions,
    MetadataOptions,
    NetworkInterface,
)
from agent.manifests.kubelet import Kubelet
from agent.manifests.nodeclass_rules import CLASS_RULES
from agent.manifests.objects import CONDITION_LIST, SHORT_NAME, Conditions, ObjectMeta
from agent.manifests.scalars import Between, Flag, NonEmpty, Whole
from agent.manifests.schedules import Schedule
from agent.manifests.selectors import (
    ALIAS_FAMILIES,
    INSTANCE_TAGS_RULE,
    AmiSelectorTerm,
    CapacityReservationSelectorTerm,
    PlacementGroupSelector,
    SecurityGroupSelectorTerm,
    SubnetSelectorTerm,
    instance_tag,
)
from agent.manifests.written import Observed, Rule, Written
from agent.model import names

AmiFamily = Literal[
    "Ubuntu",
    "AL2023",
    "Debian",
    "RHEL",
    "Flatcar",
    "Bottlerocket",
    "Custom",
    "AL2",
    "Windows2019",
    "Windows2022",
    "Windows2025",
]
InstanceTag = Annotated[str, AfterValidator(instance_tag)]
MAX_TERMS: Final = 30


class EC2NodeClassSpec(Written):
    """How the class's machines are made."""

    ami_family: AmiFamily | None = None
    """Which userData template prepares the machine. Ubuntu, Debian, RHEL and Flatcar are Joinery's additions. May be
    left out when an alias says it."""
    ami_selector_terms: tuple[AmiSelectorTerm, ...] = Field(default=(), max_length=MAX_TERMS)
    """Where images are found; of each architecture the newest counts. Unset: the newest image of the family, resolved
    once and pinned in the status (Karpenter requires it; Joinery does not, but for Custom)."""
    ami_refresh: Schedule | None = None
    """Joinery's addition: when the pin may move to a newer image, as cron in UTC. Accepted, and not acted on by this
    version: the pin moves when the terms change."""
    subnet_selector_terms: tuple[SubnetSelectorTerm, ...] = Field(min_length=1, max_length=MAX_TERMS)
    """Where machines are launched: of each zone the subnet with the most free addresses."""
    security_group_selector_terms: tuple[SecurityGroupSelectorTerm, ...] = Field(min_length=1, max_length=MAX_TERMS)
    """Security groups of the machines; all that any term finds."""
    capacity_reservation_selector_terms: tuple[CapacityReservationSelectorTerm, ...] = Field(
        default=(), max_length=MAX_TERMS
    )
    """Capacity reservations that may be used."""
    placement_group_selector: PlacementGroupSelector | None = None
    """Placement group of the machines."""
    role: NonEmpty | None = None
    """IAM role of the machines, by name; an instance profile is kept for it."""
    instance_profile: NonEmpty | None = None
    """Instance profile of the machines, by name, when you keep it yourself. Exactly one of this and role."""
    user_data: str | None = None
    """Your own bootstrap script, run as it stands with CLUSTER_ENDPOINT, BOOTSTRAP_TOKEN and CA_CERT_HASH in its
    environment. Unset: the family's template. EC2 allows 16 KiB for the whole."""
    tags: dict[InstanceTag, str] = Field(
        default_factory=dict, max_length=40, json_schema_extra={"x-kubernetes-validations": [INSTANCE_TAGS_RULE]}
    )
    """Tags of instances, volumes and launch templates, beside those that say whose they are. Name may be given."""
    kubelet: Kubelet = Field(default_factory=dict)
    """Fields of KubeletConfiguration v1beta1, laid over the cluster's own. maxPods, podsPerCore, kubeReserved,
    systemReserved and evictionHard also decide how many pods are planned onto a node."""
    block_device_mappings: tuple[BlockDeviceMapping, ...] = Field(default=(), max_length=50)
    """Disks of the machines. Unset: the image's own."""
    instance_store_policy: Literal["RAID0"] | None = None
    """RAID0: local disks become one file system for kubelet and container runtime. Unset: they are left alone."""
    network_interfaces: tuple[NetworkInterface, ...] = Field(default=(), max_length=150)
    """Network cards of the machines. Unset: one."""
    detailed_monitoring: Flag | None = None
    """CloudWatch metrics each minute instead of every five; costs extra. Unset: no."""
    associate_public_ip_address: Flag | None = Field(None, alias="associatePublicIPAddress")
    """Give machines a public address. Unset: as the subnet says."""
    ip_prefix_count: Annotated[Whole, Between(0)] | None = Field(
        None, alias="ipPrefixCount", json_schema_extra={"format": "int32"}
    )
    """Address prefixes for the first network card."""
    metadata_options: MetadataOptions = Field(
        default=MetadataOptions(),
        json_schema_extra={
            "default": {
                "httpEndpoint": "enabled",
                "httpProtocolIPv6": "disabled",
                "httpPutResponseHopLimit": 1,
                "httpTokens": "required",
            }
        },
    )
    """The metadata service of the machines."""
    connection_tracking: ConnectionTracking | None = None
    """Idle timeouts of tracked connections."""
    context: NonEmpty | None = None
    """CreateFleet's Context, for capacity that is shared between accounts."""
    cpu_options: CpuOptions | None = None
    """Processor options."""

    RULES = CLASS_RULES

    @property
    def family(self) -> str:
        """The family in effect: amiFamily, else that of the alias."""
        if self.ami_family is not None:
            return self.ami_family
        alias = next((term.alias for term in self.ami_selector_terms if term.alias), "")
        return ALIAS_FAMILIES.get(alias.partition("@")[0], "Custom")


class SubnetStatus(Observed):
    """A subnet that the terms found."""

    id: str
    """Subnet id."""
    zone: str
    """Availability zone."""
    zone_id: str | None = Field(None, alias="zoneID")
    """The zone's id, which is the same in all accounts."""


class SecurityGroupStatus(Observed):
    """A security group that the terms found."""

    id: str
    """Group id."""
    name: str | None = None
    """Group name."""


class StatusRequirement(Observed):
    """A label that nodes of the image must have."""

    key: str
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]
    """How it is compared."""
    values: tuple[str, ...] = ()
    """What it is compared with."""


class AmiStatus(Observed):
    """An image that the class launches: pinned until the pin is moved."""

    id: str
    """Image id."""
    name: str | None = None
    """Image name."""
    deprecated: bool | None = None
    """Its owner advises against it."""
    requirements: tuple[StatusRequirement, ...] = ()
    """Which types it fits."""


class CapacityReservationStatus(Observed):
    """A reservation that the terms found."""

    id: str
    """Reservation id."""
    availability_zone: str | None = None
    """Its zone."""
    instance_type: str | None = None
    """Its type."""
    instance_match_criteria: str | None = None
    """open or targeted."""
    owner_id: str | None = Field(None, alias="ownerID")
    """Account that owns it."""
    reservation_type: str | None = None
    """default or capacity-block."""
    state: str | None = None
    """active or expiring."""
    interruptible: bool | None = None
    """Whether EC2 may take it back."""
    end_time: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When it ends."""


class EC2NodeClassStatus(Observed):
    """What the class's terms were resolved to; written by the daemon."""

    subnets: tuple[SubnetStatus, ...] = ()
    """Subnets found."""
    security_groups: tuple[SecurityGroupStatus, ...] = ()
    """Security groups found."""
    amis: tuple[AmiStatus, ...] = ()
    """Images pinned."""
    capacity_reservations: tuple[CapacityReservationStatus, ...] = ()
    """Reservations found."""
    instance_profile: str | None = None
    """Instance profile in use."""
    conditions: Conditions = CONDITION_LIST
    """Ready, AMIsReady, SubnetsReady, SecurityGroupsReady, InstanceProfileReady, CapacityReservationsReady,
    ValidationSucceeded."""


class EC2NodeClassManifest(Written):
    """An EC2NodeClass says how machines are made: image, network, disks, role, and how they join."""

    api_version: Literal["karpenter.k8s.aws/v1"]
    """karpenter.k8s.aws/v1."""
    kind: Literal["EC2NodeClass"]
    """EC2NodeClass."""
    metadata: ObjectMeta
    """Name, labels, annotations."""
    spec: EC2NodeClassSpec
    """How machines are made."""
    status: EC2NodeClassStatus = EC2NodeClassStatus()
    """What its terms were resolved to."""

    RULES = (
        SHORT_NAME,
        Rule(
            f"{names.USERDATA_MODE} may be jinja or be left out",
            holds=lambda manifest: manifest.metadata.annotations.get(names.USERDATA_MODE, "") in {"", "jinja"},
            reads=("metadata",),
            at="metadata.annotations",
        ),
    )
