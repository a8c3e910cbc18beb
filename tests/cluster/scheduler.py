"""A control plane whose scheduler has only its filters to go by, and worlds that are set up in it one after another.

Of scoring only preferred node affinity is left, and every pod prefers the node that the plan names, so that it lands
elsewhere only if the scheduler's own filters refuse that node.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from tests.checker.binding import Cluster
from tests.checker.quantities import Amounts
from tests.checker.volumes import claim_names
from tests.checker.worlds import HOSTNAME, Where, key
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import ClusterError, wait_until
from tests.worlds import objects

Json = dict[str, Any]
HOST = "127.0.0.5"
PATIENCE = 20.0
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
PROBE = {"key": "joinery.test/probe", "effect": "NoSchedule"}
CONTROLLERS = "--controllers=-node-lifecycle-controller,-taint-eviction-controller"
"""Nodes without a kubelet would be found dead after 40 seconds."""


def configuration(kubeconfig: Path) -> str:
    """The scheduler's configuration: all filters, one score, no preemption."""
    plugins = {
        "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity", "weight": 100}]},
        "postFilter": {"disabled": [{"name": "*"}]},
    }
    return yaml.safe_dump(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 1000, "burst": 2000},
            "leaderElection": {"leaderElect": False},
            "percentageOfNodesToScore": 100,
            "profiles": [{"schedulerName": "default-scheduler", "plugins": plugins}],
        }
    )


def control_plane(folder: Path) -> ControlPlane:
    """Not started yet."""
    config = folder / "scheduler.yaml"
    config.write_text(configuration(folder / "work/etc/scheduler.conf"))
    flags = {
        "kube-scheduler": [f"--config={config}"],
        "kube-controller-manager": [CONTROLLERS],
        # It would taint every node until the controller that is left out has seen it ready.
        "kube-apiserver": ["--disable-admission-plugins=TaintNodesByCondition"],
    }
    return ControlPlane(folder / "work", host=HOST, flags=flags)


