"""Moto's own objects, in the process that serves them."""

from typing import Any


def ec2_of(region: str) -> Any:  # noqa: ANN401 - moto's objects have no usable types
    """EC2's state of one region."""
    from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - moto is imported after its environment is set
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - likewise

    return ec2_backends[DEFAULT_ACCOUNT_ID][region]


def iam() -> Any:  # noqa: ANN401 - as above
    """IAM's state."""
    from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - as above
    from moto.iam.models import iam_backends  # noqa: PLC0415 - as above

    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]


def instances_of(region: str) -> list[Any]:
    """Every instance that EC2 still knows."""
    return [i for r in ec2_of(region).reservations.values() for i in r.instances]


def zones_of_types(region: str) -> dict[str, set[str]]:
    """Zones by instance type, as EC2 offered them when moto's list was made."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS  # noqa: PLC0415 - as above

    found: dict[str, set[str]] = {}
    for offering in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, ()):
        found.setdefault(offering["InstanceType"], set()).add(offering["Location"])
    return found


def architectures_of_types() -> dict[str, set[str]]:
    """EC2's names of the architectures that a type runs."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES  # noqa: PLC0415 - as above

    return {name: set(t["ProcessorInfo"]["SupportedArchitectures"]) for name, t in INSTANCE_TYPES.items()}
