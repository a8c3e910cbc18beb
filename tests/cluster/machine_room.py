"""Where the embedded EC2's instances really run: boots each from the userData that EC2 holds, ends it when EC2 does.

There is no other way from a NodeClaim to a Node: what an instance knows is its userData, its metadata, and what
Parameter Store tells it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.aws.shipped import shipped_catalog
from agent.sim.embedded import EmbeddedEc2
from agent.sim.machines.hardware import capacity_of
from tests.cluster.instance import Instance, InstanceFacts
from tests.cluster.processes import ClusterError


class MachineRoom:
    """Looks at EC2 a few times a second."""

    def __init__(self, ec2: EmbeddedEc2, folder: Path, **options: Any) -> None:
        self._ec2 = ec2
        self._folder = folder
        self._options = options
        self._types = {str(t.name): t for t in shipped_catalog().types}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine-room", daemon=True)
        self.booted: dict[str, Instance] = {}
        self.facts: dict[str, InstanceFacts] = {}
        self.consoles: dict[str, str] = {}
        """What the consoles of ended instances said."""
        self.holding = False
        """True: new instances are not booted."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(20)
        for instance in self.booted.values():
            instance.terminate()

    def _run(self) -> None:
        while not self._stopped.wait(0.2):
            with suppress(OSError, ClusterError):
                self._once()

    def _once(self) -> None:
        for found in self._ec2.instances():
            instance = self.booted.get(found["id"])
            alive = found["state"] in {"pending", "running"}
            if instance is None and alive and not self.holding and found["userData"]:
                self._boot(found)
            elif instance is not None and instance.state in {"running", "stopped"} and not alive:
                self.consoles[found["id"]] = instance.console
                instance.terminate()
            elif instance is not None and instance.powered_off and alive:
                # The launch template says that a machine which powers itself off is terminated.
                self.consoles[found["id"]] = instance.console
                self._ec2.by_hand("terminate", found["id"])

    def _boot(self, found: dict[str, Any]) -> None:
        kind = self._types[found["type"]]
        facts = InstanceFacts(
            found["id"],
            found["type"],
            vcpus=kind.vcpus,
            memory_bytes=capacity_of(found["type"]).memory_bytes,
            zone=found["zone"],
            private_ip=found["privateIp"],
            architecture=kind.architectures[0].replace("amd64", "x86_64"),
        )
        self.facts[facts.instance_id] = facts
        user_data = str(found["userData"]).encode()
        instance = Instance(
            facts, user_data, self._folder / facts.instance_id, ssm_endpoint=self._ec2.endpoint, **self._options
        )
        self.booted[facts.instance_id] = instance
        instance.boot()
