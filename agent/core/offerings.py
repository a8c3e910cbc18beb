"""Which offerings requirements allow, and which EC2 refused."""

from collections.abc import Iterable

from agent.core.requirements import Requirements
from agent.model import names
from agent.model.ec2 import CapacityError, Offering
from agent.model.names import InstanceTypeName


def is_allowed(requirements: Requirements, offering: Offering) -> bool:
    """Whether an available offering satisfies requirements on zone, capacity type and its own labels."""
    return (
        offering.available
        and requirements.get(names.ZONE).allows(offering.zone)
        and requirements.get(names.CAPACITY_TYPE).allows(offering.capacity_type)
        and (not offering.requirements or is_named(requirements, offering))
    )


def is_named(requirements: Requirements, offering: Offering) -> bool:
    """Whether requirements allow an offering's own labels. A capacity reservation is for those who name it."""
    if offering.reservation is not None and requirements.get(names.RESERVATION).complement:
        return False
    return requirements.overlaps(Requirements.of(offering.requirements))


def is_exhausted(name: InstanceTypeName, offering: Offering, errors: Iterable[CapacityError]) -> bool:
    """Whether one of the errors is about this offering; an empty field of an error stands for any."""
    return any(
        e.capacity_type in {"", offering.capacity_type}
        and e.instance_type in {"", name}
        and e.zone in {"", offering.zone}
        and e.reservation in {"", offering.reservation}
        for e in errors
    )
