"""The embedded EC2 as a process of its own, and the world that most tests of the AWS edge begin with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from agent.aws.classes import ResolvedClass
from agent.aws.ec2 import Ec2
from agent.aws.session import AwsSession
from agent.aws.templates import Templates, template_content
from agent.manifests import EC2NodeClassSpec
from agent.model import names
from agent.model.ec2 import CapacityType, Image, LaunchRequest, Override, Subnet
from agent.model.names import ClaimUid, ClassName, InstanceTypeName, Zone

REGION = "ap-northeast-2"
CLUSTER, CLUSTER_UID = "team", "6f1ad1f5-0000-4000-8000-000000000001"
UBUNTU, UBUNTU_ARM = "ami-0000000000ubu2404", "ami-0000000000ubu24a4"
ZONE_A, ZONE_C = f"{REGION}a", f"{REGION}c"


class Server:
    """One running server; ``ask`` steers it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.state = Path(self._folder.name) / "state.json"
        command = [sys.executable, "-m", "agent.sim.ec2", "--port", "0", "--region", REGION, "--state", str(self.state)]
        root = Path(__file__).parents[2]
        quiet = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self.process = subprocess.Popen(command, cwd=root, env=quiet, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self.state.exists():
            assert self.process.poll() is None, "the server ended before it served"
            assert time.monotonic() < deadline, "the server does not come up"
            time.sleep(0.05)
        self.endpoint: str = json.loads(self.state.read_bytes())["endpoint"]

    def ask(self, path: str, value: object | None = None, method: str = "POST") -> Any:
        body = msgspec.json.encode(value) if value is not None else None
        request = urllib.request.Request(f"{self.endpoint}{path}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def fault(self, action: str, **rule: object) -> None:
        self.ask("/_faults", {"action": action, **rule})

    def calls(self, action: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(f"/_calls?action={action}", method="GET")
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        self._folder.cleanup()


class World:
    """A network and the adapters of one cluster, made anew for each test."""

    def __init__(self, server: Server, session: AwsSession) -> None:
        self.server = server
        server.ask("/_reset", {})
        self.seed = server.ask("/_seed", {})
        self.subnets: dict[str, str] = self.seed["subnets"]
        self.group: str = self.seed["securityGroup"]
        self.session = session
        self.ec2 = Ec2(self.session, CLUSTER, CLUSTER_UID)
        self.templates = Templates(self.session, CLUSTER, CLUSTER_UID)

    def resolved(self) -> ResolvedClass:
        return ResolvedClass(
            subnets=tuple(Subnet(s, Zone(z)) for z, s in self.subnets.items()),
            security_groups=(self.group,),
            images=(Image(id=UBUNTU),),
            instance_profile="karpenter-node-profile",
        )

    def template(self, user_data: str = "#!/bin/sh\ntrue\n", **spec: object) -> tuple[str, str]:
        content = template_content(class_spec(**spec), self.resolved(), ClassName("default"), user_data)
        return self.templates.ensure(content)

    def override(self, name: str, zone: str = ZONE_A, image: str = UBUNTU) -> Override:
        return Override(InstanceTypeName(name), Zone(zone), self.subnets[zone], image)

    def request(
        self, *overrides: Override, kind: CapacityType = "on-demand", claim: str = "claim-uid", attempt: int = 1
    ) -> LaunchRequest:
        template_id, version = self.template()
        tags = {
            names.TAG_CLUSTER: CLUSTER,
            names.TAG_CLUSTER_UID: CLUSTER_UID,
            names.TAG_MANAGED: "true",
            names.TAG_CLAIM: "worker-1",
            names.TAG_CLAIM_UID: claim,
            names.TAG_POOL: "worker",
        }
        return LaunchRequest(attempt, template_id, version, kind, overrides or (self.override("t3.medium"),), tags)

    def token(self, claim: str = "claim-uid", attempt: int = 1) -> str:
        return self.ec2.client_token(ClaimUid(claim), attempt)

    def launch(self, claim: str = "claim-uid", **tags: str) -> str:
        request = self.request(claim=claim)
        request = msgspec.structs.replace(request, tags=request.tags | tags)
        answer = self.ec2.create_fleet(request, self.token(claim))
        assert answer.instance is not None
        return answer.instance.id


def class_spec(**fields: object) -> EC2NodeClassSpec:
    terms = [{"tags": {"karpenter.sh/discovery": "true"}}]
    written: dict[str, object] = {
        "amiFamily": "Ubuntu",
        "instanceProfile": "karpenter-node-profile",
        "subnetSelectorTerms": terms,
        "securityGroupSelectorTerms": terms,
    }
    written |= fields
    return EC2NodeClassSpec.model_validate({k: v for k, v in written.items() if v is not None})
