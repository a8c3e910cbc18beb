"""The statements that `joinery check` prints are cut out of the policy: they allow what is missing, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

import pytest
import urllib3

from agent.aws.classes import ResolvedClass
from agent.aws.errors import Denied, NoCredentials, from_code
from agent.aws.session import AwsSession
from agent.kube.api import KubeApi
from agent.kube.kubeconfig import Access, Identity
from agent.manifests import parse_node_class
from agent.preflight import simulated
from agent.preflight.site import Site
from agent.preflight.statements import QUOTA, SIMULATE, fix_for, statements_for
from agent.settings import Settings
from tests.iam.policy import MODULES, ROOT, Request, allows, rendered, several
from tests.iam.test_policies import ACCOUNT, AGENT, FORBIDDEN, NODE, NODE_ROLE, VALUES
from tests.loopback import Loopback
from tests.sim.server import CLUSTER, REGION, class_spec

XML = '<{action}Response xmlns="{space}"><{action}Result>{result}</{action}Result></{action}Response>'
SPACES = {"sts": "https://sts.amazonaws.com/doc/2011-06-15/", "iam": "https://iam.amazonaws.com/doc/2010-05-08/"}
FACTS = f"/joinery/{CLUSTER}/join-facts"
NODE_CLASS = {
    "apiVersion": "karpenter.k8s.aws/v1",
    "kind": "EC2NodeClass",
    "metadata": {"name": "default", "uid": "1"},
}


class Iam:
    """IAM and STS: says who asks, and simulates by the module's own documents."""

    def __init__(self) -> None:
        self.documents = {"node": NODE, "control-plane": AGENT}
        self.denies = False
        self.asked: list[dict[str, str]] = []
        iam = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: values[0] for key, values in parse_qs(body).items()}
                iam.asked.append(form)
                status, text = iam.answer(form)
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as it is overridden
                pass

        self.loopback = Loopback(Handler)

    def answer(self, form: dict[str, str]) -> tuple[int, str]:
        action = form["Action"]
        if action == "GetCallerIdentity":
            arn = f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/control-plane/i-1</Arn><Account>{ACCOUNT}</Account>"
            return 200, XML.format(action=action, space=SPACES["sts"], result=arn)
        if self.denies:
            error = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            return 403, f'<ErrorResponse xmlns="{SPACES["iam"]}">{error}</ErrorResponse>'
        return 200, XML.format(action=action, space=SPACES["iam"], result=self._simulated(form))

    def _simulated(self, form: dict[str, str]) -> str:
        role = form["PolicySourceArn"].rpartition("/")[2].removeprefix("joinery-")
        action, resource = form["ActionNames.member.1"], form["ResourceArns.member.1"]
        decision = "allowed" if allows(self.documents[role], Request(action, resource)) else "implicitDeny"
        one = f"<EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision>"
        return f"<EvaluationResults><member>{one}</member></EvaluationResults>"


