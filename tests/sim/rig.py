"""Machines of the sandbox between a real EC2, SSM and API server, stepped by a test."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import SystemRandom
from typing import Any

import msgspec

from agent.join.facts import JoinFacts, read_facts
from agent.join.tokens import BootstrapToken, secret_manifest
from agent.join.userdata import render
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.cache import Cache
from agent.kube.kinds import items
from agent.kube.times import utc_now
from agent.sim.embedded import Listed, Steering
from agent.sim.machines.room import Machine, MachineRoom
from agent.sim.machines.world import Pace, machine_kinds
from agent.sim.machines.world import World as Surroundings
from tests.cluster.processes import wait_until
from tests.join.classes import node_class
from tests.sim.server import REGION, UBUNTU, ZONE_A, World

PARAMETER = "/joinery/team/bootstrap-token"
QUICK = Pace(look=0.0, phase=0.0, retry=0.02, pod_start=0.0, pod_stop=0.0, certificate_wait=0.5)
Manifest = dict[str, Any]


class Rig:
    """EC2, SSM and an API server with a machine room that is stepped by hand, so that nothing happens unseen."""

    def __init__(self, world: World, api: KubeApi, folder: Path, pace: Pace) -> None:
        self.aws = world
        self.api = api
        self.steering = Steering(world.server.endpoint)
        self.cache = Cache(api, machine_kinds(), wake=lambda: None)
        self.folder = folder
        self.room = MachineRoom(Surroundings(self.steering, world.server.endpoint, folder, self.cache, pace))

    def facts(self, **other: Any) -> JoinFacts:
        found = read_facts(self.api, cluster="team", region=REGION, token_parameter=PARAMETER)
        return msgspec.structs.replace(found, **other)

    def token(self, *, lives: timedelta = timedelta(hours=1), known: bool = True) -> BootstrapToken:
        """A token that is published, and that the cluster knows unless said otherwise."""
        token = BootstrapToken.generate(SystemRandom())
        if known:
            self.api.create(paths.secrets("kube-system"), secret_manifest(token, utc_now() + lives, ""))
        self.publish(token.text)
        return token

    def publish(self, text: str) -> None:
        self.aws.session.client("ssm").put_parameter(Name=PARAMETER, Value=text, Type="SecureString", Overwrite=True)

    def launch(self, user_data: str | None = None) -> str:
        text = render(node_class(), self.facts()) if user_data is None else user_data
        answer = self.aws.session.once().run_instances(
            ImageId=UBUNTU,
            InstanceType="t3.medium",
            SubnetId=self.aws.subnets[ZONE_A],
            MinCount=1,
            MaxCount=1,
            UserData=text,
        )
        return answer["Instances"][0]["InstanceId"]

    def until(self, what: str, condition: Callable[[], object]) -> None:
        def turned() -> bool:
            self.room.turn()
            return bool(condition())

        wait_until(what, turned)

    def machine(self) -> Machine:
        self.until("a machine", lambda: self.room.machines)
        [machine] = self.room.machines.values()
        return machine

    def listed(self) -> Listed:
        [found] = self.steering.listed()
        return found

    def console(self) -> str:
        machine = next(iter(self.room.machines.values()), None)
        return machine.boot.console if machine is not None else ""

    def nodes(self) -> list[Manifest]:
        return items(self.api, paths.nodes())

    def requests(self) -> list[Manifest]:
        return items(self.api, paths.csrs())

    def decide(self, decision: str) -> None:
        """Approve or deny every request that nobody has decided."""
        for request in self.requests():
            if not (request.get("status") or {}).get("conditions"):
                condition = {"type": decision, "status": "True", "reason": "Test", "message": "said by a test"}
                body = request | {"status": {"conditions": [condition]}}
                self.api.replace(paths.approval(paths.csrs(request["metadata"]["name"])), body)

    def join(self) -> str:
        """A machine that has joined; its name."""
        self.token()
        name = self.launch()
        self.until("a request", self.requests)
        self.decide("Approved")
        self.until("a ready node", lambda: any(ready(n) for n in self.nodes()))
        return name


def ready(node: Manifest) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)
