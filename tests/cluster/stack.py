"""Everything together: a real control plane, the embedded EC2 with its machine room, and the real daemon process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.instance import InstanceFacts
from tests.cluster.machine_room import MachineRoom
from tests.cluster.processes import wait_until
from tests.embedded_ec2 import REGION, EmbeddedEc2

JOINERY = [sys.executable, "-m", "agent"]
STOP_SECONDS = 5.0


class DaemonProcess:
    """`joinery run` as systemd would start it."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.log_path = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*JOINERY, *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15.0) -> float:
        """Send a signal and wait for the end; how long it took, in seconds."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(seconds)
        return time.monotonic() - began

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_path.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log events of one name."""
        found = []
        for line in self.log.splitlines():
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found


class Stack:
    """``with Stack(folder, control_plane) as stack:`` has everything but the daemon; `start_daemon` starts that."""

    def __init__(self, folder: Path, control_plane: ControlPlane, **settings: object) -> None:
        self.folder = folder
        self.control_plane = control_plane
        self.settings = {"clusterName": "team", "region": REGION, **settings}
        self.ec2 = EmbeddedEc2(log=folder / "ec2.log")
        self._exit = ExitStack()
        self.daemon: DaemonProcess | None = None
        self._daemons = 0
        self.room: MachineRoom

    def __enter__(self) -> Self:
        self._exit.enter_context(self.ec2)
        self.seeded = self.ec2.seed()
        self.room = self._exit.enter_context(MachineRoom(self.ec2, self.folder / "machines"))
        (self.folder / "agent.yaml").write_text(yaml.safe_dump(self.settings))
        self.joinery("install", kubeconfig=self.control_plane.kubeconfig)
        self.joinery(
            "credentials",
            "ensure",
            "--admin-kubeconfig",
            str(self.control_plane.kubeconfig),
            "--out",
            str(self.kubeconfig),
            "--token-file",
            str(self.folder / "token"),
            "--user",
            "root",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.daemon is not None:
            self.daemon.stop()
        self._exit.close()

    @property
    def kubeconfig(self) -> Path:
        """The daemon's own."""
        return self.folder / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """Of every `joinery` process."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return kept | self.ec2.environment | {"PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "1"}

    def start_daemon(self, *arguments: str) -> DaemonProcess:
        """Start `joinery run`."""
        self._daemons += 1
        settings = str(self.folder / "agent.yaml")
        command = ["run", "--settings", settings, "--kubeconfig", str(self.kubeconfig), *arguments]
        self.daemon = DaemonProcess(command, self.environment, self.folder / f"daemon-{self._daemons}.log")
        return self.daemon

    def joinery(self, *arguments: str, kubeconfig: Path | None = None, fails: bool = False) -> str:
        """Run a command to its end; what it printed, and with ``fails`` what it complained of."""
        done = self.run(*arguments, kubeconfig=kubeconfig)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        environment = self.environment | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig is not None else {})
        done = subprocess.run([*JOINERY, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def operator(self, *arguments: str, fails: bool = False) -> str:
        """What a person on the control plane runs: as administrator, which the daemon is not."""
        where = ("--settings", str(self.folder / "agent.yaml"))
        return self.joinery(*arguments, *where, kubeconfig=self.control_plane.kubeconfig, fails=fails)

    def run_instance(self, tags: Mapping[str, str], instance_type: str = "t3.medium") -> InstanceFacts:
        """An instance that somebody else launched, with these tags; nobody boots it."""
        session = boto3.Session("test", "test", region_name=self.ec2.region)
        client: Any = session.client("ec2", endpoint_url=self.ec2.endpoint)
        made = client.run_instances(
            ImageId="ami-0000000000ubu2404",
            InstanceType=instance_type,
            MinCount=1,
            MaxCount=1,
            SubnetId=next(iter(self.seeded["subnets"].values())),
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}],
        )["Instances"][0]
        client.close()
        return InstanceFacts(made["InstanceId"], instance_type, zone=made["Placement"]["AvailabilityZone"])

    def run_base_instance(self) -> InstanceFacts:
        """An instance as Terraform would launch it: admitted by its tags, whatever its class."""
        return self.run_instance({"joinery.sh/cluster": "team", "joinery.sh/role": "base"})

    def apply(self, *documents: object) -> None:
        """kubectl apply of objects."""
        text = yaml.safe_dump_all(list(documents))
        self.control_plane.kubectl("apply", "--server-side=false", "-f", "-", stdin=text)

    def listed(self, what: str) -> list[dict[str, Any]]:
        """kubectl get -o json."""
        found: list[dict[str, Any]] = json.loads(self.control_plane.kubectl("get", what, "-A", "-o", "json"))["items"]
        return found

    def claims(self) -> list[dict[str, Any]]:
        """NodeClaims."""
        return self.listed("nodeclaims.karpenter.sh")

    def our_nodes(self) -> list[dict[str, Any]]:
        """Nodes that Joinery has registered."""
        return [n for n in self.listed("nodes") if "karpenter.sh/nodepool" in n["metadata"]["labels"]]

    def wait(self, what: str, condition: Any, timeout: float = 60.0) -> None:
        """Wait until something is so; with the daemon's last words when it is not."""
        try:
            wait_until(what, condition, timeout=timeout)
        except Exception as error:
            said = self.daemon.log[-4000:] if self.daemon is not None else ""
            raise AssertionError(f"{what}: not within {timeout} s\n{said}") from error
