"""Whether the role of a profile may read what machines join with, as IAM says."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

import pytest

from agent.aws.errors import Denied
from agent.aws.session import AwsSession
from agent.preflight.profile import denied, role_of
from tests.loopback import Loopback

ROLE = "arn:aws:iam::111122223333:role/joinery-node"
TOKEN, FACTS, SECRET = (f"arn:aws:ssm:eu-west-1:111122223333:parameter/{name}" for name in ("token", "facts", "secret"))
PROFILE = f"""<GetInstanceProfileResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetInstanceProfileResult>
<InstanceProfile><InstanceProfileName>nodes</InstanceProfileName><Roles><member><Arn>{ROLE}</Arn></member></Roles>
</InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>"""


class _Iam(BaseHTTPRequestHandler):
    """The role may read token and facts; nobody may ask about another role."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form["Action"] == ["GetInstanceProfile"]:
            self._answer(200, PROFILE)
        elif form["PolicySourceArn"] == [ROLE]:
            [resource] = form["ResourceArns.member.1"]
            decision = "allowed" if resource in {TOKEN, FACTS} else "implicitDeny"
            self._answer(200, _simulated(decision))
        else:
            error = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
            self._answer(403, error)

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as it is overridden
        pass


def _simulated(decision: str) -> str:
    member = (
        f"<member><EvalActionName>ssm:GetParameter</EvalActionName><EvalDecision>{decision}</EvalDecision></member>"
    )
    return (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><EvaluationResults>{member}</EvaluationResults>"
        "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    )


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    service = Loopback(_Iam)
    for name, value in (("AWS_ENDPOINT_URL", service.url), ("AWS_ACCESS_KEY_ID", "t"), ("AWS_SECRET_ACCESS_KEY", "t")):
        monkeypatch.setenv(name, value)
    made = AwsSession("eu-west-1")
    yield made
    made.close()
    service.close()


def test_a_role_that_may_read_both_lacks_nothing(session: AwsSession) -> None:
    assert role_of(session, "nodes") == ROLE
    assert denied(session, ROLE, (TOKEN, FACTS)) == ()


def test_what_it_may_not_read_is_named(session: AwsSession) -> None:
    assert denied(session, ROLE, (TOKEN, SECRET)) == (SECRET,)


def test_who_may_not_ask_is_told_which_right_that_takes(session: AwsSession) -> None:
    with pytest.raises(Denied, match="iam:SimulatePrincipalPolicy"):
        denied(session, "arn:aws:iam::111122223333:role/other", (TOKEN,))
