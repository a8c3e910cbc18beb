"""EC2 as the engine sees it: instance types with prices, images, subnets, instances."""

from datetime import datetime
from typing import Literal

import msgspec

from agent.model import names
from agent.model.constraints import Requirement, named_value
from agent.model.kubernetes import Condition, Meta
from agent.model.names import ClaimName, ClaimUid, ClassName, InstanceId, InstanceTypeName, PoolName, ProviderId, Zone
from agent.model.resources import ZERO, Resources

CapacityType = Literal["on-demand", "spot", "reserved"]
MachineState = Literal["pending", "running", "stopping", "stopped", "shutting-down", "terminated"]


class Offering(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One way to buy a type: zone, capacity type and price."""

    zone: Zone
    capacity_type: CapacityType
    price_nano_usd: int
    """US dollars per hour times 10^9, so that prices add up exactly."""
    available: bool = True
    requirements: tuple[Requirement, ...] = ()
    """Labels that only this offering has."""
    reservation_capacity: int | None = None
    """Instances that its capacity reservation still has room for. None: as many as are asked for."""

    @property
    def reservation(self) -> str | None:
        """Id of the capacity reservation that it is launched into."""
        return named_value(self.requirements, names.RESERVATION) if self.requirements else None


class InstanceType(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An instance type as nodes of one class: labels, capacity, and what kubelet keeps for itself."""

    name: InstanceTypeName
    capacity: Resources
    overhead: Resources = ZERO
    requirements: tuple[Requirement, ...] = ()
    """Labels its nodes can have. A key that is not mentioned is absent on its nodes, unless the pool sets it."""
    offerings: tuple[Offering, ...] = ()
    ebs_attachments: int | None = None
    """EBS volumes of pods that a node of it attaches. None: not known."""
    overlaid: tuple[str, ...] = ()
    """Annotations that say what NodeOverlays changed of it."""

    @property
    def allocatable(self) -> Resources:
        """Capacity less overhead: what pods can have. Huge pages are set aside of the memory (rule 9.3)."""
        free = self.capacity - self.overhead
        if not self.capacity.extended:
            return free
        pages = sum(amount for name, amount in self.capacity.extended if name.startswith("hugepages-"))
        return msgspec.structs.replace(free, memory_bytes=max(0, free.memory_bytes - pages)) if pages else free


class InstanceTypeFacts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What EC2 says of a type, before a class's kubelet settings and disks turn it into nodes."""

    name: InstanceTypeName
    architectures: tuple[str, ...]
    """Kubernetes' names: amd64, arm64."""
    vcpus: int
    memory_mib: int
    usage_classes: tuple[str, ...]
    """Capacity types it can be bought as: on-demand, spot."""
    labels: dict[str, str] = {}
    """The karpenter.k8s.aws/instance-* labels."""
    extended: tuple[tuple[str, int], ...] = ()
    """Devices: nvidia.com/gpu, aws.amazon.com/neuron, …"""
    instance_store_gb: int = 0
    max_interfaces: int = 0
    ipv4_per_interface: int = 0
    bare_metal: bool = False
    ebs_attachments: int | None = None
    """EBS volumes that an instance with one network interface attaches, its own disks included. None: not known."""


class Subnet(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A subnet that a class may launch into."""

    id: str
    zone: Zone
    zone_id: str = ""
    free_addresses: int = 0


class CapacityReservation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An active On-Demand Capacity Reservation that a class may launch into."""

    id: str
    instance_type: InstanceTypeName
    zone: Zone
    places: int
    """Instances that it still has room for."""
    owner: str = ""
    match_criteria: str = "open"
    """open, or targeted: only for instances that name it."""
    kind: str = "default"
    """default or capacity-block."""
    interruptible: bool = False
    """EC2 may take its capacity back."""
    ends_at: datetime | None = None

    @property
    def usable(self) -> bool:
        """Whether it is one that is launched into: no block that is paid beforehand for some hours, none on recall."""
        return self.kind == "default" and not self.interruptible


class Image(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An AMI that a class may launch, and the types it fits."""

    id: str
    name: str = ""
    architecture: str = "amd64"
    created_at: datetime | None = None
    deprecated: bool = False
    requirements: tuple[Requirement, ...] = ()


class KubeletSettings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What decides allocatable: the cluster's kubelet-config overridden by the class. None: kubelet's own default."""

    max_pods: int | None = None
    pods_per_core: int | None = None
    kube_reserved: Resources = ZERO
    system_reserved: Resources = ZERO
    eviction_memory: str = "100Mi"
    """evictionHard memory.available: a quantity or a percentage."""
    eviction_storage: str = "10%"
    """evictionHard nodefs.available."""


class NodeClass(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An EC2NodeClass with what its selectors were resolved to. Not ready: nothing is launched from it."""

    meta: Meta
    ami_family: str
    subnets: tuple[Subnet, ...] = ()
    security_groups: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    reservations: tuple[CapacityReservation, ...] = ()
    instance_profile: str = ""
    tags: dict[str, str] = {}
    kubelet: KubeletSettings = KubeletSettings()
    root_volume_bytes: int = 0
    """Size of the disk that holds kubelet's root directory; 0 when the class does not say."""
    volumes: int = 1
    """EBS volumes that its instances have from the start."""
    hash: str = ""
    hash_version: str = ""
    conditions: tuple[Condition, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> ClassName:
        """The class's name."""
        return ClassName(self.meta.name)

    @property
    def ready(self) -> bool:
        """Condition Ready is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.conditions)


class Machine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An EC2 instance of this cluster, as DescribeInstances says."""

    id: InstanceId
    instance_type: InstanceTypeName
    zone: Zone
    state: MachineState
    launched_at: datetime
    capacity_type: CapacityType = "on-demand"
    private_ip: str = ""
    private_dns: str = ""
    image_id: str = ""
    subnet_id: str = ""
    tags: dict[str, str] = {}
    state_reason: str = ""
    """EC2's own code for the last change of state, such as Client.InternalError or Server.SpotInstanceTermination."""

    @property
    def provider_id(self) -> ProviderId:
        """As a Node of this instance must report it."""
        return ProviderId(f"aws:///{self.zone}/{self.id}")

    @property
    def alive(self) -> bool:
        """Still costs money or may again: anything but shutting-down and terminated."""
        return self.state not in {"shutting-down", "terminated"}

    @property
    def claim(self) -> ClaimName | None:
        """Name of the claim it was launched for, from its tags."""
        return ClaimName(v) if (v := self.tags.get(names.TAG_CLAIM)) else None

    @property
    def claim_uid(self) -> ClaimUid | None:
        """UID of the claim it was launched for, from its tags."""
        return ClaimUid(v) if (v := self.tags.get(names.TAG_CLAIM_UID)) else None

    @property
    def pool(self) -> PoolName | None:
        """Name of its pool, from its tags."""
        return PoolName(v) if (v := self.tags.get(names.TAG_POOL)) else None

    def is_ours(self, cluster: str, cluster_uid: str) -> bool:
        """Whether Joinery launched it for this very cluster, so that Joinery may terminate it.

        The cluster's name alone does not do (every second cluster is called ``kubernetes``), and a machine
        with a Terraform role is never ours.
        """
        return (
            self.tags.get(names.TAG_CLUSTER) == cluster
            and self.tags.get(names.TAG_CLUSTER_UID) == cluster_uid
            and self.tags.get(names.TAG_MANAGED) == "true"
            and names.TAG_ROLE not in self.tags
        )

    def is_base(self, cluster: str) -> bool:
        """Whether Terraform launched it for this cluster: a fixed node or a control plane, never ours."""
        return self.tags.get(names.TAG_CLUSTER) == cluster and self.tags.get(names.TAG_ROLE) in {
            "base",
            "control-plane",
        }


class Override(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One candidate of a CreateFleet request."""

    instance_type: InstanceTypeName
    zone: Zone
    subnet_id: str
    image_id: str


class LaunchRequest(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The exact CreateFleet request of one attempt: what is annotated, sent, and resent word for word."""

    attempt: int
    template_id: str
    template_version: str
    capacity_type: CapacityType
    overrides: tuple[Override, ...]
    tags: dict[str, str] = {}
    reservation: str = ""
    """Id of the capacity reservation that the template names."""


class CapacityError(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A remembered refusal: this offering is left out until ``until``. An empty field stands for any."""

    capacity_type: str
    until: datetime
    instance_type: str = ""
    zone: str = ""
    reservation: str = ""
    code: str = ""
