"""On-Demand Capacity Reservations that a class's terms find, and how much room they have."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from agent.aws.errors import Gone, mapped
from agent.aws.session import AwsSession
from agent.aws.tags import tag_filters
from agent.manifests.selectors import CapacityReservationSelectorTerm
from agent.model.ec2 import CapacityReservation
from agent.model.names import InstanceTypeName, Zone

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import CapacityReservationTypeDef, FilterTypeDef

_LINUX: Final = "Linux/UNIX"
"""The platform of the images that are launched here: a reservation of another one would not match them."""


def described(session: AwsSession, terms: Iterable[CapacityReservationSelectorTerm]) -> tuple[CapacityReservation, ...]:
    """The active ones that any of the terms finds, by id; EC2 is not asked where there is no term.

    Raises:
        AwsError: EC2 did not answer or refused. A reservation that is named and does not exist is no error.
    """
    found: dict[str, CapacityReservation] = {}
    for term in terms:
        try:
            for one in _matching(session, term):
                reservation = _reservation(one)
                if reservation is not None:
                    found[reservation.id] = reservation
        except Gone:
            continue
    return tuple(found[name] for name in sorted(found))


def _matching(session: AwsSession, term: CapacityReservationSelectorTerm) -> "list[CapacityReservationTypeDef]":
    filters: list[FilterTypeDef] = [{"Name": "state", "Values": ["active"]}, *tag_filters(term.tags)]
    if term.owner_id:
        filters.append({"Name": "owner-id", "Values": [term.owner_id]})
    if term.instance_match_criteria:
        filters.append({"Name": "instance-match-criteria", "Values": [term.instance_match_criteria]})
    wanted = [term.id] if term.id else []
    with mapped("ec2:DescribeCapacityReservations"):
        pages = session.client("ec2").get_paginator("describe_capacity_reservations")
        asked = pages.paginate(Filters=filters, CapacityReservationIds=wanted)
        return [one for page in asked for one in page.get("CapacityReservations", ())]


def _reservation(one: "CapacityReservationTypeDef") -> CapacityReservation | None:
    """None for one whose instances could not be ours: of another system, or on hardware for one tenant."""
    if one.get("InstancePlatform", _LINUX) != _LINUX or one.get("Tenancy", "default") != "default":
        return None
    return CapacityReservation(
        id=one.get("CapacityReservationId", ""),
        instance_type=InstanceTypeName(one.get("InstanceType", "")),
        zone=Zone(one.get("AvailabilityZone", "")),
        places=one.get("AvailableInstanceCount", 0),
        owner=one.get("OwnerId", ""),
        match_criteria=one.get("InstanceMatchCriteria", "open"),
        kind=one.get("ReservationType", "default"),
        interruptible=one.get("Interruptible", False),
        ends_at=one.get("EndDate"),
    )
