"""Instances as EC2 shows them over time: hidden at first, pending, running, shutting down, terminated."""

import threading
import time
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import msgspec

from agent.sim.query import NAMESPACE, Answer, Call, Wsgi, forward

_NS = f"{{{NAMESPACE}}}"
_YOUNG = 2.0
_CODES = {"pending": "0", "running": "16", "shutting-down": "32", "terminated": "48"}


class Delays(msgspec.Struct):
    """Seconds."""

    hidden: float = 0.0
    """For so long a new instance is not in any answer."""
    pending: float = 0.2
    shutting_down: float = 0.2


class Instances:
    """Rewrites moto's DescribeInstances, which shows every change at once."""

    def __init__(self, app: Wsgi, delays: Delays) -> None:
        self._app = app
        self.delays = delays
        self._lock = threading.Lock()
        self._launched: dict[str, float] = {}
        self._terminated: dict[str, float] = {}

    def describe(self, call: Call) -> Answer:
        """DescribeInstances, page by page, each instance as it would show at this moment."""
        wanted = _state_filter(call)
        form = {k: v for k, v in call.form.items() if not k.startswith("MaxResults")} if wanted else call.form
        answer = forward(self._app, call, {k: v for k, v in form.items() if not _is_state_filter(k, call)})
        if answer.status != 200:  # noqa: PLR2004 - HTTP OK
            return answer
        ET.register_namespace("", NAMESPACE)
        root = ET.fromstring(answer.body)  # noqa: S314 - moto's own XML
        for reservations in root.iter(f"{_NS}reservationSet"):
            for item in list(reservations):
                self._rewrite(item, wanted)
                if item.find(f"{_NS}instancesSet/{_NS}item") is None:
                    reservations.remove(item)
        return Answer(200, ET.tostring(root, encoding="utf-8"), answer.content_type)

    def terminate(self, call: Call) -> Answer:
        """TerminateInstances; remembers when, so that shutting down takes its time."""
        answer = forward(self._app, call)
        if answer.status == 200:  # noqa: PLR2004 - HTTP OK
            now = time.monotonic()
            with self._lock:
                for key, value in call.form.items():
                    if key.startswith("InstanceId."):
                        self._terminated.setdefault(value, now)
        return answer

    def mark_terminated(self, instance: str, at: float) -> None:
        """An instance that was terminated otherwise than by a call."""
        with self._lock:
            self._terminated.setdefault(instance, at)

    def running(self) -> set[str]:
        """Ids of instances that are neither terminated nor going."""
        return {i for i, state in self.raw_states().items() if state in {"pending", "running"}}

    def raw_states(self) -> dict[str, str]:
        """Moto's own view."""
        from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - only in a process that serves
        from moto.ec2.models import ec2_backends  # noqa: PLC0415 - likewise

        found: dict[str, str] = {}
        for backend in ec2_backends[DEFAULT_ACCOUNT_ID].values():
            for reservation in backend.reservations.values():
                found |= {i.id: i.state for i in reservation.instances}
        return found

    def _rewrite(self, reservation: ET.Element, wanted: set[str]) -> None:
        listed = reservation.find(f"{_NS}instancesSet")
        if listed is None:
            return
        for item in list(listed):
            state = self._state(item)
            if state is None or (wanted and state not in wanted):
                listed.remove(item)
                continue
            name, code = item.find(f"{_NS}instanceState/{_NS}name"), item.find(f"{_NS}instanceState/{_NS}code")
            if name is not None and code is not None and state in _CODES:
                name.text, code.text = state, _CODES[state]

    def _state(self, item: ET.Element) -> str | None:
        """The state to show; None: not yet visible."""
        instance = item.findtext(f"{_NS}instanceId") or ""
        shown = item.findtext(f"{_NS}instanceState/{_NS}name") or ""
        now = time.monotonic()
        with self._lock:
            age = _age(item)
            # Launch times have whole seconds: a young instance counts from the moment it was first asked for.
            launched = self._launched.setdefault(instance, now - (age if age > _YOUNG else 0.0))
            if shown in {"terminated", "shutting-down"}:
                since = self._terminated.setdefault(instance, now)
                return "shutting-down" if now - since < self.delays.shutting_down else "terminated"
        age = now - launched
        if age < self.delays.hidden:
            return None
        return "pending" if shown in {"running", "pending"} and age < self.delays.pending else shown


def _age(item: ET.Element) -> float:
    """Seconds since the instance was launched, by its own launch time."""
    text = item.findtext(f"{_NS}launchTime") or ""
    try:
        launched = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return max(0.0, (datetime.now(UTC) - launched).total_seconds())


def _state_filter(call: Call) -> set[str]:
    for key, value in call.form.items():
        if value == "instance-state-name" and key.endswith(".Name"):
            prefix = key.removesuffix(".Name")
            return {v for k, v in call.form.items() if k.startswith(f"{prefix}.Value")}
    return set()


def _is_state_filter(key: str, call: Call) -> bool:
    """The filter on the state is applied here, since the state is changed here."""
    for name, value in call.form.items():
        if value == "instance-state-name" and name.endswith(".Name"):
            return key.startswith(name.removesuffix("Name"))
    return False
