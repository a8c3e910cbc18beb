"""RunInstances with the refusals of EC2 that moto does not know, for a call of its own and for each of a fleet."""

from typing import Any, Final

from agent.sim import models
from agent.sim.query import Answer, Call, Form, Wsgi, forward, numbered, query_error, texts
from agent.sim.reservations import TARGET, Reservations

MAX_USER_DATA_BYTES: Final = 16_384
OK = 200
Refused = tuple[str, str]


class Launches:
    """What can be launched here, and what is left of it."""

    def __init__(self, app: Wsgi, region: str) -> None:
        self._app = app
        self._region = region
        self._zones = models.zones_of_types(region)
        self._architectures = models.architectures_of_types()
        self.reservations = Reservations(region)
        self.capacity: dict[str, int | str] = {}
        """``type/zone/capacity type``, each or ``*``, to how many are left, or to the code of the refusal.
        Unlimited when it is not there; the most specific counts."""

    def run(self, call: Call, form: Form) -> tuple[Answer, tuple[str, ...]]:
        """Launch, or refuse as EC2 would; with the ids of what was launched."""
        kind = "reserved" if form.get(TARGET) else form.get("InstanceMarketOptions.MarketType", "on-demand")
        refused = self.refusal(form) or self._short(form, kind) or self.reservations.refusal(form)
        if refused is not None:
            return query_error(*refused), ()
        answer = forward(self._app, call, form)
        if answer.status != OK:
            return answer, ()
        self._take(form, kind)
        launched = tuple(i for i in texts(answer, "instanceId") if i.startswith("i-"))
        self._as_asked(launched, form)
        self.reservations.launched(launched, form)
        return answer, launched

    def refusal(self, form: Form) -> Refused | None:
        """Why the request cannot be carried out at all, whatever capacity there is; code and message."""
        if too_large(form.get("UserData", "")):
            return "InvalidUserData.Malformed", f"User data is limited to {MAX_USER_DATA_BYTES} bytes"
        return self._bad_type(form) or self._bad_image(form) or self._bad_network(form) or _bad_profile(form)

    def _bad_type(self, form: Form) -> Refused | None:
        name = form.get("InstanceType", "m1.small")
        if name not in self._architectures:
            return "InvalidParameterValue", f"Invalid value '{name}' for InstanceType."
        return None

    def _bad_image(self, form: Form) -> Refused | None:
        image_id = form.get("ImageId", "")
        image = models.ec2_of(self._region).amis.get(image_id)
        if image is None:
            return "InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist"
        offered = self._architectures[form.get("InstanceType", "")]
        if image.architecture not in offered:
            message = (
                f"The architecture '{','.join(sorted(offered))}' of the specified instance type does not match "
                f"the architecture '{image.architecture}' of the specified AMI."
            )
            return "InvalidParameterValue", message
        return None

    def _bad_network(self, form: Form) -> Refused | None:
        subnet = self._subnet(form)
        if subnet is None:
            name = subnet_of(form)
            return "InvalidSubnetID.NotFound", f"The subnet ID '{name}' does not exist"
        zone, name = subnet.availability_zone, form.get("InstanceType", "")
        if form.get("Placement.AvailabilityZone", zone) != zone:
            return "InvalidParameterCombination", f"The subnet {subnet.id} is not in the requested zone"
        if zone not in self._zones.get(name, ()):
            message = f"Your requested instance type ({name}) is not supported in your requested zone ({zone})."
            return "Unsupported", message
        for group_id in groups_of(form):
            group = models.ec2_of(self._region).get_security_group_from_id(group_id)
            if group is None:
                return "InvalidGroup.NotFound", f"The security group '{group_id}' does not exist"
            if group.vpc_id != subnet.vpc_id:
                message = f"Security group {group_id} and subnet {subnet.id} belong to different networks."
                return "InvalidParameter", message
        return None

    def _short(self, form: Form, kind: str) -> Refused | None:
        """Want of addresses or of capacity."""
        subnet = self._subnet(form)
        count = int(form.get("MaxCount", "1"))
        if subnet.available_ip_address_count < count:
            return "InsufficientFreeAddressesInSubnet", f"There are not enough free addresses in subnet '{subnet.id}'"
        name, zone = form.get("InstanceType", ""), subnet.availability_zone
        key = self._key(name, zone, kind)
        left = self.capacity[key] if key else count
        if isinstance(left, str):
            return left, f"Refused for {name} in {zone}"
        if left < count:
            message = f"We currently do not have sufficient {name} capacity in the Availability Zone you requested"
            return "InsufficientInstanceCapacity", f"{message} ({zone})."
        return None

    def _take(self, form: Form, kind: str) -> None:
        key = self._key(form.get("InstanceType", ""), self._subnet(form).availability_zone, kind)
        left = self.capacity.get(key)
        if isinstance(left, int):
            self.capacity[key] = left - int(form.get("MaxCount", "1"))

    def _key(self, name: str, zone: str, kind: str) -> str:
        keys = (f"{n}/{z}/{k}" for n in (name, "*") for z in (zone, "*") for k in (kind, "*"))
        return next((key for key in keys if key in self.capacity), "")

    def _subnet(self, form: Form) -> Any:  # noqa: ANN401 - moto's own
        wanted = subnet_of(form)
        for by_zone in models.ec2_of(self._region).subnets.values():
            if wanted in by_zone:
                return by_zone[wanted]
        return None

    def _as_asked(self, launched: tuple[str, ...], form: Form) -> None:
        """Moto forgets IOPS and throughput of the disks."""
        asked = {m.get("DeviceName", ""): m for m in numbered(form, "BlockDeviceMapping")}
        backend = models.ec2_of(self._region)
        for instance_id in launched:
            for device, block in backend.get_instance(instance_id).get_block_device_mapping:
                volume = backend.volumes[block.volume_id]
                for field, name in (("Iops", "iops"), ("Throughput", "throughput")):
                    if value := asked.get(device, {}).get(f"Ebs.{field}"):
                        setattr(volume, name, int(value))


def too_large(encoded: str) -> bool:
    """Whether userData in base64 is more than EC2 takes."""
    return len(encoded) * 3 // 4 - encoded[-2:].count("=") > MAX_USER_DATA_BYTES


def subnet_of(form: Form) -> str:
    """The subnet, which stands with the instance or with its first network card."""
    return form.get("SubnetId") or form.get("NetworkInterface.1.SubnetId", "")


def groups_of(form: Form) -> list[str]:
    """Security groups, from either place."""
    return [v for k, v in form.items() if k.startswith(("SecurityGroupId.", "NetworkInterface.1.SecurityGroupId."))]


def _bad_profile(form: Form) -> Refused | None:
    name = form.get("IamInstanceProfile.Name", "")
    if name and name not in {p.name for p in models.iam().get_instance_profiles()}:
        message = f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        return "InvalidParameterValue", message
    return None