@dataclass
class Stage:
    """Sets a world up, lets the scheduler bind its pods, and clears it away."""

    api: ControlPlane
    _number: int = 0

    def prepare(self) -> None:
        """What all worlds share."""
        for name in objects.NAMESPACES:
            self._create("/api/v1/namespaces", objects.namespace(name))
        runtime = {"metadata": {"name": objects.RUNTIME_CLASS}, "handler": "any"}
        overhead = {"overhead": {"podFixed": objects.OVERHEAD}}
        self._create("/apis/node.k8s.io/v1/runtimeclasses", runtime | overhead)
        self._create("/apis/storage.k8s.io/v1/storageclasses", objects.storage_class())
        for name in objects.NAMESPACES:
            account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            wait_until(f"service account of {name}", lambda path=account: self.api.api("GET", path)[0] == 200)  # type: ignore[misc]

    def play(self, cluster: Cluster, wanted: Sequence[tuple[Json, Where]], volumes: Iterable[Json] = ()) -> list[str]:
        """Pods that the scheduler binds elsewhere than wanted, or not at all, each with a sentence."""
        self._number += 1
        names = {where: f"w{self._number}-{host.name}" for where, host in cluster.hosts.items()}
        mounted = self._mount([*wanted, *cluster.bound], cluster, {v["metadata"]["name"]: v for v in volumes})
        for where, host in cluster.hosts.items():
            self._create("/api/v1/nodes", _node(names[where], dict(host.labels), host.taints, dict(host.room)))
        self._look_around(mounts=mounted)
        for pod, where in cluster.bound:
            self._pod(pod, names[where], None)
        expected = {}
        for pod, where in wanted:
            self._pod(pod, None, cluster.hosts[where].labels[HOSTNAME])
            expected[key(pod)] = names[where]
        found = self._verdicts(expected)
        self._clear()
        return found

    def _mount(self, pods: Iterable[tuple[Json, Where]], cluster: Cluster, volumes: Mapping[str, Json]) -> bool:
        """Make the claims of pods, all bound: those that are still to be bound, in the zone where the pod will be."""
        made = []
        for pod, where in pods:
            for name in claim_names(pod):
                zone = cluster.hosts[where].labels[objects.ZONE]
                volume = volumes.get(name) or objects.volume(name, zone)
                made.append(self._volume(name, volume["spec"]["nodeAffinity"]))
        if made:
            made.append(self._volume("probe", None))
        for path in made:
            wait_until(
                f"{path} to be bound",
                lambda path=path: self.api.api("GET", path)[1]["status"].get("phase") == "Bound",  # type: ignore[misc]
                timeout=PATIENCE,
            )
        return bool(made)

    def _volume(self, name: str, affinity: Json | None) -> str:
        """A volume and its claim under names of this world's own; the claim's path."""
        own, path = f"w{self._number}-{name}", "/api/v1/namespaces/shop/persistentvolumeclaims"
        volume, claim = objects.volume(own, ""), objects.volume_claim(own, own)
        volume["spec"]["nodeAffinity"] = affinity
        for where, one in (("/api/v1/persistentvolumes", volume), (path, claim)):
            self._create(where, {"metadata": {"name": own}, "spec": one["spec"]})
        return f"{path}/{own}"

    def _look_around(self, *, mounts: bool) -> None:
        """Wait until the scheduler has seen the last node and volume: it sees them in the order they were made in."""
        name = f"probe-{self._number}"
        self._create("/api/v1/nodes", _node(name, {"joinery.test/probe": name}, (PROBE,), {}))
        spec = objects.containers({}) | {"nodeSelector": {"joinery.test/probe": name}, "tolerations": [PROBE]}
        if mounts:
            source = {"persistentVolumeClaim": {"claimName": f"w{self._number}-probe"}}
            spec["volumes"] = [{"name": "data", **source}]
        self._create("/api/v1/namespaces/shop/pods", _plain(name, spec, {}))
        path = f"/api/v1/namespaces/shop/pods/{name}"
        wait_until(
            f"the scheduler to see {name}",
            lambda: bool(self.api.api("GET", path)[1]["spec"].get("nodeName")),
            timeout=PATIENCE,
        )

    def _pod(self, pod: Json, node: str | None, host: str | None) -> None:
        meta, spec = pod["metadata"], copy.deepcopy(pod["spec"])
        spec.pop("nodeName", None)
        if node is not None:
            spec["nodeName"] = node
        if host is not None:
            preference = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [host]}]}
            own = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
            own[PREFERRED] = [{"weight": 100, "preference": preference}]
        for volume in spec.get("volumes") or ():
            volume["persistentVolumeClaim"]["claimName"] = (
                f"w{self._number}-{volume['persistentVolumeClaim']['claimName']}"
            )
        body = _plain(meta["name"], spec, meta.get("labels") or {})
        self._create(f"/api/v1/namespaces/{meta['namespace']}/pods", body)

    def _verdicts(self, expected: dict[str, str]) -> list[str]:
        deadline = time.monotonic() + PATIENCE
        while True:
            listed = {key(p): p for name in objects.NAMESPACES for p in self._list(f"/api/v1/namespaces/{name}/pods")}
            waiting = [k for k in expected if not listed[k]["spec"].get("nodeName")]
            refused = [k for k in waiting if _refusal(listed[k])]
            # The scheduler takes pods in their order, so that a refused one is not waiting for another.
            if not waiting or refused or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        wrong = [
            f"{k} is bound to {listed[k]['spec']['nodeName']}, not to {n}"
            for k, n in expected.items()
            if k not in waiting and listed[k]["spec"]["nodeName"] != n
        ]
        return wrong + [f"{k} is not bound to {expected[k]}: {_refusal(listed[k])}" for k in refused or waiting]

    def _clear(self) -> None:
        at_once = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        for name in objects.NAMESPACES:
            self.api.api("DELETE", f"/api/v1/namespaces/{name}/pods", at_once)
        # They go in their own time: no other world has volumes of these names.
        self.api.api("DELETE", "/api/v1/namespaces/shop/persistentvolumeclaims", at_once)
        self.api.api("DELETE", "/api/v1/persistentvolumes", at_once)
        self.api.api("DELETE", "/api/v1/nodes", at_once)
        for path in ("/api/v1/nodes", *(f"/api/v1/namespaces/{n}/pods" for n in objects.NAMESPACES)):
            wait_until(f"{path} to be empty", lambda path=path: not self._list(path), timeout=PATIENCE)  # type: ignore[misc]

    def _list(self, path: str) -> list[Json]:
        found: list[Json] = self.api.api("GET", path)[1]["items"]
        return found

    def _create(self, path: str, body: Json) -> None:
        status, answer = self.api.api("POST", path, body)
        if status not in {201, 409}:
            raise ClusterError(f"POST {path} {body['metadata']['name']}: {status} {answer.get('message')}")


def _plain(name: str, spec: Json, labels: dict[str, str]) -> Json:
    fixed = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec | fixed}


def _node(name: str, labels: dict[str, str], taints: Iterable[Json], room: Amounts) -> Json:
    # Where DaemonSets will want more than there is, nothing is left; the API server takes no less than that.
    left = {n: max(v, Fraction(0)) for n, v in room.items()}
    amounts = {n: f"{int(v * 1000)}m" if n == "cpu" else str(int(v)) for n, v in left.items()} or {"pods": "5"}
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": list(taints)},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
    }


def _refusal(pod: Json) -> str:
    conditions = pod["status"].get("conditions") or ()
    return next(
        (c.get("message", "") for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"), ""
    )
