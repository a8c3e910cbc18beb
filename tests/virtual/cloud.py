"""A model of EC2 and Parameter Store: one instance for one client token, capacity that runs out, answers that lag."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from agent.model import names
from tests.virtual.fibers import Fibers
from tests.virtual.kubernetes import EPOCH

Json = dict[str, Any]
REGION = "ap-northeast-2"
ZONES = (f"{REGION}a", f"{REGION}c")
SUBNETS = {"subnet-a": ZONES[0], "subnet-c": ZONES[1]}
TYPES = {"t3.medium": (2, 4096, 52), "t3.large": (2, 8192, 104), "t3.xlarge": (4, 16384, 208)}
"""vCPUs, MiB, thousandths of a dollar per hour on demand."""
SPOT_SHARE = 0.4
SHOWN_SECONDS = 3600.0
ALIVE = frozenset({"pending", "running", "stopping", "stopped"})


class Refusal(Exception):  # noqa: N818 - an answer of AWS
    """AWS answers with an error."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


def nano_usd(kind: str, capacity_type: str) -> int:
    price = TYPES[kind][2] * 1_000_000
    return round(price * SPOT_SHARE) if capacity_type == "spot" else price


@dataclass
class Instance:
    """An instance, with every state it has been in."""

    id: str
    kind: str
    zone: str
    capacity_type: str
    launched: float
    tags: dict[str, str]
    image: str = ""
    subnet: str = ""
    user_data: str = ""
    states: list[tuple[float, str]] = field(default_factory=list)
    reason: str = ""
    protected: bool = False

    @property
    def state(self) -> str:
        return self.states[-1][1]

    @property
    def alive(self) -> bool:
        return self.state in ALIVE

    def state_at(self, when: float) -> str:
        return next((s for at, s in reversed(self.states) if at <= when), self.states[0][1])


