"""CreateFleet of type instant as EC2 does it, carried out by moto's RunInstances.

moto's own drops security groups, profile, metadata options, disks and the client token, takes the first override and
never lacks capacity. Here the launch template's data and the override together become a RunInstances call, the cheapest
offering with capacity is taken, and the others appear among the errors.
"""

import hashlib
import threading
from xml.etree import ElementTree as ET

import msgspec

from agent.sim.market import price
from agent.sim.query import (
    Answer,
    Call,
    Form,
    Wsgi,
    document,
    element,
    first_text,
    forward,
    numbered,
    query_error,
)

NO_CAPACITY = "InsufficientInstanceCapacity"


class Sent(msgspec.Struct):
    """A token that was used: for which request, with which answer, and which instance came of it."""

    digest: str
    answer: Answer
    instance: str


class Fleets:
    """Launch templates, tokens and capacity."""

    def __init__(self, app: Wsgi, region: str) -> None:
        self._app = app
        self._region = region
        self._lock = threading.Lock()
        self._tokens: dict[str, Sent] = {}
        self.templates: dict[str, Form] = {}
        """Launch template id to its data, as parameters of RunInstances."""
        self.capacity: dict[str, int] = {}
        """``type/zone/capacity type`` to what is left; unlimited when it is not there."""

    def created_template(self, call: Call, answer: Answer) -> None:
        """Remember the data of a template that moto made."""
        template_id = first_text(answer, "launchTemplateId")
        if template_id:
            prefix = "LaunchTemplateData."
            data = {k.removeprefix(prefix): v for k, v in call.form.items() if k.startswith(prefix)}
            self.templates[template_id] = data

    def create(self, call: Call, alive: "Alive") -> Answer:
        """Carry out a CreateFleet call, once per token."""
        token = call.form.get("ClientToken", "")
        wanted = {k: v for k, v in call.form.items() if k not in {"ClientToken", "Action", "Version"}}
        digest = hashlib.sha256(repr(sorted(wanted.items())).encode()).hexdigest()
        with self._lock:
            sent = self._tokens.get(token) if token else None
            if sent is not None:
                return _again(sent, digest, alive)
            answer, instance = self._launched(call)
            if token and answer.status == 200:  # noqa: PLR2004 - HTTP OK
                self._tokens[token] = Sent(digest, answer, instance)
            return answer

    def _launched(self, call: Call) -> tuple[Answer, str]:
        config = next(numbered(call.form, "LaunchTemplateConfigs"), {})
        template_id = config.get("LaunchTemplateSpecification.LaunchTemplateId", "")
        data = self.templates.get(template_id)
        if data is None:
            message = f"The specified launch template, with template ID {template_id}, does not exist."
            return query_error("InvalidLaunchTemplateId.NotFound", message), ""
        kind = call.form.get("TargetCapacitySpecification.DefaultTargetCapacityType", "on-demand")
        overrides = list(numbered(config, "Overrides"))
        if not overrides:
            return query_error("InvalidParameterValue", "A fleet without overrides"), ""
        ranked = sorted(overrides, key=lambda o: self._price(o, kind))
        errors: list[ET.Element] = []
        for override in ranked:
            if not self._reserve(override, kind):
                where = f"{override.get('InstanceType')} in {override.get('AvailabilityZone')}"
                errors.append(
                    _error(override, template_id, kind, (NO_CAPACITY, f"We do not have capacity for {where}."))
                )
                continue
            run = forward(self._app, call, self._run_instances(call, data, override, kind))
            if run.status != 200:  # noqa: PLR2004 - HTTP OK
                errors.append(_error(override, template_id, kind, _code(run)))
                continue
            instance = first_text(run, "instanceId")
            return _answer(errors, _instance(override, template_id, kind, instance)), instance
        return _answer(errors), ""

    def _price(self, override: Form, kind: str) -> tuple[int, str, str]:
        zone, name = override.get("AvailabilityZone", ""), override.get("InstanceType", "")
        return (price(self._region, name, zone, kind), name, zone)

    def _reserve(self, override: Form, kind: str) -> bool:
        key = f"{override.get('InstanceType')}/{override.get('AvailabilityZone')}/{kind}"
        left = self.capacity.get(key)
        if left is None:
            return True
        if left <= 0:
            return False
        self.capacity[key] = left - 1
        return True

    def _run_instances(self, call: Call, data: Form, override: Form, kind: str) -> Form:
        form = {"Action": "RunInstances", "Version": "2016-11-15", "MinCount": "1", "MaxCount": "1", **data}
        for ours in ("InstanceType", "SubnetId", "ImageId"):
            if override.get(ours):
                form[ours] = override[ours]
        interface = form.get("NetworkInterface.1.DeviceIndex")
        if interface is not None:
            form["NetworkInterface.1.SubnetId"] = form.pop("SubnetId", "")
        if kind == "spot":
            form["InstanceMarketOptions.MarketType"] = "spot"
        number = 0
        for spec in numbered(call.form, "TagSpecification"):
            if spec.get("ResourceType") in {"instance", "volume"}:
                number += 1
                form |= {f"TagSpecification.{number}.{k}": v for k, v in spec.items()}
        return form


class Alive:
    """Asks whether an instance still runs."""

    def __init__(self, running: "set[str]") -> None:
        self._running = running

    def __contains__(self, instance: str) -> bool:
        return instance in self._running


def _again(sent: Sent, digest: str, alive: Alive) -> Answer:
    if sent.digest != digest:
        message = "The client token was used with other parameters."
        return query_error("IdempotentParameterMismatch", message)
    if sent.instance and sent.instance not in alive:
        message = "The instance that was launched with this client token is terminated."
        return query_error("IdempotentInstanceTerminated", message)
    return sent.answer


def _code(answer: Answer) -> tuple[str, str]:
    return first_text(answer, "Code") or "InternalError", first_text(answer, "Message")


def _where(override: Form, template_id: str) -> ET.Element:
    names = {
        "InstanceType": "instanceType",
        "SubnetId": "subnetId",
        "AvailabilityZone": "availabilityZone",
        "ImageId": "imageId",
    }
    specification = element(
        "launchTemplateSpecification",
        element("launchTemplateId", text=template_id),
        element("version", text="1"),
    )
    chosen = element("overrides", *(element(n, text=override[k]) for k, n in names.items() if override.get(k)))
    return element("launchTemplateAndOverrides", specification, chosen)


def _error(override: Form, template_id: str, kind: str, error: tuple[str, str]) -> ET.Element:
    return element(
        "item",
        _where(override, template_id),
        element("lifecycle", text=kind),
        element("errorCode", text=error[0]),
        element("errorMessage", text=error[1]),
    )


def _instance(override: Form, template_id: str, kind: str, instance: str) -> ET.Element:
    return element(
        "item",
        _where(override, template_id),
        element("lifecycle", text=kind),
        element("instanceIds", element("item", text=instance)),
        element("instanceType", text=override.get("InstanceType", "")),
    )


def _answer(errors: list[ET.Element], *instances: ET.Element) -> Answer:
    return document(
        "CreateFleet",
        element("fleetId", text="fleet-00000000-0000-0000-0000-000000000000"),
        element("errorSet", *errors),
        element("fleetInstanceSet", *instances),
    )
