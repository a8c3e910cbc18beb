"""What IAM is asked for a recorded call to AWS.

By the service authorization references of EC2, IAM, Systems Manager and Price List, as far as Joinery's calls go. A
launch asks for more than its own name: EC2 checks RunInstances for what CreateFleet starts, CreateTags for every tag
that a creation gives, and PassRole for the role of the profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.sim.query import numbered
from tests.iam.policy import Document, Request, allows

Call = dict[str, Any]
Tags = Mapping[str, str]
ENDS = {
    "TerminateInstances": ("instance", "InstanceId"),
    "DeleteLaunchTemplate": ("launch-template", "LaunchTemplateId"),
}
RESERVATION = "LaunchTemplateData.CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId"
"""Of a launch template: what is launched from it is launched into the reservation."""
CREATES = {"CreateFleet": "fleet", "CreateLaunchTemplate": "launch-template"}


@dataclass(frozen=True)
class Account:
    """Where the calls went."""

    region: str
    account: str
    node_role: str
    security_group: str
    tags_of: Callable[[str], Tags]
    """Tags of a resource by its id."""

    def ec2(self, kind: str, name: str = "new", *, public: bool = False) -> str:
        return f"arn:aws:ec2:{self.region}:{'' if public else self.account}:{kind}/{name}"


def needs(call: Call, where: Account) -> Iterator[Request]:
    """Every question of one call."""
    service, action, form = call["service"], call["action"], call["form"]
    name = f"{service}:{action}"
    if action in CREATES:
        yield from _creation(action, form, where)
    elif action in ENDS:
        kind, parameter = ENDS[action]
        for key, resource in form.items():
            if key.partition(".")[0] == parameter:
                yield Request(name, where.ec2(kind, resource), _resource_tags(where.tags_of(resource)))
    elif action.startswith("Describe"):
        yield Request(name, "*", {"aws:RequestedRegion": where.region})
    else:
        yield Request(name, _resource(name, call, where))


def _resource(name: str, call: Call, where: Account) -> str:
    if name in {"ssm:GetParameter", "ssm:PutParameter"}:
        parameter = call["json"]["Name"]
        owner = "" if parameter.startswith("/aws/service/") else where.account
        return f"arn:aws:ssm:{where.region}:{owner}:parameter{parameter}"
    if name == "iam:GetInstanceProfile":
        return f"arn:aws:iam::{where.account}:instance-profile/{call['form']['InstanceProfileName']}"
    if name == "iam:ListInstanceProfilesForRole":
        return f"arn:aws:iam::{where.account}:role/{call['form']['RoleName']}"
    assert name == "pricing:GetProducts", f"nobody has written down what IAM is asked for {name}"
    return "*"


def _creation(action: str, form: Mapping[str, str], where: Account) -> Iterator[Request]:
    tags = _given_tags(form)
    own = CREATES[action]
    yield Request(f"ec2:{action}", where.ec2(own), _request_tags(tags.get(own, {})))
    for kind in tags:
        yield Request("ec2:CreateTags", where.ec2(kind), _request_tags(tags[kind]) | {"ec2:CreateAction": action})
    if action == "CreateFleet":
        yield from _launch(form, tags, where)
    if reservation := form.get(RESERVATION):
        for name in ("ec2:CreateFleet", "ec2:RunInstances"):
            yield Request(name, where.ec2("capacity-reservation", reservation))


def _launch(form: Mapping[str, str], tags: Mapping[str, Tags], where: Account) -> Iterator[Request]:
    template = form["LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId"]
    used = [(where.ec2("launch-template", template), where.tags_of(template))]
    used.append((where.ec2("security-group", where.security_group), where.tags_of(where.security_group)))
    for override in numbered(dict(form), "LaunchTemplateConfigs.1.Overrides"):
        used.append((where.ec2("image", override["ImageId"], public=True), {}))
        used.append((where.ec2("subnet", override["SubnetId"]), where.tags_of(override["SubnetId"])))
    for arn, worn in used:
        yield Request("ec2:CreateFleet", arn, _resource_tags(worn))
        yield Request("ec2:RunInstances", arn, _resource_tags(worn))
    for kind in ("instance", "volume"):
        yield Request("ec2:RunInstances", where.ec2(kind), _request_tags(tags.get(kind, {})))
    yield Request("ec2:RunInstances", where.ec2("network-interface"))
    yield Request("ec2:RunInstances", where.ec2("snapshot", "snap-0", public=True))
    yield Request("iam:PassRole", where.node_role, {"iam:PassedToService": "ec2.amazonaws.com"})
    if form.get("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot":
        yield Request("ec2:RunInstances", where.ec2("spot-instances-request"))


def refused(calls: Iterable[Call], documents: Sequence[Document], where: Account) -> list[str]:
    """What the documents do not allow of the calls."""
    asked = {str(request): request for call in calls for request in needs(call, where)}
    return [text for text, request in asked.items() if not allows(documents, request)]


def _given_tags(form: Mapping[str, str]) -> dict[str, Tags]:
    found: dict[str, Tags] = {}
    for prefix in ("TagSpecification", "TagSpecifications"):
        for given in numbered(dict(form), prefix):
            found[given["ResourceType"]] = {t["Key"]: t["Value"] for t in numbered(given, "Tag")}
    return found


def _request_tags(tags: Tags) -> dict[str, str]:
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()}


def _resource_tags(tags: Tags) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
