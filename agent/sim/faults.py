"""Faults by request: refuse a call before it is carried out, lose its answer after, delay it, or throttle it."""

import threading
import time
from collections import deque
from typing import Literal

import msgspec

from agent.sim.query import Answer, Call, json_error, query_error


class Rule(msgspec.Struct, omit_defaults=True):
    """When a call meets it, something goes wrong.

    ``moment``: ``before`` answers with the error and carries nothing out; ``cut`` carries nothing out and drops the
    connection; ``after`` carries the call out and then drops the connection, so that its answer is lost; ``delay``
    only waits.
    """

    action: str
    match: dict[str, str] = {}
    """Parameters of the call that must have these values; ``*`` at the end of a value stands for any rest."""
    code: str = "InternalError"
    message: str = "injected"
    status: int = 400
    times: int = 1
    """How often; -1: always."""
    delay_seconds: float = 0.0
    moment: Literal["before", "cut", "after", "delay"] = "before"


class Throttle(msgspec.Struct):
    """A token bucket for one action, as EC2 has for each."""

    action: str
    burst: float
    per_second: float
    tokens: float = 0.0
    at: float = 0.0


EC2_RATES = {
    "RunInstances": (5.0, 2.0),
    "TerminateInstances": (100.0, 5.0),
    "CreateTags": (100.0, 10.0),
    "Describe": (100.0, 20.0),
    "Create": (50.0, 5.0),
    "Delete": (50.0, 5.0),
}
"""EC2's own rates as (burst, per second), by action or the beginning of its name; the exact one counts."""
LOGGED = 20_000


class Faults:
    """The rules in force, and a log of every call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rules: list[Rule] = []
        self.throttles: dict[str, Throttle] = {}
        self.calls: deque[dict[str, object]] = deque(maxlen=LOGGED)
        self._like_ec2 = False

    def log(self, call: Call) -> None:
        """Remember a call, with its time and parameters but no secret."""
        hidden = {k: v for k, v in call.json.items() if k != "Value"}
        with self._lock:
            self.calls.append(
                {"at": time.time(), "service": call.service, "action": call.action, "form": call.form, "json": hidden}
            )

    def throttled(self, call: Call) -> Answer | None:
        """RequestLimitExceeded when the action's bucket is empty."""
        with self._lock:
            bucket = self.throttles.get(call.action) or (self._ec2_bucket(call) if self._like_ec2 else None)
            if bucket is None:
                return None
            now = time.monotonic()
            bucket.tokens = min(bucket.burst, bucket.tokens + (now - bucket.at) * bucket.per_second)
            bucket.at = now
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return None
        return refusal(call, "RequestLimitExceeded", "Request limit exceeded.", 503)

    def clear(self) -> None:
        """No faults any more."""
        with self._lock:
            self.rules.clear()
            self.throttles.clear()
            self._like_ec2 = False

    def throttle_like_ec2(self) -> None:
        """Begin to throttle every EC2 action at EC2's own rates."""
        self._like_ec2 = True

    def _ec2_bucket(self, call: Call) -> Throttle | None:
        names = [n for n in EC2_RATES if call.service == "ec2" and call.action.startswith(n)]
        if not names:
            return None
        burst, per_second = EC2_RATES[max(names, key=len)]
        made = Throttle(call.action, burst, per_second, burst, time.monotonic())
        return self.throttles.setdefault(call.action, made)

    def throttle(self, rule: Throttle) -> None:
        """Begin to throttle an action, with a full bucket."""
        rule.tokens, rule.at = rule.burst, time.monotonic()
        with self._lock:
            self.throttles[rule.action] = rule

    def take(self, call: Call) -> Rule | None:
        """The first rule that the call meets, used up by one."""
        with self._lock:
            for rule in self.rules:
                if rule.times != 0 and rule.action in {call.action, "*"} and _matches(rule, call):
                    if rule.times > 0:
                        rule.times -= 1
                    return rule
        return None


def _matches(rule: Rule, call: Call) -> bool:
    values = call.form or {k: str(v) for k, v in call.json.items()}
    return all(_like(values.get(key, ""), wanted) for key, wanted in rule.match.items())


def _like(value: str, wanted: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def refusal(call: Call, code: str, message: str, status: int) -> Answer:
    """The error in the protocol of the call."""
    return query_error(code, message, status) if call.form else json_error(code, message, status)
