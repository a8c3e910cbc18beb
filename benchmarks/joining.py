"""From the first line of our template's userData to a Ready node, with a real kubelet."""

import time
from collections.abc import Iterator

from benchmarks.cluster import Bench, Daemon
from benchmarks.report import Row
from tests.cluster.instance import Instance

RUNS = 5


def measure(bench: Bench) -> Iterator[Row]:
    """One machine after another joins; its certificate is approved by the daemon."""
    with Daemon(bench) as daemon:
        daemon.settle()
        took = tuple(_once(bench, n) for n in range(RUNS))
    yield Row(f"script start to node Ready, real kubelet, {bench.size}", took, "s", 5)


def _once(bench: Bench, number: int) -> float:
    stack = bench.stack
    where = ("--settings", str(bench.folder / "agent.yaml"), "--kubeconfig", str(stack.kubeconfig))
    script = stack.joinery("userdata", "render", "default", *where)
    facts = stack.run_base_instance()
    folder = bench.folder / f"instance-{number}"
    instance = Instance(facts, script.encode(), folder, ssm_endpoint=stack.ec2.endpoint)
    began = time.monotonic()
    instance.boot()
    try:
        stack.control_plane.wait_ready(facts.instance_id)
        took = time.monotonic() - began
        instance.wait_exit()
    finally:
        instance.terminate()
        stack.ec2.by_hand("terminate", facts.instance_id)
    stack.control_plane.kubectl("delete", "node", facts.instance_id)
    return took
