"""A sandbox with a witness, and a daemon that is started again when it was killed, as systemd would."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import yaml

from agent.cli.install import installation
from agent.kube import paths
from agent.kube.install import install as install_objects
from agent.kube.kinds import items
from agent.model.names import NAMESPACE
from agent.sim.daemon import DaemonProcess
from agent.sim.embedded import EmbeddedEc2
from agent.sim.machines.world import Pace
from agent.sim.sandbox import EC2_DELAYS, Sandbox, is_ours
from agent.sim.team import ZONES, FixedMachine
from tests.crash import doomed
from tests.crash.witness import Blow, Witness, operator_kubeconfig
from tests.virtual import history as h
from tests.virtual.invariants import Bounds, violations
from tests.virtual.record import accounts

ROOT = Path(__file__).resolve().parents[2]
FIXED = (
    FixedMachine("control-plane", "t3.xlarge", ZONES[0], "control-plane"),
    FixedMachine("postgresql", "t3.medium", ZONES[1]),
)
QUICK = Pace(phase=0.02, retry=0.2, pod_start=0.1, pod_stop=0.1, look=0.1, tick=0.05)
SETTINGS = {"leaseDurationSeconds": 5, "batchIdleSeconds": 0.2, "batchMaxSeconds": 2, "registrationTimeoutSeconds": 120}
SILENT_SECONDS, SEEN_SECONDS = 2.0, 1.0
KILLED = -signal.SIGKILL


class Still(AssertionError):  # noqa: N818 - a state
    """What was waited for did not come."""


class SharedEc2(EmbeddedEc2):
    """One process for many sandboxes, emptied for each: to import moto takes longer than a case."""

    def start(self) -> None:
        if self.running:
            self.admin("/_reset", {})
        else:
            super().start()

    def ready(self) -> None:
        if not self.endpoint:
            super().ready()

    def __exit__(self, *_: object) -> None:
        """It goes on."""

    def close(self) -> None:
        super().__exit__(None, None, None)


class Stage(Sandbox):
    """``with Stage(folder, ec2) as stage:`` has everything but a daemon."""

    def __init__(self, folder: Path, ec2: SharedEc2) -> None:
        super().__init__(folder, fixed=FIXED, pace=QUICK)
        self.ec2 = ec2
        self.witness: Witness
        self.operator: Path
        self.deaths = 0
        self._number = 0
        self.daemons: list[DaemonProcess] = []

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._watch()
        except BaseException:
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in self.daemons:
            daemon.stop(signal.SIGKILL)
        self.witness.ec2.stop()
        super().__exit__(kind, error, trace)

    def _watch(self) -> None:
        self.witness = Witness(self.server.api, self.ec2)
        self.operator = operator_kubeconfig(self.server, self.folder)
        self.settings.write_text(yaml.safe_dump(yaml.safe_load(self.settings.read_text()) | SETTINGS))
        self.ec2.delays(**EC2_DELAYS | {"pending": 0.2, "shutting_down": 0.2})
        self.wait("the fixed machines", lambda: self.fixed_ready() == len(FIXED))
        self.witness.cloud.look()

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"AWS_ENDPOINT_URL": self.witness.ec2.url, "PYTHONPATH": str(ROOT)}

    def joinery(self, *arguments: str) -> str:
        """The installation of a stage is no case, so it needs no process."""
        if arguments == ("install",):
            return "\n".join(install_objects(self.api, installation(NAMESPACE)))
        return super().joinery(*arguments)

    # The daemon.

    def begin(self, *doom: str, kubeconfig: Path | None = None) -> DaemonProcess:
        """Start a daemon, which dies where it is told to."""
        self._number += 1
        arguments = [str(self.settings), str(kubeconfig or self.daemon_kubeconfig), *doom]
        command = (sys.executable, doomed.__file__)
        process = DaemonProcess(arguments, self.environment, self.folder / f"joinery-{self._number}.log", command)
        self.daemons.append(process)
        self.witness.victim = process.process.pid
        return process

    def tend(self) -> None:
        """Start the last daemon again when it was killed. Raises ``Still`` when it ended by itself."""
        if not self.daemons:
            return
        status = self.daemons[-1].process.poll()
        if status == KILLED:
            self.deaths += 1
            self.begin()
        elif status is not None:
            raise Still(f"joinery ended with status {status}:\n{self.daemons[-1].log[-2000:]}")

    def command(self, *arguments: str) -> int:
        """An administrator's command as a process that may be killed; its status."""
        return run_command(self.witness, arguments, self.environment, self.folder / "command.log")

    # What is waited for.

    def wait(self, what: str, condition: Callable[[], object], seconds: float = 60.0) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            self.tend()
            if time.monotonic() > ends:
                last = "\n".join(d.log[-1500:] for d in self.daemons[-1:])
                raise Still(f"{what} did not come within {seconds:.0f} s\n{last}")
            time.sleep(0.1)

    def silence(self) -> None:
        """Until nothing is written any more but Leases; then look whether it stays so."""
        recorder = self.witness.recorder
        self.wait("silence", lambda: recorder.now - recorder.last_write > SILENT_SECONDS)
        recorder.add(h.Quiet(at=recorder.now))
        time.sleep(SEEN_SECONDS)

    def running(self) -> int:
        """Pods that run."""
        return sum(p.get("status", {}).get("phase") == "Running" for p in self.pods())

    def pods(self) -> list[dict[str, Any]]:
        return items(self.api, paths.pods("default"))

    def claims(self) -> list[dict[str, Any]]:
        return items(self.api, paths.node_claims())

    def node_of(self, claim: dict[str, Any]) -> str:
        return str(claim.get("status", {}).get("nodeName", ""))

    def ours(self) -> list[Any]:
        return [i for i in self.ec2.listed() if i.alive and is_ours(i.tags)]

    # The end.

    def faults(self) -> list[str]:
        """Every invariant that did not hold, and fixed machines that are not as they were."""
        for daemon in self.daemons:
            self.witness.recorder.said("log", daemon.log)
        for instance in self.ec2.listed():
            if is_ours(instance.tags):
                self.witness.recorder.said("userData", instance.user_data)
        self.witness.recorder.close()
        found = [str(v) for v in violations(self.witness.history, Bounds())]
        if self.fixed_ready() != len(FIXED):
            found.append("a fixed machine is no ready node any more")
        return found

    def counts(self) -> Counter[str]:
        """What a table tells: double launches, orphans, foreign terminations."""
        history = self.witness.history
        launched = [r for r in history if isinstance(r, h.Launched) and r.ours]
        double = Counter(r.claim_uid for r in launched)
        claims = self.claims()
        orphans = [i for i in self.witness.cloud.alive() if is_ours(i.tags) and not any(accounts(c, i) for c in claims)]
        foreign = [r for r in history if isinstance(r, h.Terminated) and not r.ours]
        found = {"double launches": sum(n - 1 for n in double.values()), "orphans": len(orphans)}
        return Counter(found | {"foreign terminations": len(foreign), "launches": len(launched)})

    def apply(self, path: str, body: dict[str, Any]) -> None:
        self.api.create(path, body)

    def decoded(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.api.get(path))
        return found


def strike(stage: Stage, effect: str, moment: str) -> None:
    """Start the daemon with one disturbance before it; empty for none."""
    if moment in {"before", "after"}:
        stage.begin(moment, effect)
    else:
        stage.witness.blow = Blow(effect, moment) if moment else None
        stage.begin()


def run_command(witness: Witness, arguments: tuple[str, ...], environment: Mapping[str, str], log: Path) -> int:
    """`joinery ...` as a process whose writes are counted, and which a blow may kill; its status."""
    witness.writes = 0
    process = DaemonProcess([*arguments], {**os.environ, **environment}, log)
    witness.victim = process.process.pid
    try:
        return process.process.wait(60)
    finally:
        process.stop(signal.SIGKILL)
