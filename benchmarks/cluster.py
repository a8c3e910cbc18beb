"""A real cluster to measure in: control plane with an audit log, embedded EC2, and as many nodes and pods as wanted."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.sim.daemon import DaemonProcess
from benchmarks.process import NotifySocket, cpu_seconds, resident_mb
from benchmarks.workloads import node_object, pod_object
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import ClusterError
from tests.cluster.stack import Stack

ROOT = Path(__file__).resolve().parents[1]
USER = "system:serviceaccount:joinery-system:joinery"
THREADS = 8
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [USER]}, {"level": "None"}],
}
READS = frozenset({"get", "list", "watch"})
# Nodes that are objects only have no kubelet to renew their Leases.
PATIENT = ["--node-monitor-grace-period=24h"]


class Bench:
    """``with Bench() as bench:`` is a cluster of no nodes, with a pool and its class, and no daemon."""

    def __init__(self) -> None:
        self._exit = ExitStack()
        self.nodes = self.pods = 0
        self.stack: Stack
        self.folder: Path

    def __enter__(self) -> Self:
        self.folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="joinery-bench-")))
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(AUDIT))
        self._audit = self.folder / "audit.log"
        flags = {
            "kube-apiserver": [f"--audit-policy-file={self.folder / 'audit.yaml'}", f"--audit-log-path={self._audit}"],
            "kube-controller-manager": PATIENT,
        }
        plane = self._exit.enter_context(ControlPlane(self.folder / "plane", flags=flags))
        self.api = self._exit.enter_context(KubeApi.from_kubeconfig(str(plane.kubeconfig), timeout_seconds=60))
        self.stack = self._exit.enter_context(Stack(self.folder, plane))
        self.stack.room.holding = True
        pool, node_class = yaml.safe_load_all((ROOT / "examples/worker-scalable.yaml").read_text())
        del node_class["spec"]["userData"]
        # Nothing goes while it is measured.
        pool["spec"]["disruption"] = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "Never"}
        self.stack.apply(pool, node_class)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def size(self) -> str:
        """As the table says it."""
        return f"{self.nodes:,} nodes + {self.pods:,} pods"

    def fill(self, nodes: int, pods: int) -> None:
        """Have so many nodes and pods; those that are there stay."""
        began = time.monotonic()
        self._each(lambda n: self.api.create(paths.nodes(), node_object(n)), range(self.nodes, nodes))
        self._each(
            lambda n: self.api.create(paths.pods("default"), pod_object(n, nodes)),
            range(self.pods, pods),
        )
        self.nodes, self.pods = nodes, pods
        print(f"  {self.size} made in {time.monotonic() - began:.0f} s", flush=True)

    def beat(self, seconds: float) -> None:
        """The nodes' status, as kubelets write it when nothing changes: each node's once in five minutes."""
        began = time.monotonic()
        turn = 0
        while (passed := time.monotonic() - began) < seconds:
            if turn < passed * self.nodes / 300:
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": at}
                path = f"{paths.nodes(f'bench-{turn % self.nodes}')}/status"
                self.api.merge_patch(path, {"status": {"conditions": [ready]}})
                turn += 1
            time.sleep(0.05)

    def writes(self, since: float, until: float) -> Counter[str]:
        """What the daemon's user wrote in that time (seconds of the epoch), by verb and resource."""
        counted: Counter[str] = Counter()
        for line in self._audit.read_text().splitlines():
            event = json.loads(line)
            at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
            if event["verb"] not in READS and since <= at <= until:
                about = event["objectRef"]
                part = f"/{about['subresource']}" if "subresource" in about else ""
                counted[f"{event['verb']} {about['resource']}{part}"] += 1
        return counted

    def tokens(self) -> list[str]:
        """Bootstrap tokens that the daemon made, as `secret/name`."""
        command = ("get", "secrets", "-n", "kube-system", "-l", "app.kubernetes.io/managed-by=joinery", "-o", "name")
        return self.stack.control_plane.kubectl(*command).split()

    def _each(self, make: Callable[[int], object], numbers: Iterable[int]) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(make, numbers, chunksize=20):
                pass


class Daemon:
    """``with Daemon(bench) as daemon:`` is `joinery run`, synced; ``ready_seconds`` says how long that took."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.ready_seconds = 0.0

    def __enter__(self) -> Self:
        stack, folder = self._bench.stack, self._bench.folder
        command = ["run", "--settings", str(folder / "agent.yaml"), "--kubeconfig", str(stack.kubeconfig)]
        with NotifySocket(folder / "notify") as socket:
            environment = stack.environment | {"NOTIFY_SOCKET": str(folder / "notify")}
            began = time.monotonic()
            self._daemon = stack.daemon = DaemonProcess(command, environment, folder / "daemon.log")
            try:
                self.ready_seconds = socket.wait_ready(120) - began
            except TimeoutError as error:
                self._daemon.stop()
                raise ClusterError(f"the daemon: {error}\n{self._daemon.log[-3000:]}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.stop()
        if error is not None:
            print(self._daemon.log[-3000:])

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._daemon.process.pid

    @property
    def cpu_seconds(self) -> float:
        """Spent so far."""
        return cpu_seconds(self.pid)

    def resident_mb(self, field: str = "VmRSS") -> float:
        """Of the process."""
        return resident_mb(self.pid, field)

    def settle(self) -> None:
        """Waits until the class is ready, a token is published and ten seconds of rest have passed."""
        stack = self._bench.stack
        stack.wait("a ready class", lambda: _ready(stack.listed("ec2nodeclasses.karpenter.k8s.aws")[0]), 60)
        stack.wait("a live token", lambda: bool(self._bench.tokens()), 60)
        time.sleep(10)


def _ready(thing: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in thing.get("status", {}).get("conditions", ()))
