"""The policies of the Terraform modules: what the agent calls is allowed, what it must not do is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import botocore.session
import msgspec
import pytest

from agent.aws.catalog import describe_catalog
from agent.aws.classes import Resolver
from agent.aws.prices import Prices
from agent.aws.ssm import Ssm
from agent.aws.templates import template_content
from agent.model import names
from tests.iam.needs import Account, Call, needs, refused
from tests.iam.policy import MODULES, Document, Request, allows, rendered, several
from tests.sim.server import CLUSTER, REGION, World, class_spec

ACCOUNT = "123456789012"
NODE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/joinery-node"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:team-interruptions"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/team"
PREFIX = f"/joinery/{CLUSTER}"
VALUES: dict[str, object] = {
    "partition": "aws",
    "suffix": "amazonaws.com",
    "account": ACCOUNT,
    "region": REGION,
    "prefix": PREFIX,
    "cluster": CLUSTER,
    "discovery": "true",
    "node_role": NODE_ROLE,
    "key": KEY,
    "actions": ["kms:Decrypt", "kms:Encrypt"],
    "parameter": "*",
    "queue": QUEUE,
    "rules": [RULE],
}
PATHS = sorted(str(path.relative_to(MODULES)) for path in MODULES.glob("*/policies/*.json.tftpl"))
POLICIES = {path.removeprefix("iam/policies/").removesuffix(".json.tftpl"): rendered(path, VALUES) for path in PATHS}
AGENT, NODE, CONTROL_PLANE = [POLICIES["agent"]], [POLICIES["node"]], [POLICIES["control-plane"]]
NO_OPERATION = {"iam:PassRole", "sqs:*"}
"""Actions that no API call has the name of, and the one wildcard, which denies."""
KEYS = {
    "aws:RequestedRegion",
    "aws:SecureTransport",
    "aws:SourceArn",
    "ec2:CreateAction",
    "iam:PassedToService",
    "kms:ViaService",
    "kms:EncryptionContext:PARAMETER_ARN",
}
"""Condition keys by the service authorization references; beside them those that name a tag."""
TAG_KEYS = tuple(f"aws:{kind}Tag/{tag}" for kind in ("Request", "Resource") for tag in ("joinery.sh/", "karpenter.sh/"))
OURS = {names.TAG_CLUSTER: CLUSTER, names.TAG_MANAGED: "true"}
BASE = {names.TAG_CLUSTER: CLUSTER, names.TAG_ROLE: "base"}


def arn(kind: str, name: str = "x") -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/{name}"


def parameter(name: str) -> str:
    return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}"


def on(tags: dict[str, str]) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def asking(tags: dict[str, str]) -> dict[str, str]:
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()}


def operations(service: str) -> set[str]:
    return set(botocore.session.get_session().get_service_model(service).operation_names)


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, document in POLICIES.items():
        for statement in document["Statement"]:
            yield path, statement


def unknown_actions(documents: Sequence[Document]) -> set[str]:
    actions = {a for d in documents for s in d["Statement"] for a in several(s["Action"])} - NO_OPERATION
    known = {service: operations(service) for service in {a.partition(":")[0] for a in actions}}
    return {a for a in actions if a.partition(":")[2] not in known[a.partition(":")[0]]}


def unknown_keys(documents: Sequence[Document]) -> set[str]:
    conditions = [c for d in documents for s in d["Statement"] for c in s.get("Condition", {}).values()]
    return {key for keys in conditions for key in keys if key not in KEYS and not key.startswith(TAG_KEYS)}


def test_every_action_is_one_that_aws_has() -> None:
    assert unknown_actions(list(POLICIES.values())) == set()


def test_every_condition_key_is_one_that_aws_has() -> None:
    assert unknown_keys(list(POLICIES.values())) == set()


def test_a_misspelt_action_or_key_would_be_noticed() -> None:
    statement = {"Action": ["ec2:TerminateInstance"], "Condition": {"StringEquals": {"aws:ResourceTags/x": "y"}}}
    assert unknown_actions([{"Statement": [statement]}]) == {"ec2:TerminateInstance"}
    assert unknown_keys([{"Statement": [statement]}]) == {"aws:ResourceTags/x"}


def test_only_what_cannot_be_narrower_is_allowed_on_everything() -> None:
    wide = {
        action
        for _, statement in statements()
        if "*" in several(statement.get("Resource", "")) and statement["Effect"] == "Allow"
        for action in several(statement["Action"])
    }
    assert {a for a in wide if not a.startswith("ec2:Describe")} == {"pricing:GetProducts", "ecr:GetAuthorizationToken"}


def tags_of(world: World, resource: str) -> dict[str, str]:
    found = world.session.client("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])
    return {t["Key"]: t["Value"] for t in found["Tags"]}


def everything_that_the_agent_asks_of_aws(world: World) -> None:
    now = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    describe_catalog(world.session)
    prices = Prices(world.session, lambda: now)
    prices.refresh_on_demand()
    prices.refresh_spot()
    resolver = Resolver(world.session, frozenset({"Ubuntu"}))
    assert resolver.resolve(class_spec(), (), ()).ready
    assert resolver.resolve(class_spec(instanceProfile=None, role="joinery-node"), (), ()).ready
    terms = [{"tags": {"team": "ml"}}]
    assert resolver.resolve(class_spec(capacityReservationSelectorTerms=terms), (), ()).ready
    content = template_content(class_spec(), world.resolved(), names.ClassName("default"), "#!/bin/sh\n")
    world.templates.ensure(msgspec.structs.replace(content, reservation="cr-1"))
    on_demand = world.launch("claim-1")
    spot = world.ec2.create_fleet(world.request(kind="spot", claim="claim-2"), world.token("claim-2"))
    assert spot.instance is not None
    assert len(world.ec2.machines()) == 2
    world.ec2.machines_of_claim(world.ec2.machines()[0].claim_uid or names.ClaimUid(""))
    for machine in (on_demand, spot.instance.id):
        world.ec2.terminate(machine)
    ssm = Ssm(world.session)
    ssm.put(f"{PREFIX}/bootstrap-token", "abcdef.0123456789abcdef", secure=True)
    ssm.put(f"{PREFIX}/join-facts", "{}", secure=False)
    assert ssm.get(f"{PREFIX}/bootstrap-token") is not None


@pytest.fixture
def recorded(world: World) -> tuple[list[Call], Account]:
    """The agent's calls, and the account as IAM sees it: tags of what is deleted meanwhile are those it had."""
    everything_that_the_agent_asks_of_aws(world)
    calls = world.server.ask("/_calls", method="GET")
    worn = {t.id: tags_of(world, t.id) for t in world.templates.listed()}
    world.server.ask("/_calls", method="DELETE")
    for template in worn:
        world.templates.delete(template)
    calls += world.server.ask("/_calls", method="GET")
    return calls, Account(REGION, ACCOUNT, NODE_ROLE, world.group, lambda r: worn.get(r) or tags_of(world, r))


