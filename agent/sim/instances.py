"""Instances over time. Moto shows every change at once; here they are hidden, pending and shutting down for a while."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from agent.sim import models
from agent.sim.query import Answer, Call, document, element, local_name

PENDING, RUNNING, SHUTTING_DOWN, TERMINATED = ("pending", 0), ("running", 16), ("shutting-down", 32), ("terminated", 48)
OK = 200


class Delays(msgspec.Struct):
    """Seconds."""

    hidden: float = 0.0
    """For so long a new instance is in no answer."""
    pending: float = 0.2
    shutting_down: float = 0.2
    forgotten: float = 3600.0
    """After so long a terminated instance is in no answer any more."""


class Instances:
    """Moves moto's instances through their states. Every method is called with the layer's lock held."""

    def __init__(self, region: str) -> None:
        self._region = region
        self.delays = Delays()
        self._born: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._impaired: set[str] = set()
        self._consoles: dict[str, str] = {}

    def tick(self) -> None:
        """Give every instance the state that its age has come to."""
        now = time.monotonic()
        for instance in models.instances_of(self._region):
            born = self._born.setdefault(instance.id, now)
            state = instance._state.name  # noqa: SLF001 - moto has no other way to set it
            if state in {"running", "pending"}:
                _set(instance, PENDING if now - born < self.delays.pending else RUNNING)
            elif state in {"shutting-down", "terminated"}:
                self._wind_down(instance, now)

    def ended(self, instance_id: str) -> bool:
        """Whether it is terminated, or going, or forgotten."""
        self.tick()
        states = {i.id: i._state.name for i in models.instances_of(self._region)}  # noqa: SLF001 - as above
        return states.get(instance_id, "terminated") in {"shutting-down", "terminated"}

    @contextmanager
    def visible(self) -> Iterator[None]:
        """Inside, EC2 does not know instances that are too young or too long gone."""
        self.tick()
        now, backend = time.monotonic(), models.ec2_of(self._region)
        held = {key: list(r.instances) for key, r in backend.reservations.items()}
        everything = dict(backend.reservations)
        for key, reservation in everything.items():
            reservation.instances = [i for i in held[key] if self._shown(i.id, now)]
            if not reservation.instances:
                del backend.reservations[key]
        try:
            yield
        finally:
            for key, reservation in everything.items():
                reservation.instances = held[key]
            backend.reservations.clear()
            backend.reservations.update(everything)

    def by_hand(self, wanted: dict[str, str]) -> None:
        """Do to an instance what a person in the console, the hypervisor or the spot market would do to it."""
        backend, instance_id, do = models.ec2_of(self._region), wanted["id"], wanted["do"]
        if instance_id not in {i.id for i in models.instances_of(self._region)}:
            raise LookupError(f"there is no instance {instance_id!r}")
        if do == "impair":
            self._impaired.add(instance_id)
        elif do == "console":
            self._consoles[instance_id] = wanted.get("text", "")
        elif do == "stop":
            backend.stop_instances([instance_id])
        else:
            backend.terminate_instances([instance_id])
            default = "Server.SpotInstanceTermination" if do == "interrupt" else "Client.UserInitiatedShutdown"
            code = wanted.get("reason", default)
            reason = backend.get_instance(instance_id).state_reason
            reason.code, reason.message = code, f"{code}: by hand"

    def console(self, call: Call) -> Answer | None:
        """GetConsoleOutput of an instance whose console was written; None: moto's own."""
        text = self._consoles.get(call.form.get("InstanceId", ""))
        if text is None:
            return None
        return document(
            "GetConsoleOutput",
            element("instanceId", text=call.form["InstanceId"]),
            element("timestamp", text="2026-01-01T00:00:00.000Z"),
            element("output", text=base64.b64encode(text.encode()).decode()),
        )

    def status(self, answer: Answer) -> Answer:
        """DescribeInstanceStatus with the impaired ones shown as such."""
        if answer.status != OK or not self._impaired:
            return answer
        root = ET.fromstring(answer.body)  # noqa: S314 - moto's own XML
        for item in (e for e in root.iter() if local_name(e) == "item"):
            ids = [c.text for c in item if local_name(c) == "instanceId"]
            if ids and ids[0] in self._impaired:
                for checks in (c for c in item if local_name(c) == "instanceStatus"):
                    for found in (e for e in checks.iter() if local_name(e) == "status"):
                        found.text = "impaired" if found.text == "ok" else "failed"
        return Answer(OK, ET.tostring(root, encoding="utf-8"), answer.content_type)

    def clear(self) -> None:
        """Forget all."""
        self.delays = Delays()
        self._born.clear()
        self._ended.clear()
        self._impaired.clear()
        self._consoles.clear()

    def _shown(self, instance_id: str, now: float) -> bool:
        old = now - self._ended.get(instance_id, now) < self.delays.forgotten
        return old and now - self._born.get(instance_id, now) >= self.delays.hidden

    def _wind_down(self, instance: Any, now: float) -> None:  # noqa: ANN401 - moto's own
        since = self._ended.setdefault(instance.id, now)
        if now - since < self.delays.shutting_down:
            _set(instance, SHUTTING_DOWN)
            return
        _set(instance, TERMINATED)
        subnet = instance.ec2_backend.get_subnet(instance.subnet_id)
        for address in list(instance._private_ips):  # noqa: SLF001 - moto never gives them back
            subnet.del_subnet_ip(address)
        instance._private_ips.clear()  # noqa: SLF001 - as above
        for card in instance.nics.values():
            instance.ec2_backend.enis.pop(card.id, None)


def _set(instance: Any, state: tuple[str, int]) -> None:  # noqa: ANN401 - moto's own
    instance._state.name, instance._state.code = state  # noqa: SLF001 - moto has no other way to set it
