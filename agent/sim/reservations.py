"""Capacity reservations, which moto does not have: how many instances they hold, and which run in them.

As EC2 does: an instance that names a reservation runs there or nowhere; one that says nothing slips into an open
reservation of its type and zone; one that says none does not.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final
from xml.etree import ElementTree as ET

import msgspec

from agent.sim import models
from agent.sim.query import Answer, Form, document, element, local_name, numbered, query_error

OK = 200
_SPECIFICATION: Final = "CapacityReservationSpecification."
PREFERENCE: Final = f"{_SPECIFICATION}CapacityReservationPreference"
TARGET: Final = f"{_SPECIFICATION}CapacityReservationTarget.CapacityReservationId"
_FIELDS: Final = {
    "owner-id": "owner",
    "state": "state",
    "instance-match-criteria": "criteria",
    "instance-type": "type",
    "availability-zone": "zone",
}
"""Filters of DescribeCapacityReservations, by what they look at."""


class Reservation(msgspec.Struct, rename="camel"):
    """One reservation, as tests make it."""

    id: str
    type: str
    zone: str
    count: int
    tags: dict[str, str] = {}
    owner: str = "123456789012"
    criteria: str = "targeted"
    state: str = "active"
    kind: str = "default"
    platform: str = "Linux/UNIX"
    end_date: str = ""
    interruptible: bool = False
    shown: int | None = None
    """How much room it is said to have, where that is not so: EC2's count may be a little old."""


class Reservations:
    """Those of a region. Every method is called with the layer's lock held."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._made: dict[str, Reservation] = {}
        self._inside: dict[str, str] = {}
        """Instance to the reservation that it runs in."""
        self._asked: dict[str, Form] = {}
        """Instance to what it was launched with."""

    def make(self, wanted: dict[str, Any]) -> None:
        """Add one, or change one that there is."""
        made = msgspec.convert(wanted, Reservation)
        self._made[made.id] = made

    def clear(self) -> None:
        """Forget all."""
        self._made.clear()
        self._inside.clear()
        self._asked.clear()

    def refusal(self, form: Form) -> tuple[str, str] | None:
        """Why an instance cannot be launched into the reservation that it names; code and message."""
        name = form.get(TARGET, "")
        if not name:
            return None
        made = self._made.get(name)
        if made is None:
            return "InvalidCapacityReservationId.NotFound", f"The capacity reservation '{name}' does not exist"
        if (form.get("InstanceType"), form.get("Placement.AvailabilityZone", made.zone)) != (made.type, made.zone):
            message = "The specified capacity reservation does not match the instance type and Availability Zone."
            return "InvalidParameterCombination", message
        if made.state != "active" or self._left(made) < int(form.get("MaxCount", "1")):
            return "ReservationCapacityExceeded", f"The capacity reservation '{name}' has no capacity left."
        return None

    def launched(self, instances: Iterable[str], form: Form) -> None:
        """Put instances where they go."""
        for instance in instances:
            self._asked[instance] = {k: v for k, v in form.items() if k.startswith(_SPECIFICATION)}
            name = form.get(TARGET) or self._by_chance(instance, form.get(PREFERENCE, "open"))
            if name:
                self._inside[instance] = name

    def described(self, form: Form) -> Answer:
        """DescribeCapacityReservations, all of it."""
        wanted = [v for k, v in sorted(form.items()) if k.startswith("CapacityReservationId.")]
        if unknown := [name for name in wanted if name not in self._made]:
            message = f"The capacity reservation '{unknown[0]}' does not exist"
            return query_error("InvalidCapacityReservationId.NotFound", message)
        filters = {f.get("Name", ""): _values(f) for f in numbered(form, "Filter")}
        found = (
            made
            for name, made in sorted(self._made.items())
            if (not wanted or name in wanted) and all(_passes(made, *one) for one in filters.items())
        )
        items = (self._item(made) for made in found)
        return document("DescribeCapacityReservations", element("capacityReservationSet", *items))

    def shown(self, answer: Answer) -> Answer:
        """DescribeInstances with what moto forgets: what was asked of reservations, and what came of it."""
        if answer.status != OK or not self._asked:
            return answer
        root = ET.fromstring(answer.body)  # noqa: S314 - moto's own XML
        for item in (e for e in root.iter() if local_name(e) == "item"):
            instance = next((c.text or "" for c in item if local_name(c) == "instanceId"), "")
            if instance in self._asked and any(local_name(c) == "imageId" for c in item):
                item.extend(self._of_instance(instance))
        return Answer(OK, ET.tostring(root, encoding="utf-8"), answer.content_type)

    def _of_instance(self, instance: str) -> Iterator[ET.Element]:
        asked = self._asked[instance]
        target = [element("capacityReservationId", text=asked[TARGET])] if TARGET in asked else []
        yield element(
            "capacityReservationSpecification",
            element("capacityReservationPreference", text=asked.get(PREFERENCE, "open")),
            *([element("capacityReservationTarget", *target)] if target else []),
        )
        if instance in self._inside:
            yield element("capacityReservationId", text=self._inside[instance])

    def _by_chance(self, instance: str, preference: str) -> str:
        found = next(i for i in models.instances_of(self._region) if i.id == instance)
        if preference != "open" or found.lifecycle == "spot":
            return ""
        place = (found.instance_type, found.placement.zone)
        fitting = (m for m in self._made.values() if m.criteria == "open" and (m.type, m.zone) == place)
        return next((m.id for m in fitting if m.state == "active" and self._left(m) > 0), "")

    def _left(self, made: Reservation) -> int:
        states = {i.id: i.state for i in models.instances_of(self._region)}
        live = {i for i, state in states.items() if state not in {"shutting-down", "terminated"}}
        return made.count - sum(name == made.id and i in live for i, name in self._inside.items())

    def _item(self, made: Reservation) -> ET.Element:
        fields = {
            "capacityReservationId": made.id,
            "ownerId": made.owner,
            "instanceType": made.type,
            "instancePlatform": made.platform,
            "availabilityZone": made.zone,
            "tenancy": "default",
            "totalInstanceCount": str(made.count),
            "availableInstanceCount": str(max(self._left(made), 0) if made.shown is None else made.shown),
            "state": made.state,
            "instanceMatchCriteria": made.criteria,
            "endDateType": "limited" if made.end_date else "unlimited",
            "endDate": made.end_date,
            "reservationType": made.kind,
            "interruptible": "true" if made.interruptible else "false",
        }
        tags = (element("item", element("key", text=k), element("value", text=v)) for k, v in made.tags.items())
        return element("item", *(element(k, text=v) for k, v in fields.items() if v), element("tagSet", *tags))


def _values(form: Form) -> set[str]:
    return {v for k, v in form.items() if k.startswith("Value.")}


def _passes(made: Reservation, name: str, values: set[str]) -> bool:
    if name == "tag-key":
        return bool(values & made.tags.keys())
    if name.startswith("tag:"):
        return made.tags.get(name.removeprefix("tag:")) in values
    return getattr(made, _FIELDS[name]) in values
