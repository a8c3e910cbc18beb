"""CreateFleet of type instant as EC2 does it, carried out by RunInstances.

Moto's own drops security groups, profile, metadata options, disks and the client token, takes the first override and
never lacks capacity. Here the launch template's data and each override become a RunInstances request; the cheapest
offering that can be had is taken, and those that were tried before it appear among the errors.
"""

import uuid
from xml.etree import ElementTree as ET

from agent.sim import models
from agent.sim.launches import Launches
from agent.sim.market import price
from agent.sim.query import Answer, Call, Form, document, element, first_text, numbered, query_error

OK = 200
_DATA = "LaunchTemplateData."


class Fleets:
    """Launch templates as they were asked for, and the fleets made of them."""

    def __init__(self, launches: Launches, region: str) -> None:
        self._launches = launches
        self._region = region
        self._templates: dict[str, Form] = {}
        """Launch template id to its data, as parameters of RunInstances."""

    def created_template(self, call: Call, answer: Answer) -> None:
        """Remember the data of a template that moto made."""
        if answer.status == OK:
            data = {k.removeprefix(_DATA): v for k, v in call.form.items() if k.startswith(_DATA)}
            self._templates[first_text(answer, "launchTemplateId")] = data

    def clear(self) -> None:
        """Forget all."""
        self._templates.clear()

    def create(self, call: Call) -> tuple[Answer, tuple[str, ...]]:
        """Launch one instance of the cheapest offering that can be had."""
        config = next(numbered(call.form, "LaunchTemplateConfigs"), {})
        template_id = self._template_id(config)
        data = self._templates.get(template_id)
        if data is None or template_id not in models.ec2_of(self._region).launch_templates:
            message = f"The specified launch template, with template ID {template_id}, does not exist."
            return query_error("InvalidLaunchTemplateId.NotFound", message), ()
        if config.get("LaunchTemplateSpecification.Version") not in {"1", "$Latest", "$Default"}:
            return query_error("InvalidLaunchTemplateId.VersionNotFound", "No such version of the template"), ()
        kind = call.form.get("TargetCapacitySpecification.DefaultTargetCapacityType", "on-demand")
        return self._cheapest(call, list(numbered(config, "Overrides")) or [{}], data, kind)

    def _template_id(self, config: Form) -> str:
        name = config.get("LaunchTemplateSpecification.LaunchTemplateName", "")
        by_name = models.ec2_of(self._region).launch_template_name_to_ids.get(name, "")
        return config.get("LaunchTemplateSpecification.LaunchTemplateId") or str(by_name)

    def _cheapest(self, call: Call, overrides: list[Form], data: Form, kind: str) -> tuple[Answer, tuple[str, ...]]:
        fleet_id = f"fleet-{uuid.uuid4()}"
        errors: list[ET.Element] = []
        for override in sorted(overrides, key=lambda o: self._price(o, kind)):
            form = _run_instances(call, data, override, kind)
            answer, launched = self._launches.run(call, form)
            if answer.status == OK and launched:
                tags = {"aws:ec2:fleet-id": fleet_id, "aws:ec2launchtemplate:version": "1"}
                models.ec2_of(self._region).create_tags(list(launched), tags)
                return _answer(fleet_id, errors, _instance(override, kind, form, launched)), launched
            code = first_text(answer, "Code") or "InternalError"
            errors.append(_error(override, kind, code, first_text(answer, "Message")))
        return _answer(fleet_id, errors), ()

    def _price(self, override: Form, kind: str) -> tuple[int, str, str]:
        zone, name = override.get("AvailabilityZone", ""), override.get("InstanceType", "")
        return (price(self._region, name, zone, kind), name, zone)


def _run_instances(call: Call, data: Form, override: Form, kind: str) -> Form:
    form = {"Action": "RunInstances", "Version": "2016-11-15", "MinCount": "1", "MaxCount": "1"}
    form |= {k: v for k, v in data.items() if not k.startswith("TagSpecification")}
    form |= {k: override[k] for k in ("InstanceType", "SubnetId", "ImageId") if override.get(k)}
    if zone := override.get("AvailabilityZone"):
        form["Placement.AvailabilityZone"] = zone
    if "NetworkInterface.1.DeviceIndex" in form:
        form["NetworkInterface.1.SubnetId"] = form.pop("SubnetId", "")
    if kind == "spot":
        form["InstanceMarketOptions.MarketType"] = "spot"
    asked = [s for s in numbered(call.form, "TagSpecification") if s.get("ResourceType") in {"instance", "volume"}]
    for number, spec in enumerate(asked, 1):
        form |= {f"TagSpecification.{number}.{k}": v for k, v in spec.items()}
    return form


_FIELDS = {
    "InstanceType": "instanceType",
    "SubnetId": "subnetId",
    "AvailabilityZone": "availabilityZone",
    "ImageId": "imageId",
}


def _chosen(override: Form) -> ET.Element:
    fields = (element(n, text=override[k]) for k, n in _FIELDS.items() if override.get(k))
    return element("launchTemplateAndOverrides", element("overrides", *fields))


def _error(override: Form, kind: str, code: str, message: str) -> ET.Element:
    return element(
        "item",
        _chosen(override),
        element("lifecycle", text=kind),
        element("errorCode", text=code),
        element("errorMessage", text=message),
    )


def _instance(override: Form, kind: str, form: Form, launched: tuple[str, ...]) -> ET.Element:
    return element(
        "item",
        _chosen(override),
        element("lifecycle", text=kind),
        element("instanceIds", *(element("item", text=i) for i in launched)),
        element("instanceType", text=form.get("InstanceType", "")),
    )


def _answer(fleet_id: str, errors: list[ET.Element], *instances: ET.Element) -> Answer:
    return document(
        "CreateFleet",
        element("fleetId", text=fleet_id),
        element("errorSet", *errors),
        element("fleetInstanceSet", *instances),
    )
