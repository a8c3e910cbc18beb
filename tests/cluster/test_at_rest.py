"""When all is done, nothing is written any more: what comes back each cycle would keep the API server busy for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.slow_watch import settle
from tests.cluster.stack import Stack

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stack(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("rest"), control_plane) as running:
        running.room.holding = True
        running.apply(*yaml.safe_load_all((ROOT / "examples/worker-scalable.yaml").read_text()))
        running.start_daemon()
        yield running


def _pool(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.control_plane.kubectl("get", "nodepool", "worker-scalable", "-o", "json"))
    return found


def test_a_pool_whose_last_node_went_is_written_once_and_then_left_alone(stack: Stack) -> None:
    work = yaml.safe_load((ROOT / "examples/scan-workers.yaml").read_text())
    work["metadata"]["name"] = "resting"
    work["spec"]["replicas"] = 1
    stack.apply(work)
    stack.wait(
        "resources of the claim", lambda: _pool(stack).get("status", {}).get("resources", {}).get("cpu", "0") != "0"
    )
    stack.control_plane.kubectl("delete", "deployment", "resting", "--wait=false")
    stack.control_plane.kubectl("delete", "nodeclaims.karpenter.sh", "--all", "--wait=false")
    stack.wait("nothing left", lambda: not stack.claims() and not stack.ec2.alive(), 90)
    stack.wait("a status of no nodes", lambda: {*_pool(stack)["status"]["resources"].values()} == {"0"}, 10)
    settle(1.0)
    before = _pool(stack)["metadata"]["resourceVersion"]
    settle(3.0)
    assert _pool(stack)["metadata"]["resourceVersion"] == before