def test_what_the_agent_calls_is_allowed_and_no_more_is_granted(recorded: tuple[list[Call], Account]) -> None:
    calls, where = recorded

    assert refused(calls, AGENT, where) == []
    granted = {action for s in AGENT[0]["Statement"] for action in several(s["Action"])}
    used = {request.action for call in calls for request in needs(call, where)}
    assert granted - used == set()


def test_a_policy_without_one_of_its_statements_would_not_do(recorded: tuple[list[Call], Account]) -> None:
    calls, where = recorded
    whole = AGENT[0]["Statement"]
    for statement in whole:
        smaller: Document = {"Statement": [s for s in whole if s is not statement]}
        assert refused(calls, [smaller], where), statement["Sid"]


FLEET = "ec2:CreateFleet"
FORBIDDEN = {
    "terminate a base machine": Request("ec2:TerminateInstances", arn("instance"), on(BASE)),
    "terminate a base machine that somebody tagged as ours": Request(
        "ec2:TerminateInstances", arn("instance"), on(BASE | OURS)
    ),
    "terminate a machine of another cluster": Request(
        "ec2:TerminateInstances", arn("instance"), on(OURS | {names.TAG_CLUSTER: "other"})
    ),
    "terminate a machine without tags": Request("ec2:TerminateInstances", arn("instance")),
    "terminate a machine of this cluster that it did not launch": Request(
        "ec2:TerminateInstances", arn("instance"), on({names.TAG_CLUSTER: CLUSTER})
    ),
    "delete somebody's launch template": Request("ec2:DeleteLaunchTemplate", arn("launch-template")),
    "launch without tags": Request("ec2:RunInstances", arn("instance")),
    "launch for another cluster": Request(
        "ec2:RunInstances", arn("instance"), asking(OURS | {names.TAG_CLUSTER: "other"})
    ),
    "launch a machine that would be admitted as a base machine": Request(
        "ec2:RunInstances", arn("instance"), asking(OURS | {names.TAG_ROLE: "base"})
    ),
    "launch into a subnet that is not for it": Request(FLEET, arn("subnet")),
    "launch with a security group that is not for it": Request("ec2:RunInstances", arn("security-group")),
    "launch by a template that is not its own": Request(FLEET, arn("launch-template")),
    "launch in another region": Request("ec2:RunInstances", "arn:aws:ec2:us-east-1:1:instance/new", asking(OURS)),
    "look at another region": Request("ec2:DescribeInstances", "*", {"aws:RequestedRegion": "us-east-1"}),
    "tag a machine later": Request("ec2:CreateTags", arn("instance"), asking(OURS)),
    "make a machine its own by its tags": Request(
        "ec2:CreateTags", arn("instance"), asking(OURS) | on(BASE) | {"ec2:CreateAction": "StartInstances"}
    ),
    "take tags away": Request("ec2:DeleteTags", arn("instance"), on(OURS)),
    "stop a machine": Request("ec2:StopInstances", arn("instance"), on(OURS)),
    "change a machine": Request("ec2:ModifyInstanceAttribute", arn("instance"), on(OURS)),
    "give another machine a profile": Request("ec2:AssociateIamInstanceProfile", arn("instance"), on(OURS)),
    "pass another role": Request(
        "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}
    ),
    "pass the role to another service": Request(
        "iam:PassRole", NODE_ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}
    ),
    "change the node role": Request("iam:PutRolePolicy", NODE_ROLE),
    "read another cluster's token": Request("ssm:GetParameter", parameter("/joinery/other/bootstrap-token")),
    "read a cluster's whose name begins like this one's": Request(
        "ssm:GetParameter", parameter(f"{PREFIX}-2/bootstrap-token")
    ),
    "write a public parameter": Request("ssm:PutParameter", parameter("/aws/service/x")),
    "read old tokens": Request("ssm:GetParameterHistory", parameter(f"{PREFIX}/bootstrap-token")),
    "delete the token": Request("ssm:DeleteParameter", parameter(f"{PREFIX}/bootstrap-token")),
    "run commands on machines": Request("ssm:SendCommand", arn("instance")),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_agent_must_not(what: str) -> None:
    assert not allows(AGENT + CONTROL_PLANE, FORBIDDEN[what])


