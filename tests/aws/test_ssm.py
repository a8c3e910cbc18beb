"""Parameters: read, written, gone, and never shown by accident."""

import pytest

from agent.aws import errors
from agent.aws.ssm import Parameter, Ssm
from tests.sim.server import World

NAME = "/joinery/team/bootstrap-token"


def test_a_parameter_is_written_read_and_overwritten(world: World) -> None:
    ssm = Ssm(world.session)
    assert ssm.get(NAME) is None
    assert ssm.put(NAME, "abcdef.0123456789abcdef", secure=True, description="join") == 1
    assert ssm.put(NAME, "ghijkl.0123456789abcdef", secure=True) == 2
    found = ssm.get(NAME)
    assert found is not None
    assert (found.value, found.version) == ("ghijkl.0123456789abcdef", 2)
    assert found.modified_at is not None


def test_a_secret_is_stored_encrypted_and_a_fact_in_the_clear(world: World) -> None:
    ssm, client = Ssm(world.session), world.session.client("ssm")
    ssm.put(NAME, "secret", secure=True)
    ssm.put("/joinery/team/join-facts", "{}", secure=False)
    assert client.get_parameter(Name=NAME)["Parameter"]["Type"] == "SecureString"
    assert client.get_parameter(Name="/joinery/team/join-facts")["Parameter"]["Type"] == "String"


def test_deleting_twice_is_fine(world: World) -> None:
    ssm = Ssm(world.session)
    ssm.put(NAME, "secret", secure=True)
    ssm.delete(NAME)
    ssm.delete(NAME)
    assert ssm.get(NAME) is None


def test_a_lost_answer_to_a_put_leaves_the_value_there(world: World) -> None:
    world.server.fault("PutParameter", moment="after")
    ssm = Ssm(world.session)
    ssm.put(NAME, "secret", secure=True)
    found = ssm.get(NAME)
    assert found is not None
    assert found.value == "secret"


def test_the_text_of_a_parameter_does_not_show_its_value() -> None:
    parameter = Parameter(NAME, "abcdef.0123456789abcdef", 3, None)
    assert "abcdef" not in repr(parameter)
    assert "abcdef" not in str(parameter)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", errors.Denied),
        ("ThrottlingException", errors.Throttled),
        ("TooManyUpdates", errors.Throttled),
        ("InternalServerError", errors.Retryable),
        ("InvalidKeyId", errors.Invalid),
        ("ParameterMaxVersionLimitExceeded", errors.Invalid),
    ],
)
def test_failures_have_their_types(world: World, code: str, kind: type[errors.AwsError]) -> None:
    world.server.fault("PutParameter", code=code, status=400, times=-1)
    with pytest.raises(kind, match="ssm:PutParameter"):
        Ssm(world.session).put(NAME, "secret", secure=True)


def test_the_call_log_of_the_embedded_store_has_no_values(world: World) -> None:
    Ssm(world.session).put(NAME, "secret-value", secure=True)
    assert "secret-value" not in str(world.server.calls("PutParameter"))
