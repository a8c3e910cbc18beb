"""Instances of one cluster: looked up, launched, terminated, and what their console says."""

from typing import TYPE_CHECKING, Final

import msgspec

from agent.aws.errors import AwsError, Gone, Invalid, NotOurs, mapped
from agent.aws.fleet import FleetAnswer, client_token, fleet_answer, fleet_request
from agent.aws.session import AwsSession
from agent.model import names
from agent.model.ec2 import CapacityType, LaunchRequest, Machine
from agent.model.names import ClaimUid, InstanceId, InstanceTypeName, Zone

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef

_LISTED: Final = ["pending", "running", "stopping", "stopped", "shutting-down", "terminated"]
_PAGE: Final = 1000


class Ec2:
    """EC2 for one cluster. Nothing here remembers anything: each look is a fresh one."""

    client_token = staticmethod(client_token)

    def __init__(self, session: AwsSession, cluster: str, cluster_uid: str) -> None:
        self._session = session
        self._cluster = cluster
        self._cluster_uid = cluster_uid

    def machines(self) -> tuple[Machine, ...]:
        """Every instance with the cluster's tag, Joinery's and Terraform's; terminated ones while EC2 still shows them.

        Raises:
            AwsError: a page was missing; half a list would look like instances that are gone.
        """
        return self._described(
            [
                {"Name": f"tag:{names.TAG_CLUSTER}", "Values": [self._cluster]},
                {"Name": "instance-state-name", "Values": _LISTED},
            ]
        )

    def machine(self, instance_id: str) -> Machine | None:
        """One instance as EC2 has it now, whoever owns it; None when EC2 does not know it (yet, or any more)."""
        try:
            with mapped("ec2:DescribeInstances"):
                answer = self._session.client("ec2").describe_instances(InstanceIds=[instance_id])
        except Gone:
            return None
        found = [_machine(i) for r in answer["Reservations"] for i in r.get("Instances", ())]
        return found[0] if found else None

    def machines_of_claim(self, claim_uid: ClaimUid) -> tuple[Machine, ...]:
        """Instances that were launched for a claim, terminated ones included: that they ended is an answer too."""
        return self._described(
            [
                {"Name": f"tag:{names.TAG_CLUSTER_UID}", "Values": [self._cluster_uid]},
                {"Name": f"tag:{names.TAG_CLAIM_UID}", "Values": [claim_uid]},
            ]
        )

    def create_fleet(self, request: LaunchRequest, token: str) -> FleetAnswer:
        """Buy one instance, once: the same request with the same token returns the same instance.

        Raises:
            Throttled: it was not carried out.
            Retryable: it may have been carried out; look up by tag, then resend it unchanged.
            TokenSpent: the token belongs to another request or to an instance that is gone; use the next attempt.
            AwsError: any other refusal of the request as a whole. Refusals of offerings are in the answer.
        """
        body = fleet_request(request, token)
        with mapped("ec2:CreateFleet"):
            result = self._session.once().create_fleet(**body)
        return fleet_answer(request, result)

    def terminate(self, instance_id: str) -> None:
        """Terminate an instance of ours; one that is gone or going, or that EC2 does not show yet, is left at that.

        The caller decided from a list; the tags are read once more here, because what this call does cannot be
        undone.

        Raises:
            NotOurs: its tags do not say that Joinery launched it for this very cluster. Nothing was terminated.
        """
        machine = self.machine(instance_id)
        if machine is None or not machine.alive:
            return
        if not machine.is_ours(self._cluster, self._cluster_uid):
            raise NotOurs(
                f"ec2:TerminateInstances: {instance_id} is left alone: its tags do not say that Joinery launched it "
                f"for cluster {self._cluster} ({self._cluster_uid})",
                code="NotOurs",
                operation="ec2:TerminateInstances",
            )
        try:
            with mapped("ec2:TerminateInstances"):
                self._session.once().terminate_instances(InstanceIds=[instance_id])
        except Gone:
            return

    def console_output(self, instance_id: str) -> str:
        """The newest console output; empty when there is none yet or the instance is gone."""
        client = self._session.client("ec2")
        for latest in (True, False):  # only Nitro types keep a live console; others have the one of the last boot
            try:
                with mapped("ec2:GetConsoleOutput"):
                    return client.get_console_output(InstanceId=instance_id, Latest=latest).get("Output", "")
            except Gone:
                return ""
            except Invalid:
                if not latest:
                    raise
        return ""

    def _described(self, filters: "list[FilterTypeDef]") -> tuple[Machine, ...]:
        found: dict[InstanceId, Machine] = {}
        with mapped("ec2:DescribeInstances"):
            pages = self._session.client("ec2").get_paginator("describe_instances")
            for page in pages.paginate(Filters=filters, PaginationConfig={"PageSize": _PAGE}):
                for reservation in page["Reservations"]:
                    for instance in reservation.get("Instances", ()):
                        machine = _machine(instance)
                        found[machine.id] = machine
        return tuple(found[i] for i in sorted(found))


def _capacity_type(instance: "InstanceTypeDef") -> CapacityType:
    """Reserved is what runs in a capacity reservation and would run nowhere else.

    An instance that came into an open reservation by chance leaves it as easily.
    """
    if instance.get("InstanceLifecycle") == "spot":
        return "spot"
    asked = instance.get("CapacityReservationSpecification", {}).get("CapacityReservationPreference")
    inside = asked == "capacity-reservations-only" and instance.get("CapacityReservationId")
    return "reserved" if inside else "on-demand"


def _machine(instance: "InstanceTypeDef") -> Machine:
    """The parts of EC2's answer that decisions are made from."""
    try:
        return msgspec.convert(
            {
                "id": InstanceId(instance["InstanceId"]),
                "instance_type": InstanceTypeName(instance["InstanceType"]),
                "zone": Zone(instance["Placement"]["AvailabilityZone"]),
                "state": instance["State"]["Name"],
                "launched_at": instance["LaunchTime"],
                "capacity_type": _capacity_type(instance),
                "private_ip": instance.get("PrivateIpAddress", ""),
                "private_dns": instance.get("PrivateDnsName", ""),
                "image_id": instance.get("ImageId", ""),
                "subnet_id": instance.get("SubnetId", ""),
                "tags": {t.get("Key", ""): t.get("Value", "") for t in instance.get("Tags", ())},
                "state_reason": instance.get("StateReason", {}).get("Code", ""),
            },
            type=Machine,
        )
    except (KeyError, msgspec.ValidationError) as e:
        raise AwsError(
            f"ec2:DescribeInstances: an instance could not be read: {e}",
            code="UnreadableAnswer",
            operation="ec2:DescribeInstances",
        ) from e
