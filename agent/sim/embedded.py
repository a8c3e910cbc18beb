"""The embedded EC2 as a process of its own: started on a free port, steered over HTTP, ended by its pid."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

REGION: Final = "ap-northeast-2"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
ALIVE: Final = frozenset({"pending", "running", "stopping", "stopped"})
"""States in which an instance, or its volumes, cost money."""
STOP_SECONDS: Final = 5.0


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    """One instance as EC2 has it, with what it was launched with."""

    id: str
    state: str
    type: str
    zone: str
    private_ip: str
    private_dns: str
    user_data: str
    launch_time: str
    tags: dict[str, str]
    capacity_type: str = "on-demand"

    @property
    def alive(self) -> bool:
        """Whether it costs money."""
        return self.state in ALIVE


NO_PROXY: Final = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
"""Nothing of a sandbox is behind the proxy that the environment may name."""
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Steering:
    """The paths by which the embedded EC2 is steered and looked into; AWS has none of them."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def seed(self, **wanted: str) -> dict[str, Any]:
        """VPC, subnets, security group, role and profile, tagged for discovery."""
        found: dict[str, Any] = self.admin("/_seed", wanted)
        return found

    def fault(self, action: str, **rule: object) -> None:
        """Make a call go wrong; see ``agent.sim.faults.Rule``."""
        self.admin("/_faults", {"action": action, **rule})

    def heal(self) -> None:
        """No faults and no shortage any more."""
        self.admin("/_faults", method="DELETE")
        self.admin("/_capacity", method="DELETE")

    def capacity(self, **left: int) -> None:
        """``{"t3.large/ap-northeast-2a/on-demand": 0}`` and the like, by keyword or mapping."""
        self.admin("/_capacity", dict(left))

    def delays(self, **seconds: float) -> None:
        """hidden, pending, shutting_down."""
        self.admin("/_delays", seconds)

    def calls(self, action: str) -> list[dict[str, Any]]:
        """Every call of an action so far."""
        found: list[dict[str, Any]] = self.admin(f"/_calls?action={action}", method="GET")
        return found

    def instances(self) -> list[dict[str, Any]]:
        """Every instance ever launched, with its userData, tags and state."""
        found: list[dict[str, Any]] = self.admin("/_instances", method="GET")
        return found

    def listed(self) -> list[Listed]:
        """The same, read."""
        return msgspec.convert(self.instances(), list[Listed])

    def alive(self) -> list[dict[str, Any]]:
        """Instances that cost money."""
        return [i for i in self.instances() if i["state"] in ALIVE]

    def by_hand(self, do: str, instance: str, **more: str) -> None:
        """What a person or the machine itself does to an instance, such as terminate, stop, console."""
        self.admin("/_instances", {"do": do, "id": instance, **more})

    def admin(self, path: str, body: object = None, method: str = "POST") -> Any:  # noqa: ANN401 - each has its own
        """One request to the steering paths. Raises ``OSError``."""
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        url = self.endpoint + path
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - on loopback, by us
        with _DIRECT.open(request, timeout=30) as answer:
            return json.loads(answer.read())


class EmbeddedEc2(Steering):
    """``with EmbeddedEc2() as ec2:`` gives one that is up; ``environment`` leads boto3 to it."""

    def __init__(self, region: str = REGION, log: Path | None = None) -> None:
        super().__init__("")
        self.region = region
        self.log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.ready()
        return self

    def start(self) -> None:
        """Start the process, which takes some seconds to serve."""
        with (self.log or Path(os.devnull)).open("w") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "agent.sim.ec2", "--region", self.region],
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                env=os.environ | CREDENTIALS,
                start_new_session=True,
            )

    def ready(self) -> None:
        """Wait until it serves. Raises ``RuntimeError`` when it ends instead."""
        assert self._process is not None
        assert self._process.stdout is not None
        self.endpoint = self._process.stdout.readline().strip()
        if not self.endpoint:
            where = f"; its last words are in {self.log}" if self.log is not None else ""
            raise RuntimeError(f"the embedded EC2 did not start; is the extra `sandbox` installed?{where}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def environment(self) -> dict[str, str]:
        """What makes boto3 talk to it and to nothing else."""
        return {
            **CREDENTIALS,
            **NO_PROXY,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
