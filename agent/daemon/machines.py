"""What EC2 says of the cluster's instances, looked at often while something moves and seldom when nothing does.

A look is a whole DescribeInstances by tag. What this process launched or terminated is laid over it until EC2
shows it too, since EC2's answers lag behind its own writes.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from agent.aws.ec2 import Ec2
from agent.aws.errors import AwsError
from agent.model.ec2 import Machine
from agent.model.names import InstanceId

log = structlog.get_logger(__name__)

OVERLAY_FOR = timedelta(minutes=2)
"""How long an own write is believed without EC2 confirming it."""


class Look(msgspec.Struct, frozen=True):
    """One look at EC2: when it began, and what it showed. ``machines`` None: EC2 could not be read."""

    at: datetime | None
    machines: tuple[Machine, ...] | None


class Machines:
    """A thread that looks at EC2 and keeps the newest look."""

    def __init__(self, ec2: Ec2, clock: Callable[[], datetime], wake: Callable[[], None]) -> None:
        self._ec2 = ec2
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._look = Look(None, None)
        self._launched: dict[InstanceId, tuple[datetime, Machine]] = {}
        self._terminated: dict[InstanceId, datetime] = {}
        self._due = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machines", daemon=True)
        self.interval_seconds = 5.0
        self.failed: BaseException | None = None
        self.fault = ""
        """Why EC2 cannot be read at present, one sentence; empty when it can."""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a look under way is not waited for."""
        self._stopped.set()
        self._due.set()

    def view(self) -> Look:
        """The newest look with own writes laid over."""
        with self._lock:
            look = self._look
            if look.machines is None:
                return look
            shown = {m.id: m for m in look.machines}
            for machine_id, (_, machine) in self._launched.items():
                shown.setdefault(machine_id, machine)
            for machine_id in self._terminated:
                if machine_id in shown and shown[machine_id].alive:
                    shown[machine_id] = msgspec.structs.replace(shown[machine_id], state="shutting-down")
            return Look(look.at, tuple(sorted(shown.values(), key=lambda m: m.id)))

    def add(self, machine: Machine) -> None:
        """An instance that this process just launched."""
        with self._lock:
            self._launched[machine.id] = (self._clock(), machine)
        self._due.set()
        self._wake()

    def terminated(self, machine_id: InstanceId) -> None:
        """An instance that this process just terminated."""
        with self._lock:
            self._terminated[machine_id] = self._clock()
        self._due.set()
        self._wake()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self.look()
                self._due.wait(self.interval_seconds)
                self._due.clear()
        except BaseException as error:
            self.failed = error
            self._wake()
            raise

    def look(self) -> None:
        """Look at EC2 once."""
        began = self._clock()
        try:
            machines = self._ec2.machines()
        except AwsError as error:
            if str(error) != self.fault:
                log.warning("ec2.unreadable", error=str(error))
            self.fault = str(error)
            with self._lock:
                changed = self._look.machines is not None
                self._look = Look(began, None)
        else:
            self.fault = ""
            with self._lock:
                changed = self._accept(began, machines)
        if changed:
            self._wake()

    def _accept(self, began: datetime, machines: tuple[Machine, ...]) -> bool:
        before = self._look.machines
        self._look = Look(began, machines)
        shown = {m.id: m for m in machines}
        self._launched = {
            i: (at, m) for i, (at, m) in self._launched.items() if i not in shown and began - at < OVERLAY_FOR
        }
        self._terminated = {
            i: at
            for i, at in self._terminated.items()
            if began - at < OVERLAY_FOR and (i not in shown or shown[i].alive)
        }
        return before != machines
