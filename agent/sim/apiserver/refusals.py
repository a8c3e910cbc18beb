"""What the API refuses, as the Status objects that Kubernetes answers with (reference: meta/v1 Status)."""

from typing import Any

import msgspec

from agent.sim.apiserver.resources import Resource


class Refusal(Exception):  # noqa: N818 - the API's answer, which is no fault of the server
    """An answer that is not a success. ``details`` and ``retry_after_seconds`` are as in ``Status.details``."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        if retry_after_seconds:
            details = (details or {}) | {"retryAfterSeconds": retry_after_seconds}
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": details} if details else {}),
            "code": code,
        }

    @property
    def body(self) -> bytes:
        """The Status as JSON."""
        return msgspec.json.encode(self.status)


def _details(resource: Resource, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}


def not_found(resource: Resource, name: str) -> Refusal:
    """404 for one object."""
    return Refusal(404, "NotFound", f'{resource.label} "{name}" not found', details=_details(resource, name))


def no_such_path() -> Refusal:
    """404 for a path that no resource has."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: Resource, name: str) -> Refusal:
    """409 at creation."""
    return Refusal(409, "AlreadyExists", f'{resource.label} "{name}" already exists', details=_details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> Refusal:
    """409: the resourceVersion or a precondition does not hold."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    text = f'Operation cannot be fulfilled on {resource.label} "{name}": {why}'
    return Refusal(409, "Conflict", text, details=_details(resource, name))


def invalid(resource: Resource, name: str, faults: list[tuple[str, str]]) -> Refusal:
    """422: every fault as (path, sentence)."""
    label = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    listed = [f"{path}: {text}" for path, text in faults]
    told = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    causes = [{"reason": "FieldValueInvalid", "message": text, "field": path} for path, text in faults]
    details = _details(resource, name) | {"kind": resource.kind, "causes": causes}
    return Refusal(422, "Invalid", f'{label} "{name}" is invalid: {told}', details=details)


def bad_request(message: str) -> Refusal:
    """400."""
    return Refusal(400, "BadRequest", message)


def unprocessable(why: str) -> Refusal:
    """422 for a patch that cannot be applied."""
    cause = {"reason": "UnexpectedServerResponse", "message": why}
    text = "the server rejected our request due to an error in our request"
    return Refusal(422, "Invalid", text, details={"causes": [cause]})


def unsupported(message: str) -> Refusal:
    """415."""
    return Refusal(415, "UnsupportedMediaType", message)


def not_allowed() -> Refusal:
    """405."""
    return Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def expired(message: str) -> Refusal:
    """410: history is gone."""
    return Refusal(410, "Expired", message)


def unauthorized() -> Refusal:
    """401."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def internal(message: str) -> Refusal:
    """500."""
    cause = {"message": message}
    return Refusal(500, "InternalError", f"Internal error occurred: {message}", details={"causes": [cause]})