NOT_FOR_NODES = {
    "read the ticket of control-plane machines": Request("ssm:GetParameter", parameter(f"{PREFIX}/control-plane/join")),
    "read the state of the control plane": Request("ssm:GetParameter", parameter(f"{PREFIX}/control-plane/state")),
    "read whatever lies below": Request("ssm:GetParametersByPath", parameter(PREFIX)),
    "read several": Request("ssm:GetParameters", parameter(f"{PREFIX}/bootstrap-token")),
    "read old tokens": Request("ssm:GetParameterHistory", parameter(f"{PREFIX}/bootstrap-token")),
    "write the token": Request("ssm:PutParameter", parameter(f"{PREFIX}/bootstrap-token")),
    "look at instances": Request("ec2:DescribeInstances", "*", {"aws:RequestedRegion": REGION}),
    "launch": Request("ec2:RunInstances", arn("instance"), asking(OURS)),
    "tag itself": Request("ec2:CreateTags", arn("instance"), asking(BASE)),
    "encrypt": Request("kms:Encrypt", KEY),
}


@pytest.mark.parametrize("what", NOT_FOR_NODES)
def test_a_node_must_not(what: str) -> None:
    assert not allows([*NODE, POLICIES["images"]], NOT_FOR_NODES[what])


@pytest.mark.parametrize("name", ["bootstrap-token", "join-facts"])
def test_a_node_reads_what_it_joins_with(name: str) -> None:
    assert allows(NODE, Request("ssm:GetParameter", parameter(f"{PREFIX}/{name}")))


@pytest.mark.parametrize("action", ["ssm:GetParameter", "ssm:PutParameter"])
@pytest.mark.parametrize("name", ["state", "join"])
def test_the_control_plane_keeps_its_state_and_its_ticket(action: str, name: str) -> None:
    assert allows(CONTROL_PLANE, Request(action, parameter(f"{PREFIX}/control-plane/{name}")))


def test_a_key_serves_parameter_store_alone() -> None:
    through = {"kms:ViaService": f"ssm.{REGION}.amazonaws.com"}
    ours = {"kms:EncryptionContext:PARAMETER_ARN": parameter(f"{PREFIX}/bootstrap-token")}
    foreign = {"kms:EncryptionContext:PARAMETER_ARN": parameter("/joinery/other/bootstrap-token")}
    assert allows([POLICIES["key"]], Request("kms:Decrypt", KEY, through | ours))
    assert not allows([POLICIES["key"]], Request("kms:Decrypt", KEY, ours))
    assert not allows([POLICIES["key"]], Request("kms:Decrypt", KEY, through | foreign))


def test_the_queue_takes_notices_of_our_rules_over_tls_only() -> None:
    queue = [POLICIES["interruption/policies/queue"]]
    tls = {"aws:SecureTransport": "true"}
    assert allows(queue, Request("sqs:SendMessage", QUEUE, {"aws:SourceArn": RULE} | tls))
    assert not allows(queue, Request("sqs:SendMessage", QUEUE, {"aws:SourceArn": RULE, "aws:SecureTransport": "false"}))
    assert not allows(queue, Request("sqs:SendMessage", QUEUE, {"aws:SourceArn": RULE.replace("team", "other")} | tls))
