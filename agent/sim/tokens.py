"""Client tokens as EC2 keeps them: one request, one outcome, for a day (EC2 API reference, "Ensuring idempotency")."""

import hashlib
import time
from collections.abc import Callable

import msgspec

from agent.sim.query import Answer, Call, query_error

KEPT_SECONDS = 24 * 3600.0
OK = 200


class _Used(msgspec.Struct):
    digest: str
    answer: Answer
    instances: tuple[str, ...]
    at: float


class Tokens:
    """Which tokens were used, for what, with which answer. A refused request does not use its token up."""

    def __init__(self, ended: Callable[[str], bool]) -> None:
        self._ended = ended
        self._used: dict[tuple[str, str], _Used] = {}

    def once(self, call: Call, carry_out: Callable[[], tuple[Answer, tuple[str, ...]]]) -> Answer:
        """Carry a request out, or answer as its first time was answered.

        ``carry_out`` gives the answer and the instances that came of it.
        """
        token = call.form.get("ClientToken", "")
        if not token:
            return carry_out()[0]
        now, key = time.monotonic(), (call.action, token)
        digest = _digest(call)
        used = self._used.get(key)
        if used is not None and now - used.at < KEPT_SECONDS:
            return self._again(used, digest, token)
        answer, instances = carry_out()
        if answer.status == OK:
            self._used[key] = _Used(digest, answer, instances, now)
        return answer

    def clear(self) -> None:
        """Forget all."""
        self._used.clear()

    def _again(self, used: _Used, digest: str, token: str) -> Answer:
        if used.digest != digest:
            message = f"Arguments on this idempotent request are inconsistent with arguments used before: {token}"
            return query_error("IdempotentParameterMismatch", message)
        if used.instances and all(self._ended(i) for i in used.instances):
            message = f"The instance of client token {token} is terminated"
            return query_error("IdempotentInstanceTerminated", message)
        return used.answer


def _digest(call: Call) -> str:
    wanted = sorted((k, v) for k, v in call.form.items() if k not in {"ClientToken", "DryRun"})
    return hashlib.sha256(repr(wanted).encode()).hexdigest()
