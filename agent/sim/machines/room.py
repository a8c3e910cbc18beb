"""All machines of a sandbox: each instance that EC2 runs boots, and ends when EC2 says that it is gone.

There is no other way from a NodeClaim to a Node than through here, and what is done here is known from EC2 alone.
"""

import threading
import time
from types import TracebackType
from typing import Final, Self

from agent.sim.embedded import Listed
from agent.sim.machines.boot import Boot, BootFailed, Pauses
from agent.sim.machines.kubelet import Kubelet
from agent.sim.machines.world import World

JOIN_SECONDS: Final = 10.0


class Machine:
    """One instance that was switched on."""

    def __init__(self, instance: Listed, world: World) -> None:
        self.instance = instance
        self.boot = Boot(instance, world)
        self.failure = ""
        """Why it powered itself off; empty when it did not."""
        self._world = world
        self._pauses = self._life()
        self._due = 0.0

    @property
    def joined(self) -> bool:
        """Whether it has become a node."""
        return self.boot.joined is not None

    def step(self, now: float) -> None:
        """Do what is due at ``now``, a monotonic time in seconds."""
        if now >= self._due:
            self._due = now + next(self._pauses, float("inf"))

    def off(self) -> None:
        """Cut the power: nothing more is said or done by it."""
        self._pauses.close()
        if self.boot.joined is not None:
            self.boot.joined.api.close()

    def _life(self) -> Pauses:
        try:
            yield from self.boot.run()
        except BootFailed as failed:
            self.failure = str(failed)
            self.boot.say(f"phase=failed at={self.boot.phase} status=1 reason={failed}")
            yield from self._power_off()
        if self.boot.joined is not None:
            yield from Kubelet(self.instance, self.boot.joined, self._world).run()

    def _power_off(self) -> Pauses:
        """Instances of ours are launched so that a shutdown from within terminates them."""
        while True:
            try:
                self._world.ec2.by_hand("terminate", self.instance.id, reason="Client.InstanceInitiatedShutdown")
            except OSError:
                yield self._world.pace.retry
            else:
                return


class MachineRoom:
    """Looks at EC2 now and then and steps its machines, in a thread of its own while it is entered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machines", daemon=True)
        self._looked_at = 0.0
        self.machines: dict[str, Machine] = {}
        self.failed: BaseException | None = None
        """The error that ended the thread; whoever entered the room should end for it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(JOIN_SECONDS)
        for machine in self.machines.values():
            machine.off()

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self._world.pace.tick):
                self.turn()
        except BaseException as error:
            self.failed = error
            raise

    def turn(self) -> None:
        """One look and one step of everything that is due."""
        try:
            if time.monotonic() - self._looked_at >= self._world.pace.look:
                self._look()
                self._looked_at = time.monotonic()
            for machine in list(self.machines.values()):
                machine.step(time.monotonic())
        except OSError:
            # EC2 does not answer; machines cannot tell and go on when it does.
            return

    def _look(self) -> None:
        listed = {i.id: i for i in self._world.ec2.listed()}
        for instance in listed.values():
            if instance.state == "running" and instance.id not in self.machines and instance.user_data:
                self.machines[instance.id] = Machine(instance, self._world)
        for instance_id in [i for i in self.machines if i not in listed or listed[i].state != "running"]:
            self.machines.pop(instance_id).off()
