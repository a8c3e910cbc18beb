"""The one CreateFleet request of an attempt, and EC2's answer to it, offering by offering.

The request is a function of a LaunchRequest alone, so that resending a stored one is word for word the same:
EC2 refuses a client token with other parameters (IdempotentParameterMismatch).
"""

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from agent.aws.errors import QUOTAS, SPOT_ROLE_MISSING, AwsError, CapacityUnavailable, Invalid, from_code, kind_of
from agent.model.ec2 import CapacityType, LaunchRequest
from agent.model.names import ClaimUid, InstanceId, InstanceTypeName, Zone

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import (
        CreateFleetErrorTypeDef,
        CreateFleetInstanceTypeDef,
        CreateFleetRequestTypeDef,
        CreateFleetResultTypeDef,
        LaunchTemplateAndOverridesResponseTypeDef,
        TagTypeDef,
    )

OPERATION: Final = "ec2:CreateFleet"


class FleetError(msgspec.Struct, frozen=True):
    """Why one offering of the request was not bought. An empty field stands for any."""

    code: str
    message: str
    instance_type: str = ""
    zone: str = ""
    subnet_id: str = ""

    @property
    def kind(self) -> type[AwsError]:
        """What to do about it."""
        return kind_of(self.code)

    @property
    def whole_capacity_type(self) -> bool:
        """It refuses every offering of the capacity type: a quota, or the missing role for spot."""
        return self.code in QUOTAS or self.code == SPOT_ROLE_MISSING


class LaunchedInstance(msgspec.Struct, frozen=True):
    """What EC2 chose and started."""

    id: InstanceId
    instance_type: InstanceTypeName
    zone: Zone
    subnet_id: str
    image_id: str
    capacity_type: CapacityType


class FleetAnswer(msgspec.Struct, frozen=True):
    """EC2's definite answer: an instance or none, and the offerings that were refused on the way, in either case."""

    instance: LaunchedInstance | None
    errors: tuple[FleetError, ...] = ()
    fleet_id: str = ""

    @property
    def failure(self) -> AwsError | None:
        """None when there is an instance; else the error that decides what happens to the attempt.

        Any refusal that is not for want of capacity comes first: leaving the offering out would not help it.
        """
        if self.instance is not None:
            return None
        if not self.errors:
            message = f"{OPERATION}: EC2 started nothing and gave no reason; treated as no capacity"
            return CapacityUnavailable(message, code="UnfulfillableCapacity", operation=OPERATION)
        ranked = sorted(self.errors, key=lambda e: issubclass(e.kind, CapacityUnavailable))
        first = ranked[0]
        where = " in ".join(x for x in (first.instance_type, first.zone) if x)
        return from_code(first.code, f"{where}: {first.message}" if where else first.message, OPERATION)


def client_token(claim_uid: ClaimUid, attempt: int) -> str:
    """The idempotency token of an attempt: the same for the same claim and number, 64 ASCII characters at most."""
    return hashlib.sha256(f"joinery/{claim_uid}/{attempt}".encode()).hexdigest()


def fleet_request(request: LaunchRequest, token: str) -> "CreateFleetRequestTypeDef":
    """The parameters of CreateFleet for one instance.

    Raises:
        Invalid: reserved capacity without a reservation or the other way round, or a request without any offering.
    """
    if (request.capacity_type == "reserved") is not bool(request.reservation):
        raise Invalid(f"{OPERATION}: reserved capacity is launched into a reservation by its id", operation=OPERATION)
    if not request.overrides:
        raise Invalid(f"{OPERATION}: the request names no instance type to launch", operation=OPERATION)
    tags: list[TagTypeDef] = [{"Key": k, "Value": v} for k, v in sorted(request.tags.items())]
    body: CreateFleetRequestTypeDef = {
        "Type": "instant",
        "ClientToken": token,
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": "spot" if request.capacity_type == "spot" else "on-demand",
        },
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": request.template_id,
                    "Version": request.template_version,
                },
                "Overrides": [
                    {
                        "InstanceType": o.instance_type,  # type: ignore[typeddict-item]  # the stubs list known types
                        "SubnetId": o.subnet_id,
                        "AvailabilityZone": o.zone,
                        "ImageId": o.image_id,
                    }
                    for o in request.overrides
                ],
            }
        ],
        "TagSpecifications": [
            {"ResourceType": "fleet", "Tags": tags},
            {"ResourceType": "instance", "Tags": tags},
            {"ResourceType": "volume", "Tags": tags},
        ],
    }
    if request.capacity_type == "spot":
        body["SpotOptions"] = {"AllocationStrategy": "price-capacity-optimized"}
    else:
        body["OnDemandOptions"] = {"AllocationStrategy": "lowest-price"}
    return body


def fleet_answer(request: LaunchRequest, result: "CreateFleetResultTypeDef") -> FleetAnswer:
    """Read EC2's answer; what it leaves out is completed from the override that it names."""
    launched = [_launched(request, i) for i in result.get("Instances", ()) if i.get("InstanceIds")]
    return FleetAnswer(
        instance=launched[0] if launched else None,
        errors=tuple(_error(request, e) for e in result.get("Errors", ())),
        fleet_id=result.get("FleetId", ""),
    )


def _where(request: LaunchRequest, chosen: "LaunchTemplateAndOverridesResponseTypeDef") -> tuple[str, str, str, str]:
    """Type, zone, subnet and image of an override as EC2 echoes it."""
    override = chosen.get("Overrides", {})
    name, subnet = override.get("InstanceType", ""), override.get("SubnetId", "")
    ours = [o for o in request.overrides if o.instance_type == name and o.subnet_id == subnet]
    zone = override.get("AvailabilityZone") or (ours[0].zone if ours else "")
    image = override.get("ImageId") or (ours[0].image_id if ours else "")
    return name, zone, subnet, image


def _launched(request: LaunchRequest, instance: "CreateFleetInstanceTypeDef") -> LaunchedInstance:
    name, zone, subnet, image = _where(request, instance.get("LaunchTemplateAndOverrides", {}))
    return LaunchedInstance(
        id=InstanceId(instance["InstanceIds"][0]),
        instance_type=InstanceTypeName(instance.get("InstanceType") or name),
        zone=Zone(zone),
        subnet_id=subnet,
        image_id=image,
        capacity_type="spot" if instance.get("Lifecycle") == "spot" else _on_demand(request),
    )


def _on_demand(request: LaunchRequest) -> CapacityType:
    """What EC2 calls on-demand, it was launched into the reservation that the template names, or not at all."""
    return "reserved" if request.reservation else "on-demand"


def _error(request: LaunchRequest, error: "CreateFleetErrorTypeDef") -> FleetError:
    name, zone, subnet, _ = _where(request, error.get("LaunchTemplateAndOverrides", {}))
    return FleetError(
        code=error.get("ErrorCode", ""),
        message=error.get("ErrorMessage", ""),
        instance_type=name,
        zone=zone,
        subnet_id=subnet,
    )
