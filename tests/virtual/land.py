"""What surrounds the agent: machines that boot and join, a scheduler, controllers, people. In virtual time, by timers.

Everything here is told by the truth (the cluster and the cloud), never by the agent.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.core.quantity import format_resources, parse_resources
from agent.model import names
from agent.model.ec2 import InstanceType
from agent.model.resources import ZERO, Resources
from tests.virtual import workloads
from tests.virtual.cloud import Cloud, Instance
from tests.virtual.fibers import Fibers
from tests.virtual.kubernetes import CSRS, GONE, NODES, PDBS, PODS, Cluster, Json, guards, path_of, stamp

_KEY = ec.derive_private_key(7, ec.SECP256R1())
RETRY_SECONDS, PATIENCE_SECONDS = 10.0, 900.0
DEAD_SECONDS = 40.0


@dataclass
class Joining:
    """How an instance behaves after its launch; None: it never joins."""

    boot_seconds: float | None = 40.0
    ready_seconds: float = 8.0
    node_name: str = ""
    taint: bool = True
    """It registers with the unregistered taint."""
    provider_id: str | None = None
    memory_share: float = 1.0
    """Of what its type was estimated to have."""
    startup_taints: tuple[Json, ...] = ()
    """Taints that something puts on it after it has joined, beside the pool's own."""


