"""A machine that has joined: its heartbeats, and the pods that are bound to it."""

import time
from typing import Any, Final

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError, NotFound
from agent.kube.times import micro_time
from agent.sim.embedded import Listed
from agent.sim.machines.boot import Joined, Pauses
from agent.sim.machines.hardware import node_status
from agent.sim.machines.pods import Manifest, is_started, running_status
from agent.sim.machines.world import NODES, PODS, World

NAMESPACE: Final = "kube-node-lease"
LEASE_SECONDS: Final = 40


class Kubelet:
    """What runs on a node once it is one. Every call is made with the node's own certificate."""

    def __init__(self, machine: Listed, joined: Joined, world: World) -> None:
        self._machine = machine
        self._script = joined.script
        self._api: KubeApi = joined.api
        self._world = world
        self._beat_at = 0.0
        self._since: dict[str, float] = {}
        """When a pod was first seen to start or to end, by UID and what it waits for."""
        self._addresses = 1

    @property
    def name(self) -> str:
        """The node's name."""
        return self._script.node_name

    def run(self) -> Pauses:
        """Work until nobody asks any more: a machine that is gone says nothing."""
        while True:
            try:
                self._beat()
                self._tend()
            except KubeError:
                # As kubelet does: whatever failed is due again at the next look.
                yield self._world.pace.retry
            yield self._world.pace.tick

    def _beat(self) -> None:
        node = self._world.seen.get(NODES, self.name)
        if node is not None and not _is_ready(node):
            self._api.merge_patch(paths.status(paths.nodes(self.name)), self._status())
        now = time.monotonic()
        if now < self._beat_at:
            return
        self._renew()
        self._beat_at = now + self._world.pace.heartbeat

    def _status(self) -> dict[str, object]:
        return {"status": node_status(self._machine, self._script, self._world.clock())}

    def _renew(self) -> None:
        spec = {
            "holderIdentity": self.name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": micro_time(self._world.clock()),
        }
        try:
            self._api.merge_patch(paths.leases(NAMESPACE, self.name), {"spec": spec})
        except NotFound:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self.name, "namespace": NAMESPACE},
                "spec": spec,
            }
            self._api.create(paths.leases(NAMESPACE), body)

    def _tend(self) -> None:
        """Start what is bound here and does not run; end what is being deleted."""
        mine = [p for p in self._world.seen.items(PODS) if p["spec"].get("nodeName") == self.name]
        for pod in mine:
            if pod["metadata"].get("deletionTimestamp"):
                if self._waited(pod, "stop", self._world.pace.pod_stop):
                    self._remove(pod)
            elif not is_started(pod) and self._waited(pod, "start", self._world.pace.pod_start):
                self._started(pod)
        uids = {str(p["metadata"]["uid"]) for p in mine}
        self._since = {key: at for key, at in self._since.items() if key.partition(" ")[0] in uids}

    def _waited(self, pod: Manifest, what: str, seconds: float) -> bool:
        now = time.monotonic()
        return now - self._since.setdefault(f"{pod['metadata']['uid']} {what}", now) >= seconds

    def _started(self, pod: Manifest) -> None:
        self._addresses += 1
        octets = self._machine.private_ip.split(".")
        pod_ip = f"10.244.{octets[-1]}.{self._addresses % 250 + 2}"
        status = running_status(pod, self._machine.private_ip, pod_ip, self._world.clock())
        path = paths.status(paths.pods(pod["metadata"]["namespace"], pod["metadata"]["name"]))
        try:
            self._world.seen.wrote(PODS, self._api.merge_patch(path, {"status": status}))
        except NotFound:
            return  # deleted meanwhile

    def _remove(self, pod: Manifest) -> None:
        """Tell the API server that the pod's containers have ended, which removes it."""
        namespace, name, uid = (str(pod["metadata"][k]) for k in ("namespace", "name", "uid"))
        try:
            self._api.delete(paths.pods(namespace, name), uid=uid, grace_seconds=0)
        except NotFound:
            return
        self._world.seen.deleted(PODS, f"{namespace}/{name}", uid)


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