@pytest.fixture
def iam(monkeypatch: pytest.MonkeyPatch) -> Iterator[Iam]:
    made = Iam()
    url = made.loopback.url
    for name, value in (("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "t"), ("AWS_SECRET_ACCESS_KEY", "t")):
        monkeypatch.setenv(name, value)
    yield made
    made.loopback.close()


@pytest.fixture
def site(iam: Iam) -> Iterator[Site]:
    """A cluster of one class, whose machines have the role of the policy."""
    session = AwsSession(REGION)
    settings = Settings.model_validate({"clusterName": CLUSTER, "region": REGION})
    access = Access(iam.loopback.url, lambda _: urllib3.PoolManager(), None, Identity(lambda: "Bearer agent"))
    with KubeApi(access) as api:
        made = Site(settings, api, "", session, lambda: datetime(2026, 3, 2, tzinfo=UTC))
        manifest = parse_node_class({**NODE_CLASS, "spec": class_spec().model_dump(by_alias=True)})
        vars(made).update(
            classes=(manifest,), resolved=((manifest, ResolvedClass()),), node_roles={"default": NODE_ROLE}
        )
        yield made
    session.close()


def test_the_policy_that_is_shipped_is_the_module_s() -> None:
    shipped = (ROOT / "agent/preflight/policy.json").read_bytes()
    assert shipped == (MODULES / "iam/policies/agent.json.tftpl").read_bytes()


def test_for_every_action_of_the_policy_its_own_statements_are_printed_and_allow_nothing_else(site: Site) -> None:
    whole = rendered("iam/policies/agent.json.tftpl", VALUES | {"discovery": "DISCOVERY-TAG"})["Statement"]
    for action in {a for s in whole for a in several(s["Action"])}:
        printed = json.loads(statements_for(action, site))
        assert printed == [{**s, "Action": action} for s in whole if action in several(s["Action"])]


def test_whoever_adds_all_that_is_ever_printed_still_must_not_do_what_is_forbidden(site: Site) -> None:
    actions = {a for s in AGENT[0]["Statement"] for a in several(s["Action"])} | {QUOTA, SIMULATE}
    printed = [{"Statement": json.loads(statements_for(action, site))} for action in actions]
    assert [what for what, request in FORBIDDEN.items() if allows(printed, request)] == []


def denied(message: str, operation: str = "ec2:RunInstances") -> Denied:
    error = from_code("UnauthorizedOperation", message, operation, 403)
    assert isinstance(error, Denied)
    return error


def test_a_denial_that_names_a_resource_gets_the_statement_for_it_alone(site: Site) -> None:
    where = f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/subnet-1"
    message = f"User: x is not authorized to perform: ec2:RunInstances on resource: {where} because no policy allows it"
    [statement] = json.loads(fix_for(denied(message), site).partition(": ")[2])
    assert (statement["Sid"], statement["Action"]) == ("LaunchInto", "ec2:RunInstances")


def test_a_denial_of_another_action_gets_that_one_s_statement(site: Site) -> None:
    message = f"You are not authorized to perform: iam:PassRole on resource: {NODE_ROLE}"
    [statement] = json.loads(fix_for(denied(message), site).partition(": ")[2])
    assert (statement["Action"], statement["Resource"]) == ("iam:PassRole", NODE_ROLE)


def test_an_explicit_deny_and_missing_credentials_are_not_mended_by_a_statement(site: Site) -> None:
    message = "User: x is not authorized to perform: ec2:RunInstances with an explicit deny in a service control policy"
    assert "denies it by name" in fix_for(denied(message), site)
    assert fix_for(NoCredentials("none", operation="ec2:RunInstances"), site) == ""


def test_roles_that_have_the_modules_policies_may_read_and_write_what_they_must(site: Site, iam: Iam) -> None:
    found = [*simulated.writing(site), *simulated.nodes(site)]
    assert [(f.check, f.level) for f in found] == [("token-rights", "ok"), ("node-role", "ok")]
    asked = {(f["PolicySourceArn"], f["ActionNames.member.1"]) for f in iam.asked if "PolicySourceArn" in f}
    assert asked == {
        (NODE_ROLE, "ssm:GetParameter"),
        (f"arn:aws:iam::{ACCOUNT}:role/control-plane", "ssm:PutParameter"),
    }


def test_a_node_role_that_may_read_only_the_token_is_told_with_the_statement_that_it_lacks(
    site: Site, iam: Iam
) -> None:
    [statement] = NODE[0]["Statement"]
    iam.documents["node"] = [{"Statement": [{**statement, "Resource": statement["Resource"][0]}]}]
    [found] = simulated.nodes(site)
    assert found.level == "fail"
    assert found.message.endswith(f"ssm:GetParameter is not allowed on {FACTS}")
    [missing] = json.loads(found.fix.partition(": ")[2])
    assert missing["Resource"] == [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{FACTS}"]


def test_whoever_may_not_ask_iam_is_told_that_nobody_looked(site: Site, iam: Iam) -> None:
    iam.denies = True
    for found in (*simulated.writing(site), *simulated.nodes(site)):
        assert found.level == "unknown"
        assert "could not be looked at" in found.message
        assert SIMULATE in found.fix


def test_a_class_whose_role_is_not_known_is_told(site: Site) -> None:
    vars(site)["node_roles"] = {}
    [found] = simulated.nodes(site)
    assert (found.level, found.check) == ("unknown", "node-role")
