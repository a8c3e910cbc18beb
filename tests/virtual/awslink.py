"""The real adapters of AWS on the model of it: only boto3's clients are others, with the same methods and shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from agent.aws.session import AwsSession
from tests.virtual.cloud import REGION, Cloud, Instance, Refusal
from tests.virtual.kubernetes import EPOCH
from tests.virtual.line import Line, Mishap

T = TypeVar("T")
Json = dict[str, Any]


def refused(code: str, message: str, action: str) -> ClientError:
    """An error as botocore raises it."""
    about = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(cast("Any", about), action)


class Client:
    """EC2's and SSM's client in one."""

    def __init__(self, cloud: Cloud, line: Line, record: Any) -> None:
        self._cloud = cloud
        self._line = line
        self._record = record

    def get_paginator(self, name: str) -> Paginator:
        return Paginator({"describe_instances": self._list, "describe_launch_templates": self._templates}[name])

    def describe_instances(self, *, InstanceIds: list[str]) -> Json:  # noqa: N803 - boto3's own
        found = self._call("ec2", "DescribeInstances", InstanceIds[0], lambda _: self._one(InstanceIds[0]))
        return {"Reservations": [{"Instances": [found]}]}

    def create_fleet(self, **body: Any) -> Json:
        return self._call("ec2", "CreateFleet", body["ClientToken"], lambda _: self._cloud.create_fleet(body))

    def terminate_instances(self, *, InstanceIds: list[str]) -> Json:  # noqa: N803
        name = InstanceIds[0]

        def execute(_: str) -> Json:
            self._record.terminating(name)
            self._cloud.terminate(name)
            return {}

        return self._call("ec2", "TerminateInstances", name, execute)

    def describe_launch_templates(self, *, LaunchTemplateNames: list[str]) -> Json:  # noqa: N803
        name = LaunchTemplateNames[0]

        def execute(_: str) -> Json:
            found = self._cloud.templates.get(name)
            if found is None:
                raise Refusal("InvalidLaunchTemplateName.NotFoundException")
            return {"LaunchTemplates": [{"LaunchTemplateId": found["id"], "Tags": found["tags"]}]}

        return self._call("ec2", "DescribeLaunchTemplates", name, execute)

    def create_launch_template(self, **body: Any) -> Json:
        name, tags = body["LaunchTemplateName"], body["TagSpecifications"][0]["Tags"]

        def execute(_: str) -> Json:
            made = self._cloud.create_template(name, body["LaunchTemplateData"], tags)
            return {"LaunchTemplate": {"LaunchTemplateId": made}}

        return self._call("ec2", "CreateLaunchTemplate", name, execute)

    def delete_launch_template(self, *, LaunchTemplateId: str) -> Json:  # noqa: N803
        def execute(_: str) -> Json:
            name = next((n for n, t in self._cloud.templates.items() if t["id"] == LaunchTemplateId), None)
            if name is None:
                raise Refusal("InvalidLaunchTemplateId.NotFound")
            del self._cloud.templates[name]
            return {}

        return self._call("ec2", "DeleteLaunchTemplate", LaunchTemplateId, execute)

    def get_parameter(self, *, Name: str, WithDecryption: bool) -> Json:  # noqa: N803, ARG002
        value, version = self._call("ssm", "GetParameter", Name, lambda _: self._cloud.parameter(Name))
        return {"Parameter": {"Name": Name, "Value": value, "Version": version}}

    def put_parameter(self, **body: Any) -> Json:
        def execute(_: str) -> int:
            return self._cloud.put_parameter(body["Name"], body["Value"])

        return {"Version": self._call("ssm", "PutParameter", body["Name"], execute)}

    def _one(self, name: str) -> Json:
        found = self._cloud.describe(lambda i: i.id == name)
        if not found:
            raise Refusal("InvalidInstanceID.NotFound")
        return found[0]

    def _list(self, filters: list[Json]) -> Json:
        tags = {f["Name"].removeprefix("tag:"): f["Values"] for f in filters if f["Name"].startswith("tag:")}

        def wanted(instance: Instance) -> bool:
            return all(instance.tags.get(k) in v for k, v in tags.items())

        found = self._call("ec2", "DescribeInstances", "", lambda _: self._cloud.describe(wanted))
        return {"Reservations": [{"Instances": found}]}

    def _templates(self, _: list[Json]) -> Json:
        def execute(_: str) -> list[Json]:
            return [
                {"LaunchTemplateId": t["id"], "Tags": t["tags"], "CreateTime": EPOCH + timedelta(seconds=t["at"])}
                for t in self._cloud.templates.values()
            ]

        return {"LaunchTemplates": self._call("ec2", "DescribeLaunchTemplates", "", execute)}

    def _call(self, service: str, action: str, subject: str, execute: Callable[[str], T]) -> T:
        def recorded(effect: str) -> T:
            try:
                answer = execute(effect)
            except Refusal as refusal:
                raise refused(refusal.code, str(refusal), action) from refusal
            if not action.startswith(("Describe", "Get")):
                self._record.wrote(self._line.process, service, (action, subject, effect))
            return answer

        return self._line.call(service, action, subject, recorded, lambda m: _fail(m, action))


class Paginator:
    """One page with everything."""

    def __init__(self, listed: Callable[[list[Json]], Json]) -> None:
        self._listed = listed

    def paginate(self, *, Filters: list[Json], PaginationConfig: object = None) -> Iterable[Json]:  # noqa: N803, ARG002
        yield self._listed(Filters)


def _fail(mishap: Mishap, action: str) -> NoReturn:
    if mishap.kind == "refuse":
        raise refused(mishap.code, "injected", action)
    if mishap.kind == "unreachable":
        raise ConnectTimeoutError(endpoint_url="https://aws.virtual")
    raise ReadTimeoutError(endpoint_url="https://aws.virtual")


class _Session:
    """Hands out the one client."""

    def __init__(self, client: Client) -> None:
        self.region = REGION
        self._client = client

    def client(self, _service: str) -> Client:
        return self._client

    def once(self) -> Client:
        return self._client


def aws_session(cloud: Cloud, line: Line, record: Any) -> AwsSession:
    """AWS as one process reaches it."""
    return cast("AwsSession", _Session(Client(cloud, line, record)))