@dataclass
class Cloud:
    """The truth in AWS. What others do is done by its methods; the agent comes by ``tests.virtual.awslink``."""

    fibers: Fibers
    on_launch: Callable[[Instance], None] = lambda _: None
    on_end: Callable[[Instance], None] = lambda _: None
    instances: dict[str, Instance] = field(default_factory=dict)
    templates: dict[str, Json] = field(default_factory=dict)
    parameters: dict[str, list[str]] = field(default_factory=dict)
    capacity: dict[tuple[str, str, str], int | str] = field(default_factory=dict)
    """(type, zone, capacity type), each or ``*``, to how many are left or to the code of the refusal."""
    hidden_seconds: float = 0.0
    """How long a new instance is in no answer."""
    lag_seconds: float = 0.0
    """How old the states are that EC2 tells."""
    missing: Callable[[Instance], bool] = lambda _: False
    """Instances that lists leave out."""
    stillborn: Callable[[Instance], str] = lambda _: ""
    """Why an instance ends while it is pending, such as Client.InternalError; empty: it does not."""
    old_parameters: bool = False
    """Parameter Store answers with the version before the newest."""
    shutting_seconds: float = 20.0
    _tokens: dict[str, tuple[str, Json, str]] = field(default_factory=dict)
    _count: int = 0

    # What others do, and what time does.

    def start(self, kind: str, zone: str, tags: dict[str, str], capacity_type: str = "on-demand") -> Instance:
        self._count += 1
        made = Instance(f"i-{self._count:017x}", kind, zone, capacity_type, self.fibers.now, tags)
        made.states.append((self.fibers.now, "pending"))
        self.instances[made.id] = made
        self.fibers.after(3.0, lambda: self._pended(made))
        self.on_launch(made)
        return made

    def end(self, instance: Instance, reason: str = "") -> None:
        """Terminate, as anybody may."""
        if instance.state in {"shutting-down", "terminated"}:
            return
        instance.reason = reason
        instance.states.append((self.fibers.now, "shutting-down"))
        self.on_end(instance)
        self.fibers.after(self.shutting_seconds, lambda: instance.states.append((self.fibers.now, "terminated")))

    def stop(self, instance: Instance) -> None:
        """Stop, as somebody in the console would."""
        instance.states.append((self.fibers.now, "stopped"))

    def alive(self) -> list[Instance]:
        return [i for i in self.instances.values() if i.alive]

    def _pended(self, instance: Instance) -> None:
        if instance.state != "pending":
            return
        if reason := self.stillborn(instance):
            self.end(instance, reason)
        else:
            instance.states.append((self.fibers.now, "running"))

    # What the agent asks.

    def describe(self, wanted: Callable[[Instance], bool]) -> list[Json]:
        now = self.fibers.now
        for old in [i for i in self.instances.values() if not i.alive and now - i.states[-1][0] > SHOWN_SECONDS]:
            if old.state == "terminated":
                del self.instances[old.id]
        shown = (i for i in self.instances.values() if now - i.launched >= self.hidden_seconds)
        return [self._described(i) for i in shown if wanted(i) and not self.missing(i)]

    def _described(self, instance: Instance) -> Json:
        return {
            "InstanceId": instance.id,
            "InstanceType": instance.kind,
            "Placement": {"AvailabilityZone": instance.zone},
            "State": {"Name": instance.state_at(self.fibers.now - self.lag_seconds)},
            "LaunchTime": EPOCH + timedelta(seconds=instance.launched),
            "InstanceLifecycle": instance.capacity_type,
            "PrivateDnsName": f"{instance.id}.internal",
            "ImageId": instance.image,
            "SubnetId": instance.subnet,
            "Tags": [{"Key": k, "Value": v} for k, v in instance.tags.items()],
            "StateReason": {"Code": instance.reason},
        }

    def create_fleet(self, body: Json) -> Json:
        """CreateFleet of type instant for one instance."""
        token = body["ClientToken"]
        digest = hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
        if token in self._tokens:
            known, answer, instance = self._tokens[token]
            if known != digest:
                raise Refusal("IdempotentParameterMismatch")
            if instance and (instance not in self.instances or not self.instances[instance].alive):
                raise Refusal("IdempotentInstanceTerminated")
            return answer
        answer, instance = self._buy(body)
        self._tokens[token] = (digest, answer, instance)
        return answer

    def _buy(self, body: Json) -> tuple[Json, str]:
        config = body["LaunchTemplateConfigs"][0]
        template = next(
            (
                t
                for t in self.templates.values()
                if t["id"] == config["LaunchTemplateSpecification"]["LaunchTemplateId"]
            ),
            None,
        )
        if template is None:
            raise Refusal("InvalidLaunchTemplateId.NotFound")
        kind = body["TargetCapacitySpecification"]["DefaultTargetCapacityType"]
        errors: list[Json] = []
        for override in sorted(config["Overrides"], key=lambda o: nano_usd(o["InstanceType"], kind)):
            code = self._short(override["InstanceType"], override["AvailabilityZone"], kind)
            echoed = {"Overrides": override}
            if code:
                errors.append({"LaunchTemplateAndOverrides": echoed, "ErrorCode": code, "ErrorMessage": "injected"})
                continue
            tags = {t["Key"]: t["Value"] for t in body["TagSpecifications"][1]["Tags"]}
            made = self.start(override["InstanceType"], override["AvailabilityZone"], tags, kind)
            made.image, made.subnet = override["ImageId"], override["SubnetId"]
            made.user_data = template["data"]["UserData"]
            bought = {"LaunchTemplateAndOverrides": echoed, "Lifecycle": kind, "InstanceIds": [made.id]}
            return {"FleetId": "fleet", "Instances": [bought], "Errors": errors}, made.id
        return {"FleetId": "fleet", "Instances": [], "Errors": errors}, ""

    def _short(self, kind: str, zone: str, capacity_type: str) -> str:
        for key in ((k, z, c) for k in (kind, "*") for z in (zone, "*") for c in (capacity_type, "*")):
            left = self.capacity.get(key)
            if isinstance(left, str):
                return left
            if left is not None:
                self.capacity[key] = max(0, left - 1)
                return "" if left else "InsufficientInstanceCapacity"
        return ""

    def terminate(self, instance_id: str) -> None:
        found = self.instances.get(instance_id)
        if found is None or self.fibers.now - found.launched < self.hidden_seconds:
            raise Refusal("InvalidInstanceID.NotFound")
        if found.protected:
            raise Refusal("OperationNotPermitted", "The instance may not be terminated; modify disableApiTermination")
        self.end(found)

    def create_template(self, name: str, data: Json, tags: list[Json]) -> str:
        if name in self.templates:
            raise Refusal("InvalidLaunchTemplateName.AlreadyExistsException")
        self._count += 1
        made = {"id": f"lt-{self._count:017x}", "data": data, "tags": tags, "at": self.fibers.now}
        self.templates[name] = made
        return str(made["id"])

    def put_parameter(self, name: str, value: str) -> int:
        self.parameters.setdefault(name, []).append(value)
        return len(self.parameters[name])

    def parameter(self, name: str) -> tuple[str, int]:
        versions = self.parameters.get(name)
        if not versions:
            raise Refusal("ParameterNotFound")
        at = len(versions) - 1 if self.old_parameters and len(versions) > 1 else len(versions)
        return versions[at - 1], at


def is_ours(instance: Instance, cluster: str, cluster_uid: str) -> bool:
    """Launched by Joinery for this very cluster, by its tags."""
    wanted = {names.TAG_CLUSTER: cluster, names.TAG_CLUSTER_UID: cluster_uid, names.TAG_MANAGED: "true"}
    return names.TAG_ROLE not in instance.tags and all(instance.tags.get(k) == v for k, v in wanted.items())
