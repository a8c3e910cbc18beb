"""`joinery logs` against an embedded EC2 and API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from agent.cli import root
from agent.kube import paths
from agent.sim.apiserver import ADMIN, ApiServer, Request
from agent.sim.embedded import Steering
from tests.sim.server import REGION, UBUNTU, ZONE_A, World

FAILED = "joinery: phase=begin\njoinery: phase=failed at=identity status=1 reason=no instance metadata\n"


class Bench:
    def __init__(self, folder: Path, server: ApiServer, world: World) -> None:
        self.kubeconfig = server.write_kubeconfig(folder / "admin.conf")
        self.settings = folder / "agent.yaml"
        self.settings.write_text(yaml.safe_dump({"clusterName": "team", "region": REGION}))
        self.server = server
        self.steering = Steering(world.server.endpoint)
        [self.instance] = world.session.once().run_instances(
            ImageId=UBUNTU, InstanceType="t3.medium", SubnetId=world.subnets[ZONE_A], MinCount=1, MaxCount=1
        )["Instances"]

    def logs(self, *words: str) -> Result:
        where = ["--settings", str(self.settings), "--kubeconfig", str(self.kubeconfig)]
        return CliRunner().invoke(root, ["logs", *words, *where])

    @property
    def id(self) -> str:
        return self.instance["InstanceId"]


@pytest.fixture
def bench(tmp_path: Path, world: World) -> Iterator[Bench]:
    with ApiServer(tmp_path) as server:
        yield Bench(tmp_path, server, world)


def node(bench: Bench, name: str, provider: str) -> None:
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"providerID": provider}}
    bench.server.api.handle(Request("POST", paths.nodes(), body=msgspec.json.encode(body), user=ADMIN))


def test_the_console_of_an_instance_is_read(bench: Bench) -> None:
    bench.steering.by_hand("console", bench.id, text=FAILED)
    done = bench.logs(bench.id)
    assert done.exit_code == 0, done.output
    first = f"{bench.id}: it failed in phase identity (it asks the metadata service who it is): no instance metadata"
    assert done.output.splitlines()[0] == first
    assert "  joinery: phase=begin" in done.output


def test_a_node_is_known_by_its_name(bench: Bench) -> None:
    node(bench, "web-1", f"aws:///{REGION}a/{bench.id}")
    bench.steering.by_hand("console", bench.id, text=FAILED)
    assert bench.logs("web-1").output.startswith(f"{bench.id}: it failed in phase identity")


def test_who_is_not_there_is_told(bench: Bench) -> None:
    done = bench.logs("nobody")
    assert done.exit_code == 1
    assert "there is no NodeClaim and no Node nobody" in done.output
    node(bench, "bare", "")
    assert "bare has no instance yet" in bench.logs("bare").output


def test_aws_saying_no_is_one_sentence(bench: Bench, world: World) -> None:
    world.server.fault("GetConsoleOutput", code="UnauthorizedOperation", status=403, times=-1)
    done = bench.logs(bench.id)
    assert done.exit_code == 1
    assert "ec2:GetConsoleOutput" in done.output
