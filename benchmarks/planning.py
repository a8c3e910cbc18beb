"""`joinery plan` as a whole: from the start of the process to its end, files read and the answer written."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.model.kubernetes import Node, Pod
from agent.model.plan import Snapshot
from agent.model.resources import Resources
from benchmarks import mixes, witness
from benchmarks.deciding import POD_COUNT, SMALL_NODES, SMALL_PENDING, median_seconds
from benchmarks.report import Row
from benchmarks.workloads import pending, world

RUNS = 5
SMALL_SECONDS, BEYOND_SECONDS, MEMORY_MIB = 1.0, 1.0, 150
UNBRAKED = ("--set", "launchesPerMinute=1000", "--set", "maxNodes=100000")
POOL = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodePool",
    "metadata": {"name": "default"},
    "spec": {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
                "requirements": [
                    {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                    {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c", "m", "r"]},
                    {"key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["4"]},
                    {"key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["65"]},
                ],
            }
        }
    },
}
CLASS = {
    "apiVersion": "karpenter.k8s.aws/v1",
    "kind": "EC2NodeClass",
    "metadata": {"name": "default"},
    "spec": {
        "amiFamily": "Ubuntu",
        "instanceProfile": "node",
        "subnetSelectorTerms": [{"id": "subnet-0"}],
        "securityGroupSelectorTerms": [{"id": "sg-0"}],
    },
}


def measure() -> Iterator[Row]:
    """A large question, for what it takes beyond the decision and its memory; and that of a small cluster."""
    large = mixes.snapshot("micro", POD_COUNT)
    decided = median_seconds(large)
    small = world(pending(SMALL_PENDING), SMALL_NODES)
    with tempfile.TemporaryDirectory(prefix="joinery-bench-") as folder:
        file = _written_down(small, Path(folder))
        _run(file)  # compiles the modules
        took = tuple(_run(file)[0] for _ in range(RUNS))
        file = _written_down(large, Path(folder))
        runs = [_run(file) for _ in range(RUNS)]
    what = f"joinery plan, {POD_COUNT:,} pods, micro"
    yield Row(f"{what}: beyond the decision", tuple(seconds - decided for seconds, _ in runs), "s", BEYOND_SECONDS)
    yield Row(f"{what}: resident at its highest", tuple(peak for _, peak in runs), "MiB", MEMORY_MIB, 0)
    yield Row(f"joinery plan, {SMALL_NODES} nodes + {SMALL_PENDING} pending pods", took, "s", SMALL_SECONDS)


def _written_down(snapshot: Snapshot, folder: Path) -> Path:
    """The objects as a file."""
    items = [POOL, CLASS, *map(_node, snapshot.nodes), *map(_pod, snapshot.pods)]
    file = folder / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return file


def _run(file: Path) -> tuple[float, float]:
    """Seconds of one process, and its resident memory at its highest in MiB."""
    folder = file.parent
    report = folder / "report.json"
    command = [sys.executable, "-m", "agent", "plan", "-f", str(file), "-o", "json", *UNBRAKED]
    # Modules are compiled once, as an installation has them, wherever and however the benchmarks run.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    with (folder / "plan.json").open("w") as answer:
        subprocess.run(
            [sys.executable, "-I", "-S", witness.__file__, str(report), *command],
            env=environment,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    measured = json.loads(report.read_text())
    return measured["seconds"], measured["peak_kib"] / 1024


def _pod(pod: Pod) -> dict[str, Any]:
    requests = {name: amount for name, amount in _written(pod.requests).items() if name != "pods"}
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "app", "resources": {"requests": requests}}]}
    status: dict[str, Any] = {"phase": pod.phase}
    if pod.node_name is not None:
        spec["nodeName"] = pod.node_name
    else:
        status["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _meta(pod), "spec": spec, "status": status}


def _node(node: Node) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    room = _written(node.allocatable)
    status = {"capacity": room, "allocatable": room, "conditions": [ready]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": _meta(node), "status": status}


def _meta(thing: Pod | Node) -> dict[str, Any]:
    meta = thing.meta
    named = {"name": meta.name, "uid": meta.uid, "labels": dict(meta.labels)}
    return named | ({"namespace": meta.namespace} if meta.namespace else {})


def _written(amounts: Resources) -> dict[str, str]:
    return {name: f"{amount}m" if name == "cpu" else str(amount) for name, amount in amounts.items()}