@dataclass
class Land:
    """Machines, scheduler and controllers of one cluster."""

    fibers: Fibers
    cluster: Cluster
    cloud: Cloud
    token_parameter: str
    types: Callable[[], dict[str, InstanceType]]
    joining: Callable[[Instance], Joining] = lambda _: Joining()
    deployments: dict[str, workloads.Deployment] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    """``namespace/name`` of pods that never end."""
    paused: bool = False
    """The scheduler and the controllers stand still."""
    _due: bool = False
    _pods: int = 0

    def __post_init__(self) -> None:
        self.cloud.on_launch = self._launched
        self.cloud.on_end = self._ended
        self.cluster.watchers.append(self._changed)

    # Machines.

    def _launched(self, instance: Instance) -> None:
        how = self.joining(instance)
        if how.boot_seconds is not None and names.TAG_MANAGED in instance.tags:
            self.fibers.after(how.boot_seconds, lambda: self._boot(instance, how, self.fibers.now + PATIENCE_SECONDS))

    def _boot(self, instance: Instance, how: Joining, until: float) -> None:
        """As the userData does: read the token, ask for a certificate; try again while the token does not work."""
        if instance.state != "running" or self.fibers.now > until:
            return
        versions = self.cloud.parameters.get(self.token_parameter)
        user = self.cluster.user(versions[-1]) if versions else None
        if user is None:
            self.fibers.after(RETRY_SECONDS, lambda: self._boot(instance, how, until))
            return
        self.request_certificate(how.node_name or instance.id, user, lambda: self._register(instance, how))

    def request_certificate(self, node: str, token_id: str, signed: Callable[[], None]) -> None:
        """Ask to become a node as the bearer of a token; ``signed`` is called when the certificate is there."""
        self._pods += 1
        path = f"/{CSRS}/csr-{self._pods}"
        spec = {
            "request": _request(node),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
            "username": f"system:bootstrap:{token_id}",
            "groups": ["system:bootstrappers", names.BOOTSTRAP_GROUP, "system:authenticated"],
        }
        made = self.cluster.put(path, {"metadata": {"name": path.rpartition("/")[2]}, "spec": spec})

        def changed(collection: str, _kind: str, body: Json) -> None:
            if collection != CSRS or body["metadata"]["uid"] != made["metadata"]["uid"]:
                return
            conditions = body.get("status", {}).get("conditions", [])
            if any(c["type"] in {"Approved", "Denied"} for c in conditions):
                self.cluster.watchers.remove(changed)
            if any(c["type"] == "Approved" for c in conditions):
                self.fibers.after(1.0, sign)

        def sign() -> None:
            self.cluster.change(path, {"status": {"certificate": "c2lnbmVk"}})
            self.fibers.after(1.0, signed)
            self.fibers.after(PATIENCE_SECONDS, lambda: self.cluster.remove(path))

        self.cluster.watchers.append(changed)
        self.fibers.after(4 * PATIENCE_SECONDS, lambda: self.cluster.remove(path))

    def _register(self, instance: Instance, how: Joining) -> None:
        name = how.node_name or instance.id
        if not instance.alive or self.cluster.get(f"/{NODES}/{name}") is not None:
            return
        taints: list[Json] = [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
        if how.taint:
            taints.append({"key": names.UNREGISTERED_TAINT, "effect": "NoExecute"})
        provider = f"aws:///{instance.zone}/{instance.id}" if how.provider_id is None else how.provider_id
        kind = self.types()[instance.kind]
        memory = int(kind.capacity.memory_bytes * how.memory_share)
        lost = kind.capacity.memory_bytes - memory
        less = Resources(memory_bytes=lost)
        self.add_node(name, provider, taints, (kind.capacity - less, kind.allocatable - less), instance)
        self.fibers.after(how.ready_seconds, lambda: self.make_ready(name, how.startup_taints))

    def add_node(
        self, name: str, provider_id: str, taints: list[Json], amounts: tuple[Resources, Resources], of: Instance
    ) -> None:
        """A Node as its kubelet makes it."""
        labels = {
            names.HOSTNAME: name,
            names.ARCH: "amd64",
            names.OS: "linux",
            names.ZONE: of.zone,
            names.INSTANCE_TYPE: of.kind,
        }
        capacity, allocatable = (format_resources(a) for a in amounts)
        status = {"capacity": capacity, "allocatable": allocatable, "conditions": [condition("Ready", "False")]}
        spec = {"providerID": provider_id, "taints": taints} if provider_id else {"taints": taints}
        self.cluster.put(f"/{NODES}/{name}", {"metadata": {"labels": labels}, "spec": spec, "status": status})

    def make_ready(self, name: str, more: tuple[Json, ...] = ()) -> None:
        """Its network is there: Ready, and the taint of it gone."""
        self._set_ready(name, "True", more)

    def make_unready(self, name: str, status: str = "Unknown") -> None:
        """Nothing is heard of it any more."""
        self._set_ready(name, status, ({"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},))

    def _set_ready(self, name: str, status: str, more: tuple[Json, ...]) -> None:
        node = self.cluster.get(f"/{NODES}/{name}")
        if node is None:
            return
        shed = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
        kept = [t for t in node["spec"].get("taints", []) if t["key"] not in shed]
        patch = {"spec": {"taints": [*kept, *more]}, "status": {"conditions": [condition("Ready", status)]}}
        self.cluster.change(f"/{NODES}/{name}", patch)

    def _ended(self, instance: Instance) -> None:
        self.fibers.after(DEAD_SECONDS, lambda: self.make_unready(instance.id))

    # Controllers.

    def deploy(self, name: str, replicas: int, **about: Any) -> None:
        """Make or scale a Deployment."""
        held = self.deployments.get(name)
        if held is None:
            held = self.deployments[name] = workloads.Deployment(name, **about)
        held.replicas = replicas
        self.soon()

    def soon(self) -> None:
        """Let the controllers look, once for all that happens now."""
        if not self._due:
            self._due = True
            self.fibers.after(0.5, self._tick)

    def _changed(self, collection: str, kind: str, body: Json) -> None:
        if collection == NODES and kind == GONE:
            self.fibers.after(1.0, lambda: self._collect(body["metadata"]["name"]))
        if collection == PODS and kind == "MODIFIED" and "deletionTimestamp" in body["metadata"]:
            self._finish(body)
        if collection in {PODS, NODES, PDBS}:
            self.soon()

    def _finish(self, pod: Json) -> None:
        """The kubelet ends a pod, if it is there to do so."""
        meta = pod["metadata"]
        path, key = path_of(PODS, pod), f"{meta['namespace']}/{meta['name']}"
        grace = min(2.0, float(meta.get("deletionGracePeriodSeconds", 2)))

        def end() -> None:
            now = self.cluster.get(path)
            machine = self.cloud.instances.get(pod["spec"].get("nodeName", ""))
            same = now is not None and now["metadata"]["uid"] == meta["uid"]
            if same and key not in self.stuck and (machine is None or machine.alive):
                self.cluster.remove(path)

        self.fibers.after(grace, end)

    def _collect(self, node: str) -> None:
        """Pods of a Node that is no more."""
        if self.cluster.get(f"/{NODES}/{node}") is None:
            for pod in self.cluster.items(PODS):
                if pod["spec"].get("nodeName") == node:
                    self.cluster.remove(path_of(PODS, pod))

    def _tick(self) -> None:
        self._due = False
        if self.paused:
            return
        for deployment in self.deployments.values():
            self._reconcile(deployment)
        self._schedule()
        for budget in self.cluster.items(PDBS):
            self._count(budget)

    def _reconcile(self, wanted: workloads.Deployment) -> None:
        mine = [p for p in self.cluster.items(PODS) if p["metadata"]["labels"].get("app") == wanted.name]
        there = [p for p in mine if "deletionTimestamp" not in p["metadata"]]
        for _ in range(wanted.replicas - len(there)):
            self._pods += 1
            name = f"{wanted.name}-{self._pods}"
            self.cluster.put(f"/api/v1/namespaces/default/pods/{name}", wanted.pod())
        # The scheduler's order, newest first: pending ones go before those that run.
        spare = sorted(there, key=lambda p: ("nodeName" in p["spec"], -int(p["metadata"]["resourceVersion"])))
        for pod in spare[: max(0, len(there) - wanted.replicas)]:
            if "nodeName" in pod["spec"]:
                self.cluster.answer("DELETE", path_of(PODS, pod), b"{}")
            else:
                self.cluster.remove(path_of(PODS, pod))

    def _schedule(self) -> None:
        pods = self.cluster.items(PODS)
        free: dict[str, Resources] = {}
        nodes = sorted(self.cluster.items(NODES), key=lambda n: str(n["metadata"]["name"]))
        for node in nodes:
            free[node["metadata"]["name"]] = parse_resources(node["status"]["allocatable"])
        for pod in pods:
            if (on := pod["spec"].get("nodeName")) in free:
                free[on] = free[on] - requests_of(pod)
        for pod in pods:
            if "nodeName" in pod["spec"] or "deletionTimestamp" in pod["metadata"]:
                continue
            need = requests_of(pod)
            fits = (n for n in nodes if workloads.admits(n, pod) and need.fits_in(free[n["metadata"]["name"]]))
            found = next(fits, None)
            if found is not None:
                name = found["metadata"]["name"]
                free[name] = free[name] - need
                self._bind(pod, name)
            elif not pod.get("status", {}).get("conditions"):
                refused = condition("PodScheduled", "False") | {"reason": "Unschedulable"}
                self.cluster.change(path_of(PODS, pod), {"status": {"phase": "Pending", "conditions": [refused]}})

    def _bind(self, pod: Json, node: str) -> None:
        bound = {"spec": {"nodeName": node}, "status": {"conditions": [condition("PodScheduled", "True")]}}
        self.cluster.change(path_of(PODS, pod), bound)

        def run() -> None:
            now = self.cluster.get(path_of(PODS, pod))
            if now is not None and now["metadata"]["uid"] == pod["metadata"]["uid"]:
                about = {"phase": "Running", "startTime": stamp(self.cluster.now())}
                conditions = [condition("PodScheduled", "True"), condition("Ready", "True")]
                self.cluster.change(path_of(PODS, pod), {"status": about | {"conditions": conditions}})

        self.fibers.after(2.0, run)

    def _count(self, budget: Json) -> None:
        """As the disruption controller."""
        mine = [p for p in self.cluster.items(PODS) if guards(budget, p)]
        healthy = sum(1 for p in mine if is_ready(p) and "deletionTimestamp" not in p["metadata"])
        wanted = max(budget["spec"].get("minAvailable", 0), len(mine) - budget["spec"].get("maxUnavailable", len(mine)))
        allowed = max(0, healthy - wanted)
        status = {"disruptionsAllowed": allowed, "observedGeneration": budget["metadata"]["generation"]}
        if budget.get("status") != status:
            self.cluster.change(path_of(PDBS, budget), {"status": status})


def requests_of(pod: Json) -> Resources:
    total = ZERO
    for container in pod["spec"]["containers"]:
        total = total + parse_resources(container["resources"]["requests"])
    return total + Resources(pods=1)


def is_ready(pod: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def condition(kind: str, status: str) -> Json:
    return {"type": kind, "status": status, "reason": kind, "message": ""}


def _request(node: str) -> str:
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    signed = builder.sign(_KEY, hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
