"""InstanceTypeCatalog: the instance types of a plan that asks nobody, as ``joinery plan --catalog`` reads them."""

from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import AllowInfNan, Field, Strict

from agent.core.quantity import QuantityError, parse_resources
from agent.core.requirements import normalized
from agent.manifests.documents import Documents
from agent.manifests.examine import examine
from agent.manifests.faults import Fault, path_text
from agent.manifests.scalars import Between, Flag, NonEmpty, Quantity, Whole
from agent.manifests.scheduling import Requirement as WrittenRequirement
from agent.manifests.written import Rule, Written
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import InstanceType, Offering
from agent.model.names import InstanceTypeName, Zone
from agent.model.resources import ZERO, Resources

KIND: Final = "InstanceTypeCatalog"
_NANO: Final = 1_000_000_000
_MAX_PRICE: Final = 1_000_000
_MAX_PLACES: Final = 1_000_000
Dollars = Annotated[float, Strict(), AllowInfNan(False), Between(0, _MAX_PRICE)]


def _names_one_reservation(offering: Any) -> bool:  # noqa: ANN401  a WrittenOffering, which stands below
    named = [r for r in offering.requirements if r.key == names.RESERVATION]
    if not named:
        return True
    one = len(named) == 1 and named[0].operator == "In" and len(named[0].values) == 1
    return one and offering.capacity_type == "reserved"


class WrittenOffering(Written):
    """One way to buy a type."""

    zone: NonEmpty
    """Availability zone."""
    capacity_type: Literal["on-demand", "spot", "reserved"]
    """on-demand, spot or reserved."""
    price: Dollars
    """US dollars per hour."""
    available: Flag = True
    """Whether it can be bought now."""
    requirements: tuple[WrittenRequirement, ...] = ()
    """Labels that only this offering has; of a reserved one karpenter.k8s.aws/capacity-reservation-id."""
    reservation_capacity: Annotated[Whole, Between(0, _MAX_PLACES)] | None = None
    """Instances that the capacity reservation still has room for; as many as are asked for when it is not given."""

    RULES = (
        Rule(
            f"a capacity reservation ({names.RESERVATION}) is named by one id, and its offering is reserved",
            holds=_names_one_reservation,
            reads=("capacityType", "requirements"),
            at="requirements",
        ),
        Rule(
            f"reservationCapacity needs a requirement that names the reservation ({names.RESERVATION})",
            holds=lambda o: o.reservation_capacity is None or any(r.key == names.RESERVATION for r in o.requirements),
            reads=("requirements", "reservationCapacity"),
            at="reservationCapacity",
        ),
    )


class WrittenType(Written):
    """One instance type."""

    name: NonEmpty
    """Its name, the value of node.kubernetes.io/instance-type."""
    capacity: dict[str, Quantity]
    """What a node of it has, by resource."""
    overhead: dict[str, Quantity] = Field(default_factory=dict)
    """What of it pods cannot have."""
    requirements: tuple[WrittenRequirement, ...] = ()
    """The labels that its nodes can have."""
    offerings: tuple[WrittenOffering, ...] = ()
    """Zones, capacity types and prices."""


class CatalogManifest(Written):
    """Instance types with their prices."""

    api_version: Literal["joinery.sh/v1alpha1"]
    """joinery.sh/v1alpha1."""
    kind: Literal["InstanceTypeCatalog"]
    """InstanceTypeCatalog."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Ignored."""
    instance_types: tuple[WrittenType, ...]
    """The types; no name twice."""

    RULES = (
        Rule(
            "no name may stand twice",
            holds=lambda c: len({t.name for t in c.instance_types}) == len(c.instance_types),
            reads=("instanceTypes",),
            at="instanceTypes",
        ),
    )


class ReadCatalog(msgspec.Struct, frozen=True):
    """The types of a catalogue, by name, and what is wrong with it."""

    types: tuple[InstanceType, ...] = ()
    faults: tuple[Fault, ...] = ()


def parse_catalog(found: Documents, source: str) -> ReadCatalog:
    """The catalogue that a file holds; every fault of it at once."""
    if found.faults:
        return ReadCatalog(faults=found.faults)
    if len(found.documents) != 1:
        text = f"must hold exactly one {KIND}, not {len(found.documents)} objects"
        return ReadCatalog(faults=(Fault(source, KIND, "", "", text),))
    examined = examine(CatalogManifest, found.documents[0].obj)
    faults = [Fault(source, KIND, "", path_text(place), text) for place, text in examined.faults]
    types = []
    for number, kind in enumerate(examined.value.instance_types if examined.value is not None else ()):
        try:
            types.append(_instance_type(kind))
        except QuantityError as error:
            faults.append(Fault(source, KIND, "", f"instanceTypes[{number}]", str(error)))
    return ReadCatalog(tuple(sorted(types, key=lambda t: t.name)), tuple(faults))


def _instance_type(kind: WrittenType) -> InstanceType:
    """As the engine has it. Raises ``QuantityError`` for an amount that an integer cannot hold."""
    return InstanceType(
        name=InstanceTypeName(kind.name),
        capacity=_resources(kind.capacity),
        overhead=_resources(kind.overhead),
        requirements=_requirements(kind.requirements),
        offerings=tuple(map(_offering, kind.offerings)),
    )


def _offering(written: WrittenOffering) -> Offering:
    return Offering(
        zone=Zone(written.zone),
        capacity_type=written.capacity_type,
        price_nano_usd=round(written.price * _NANO),
        available=written.available,
        requirements=_requirements(written.requirements),
        reservation_capacity=written.reservation_capacity,
    )


def _resources(amounts: dict[str, str]) -> Resources:
    return parse_resources(amounts) if amounts else ZERO


def _requirements(written: tuple[WrittenRequirement, ...]) -> tuple[Requirement, ...]:
    return tuple(Requirement(normalized(r.key), r.operator, r.values) for r in written)
