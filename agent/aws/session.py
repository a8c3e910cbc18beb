"""Clients of AWS: one per service, made once, with time limits and a retry policy that is said here."""

import threading
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from botocore.config import Config
from botocore.exceptions import BotoCoreError

from agent.aws import models
from agent.aws.errors import mapped

if TYPE_CHECKING:  # the stubs are no dependency of the daemon
    from types_boto3_ec2.client import EC2Client
    from types_boto3_iam.client import IAMClient
    from types_boto3_pricing.client import PricingClient
    from types_boto3_sqs.client import SQSClient
    from types_boto3_ssm.client import SSMClient
    from types_boto3_sts.client import STSClient

Service = Literal["ec2", "ssm", "iam", "pricing", "service-quotas", "sqs", "sts"]

CONNECT_TIMEOUT_SECONDS: Final = 5.0
READ_TIMEOUT_SECONDS: Final = 30.0
_ATTEMPTS: Final = 3


class AwsSession:
    """A region, and clients for it that are shared by all threads.

    Endpoints are botocore's, or what ``AWS_ENDPOINT_URL`` and ``AWS_ENDPOINT_URL_<SERVICE>`` name. Reads are retried
    by botocore's standard mode; calls that buy or terminate are not (:meth:`once`), because a retry inside the SDK
    would hide that the first answer was lost.
    """

    def __init__(
        self,
        region: str,
        *,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self.region = region
        self._timeouts = (connect_timeout_seconds, read_timeout_seconds)
        self._lock = threading.Lock()  # making a client is not thread-safe in boto3, using one is
        self._clients: dict[tuple[str, int], object] = {}
        with mapped("session"):
            self._session = models.session(region)

    @overload
    def client(self, service: Literal["ec2"]) -> "EC2Client": ...
    @overload
    def client(self, service: Literal["ssm"]) -> "SSMClient": ...
    @overload
    def client(self, service: Literal["iam"]) -> "IAMClient": ...
    @overload
    def client(self, service: Literal["pricing"]) -> "PricingClient": ...
    @overload
    def client(self, service: Literal["sqs"]) -> "SQSClient": ...
    @overload
    def client(self, service: Literal["service-quotas"]) -> Any: ...  # noqa: ANN401 - there are no stubs
    @overload
    def client(self, service: Literal["sts"]) -> "STSClient": ...
    def client(self, service: Service) -> object:
        """The client of a service, for calls that may safely be repeated.

        Raises:
            AwsError: the client cannot be made from what is configured, such as a region that is no region.
        """
        return self._made(service, _ATTEMPTS)

    def once(self) -> "EC2Client":
        """EC2's client without retries, for launches and terminations: the control loop is the retry."""
        client: EC2Client = self._made("ec2", 1)  # type: ignore[assignment]  # one cache holds all kinds
        return client

    def close(self) -> None:
        """Close the connections of every client."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()  # type: ignore[attr-defined]  # every botocore client has it

    def _made(self, service: Service, attempts: int) -> object:
        with self._lock:
            key = (service, attempts)
            if key not in self._clients:
                connect, read = self._timeouts
                config = Config(
                    connect_timeout=connect,
                    read_timeout=read,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    user_agent_extra="joinery",
                )
                region = pricing_region(self.region) if service == "pricing" else self.region
                with mapped(f"{service}:client"):
                    self._clients[key] = self._session.client(service, region_name=region, config=config)
            return self._clients[key]

    def credentials(self) -> bool:
        """Whether any credentials can be found at all."""
        try:
            return self._session.get_credentials() is not None
        except BotoCoreError:
            return False


def pricing_region(region: str) -> str:
    """Where the Pricing API answers for a region: it exists in a few regions only, each with all prices."""
    for prefix, endpoint in (("ap-", "ap-south-1"), ("eu-", "eu-central-1"), ("cn-", "cn-northwest-1")):
        if region.startswith(prefix):
            return endpoint
    return "us-east-1"
