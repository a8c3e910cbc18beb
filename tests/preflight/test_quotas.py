"""The account's vCPUs against the pools' limits."""

import json
from http.server import BaseHTTPRequestHandler

import pytest

from agent.aws.errors import Denied
from agent.aws.session import AwsSession
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.kubernetes import Meta, NodePool
from agent.model.names import ClassName
from agent.preflight.quotas import STANDARD, compared, vcpus
from tests.loopback import Loopback


class _ServiceQuotas(BaseHTTPRequestHandler):
    """Answers GetServiceQuota for on-demand instances, and denies every other."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked == {"ServiceCode": "ec2", "QuotaCode": STANDARD["on-demand"]}
        answer = {"Quota": {"Value": 32.0}} if known else {"__type": "AccessDeniedException", "message": "no"}
        self.send_response(200 if known else 400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as it is overridden
        pass


def _pool(name: str, cpu_milli: int | None, capacity_type: str = "on-demand") -> NodePool:
    asked = (Requirement(names.CAPACITY_TYPE, "In", (capacity_type,)),)
    limits = {} if cpu_milli is None else {"cpu": cpu_milli}
    return NodePool(Meta(name), ClassName("default"), limits=limits, requirements=asked)


def test_pools_that_may_buy_more_than_the_account_are_told() -> None:
    found = compared("on-demand", 32, [_pool("a", 20_000), _pool("b", 13_000)])
    assert found.level == "warn"
    assert found.message == "32 vCPUs of on-demand instances; pools are limited to 33"
    assert "Service Quotas" in found.fix


def test_pools_within_the_quota_are_fine_and_one_without_a_limit_is_mentioned() -> None:
    assert compared("on-demand", 33, [_pool("a", 20_000), _pool("b", 13_000)]).level == "ok"
    assert "some have no limit" in compared("on-demand", 33, [_pool("a", 20_000), _pool("b", None)]).message


def test_the_quota_is_read_from_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Loopback(_ServiceQuotas)
    for name, value in (("AWS_ENDPOINT_URL", service.url), ("AWS_ACCESS_KEY_ID", "t"), ("AWS_SECRET_ACCESS_KEY", "t")):
        monkeypatch.setenv(name, value)
    session = AwsSession("eu-west-1")
    try:
        assert vcpus(session, STANDARD["on-demand"]) == 32
        with pytest.raises(Denied, match="servicequotas:GetServiceQuota"):
            vcpus(session, STANDARD["spot"])
    finally:
        session.close()
        service.close()
