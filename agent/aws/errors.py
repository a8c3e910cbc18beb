"""The error tree of the AWS edge: the type is the policy, the text is one sentence that says what to do.

No exception of botocore leaves an adapter: every call stands inside :func:`mapped`. Codes and their meaning are
those of the EC2 API reference ("Error codes for the Amazon EC2 API"), of SSM, IAM and SQS.
"""
# ruff: noqa: N818 - the names say what to do about it, which a suffix would only blur

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError


class AwsError(Exception):
    """An AWS call that did not do what was asked.

    ``code`` is AWS's own (or the class name of a failure that never reached AWS), ``operation`` is
    ``service:Operation`` as IAM spells it.
    """

    def __init__(self, message: str, *, code: str = "", operation: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.operation = operation


class CapacityUnavailable(AwsError):
    """EC2 has none of it now, or the account may not have more of it: leave the offering out for a while."""


class Retryable(AwsError):
    """Nothing is known to be wrong with the request, and whether it was carried out may be unknown: ask again."""


class Throttled(AwsError):
    """Too many calls: slow down. The call was not carried out."""


class Denied(AwsError):
    """Credentials or permissions are missing: a person must act."""


class NoCredentials(Denied):
    """No usable credentials at all: absent, expired, unknown to AWS, or the clock is too far off to sign with."""


class NotOurs(Denied):
    """We refused ourselves: the tags of the instance do not say that Joinery launched it for this cluster."""


class Gone(AwsError):
    """What was named does not exist; when it was to be deleted, that is success."""


class AlreadyExists(AwsError):
    """A name is taken, by us in another process or by somebody else."""


class Invalid(AwsError):
    """The request itself is wrong and will be refused each time it is sent unchanged."""


class TokenSpent(Invalid):
    """The client token belongs to another request or to an instance that is gone: a definite answer, use the next."""


_CAPACITY = (
    "InsufficientInstanceCapacity InsufficientCapacity InsufficientHostCapacity InsufficientReservedInstanceCapacity "
    "MaxSpotInstanceCountExceeded VcpuLimitExceeded InstanceLimitExceeded UnfulfillableCapacity Unsupported "
    "InsufficientFreeAddressesInSubnet MaxFleetCountExceeded ReservationCapacityExceeded SpotMaxPriceTooLow "
    "InsufficientVolumeCapacity VolumeLimitExceeded AuthFailure.ServiceLinkedRoleCreationNotPermitted"
)
_THROTTLED = (
    "RequestLimitExceeded Throttling ThrottlingException ThrottledException RequestThrottled "
    "RequestThrottledException TooManyRequestsException SlowDown TooManyUpdates PriorRequestNotComplete "
    "EC2ThrottledException ProvisionedThroughputExceededException BandwidthLimitExceeded"
)
_RETRYABLE = (
    "InternalError InternalFailure InternalServerError InternalServerException ServiceUnavailable Unavailable "
    "RequestTimeout RequestTimeoutException PendingVerification MaxTemplateLimitExceeded "
    "ConcurrentTagAccess InvalidInstanceID.NotLinkable TransactionInProgressException"
)
_DENIED = (
    "UnauthorizedOperation AccessDenied AccessDeniedException AuthFailure Blocked OptInRequired "
    "InvalidSecurity OperationNotPermitted NotAuthorized KMSAccessDeniedException"
)
_CREDENTIALS = (
    "ExpiredToken ExpiredTokenException InvalidClientTokenId InvalidAccessKeyId UnrecognizedClientException "
    "SignatureDoesNotMatch RequestExpired RequestTimeTooSkewed IncompleteSignature IncompleteSignatureException "
    "MissingAuthenticationToken MissingAuthenticationTokenException InvalidSignatureException NotSignedUp"
)
_GONE = (
    "InvalidCapacityReservationId.NotFound InvalidInstanceID.NotFound InvalidLaunchTemplateName.NotFoundException "
    "InvalidLaunchTemplateId.NotFound InvalidLaunchTemplateId.NotFoundException "
    "InvalidLaunchTemplateId.VersionNotFound "
    "QueueDoesNotExist AWS.SimpleQueueService.NonExistentQueue NoSuchEntity ParameterNotFound "
    "ParameterVersionNotFound InvalidAMIID.NotFound InvalidAMIID.Unavailable InvalidSubnetID.NotFound "
    "InvalidGroup.NotFound InvalidGroupId.NotFound InvalidSecurityGroupID.NotFound InvalidVolume.NotFound"
)
_EXISTS = (
    "EntityAlreadyExists InvalidLaunchTemplateName.AlreadyExistsException ParameterAlreadyExists "
    "InvalidGroup.Duplicate InvalidParameterValue.AlreadyExists"
)
_INVALID = (
    "InvalidParameterValue InvalidParameterCombination InvalidParameter InvalidParameterException MissingParameter "
    "InvalidUserData.Malformed InvalidAMIID.Malformed InvalidInstanceID.Malformed InvalidBlockDeviceMapping "
    "InvalidInput InvalidKeyId InvalidNextToken InvalidRequest InvalidAction InvalidInstanceType "
    "InvalidLaunchTemplateName.MalformedException InvalidTagKey.Malformed UnknownParameter UnsupportedOperation "
    "UnsupportedProtocol ValidationError ValidationException IncorrectInstanceState IncorrectState "
    "ParameterLimitExceeded ParameterMaxVersionLimitExceeded ParameterPatternMismatchException "
    "HierarchyLevelLimitExceededException HierarchyTypeMismatchException TagLimitExceeded "
    "MalformedQueryString InvalidQueryParameter FreeTierIneligible InvalidFleetConfiguration"
)
_SPENT = "IdempotentParameterMismatch IdempotentInstanceTerminated"

CODES: Final[dict[str, type[AwsError]]] = {
    code: kind
    for codes, kind in (
        (_CAPACITY, CapacityUnavailable),
        (_THROTTLED, Throttled),
        (_RETRYABLE, Retryable),
        (_DENIED, Denied),
        (_CREDENTIALS, NoCredentials),
        (_GONE, Gone),
        (_EXISTS, AlreadyExists),
        (_INVALID, Invalid),
        (_SPENT, TokenSpent),
    )
    for code in codes.split()
}
"""The one table of error codes. A code that is not in it goes by its ending, then by its HTTP status."""

SPOT_ROLE_MISSING: Final = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
"""Refuses every spot offering at once, whatever its type and zone."""
SUBNET_FULL: Final = "InsufficientFreeAddressesInSubnet"
"""Refuses one subnet, whatever the type."""
QUOTAS: Final = frozenset({"MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "InstanceLimitExceeded"})
"""Refuse by the account's quota: in every zone alike."""

_ADVICE: Final[dict[str, str]] = {
    "MaxSpotInstanceCountExceeded": "ask for a higher quota of spot vCPUs in Service Quotas or allow on-demand",
    "VcpuLimitExceeded": "ask for a higher quota of on-demand vCPUs in Service Quotas",
    SUBNET_FULL: "free addresses in the subnet or add one to subnetSelectorTerms",
    SPOT_ROLE_MISSING: "create it once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
    "PendingVerification": "AWS is still checking the account; this passes by itself, mostly within hours",
    "OptInRequired": "the account must enable the region or accept the terms of the image first",
    "RequestExpired": "check this machine's clock",
    "RequestTimeTooSkewed": "check this machine's clock",
    "SignatureDoesNotMatch": "check the secret key and this machine's clock",
    "ExpiredToken": "the instance profile or login must renew it",
    "InvalidClientTokenId": "check the access key, and that the account has the region enabled",
    "UnrecognizedClientException": "check the access key, and that the account has the region enabled",
    "InvalidUserData.Malformed": "EC2 takes 16384 bytes of userData at most, base64-encoded",
    "InvalidAMIID.NotFound": "the image was deregistered, is not shared with the account, or belongs to another region",
    "InvalidBlockDeviceMapping": "compare blockDeviceMappings with the device names and sizes of the image",
    "MaxTemplateLimitExceeded": "delete launch templates that nobody uses",
    # EC2 says it of what no policy can allow.
    "OperationNotPermitted": "the instance is protected; take termination protection (disableApiTermination) off it",
    "IdempotentParameterMismatch": "the next attempt uses a new token",
    "IdempotentInstanceTerminated": "the next attempt uses a new token",
}
_POLICY_ADVICE: Final = "allow it in the policy of the role that the agent runs as"
_ACTION = re.compile(r"not authorized to perform:?\s+([a-z0-9-]+:\w+)(?:\s+on resource:?\s+(\S+))?", re.IGNORECASE)
_ENCODED = re.compile(r"\s*Encoded authorization failure message:\s*\S+", re.IGNORECASE)
_RESOURCE_LIMIT: Final = 300


def kind_of(code: str, http_status: int = 0) -> type[AwsError]:
    """The type for an error code: the table first, then what its ending says, then the HTTP status."""
    if (kind := CODES.get(code)) is not None:
        return kind
    if ".NotFound" in code or code.endswith(("NotFound", "NotFoundException")):
        return Gone
    if code.endswith(("AlreadyExists", "AlreadyExistsException")):
        return AlreadyExists
    if "Throttl" in code or http_status == 429:  # noqa: PLR2004 - HTTP's own number
        return Throttled
    if http_status in {401, 403}:
        return Denied
    return Retryable if http_status >= 500 or not http_status else Invalid  # noqa: PLR2004 - likewise


def from_code(code: str, message: str, operation: str, http_status: int = 0) -> AwsError:
    """The error for a code of AWS, its text made one sentence with what to do."""
    kind = kind_of(code, http_status)
    said = _ENCODED.sub("", " ".join(message.split())).strip().rstrip(".")[:_RESOURCE_LIMIT]
    advice = _ADVICE.get(code, "")
    if kind is Denied and not advice:
        said, advice = _denial(said, operation)
    elif kind is NoCredentials and not advice:
        advice = "check the credentials that the agent finds (aws sts get-caller-identity)"
    detail = f"{said} ({code})" if said else code
    return kind(f"{operation}: {detail}" + (f"; {advice}" if advice else ""), code=code, operation=operation)


def _denial(said: str, operation: str) -> tuple[str, str]:
    """What is missing, and that it must be allowed; the action that the message names beats the one we called."""
    named = _ACTION.search(said)
    action = named.group(1) if named else operation
    on = f" on {named.group(2).rstrip('.,')}" if named and named.group(2) else ""
    why = " (an explicit deny)" if "explicit deny" in said else ""
    return f"not allowed: {action}{on}{why}", _POLICY_ADVICE


@contextmanager
def mapped(operation: str) -> Iterator[None]:
    """Turn botocore's exceptions of the calls inside into this tree.

    Args:
        operation: ``service:Operation`` as IAM spells it, such as ``ec2:CreateFleet``.

    Raises:
        AwsError: of the type that says what to do about it.
    """
    try:
        yield
    except botocore.ClientError as e:
        error = e.response.get("Error", {})
        status = int(e.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        raise from_code(str(error.get("Code", "")), str(error.get("Message", "")), operation, status) from e
    except (botocore.BotoCoreError, ResponseParserError) as e:
        raise _local(e, operation) from e


_NO_CREDENTIALS: Final = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.NoAuthTokenError,
    botocore.TokenRetrievalError,
    botocore.UnauthorizedSSOTokenError,
    botocore.SSOTokenLoadError,
    botocore.MetadataRetrievalError,
    botocore.ProfileNotFound,
)
_NO_REGION: Final = (botocore.NoRegionError, botocore.InvalidRegionError, botocore.UnknownRegionError)


def _local(error: Exception, operation: str) -> AwsError:
    """Failures on the way, most specific first: botocore's classes overlap."""
    code = type(error).__name__
    said = " ".join(str(error).split()).rstrip(".")
    kind: type[AwsError] = Invalid
    if isinstance(error, _NO_CREDENTIALS):
        kind = NoCredentials
        advice = "give the machine an instance profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
    elif isinstance(error, _NO_REGION):
        advice = "set region in the settings to the region of the cluster, such as ap-northeast-2"
    elif isinstance(error, botocore.ConnectTimeoutError | botocore.ProxyConnectionError):
        kind, advice = Retryable, "check routes, security groups, proxy and NAT of this machine if it lasts"
    elif isinstance(error, botocore.EndpointConnectionError):
        kind = Retryable
        advice = "check that the region in the settings exists, and DNS, routes and NAT of this machine"
    elif isinstance(error, botocore.SSLError):
        kind, advice = Retryable, "check the clock, the CA bundle and whatever intercepts TLS here"
    elif isinstance(error, botocore.ReadTimeoutError | botocore.ConnectionClosedError):
        kind, advice = Retryable, "AWS may have carried it out all the same; it is looked up before it is asked again"
    elif isinstance(error, botocore.HTTPClientError | ResponseParserError):
        kind, advice = Retryable, "check routes, proxy and firewall if it lasts"
    elif isinstance(error, botocore.EventStreamError | botocore.ChecksumError):
        kind, advice = Retryable, "the answer arrived damaged"
    else:
        advice = "the request could not be made from what was configured"
    return kind(f"{operation}: {said} ({code}); {advice}", code=code, operation=operation)
