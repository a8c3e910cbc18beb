# ruff: noqa: N818 - the names say what happened; that they are errors is said by where they are caught
"""The error tree of the Kubernetes edge: the type is the policy, the text is one sentence for a person.

Nothing that urllib3, ssl or the kubernetes package raises leaves this package; see ``agent.kube.api``.
"""

from collections.abc import Mapping

import msgspec


class KubeError(Exception):
    """Any failure of a call to the API server. ``status`` is the HTTP status, 0 when there was no answer."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        """The machine-readable reason of the Status object (``NotFound``, ``Conflict``, …), or empty."""


class Retryable(KubeError):
    """The same call may succeed later: no connection, a timeout, or an answer of the 5xx family."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after_seconds: float | None = None,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(message, status=status, reason=reason)
        self.retry_after_seconds = retry_after_seconds
        """The server's own wish, when it has one."""
        self.maybe_done = maybe_done
        """The request may have been carried out although its answer is lost or an error: look before repeating."""


class Throttled(Retryable):
    """429 that is not about a disruption budget."""


class BudgetExhausted(Retryable):
    """429 of an eviction that a PodDisruptionBudget does not allow now."""


class Conflict(KubeError):
    """409: the resourceVersion or a precondition no longer holds."""


class AlreadyExists(KubeError):
    """409: an object of this name is there already."""


class NotFound(KubeError):
    """404."""


class Expired(KubeError):
    """410: the resourceVersion or continue token is older than the server's history; list again."""


class Denied(KubeError):
    """401 or 403: repeating does not help until somebody changes rights or credentials."""


class Invalid(KubeError):
    """The server refuses the request as it is written: 400, 422 and other answers that blame the client."""


class _Cause(msgspec.Struct):
    reason: str | None = None
    message: str | None = None


class _Details(msgspec.Struct, rename="camel"):
    causes: list[_Cause] | None = None
    retry_after_seconds: int | None = None


class Status(msgspec.Struct):
    """The fields of a ``v1.Status`` that decide what an error is."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: _Details | None = None

    def cause(self, reason: str) -> str | None:
        """Message of the first cause with this reason; None when there is none."""
        causes = (self.details and self.details.causes) or ()
        return next((c.message or "" for c in causes if c.reason == reason), None)


_status_decoder = msgspec.json.Decoder(Status)

_CLIENT_ERRORS: dict[int, type[KubeError]] = {401: Denied, 403: Denied, 404: NotFound, 410: Expired}


def parse_status(body: bytes) -> Status:
    """Read an error body; an empty Status when it is not one (a proxy's HTML page, plain text)."""
    try:
        return _status_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Status()


def from_answer(status: int, body: bytes, headers: Mapping[str, str], request: str) -> KubeError:
    """Turn an answer that is not a success into the error it means.

    Args:
        status: The HTTP status.
        body: The answer's body; a Status object wherever the API server itself speaks.
        headers: For ``Retry-After``.
        request: What was asked and of whom, for answers without a message of their own.

    """
    answer = parse_status(body)
    if status == 404 and answer.message is None:  # noqa: PLR2004 - HTTP's numbers are their own names
        # Of an object that is missing the API server sends a Status; of a whole resource only a line of text.
        return NotFound(f"{request} finds no such resource: is its CRD installed?", status=status)
    message = answer.message or f"{request} was answered with HTTP status {status}{_plain(body)}"
    return from_status(status, answer, message, _seconds(headers.get("Retry-After")))


def from_status(code: int, answer: Status, message: str, retry_after: float | None = None) -> KubeError:
    """The error for a Status object, wherever it came from: an answer or an ERROR event of a watch."""
    reason = answer.reason or ""
    if retry_after is None and answer.details is not None and answer.details.retry_after_seconds:
        retry_after = float(answer.details.retry_after_seconds)
    if code == 429:  # noqa: PLR2004 - HTTP's numbers are their own names
        cause = answer.cause("DisruptionBudget")
        if cause is None:
            return Throttled(message, status=code, reason=reason, retry_after_seconds=retry_after)
        return BudgetExhausted(
            f"{message} {cause}".strip(), status=code, reason=reason, retry_after_seconds=retry_after
        )
    if code >= 500 or code == 408:  # noqa: PLR2004
        # A server error or timeout may come after the write reached etcd.
        return Retryable(message, status=code, reason=reason, retry_after_seconds=retry_after, maybe_done=True)
    if code == 409:  # noqa: PLR2004
        kind = AlreadyExists if reason == "AlreadyExists" else Conflict
        return kind(message, status=code, reason=reason)
    if code < 400:  # noqa: PLR2004
        return KubeError(message, status=code, reason=reason)
    return _CLIENT_ERRORS.get(code, Invalid)(message, status=code, reason=reason)


def _seconds(header: str | None) -> float | None:
    """Retry-After as seconds; the API server never sends the date form (RFC 9110 allows both)."""
    return float(header) if header and header.isascii() and header.isdigit() else None


def _plain(body: bytes) -> str:
    text = " ".join(body[:200].decode(errors="replace").split())
    return f": {text}" if text and not text.startswith(("<", "{")) else ""
