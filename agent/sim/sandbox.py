"""A whole cluster on one machine: EC2, SSM and SQS, a Kubernetes API, controllers, machines, and the real daemon.

Everything listens on loopback, on ports that the kernel chooses, and lives in one folder that is removed at the end.
The daemon is a process of its own that knows nothing of this: it finds EC2 by AWS_ENDPOINT_URL and the API server by
its kubeconfig, with the rights that `joinery install` gave it.
"""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import boto3
import msgspec
import yaml
from botocore.config import Config

from agent.join.facts import JoinFacts, read_facts
from agent.join.tokens import NAMESPACE, BootstrapToken, kubeadm_secret
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.identity import Target, ensure
from agent.kube.times import utc_now
from agent.model import names
from agent.sim.apiserver import ApiServer
from agent.sim.controllers.loop import Controllers
from agent.sim.daemon import JOINERY, DaemonProcess
from agent.sim.embedded import CREDENTIALS, REGION, EmbeddedEc2
from agent.sim.machines.room import MachineRoom
from agent.sim.machines.world import NODES, Pace, World
from agent.sim.team import CLUSTER, FIXED_TOKEN, FixedMachine, fixed_machines, user_data

IMAGE: Final = "ami-0000000000ubu2404"
EC2_DELAYS: Final = {"pending": 1.0, "shutting_down": 0.5}


class SandboxFailed(Exception):  # noqa: N818 - said to a person
    """The sandbox cannot start, or a part of it has ended; the text says which."""


