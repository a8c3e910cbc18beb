"""The embedded EC2 as a process of its own, for tests: started on a free port, steered over HTTP, ended by its pid."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
REGION = "ap-northeast-2"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class EmbeddedEc2:
    """``with EmbeddedEc2() as ec2:`` gives one that is up; ``environment`` leads boto3 to it."""

    def __init__(self, region: str = REGION, log: Path | None = None) -> None:
        self.region = region
        self.endpoint = ""
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with (self._log or Path(os.devnull)).open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent.sim.ec2", "--region", self.region],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
                env=os.environ | CREDENTIALS,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self.endpoint = self._process.stdout.readline().strip()
        if not self.endpoint:
            raise RuntimeError("the embedded EC2 did not start; is the extra `sandbox` installed?")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()

    @property
    def environment(self) -> dict[str, str]:
        """What makes boto3 talk to it and to nothing else."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

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

    def alive(self) -> list[dict[str, Any]]:
        """Instances that cost money."""
        return [i for i in self.instances() if i["state"] in {"pending", "running", "stopping", "stopped"}]

    def by_hand(self, do: str, instance: str) -> None:
        """terminate or stop, as a person in the console would."""
        self.admin("/_instances", {"do": do, "id": instance})

    def admin(self, path: str, body: object = None, method: str = "POST") -> Any:
        """One request to the steering paths."""
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.endpoint + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
