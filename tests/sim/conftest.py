"""One server and one set of clients for all tests of a worker; the server is emptied before each."""

from collections.abc import Iterator

import pytest

from agent.aws.session import AwsSession
from tests.sim.server import REGION, Server, World

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}


def set_environment(to: pytest.MonkeyPatch, endpoint: str) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        to.delenv(name, raising=False)
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}).items():
        to.setenv(name, value)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def session(server: Server) -> Iterator[AwsSession]:
    made = AwsSession(REGION, read_timeout_seconds=10)
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, server.endpoint)
        for service in ("ec2", "ssm", "iam", "pricing"):
            made.client(service)
        made.once()
    yield made
    made.close()


@pytest.fixture
def world(server: Server, session: AwsSession, monkeypatch: pytest.MonkeyPatch) -> World:
    set_environment(monkeypatch, server.endpoint)
    return World(server, session)