class Sandbox:
    """``with Sandbox(folder) as sandbox:`` has everything but the daemon; `start_daemon` starts that."""

    def __init__(
        self, folder: Path, *, fixed: tuple[FixedMachine, ...] | None = None, pace: Pace | None = None
    ) -> None:
        self.folder = folder
        self.fixed = tuple(fixed_machines()) if fixed is None else fixed
        self.daemon: DaemonProcess | None = None
        self.ec2 = EmbeddedEc2(log=folder / "ec2.log")
        self.seeded: dict[str, Any] = {}
        self._pace = pace or Pace()
        self._exit = ExitStack()
        self.server: ApiServer
        self.api: KubeApi
        """The API server, as administrator."""
        self.controllers: Controllers
        self.room: MachineRoom

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def kubeconfig(self) -> Path:
        """An administrator's."""
        return self.folder / "admin.conf"

    @property
    def settings(self) -> Path:
        """The daemon's settings."""
        return self.folder / "agent.yaml"

    @property
    def daemon_kubeconfig(self) -> Path:
        """The daemon's own, for its ServiceAccount."""
        return self.folder / "joinery.conf"

    @property
    def environment(self) -> dict[str, str]:
        """Of every `joinery` process: AWS is the embedded one and no other."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "KUBECONFIG"))}
        return kept | self.ec2.environment

    def start_daemon(self) -> DaemonProcess:
        """Start `joinery run` with the rights that its ServiceAccount has."""
        arguments = ["run", "--settings", str(self.settings), "--kubeconfig", str(self.daemon_kubeconfig)]
        self.daemon = DaemonProcess(arguments, self.environment, self.folder / "joinery.log")
        self._exit.callback(self.daemon.stop)
        return self.daemon

    def joinery(self, *arguments: str) -> str:
        """Run a command of an administrator to its end; what it printed. Raises ``SandboxFailed``."""
        done = subprocess.run(  # noqa: S603 - ourselves
            [*JOINERY, *arguments],
            env=self.environment | {"KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SandboxFailed(f"joinery {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def check(self) -> None:
        """Raises ``SandboxFailed`` when a part of it has ended by itself."""
        parts = {
            "the controllers": self.controllers.failed or self.controllers.cache.failed,
            "the machines": self.room.failed,
        }
        for name, failed in parts.items():
            if failed is not None:
                raise SandboxFailed(f"{name} ended: {type(failed).__name__}: {failed}") from failed
        if self.daemon is not None and self.daemon.process.poll() is not None:
            last = "\n".join(self.daemon.log.splitlines()[-3:])
            raise SandboxFailed(f"joinery run ended with status {self.daemon.process.returncode}:\n{last}")
        if not self.ec2.running:
            raise SandboxFailed(f"the embedded EC2 ended; its last words are in {self.ec2.log}")

    def facts(self) -> JoinFacts:
        """What a machine must know to join, as the cluster itself says it."""
        return read_facts(self.api, cluster=CLUSTER, region=REGION, token_parameter=FIXED_TOKEN)

    def fixed_ready(self) -> int:
        """How many of the fixed machines are nodes that are ready."""
        wanted = {m.name for m in self.fixed}
        return sum(
            node["metadata"]["name"] in wanted
            and any(
                c["type"] == "Ready" and c["status"] == "True" for c in node.get("status", {}).get("conditions", ())
            )
            for node in self.controllers.cache.items(NODES)
        )

    def console(self, instance_id: str) -> str:
        """What EC2 shows of an instance's console."""
        with self._aws("ec2") as ec2:
            return str(ec2.get_console_output(InstanceId=instance_id).get("Output", ""))

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._exit.push(self.ec2)
        self.ec2.start()
        self.server = self._exit.enter_context(ApiServer(self.folder))
        self.server.write_kubeconfig(self.kubeconfig)
        self.api = self._exit.enter_context(KubeApi.from_kubeconfig(str(self.kubeconfig)))
        self.joinery("install")
        ensure(self.kubeconfig, Target(self.daemon_kubeconfig, self.folder / "joinery.token"), utc_now())
        self._serve_ec2()
        self.seeded = self.ec2.seed()
        self.ec2.delays(**EC2_DELAYS)
        self.settings.write_text(yaml.safe_dump({"clusterName": CLUSTER, "region": REGION}))
        self.controllers = self._exit.enter_context(Controllers(self.api))
        world = World(self.ec2, self.ec2.endpoint, self.folder / "machines", self.controllers.cache, self._pace)
        self.room = self._exit.enter_context(MachineRoom(world))
        self._launch_fixed()

    def _serve_ec2(self) -> None:
        try:
            self.ec2.ready()
        except RuntimeError as error:
            raise SandboxFailed(str(error)) from error

    def _launch_fixed(self) -> None:
        """The team's machines, as instances with user data of their own and kubeadm's token to join with."""
        token = BootstrapToken.generate(random.SystemRandom())
        self.api.create(
            paths.secrets(NAMESPACE),
            kubeadm_secret(token, utc_now() + timedelta(hours=2), "As kubeadm init would have left it."),
        )
        with self._aws("ssm") as ssm:
            ssm.put_parameter(Name=FIXED_TOKEN, Value=token.text, Type="SecureString")
        facts = self.facts()
        with self._aws("ec2") as ec2:
            for machine in self.fixed:
                ec2.run_instances(
                    ImageId=IMAGE,
                    InstanceType=machine.instance_type,
                    MinCount=1,
                    MaxCount=1,
                    SubnetId=self.seeded["subnets"][machine.zone],
                    UserData=user_data(machine, facts),
                    TagSpecifications=[
                        {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in machine.tags.items()]}
                    ],
                )

    @contextmanager
    def _aws(self, service: str) -> Iterator[Any]:
        access, secret = CREDENTIALS.values()
        session = boto3.Session(aws_access_key_id=access, aws_secret_access_key=secret, region_name=REGION)
        # Without proxies of the environment: it is on loopback.
        direct = Config(proxies={})
        client: Any = session.client(service, endpoint_url=self.ec2.endpoint, config=direct)  # type: ignore[call-overload]
        try:
            yield client
        finally:
            client.close()


def apply(api: KubeApi, manifests: list[dict[str, Any]]) -> None:
    """Create objects of the kinds that the story is told with."""
    collections = {
        "NodePool": paths.node_pools(),
        "EC2NodeClass": paths.node_classes(),
        "Deployment": "/apis/apps/v1/namespaces/default/deployments",
    }
    for manifest in manifests:
        api.create(collections[manifest["kind"]], manifest)


def claims(api: KubeApi) -> list[dict[str, Any]]:
    """Every NodeClaim."""
    found: list[dict[str, Any]] = msgspec.json.decode(api.get(paths.node_claims()))["items"]
    return found


def is_ours(tags: dict[str, str]) -> bool:
    """Whether an instance was launched by Joinery."""
    return tags.get(names.TAG_MANAGED) == "true"
