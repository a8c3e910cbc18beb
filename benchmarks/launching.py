"""From a pod's creation to the CreateFleet for it on the wire."""

import time
from collections.abc import Iterator
from typing import Any

from agent.kube import paths
from benchmarks.cluster import Bench, Daemon
from benchmarks.report import Row

RUNS = 7
BATCH_SECONDS = 1.0
"""batchIdleSeconds: one pod alone waits for this long before it is decided on."""


def measure(bench: Bench) -> Iterator[Row]:
    """One pod at a time on a daemon at rest; the first one also makes the launch template."""
    with Daemon(bench) as daemon:
        daemon.settle()
        took = tuple(buy_and_give_back(bench, n) for n in range(RUNS))
    yield Row(f"pod created to CreateFleet less the batch window, {bench.size}", took, "s", 0.5)


def buy_and_give_back(bench: Bench, number: int) -> float:
    """Seconds from the pod to the launch beyond the batch window; all is as before afterwards."""
    stack = bench.stack
    stack.ec2.admin("/_calls", method="DELETE")
    name = f"pending-{number}"
    began = time.time()
    bench.api.create(paths.pods("default"), _pod(name))
    stack.wait("a launch", lambda: bool(stack.ec2.calls("CreateFleet")), 60)
    at = float(stack.ec2.calls("CreateFleet")[0]["at"])
    bench.api.delete(paths.pods("default", name), grace_seconds=0)
    stack.wait("a recorded launch", lambda: bool(stack.ec2.alive()), 30)
    stack.control_plane.kubectl("delete", "nodeclaims.karpenter.sh", "--all", "--wait=false")
    stack.wait("nothing left", lambda: not stack.claims() and not stack.ec2.alive(), 60)
    time.sleep(2)
    return at - began - BATCH_SECONDS


def _pod(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"role": "worker"},
            "tolerations": [{"key": "workload", "value": "ai", "effect": "NoSchedule"}],
            "containers": [
                {
                    "name": "c",
                    "image": "registry.example/worker",
                    "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
                }
            ],
        },
    }
