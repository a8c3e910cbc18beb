"""Every failure of AWS, or on the way to it, is one error: its type is the policy, its text says what to do."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from agent.aws import errors
from agent.aws.ec2 import Ec2
from agent.aws.errors import AwsError, from_code, kind_of, mapped
from agent.aws.session import AwsSession
from agent.aws.ssm import Ssm
from tests.sim.server import CLUSTER, CLUSTER_UID, REGION, World

CAPACITY = [
    "InsufficientInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "VcpuLimitExceeded",
    "UnfulfillableCapacity",
    "Unsupported",
    "InsufficientFreeAddressesInSubnet",
    "MaxFleetCountExceeded",
    "ReservationCapacityExceeded",
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
]
GONE = [
    "InvalidCapacityReservationId.NotFound",
    "InvalidInstanceID.NotFound",
    "InvalidLaunchTemplateName.NotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    "QueueDoesNotExist",
    "NoSuchEntity",
    "ParameterNotFound",
]


@pytest.mark.parametrize("code", CAPACITY)
def test_capacity_codes_leave_the_offering_out(code: str) -> None:
    assert kind_of(code, 500) is errors.CapacityUnavailable


@pytest.mark.parametrize("code", GONE)
def test_not_found_codes_mean_gone(code: str) -> None:
    assert kind_of(code, 400) is errors.Gone


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RequestLimitExceeded", 503, errors.Throttled),
        ("SomethingThrottled", 400, errors.Throttled),
        ("Unheard", 429, errors.Throttled),
        ("UnauthorizedOperation", 403, errors.Denied),
        ("Unheard", 403, errors.Denied),
        ("ExpiredToken", 403, errors.NoCredentials),
        ("EntityAlreadyExists", 409, errors.AlreadyExists),
        ("InvalidLaunchTemplateName.AlreadyExistsException", 400, errors.AlreadyExists),
        ("InvalidSnapshot.NotFound", 400, errors.Gone),
        ("IdempotentParameterMismatch", 400, errors.TokenSpent),
        ("IdempotentInstanceTerminated", 400, errors.TokenSpent),
        ("MaxTemplateLimitExceeded", 400, errors.Retryable),
        ("PendingVerification", 400, errors.Retryable),
        ("InternalError", 500, errors.Retryable),
        ("Unheard", 500, errors.Retryable),
        ("Unheard", 0, errors.Retryable),
        ("Unheard", 400, errors.Invalid),
        ("InvalidParameterValue", 400, errors.Invalid),
    ],
)
def test_other_codes_go_by_table_then_ending_then_status(code: str, status: int, kind: type[AwsError]) -> None:
    assert kind_of(code, status) is kind


@given(st.text(), st.text(), st.integers(0, 599))
def test_any_answer_becomes_one_line_with_its_code_kept(code: str, message: str, status: int) -> None:
    error = from_code(code, message, "ec2:CreateFleet", status)
    assert "\n" not in str(error).replace(code, "")
    assert (error.code, error.operation) == (code, "ec2:CreateFleet")


def test_a_denial_names_the_action_that_is_missing_and_hides_the_encoded_blob() -> None:
    message = (
        "You are not authorized to perform this operation. User: arn:aws:sts::1:assumed-role/x is not authorized to "
        "perform: iam:PassRole on resource: arn:aws:iam::1:role/node because no identity-based policy allows the "
        "iam:PassRole action. Encoded authorization failure message: " + "A" * 900
    )
    error = from_code("UnauthorizedOperation", message, "ec2:CreateFleet", 403)
    assert isinstance(error, errors.Denied)
    assert str(error) == (
        "ec2:CreateFleet: not allowed: iam:PassRole on arn:aws:iam::1:role/node (UnauthorizedOperation); "
        "allow it in the policy of the role that the agent runs as"
    )


def test_protection_against_termination_is_not_taken_for_a_missing_right() -> None:
    message = "The instance 'i-1' may not be terminated. Modify its 'disableApiTermination' instance attribute."
    error = from_code("OperationNotPermitted", message, "ec2:TerminateInstances", 400)
    assert isinstance(error, errors.Denied)
    assert "may not be terminated" in str(error)
    assert "take termination protection" in str(error)
    assert "policy" not in str(error)


@pytest.mark.parametrize(
    ("raised", "kind", "hint"),
    [
        (NoCredentialsError(), errors.NoCredentials, "instance profile"),
        (EndpointConnectionError(endpoint_url="https://ec2.nowhere"), errors.Retryable, "region in the settings"),
        (ConnectTimeoutError(endpoint_url="https://ec2"), errors.Retryable, "security groups"),
        (ReadTimeoutError(endpoint_url="https://ec2"), errors.Retryable, "looked up before it is asked again"),
        (ResponseParserError("not XML"), errors.Retryable, "if it lasts"),
        (ClientError({}, "CreateFleet"), errors.Retryable, ""),
    ],
)
def test_failures_on_the_way_say_what_to_check(raised: Exception, kind: type[AwsError], hint: str) -> None:
    with pytest.raises(kind) as caught, mapped("ec2:CreateFleet"):
        raise raised
    assert caught.value.__cause__ is raised
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("UnauthorizedOperation", 403, errors.Denied),
        ("RequestLimitExceeded", 503, errors.Throttled),
        ("InternalError", 500, errors.Retryable),
        ("InvalidParameterValue", 400, errors.Invalid),
        ("InsufficientInstanceCapacity", 500, errors.CapacityUnavailable),
        ("AuthFailure", 401, errors.Denied),
    ],
)
def test_the_wire_gives_the_same_types(world: World, code: str, status: int, kind: type[AwsError]) -> None:
    world.server.fault("TerminateInstances", code=code, status=status, times=-1)
    instance = world.launch()
    with pytest.raises(kind) as caught:
        world.ec2.terminate(instance)
    assert caught.value.code == code
    assert len(world.server.calls("TerminateInstances")) == 1


def test_json_services_are_mapped_alike(world: World) -> None:
    world.server.fault("GetParameter", code="AccessDeniedException", message="", status=400)
    with pytest.raises(errors.Denied, match="ssm:GetParameter"):
        Ssm(world.session).get("/joinery/team/bootstrap-token")


def test_a_read_survives_one_throttle_because_the_sdk_repeats_it(world: World) -> None:
    world.server.fault("DescribeInstances", code="RequestLimitExceeded", status=503, times=1)
    assert world.ec2.machines() == ()
    assert len(world.server.calls("DescribeInstances")) == 2


@pytest.mark.usefixtures("world")
def test_no_credentials_is_a_denial_that_says_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    session = AwsSession(REGION)
    assert not session.credentials()
    with pytest.raises(errors.NoCredentials, match="instance profile"):
        Ec2(session, CLUSTER, CLUSTER_UID).machines()
    session.close()


@pytest.mark.usefixtures("world")
def test_a_region_that_is_no_region_is_named() -> None:
    with pytest.raises(errors.Invalid, match="ap-northeast-2"):
        Ec2(AwsSession("not a region"), CLUSTER, CLUSTER_UID).machines()


@pytest.mark.usefixtures("world")
def test_an_endpoint_that_nobody_listens_on_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    session = AwsSession(REGION, connect_timeout_seconds=1)
    with pytest.raises(errors.Retryable, match="region in the settings"):
        Ec2(session, CLUSTER, CLUSTER_UID).terminate("i-1")
    session.close()


def test_an_endpoint_per_service_is_honoured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", world.server.endpoint)
    session = AwsSession(REGION, connect_timeout_seconds=1)
    assert Ssm(session).get("/nothing") is None
    session.close()


def test_an_answer_that_comes_too_late_can_be_tried_again(world: World) -> None:
    world.server.fault("TerminateInstances", delay_seconds=1.0, moment="delay")
    instance = world.launch()
    hasty = AwsSession(REGION, read_timeout_seconds=0.3)
    with pytest.raises(errors.Retryable, match="ReadTimeoutError"):
        Ec2(hasty, CLUSTER, CLUSTER_UID).terminate(instance)
    hasty.close()
