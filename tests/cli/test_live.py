"""`joinery plan` and `joinery explain` without files: the objects of a cluster, read as an administrator."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import root
from tests.kube.install_server import InstallServer
from tests.report.plans import T0, catalogue, claim, node, pod, pool, running, world, written

PLURALS = {
    "Pod": "api/v1/namespaces/default/pods",
    "Node": "api/v1/nodes",
    "NodePool": "apis/karpenter.sh/v1/nodepools",
    "NodeClaim": "apis/karpenter.sh/v1/nodeclaims",
}


@pytest.fixture
def server() -> Iterator[InstallServer]:
    there = InstallServer()
    yield there
    there.close()


def fill(server: InstallServer, *objects: dict[str, Any]) -> None:
    """As a list of the API shows them: without apiVersion and kind."""
    for obj in objects:
        item = {k: v for k, v in obj.items() if k not in {"apiVersion", "kind"}}
        server.store(f"/{PLURALS[obj['kind']]}/{obj['metadata']['name']}", item)


def run(server: InstallServer, folder: Path, *arguments: str) -> Result:
    kubeconfig = str(server.kubeconfig(folder / "admin.conf"))
    catalog = written(folder, "catalog.json", catalogue())
    return CliRunner().invoke(root, [*arguments, "--kubeconfig", kubeconfig, "--catalog", catalog, "--now", T0])


OBJECTS = (
    pool(),
    claim("a", "aws:///eu-west-1a/i-1"),
    node("i-1", "aws:///eu-west-1a/i-1"),
    running("busy", "i-1"),
    pod("p"),
)


def test_the_plan_of_a_cluster_is_that_of_its_objects_in_files(server: InstallServer, tmp_path: Path) -> None:
    fill(server, *OBJECTS)
    live = run(server, tmp_path, "plan", "-o", "json")
    assert live.exit_code == 0, live.stderr
    files = CliRunner().invoke(root, ["plan", *world(tmp_path, *OBJECTS), "-o", "json", "--now", T0])
    assert json.loads(live.stdout) == json.loads(files.stdout)
    assert json.loads(live.stdout)["actions"][0]["pods"] == ["default/p"]
    assert server.writes() == []


def test_a_pod_of_a_cluster_is_explained(server: InstallServer, tmp_path: Path) -> None:
    fill(server, *OBJECTS)
    done = run(server, tmp_path, "explain", "pod/p")
    assert done.stdout.startswith("pod default/p: gets a new node: spot m5.large eu-west-1b")


def test_a_broken_pool_of_a_cluster_is_told_and_stops_no_other(server: InstallServer, tmp_path: Path) -> None:
    broken = pool("broken")
    broken["spec"]["weight"] = 1000
    fill(server, pool(), broken, pod("p"))
    done = run(server, tmp_path, "plan", "-o", "json")
    assert done.exit_code == 0
    assert "note: cluster: NodePool/broken: spec.weight: must be 1..100" in done.stderr
    assert [a["nodePool"] for a in json.loads(done.stdout)["actions"]] == ["default"]


def test_a_cluster_that_refuses_is_one_sentence(server: InstallServer, tmp_path: Path) -> None:
    server.fail("GET", "/pods", 403, "Forbidden")
    done = run(server, tmp_path, "plan")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "objects of files are given with -f" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_cluster_and_without_files_the_command_says_what_it_needs(tmp_path: Path) -> None:
    done = CliRunner().invoke(root, ["plan", "--kubeconfig", str(tmp_path / "none")])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "objects of files are given with -f" in done.stderr
