"""kubectl, the real one, on the embedded API: what people type in the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.sim.apiserver import ApiServer
from tests.cluster import build

ROOT = Path(__file__).resolve().parents[2]
Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("embedded")
    with ApiServer(folder) as running:
        running.write_kubeconfig(folder / "admin.conf")
        yield running


@pytest.fixture(scope="module")
def home(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    server.write_kubeconfig(folder / "admin.conf")
    return folder


@pytest.fixture(scope="module")
def kubectl(home: Path) -> Kubectl:
    def run(*arguments: str, stdin: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            [str(build.bin_dir() / "kubectl"), "--kubeconfig", str(home / "admin.conf"), *arguments],
            env={"HOME": str(home), "PATH": os.defpath},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    return run


@pytest.fixture(scope="module")
def ours(kubectl: Kubectl) -> Kubectl:
    """kubectl on a cluster that has our kinds."""
    for file in sorted((ROOT / "agent/crds").glob("*.yaml")):
        kubectl("apply", "-f", str(file))
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return kubectl


def node(kubectl: Kubectl, name: str) -> None:
    """A node that is ready, with one pod of somebody's that runs."""
    document = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    kubectl("apply", "-f", "-", stdin=json.dumps(document))
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.3"}}}
    kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps(ready))


def pod(kubectl: Kubectl, name: str, on: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"nodeName": on, "containers": [{"name": "c", "image": "i"}]},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(document))
    running = '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}'
    kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", running)


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_manifest_is_applied_once_and_then_unchanged(ours: Kubectl) -> None:
    example = str(ROOT / "examples/worker-scalable.yaml")
    assert "nodepool.karpenter.sh/worker-scalable created" in ours("apply", "-f", example)
    assert "nodepool.karpenter.sh/worker-scalable unchanged" in ours("apply", "-f", example)
    table = rows(ours("get", "nodepools"))
    assert table[0] == ["NAME", "NODECLASS", "NODES", "READY", "AGE"]
    assert table[1][:2] == ["worker-scalable", "default"]
    assert "Consolidate After:" in ours("describe", "nodepool", "worker-scalable")
    assert "What it may buy" in ours("explain", "nodepool.spec")
    ours("patch", "nodepool", "worker-scalable", "--type=merge", "-p", '{"spec":{"weight":7}}')
    assert ours("get", "nodepool", "worker-scalable", "-o", "jsonpath={.spec.weight}") == "7"
    assert "deleted" in ours("delete", "-f", example)
    assert "not found" in ours("get", "nodepool", "worker-scalable", fails=True)


def test_a_manifest_with_faults_is_refused_with_all_of_them(ours: Kubectl) -> None:
    bad = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "bad"},
        "spec": {"weight": 0, "template": {"spec": {"requirements": []}}},
    }
    told = ours("apply", "-f", "-", stdin=json.dumps(bad), fails=True)
    assert "spec.template.spec.nodeClassRef: Required value" in told
    assert "spec.weight" in told
    bad["spec"] = {"wieght": 1, "template": {"spec": {"requirements": []}}}
    assert 'unknown field "spec.wieght"' in ours("apply", "-f", "-", stdin=json.dumps(bad), fails=True)


def test_a_deployment_is_changed_by_apply_scale_and_set(kubectl: Kubectl) -> None:
    example = (ROOT / "examples/scan-workers.yaml").read_text("utf-8")
    kubectl("apply", "-f", "-", stdin=example)
    assert rows(kubectl("get", "deployments"))[1][:2] == ["scan-worker", "0/7"]
    kubectl("scale", "deployment", "scan-worker", "--replicas=2")
    assert kubectl("get", "deployment", "scan-worker", "-o", "jsonpath={.spec.replicas}") == "2"
    kubectl("set", "env", "deployment/scan-worker", "QUEUE=other")
    container = "jsonpath={.spec.template.spec.containers[0].env}"
    assert '"name":"QUEUE","value":"other"' in kubectl("get", "deployment", "scan-worker", "-o", container)
    kubectl("apply", "-f", "-", stdin=example)
    assert kubectl("get", "deployment", "scan-worker", "-o", "jsonpath={.spec.replicas}") == "7"
    assert "scan-worker" in kubectl("describe", "deployment", "scan-worker")
    kubectl("delete", "deployment", "scan-worker")


def test_nodes_are_cordoned_tainted_and_labelled(kubectl: Kubectl) -> None:
    node(kubectl, "n1")
    assert rows(kubectl("get", "nodes"))[1][:2] == ["n1", "Ready"]
    kubectl("cordon", "n1")
    assert rows(kubectl("get", "nodes"))[1][1] == "Ready,SchedulingDisabled"
    kubectl("uncordon", "n1")
    kubectl("taint", "node", "n1", "a=b:NoSchedule")
    assert "a=b:NoSchedule" in kubectl("describe", "node", "n1")
    kubectl("taint", "node", "n1", "a-")
    assert "a=b:NoSchedule" not in kubectl("describe", "node", "n1")
    kubectl("label", "node", "n1", "x=y")
    assert rows(kubectl("get", "nodes", "-l", "x=y", "--no-headers"))[0][0] == "n1"
    kubectl("delete", "node", "n1")
    assert kubectl("get", "nodes", "-o", "name") == ""


def test_a_node_is_drained_once_its_kubelet_has_ended_the_pods(kubectl: Kubectl, server: ApiServer, home: Path) -> None:
    node(kubectl, "n2")
    pod(kubectl, "drained", "n2")
    with KubeApi.from_kubeconfig(str(home / "admin.conf")) as api:
        told = kubectl("drain", "n2", "--force", "--timeout=1s", fails=True)
        assert 'error when waiting for pod "drained"' in told
        assert "deletionTimestamp" in json.loads(api.get(paths.pods("default", "drained")))["metadata"]
        api.delete(paths.pods("default", "drained"), grace_seconds=0)
    assert "node/n2 drained" in kubectl("drain", "n2", "--force", "--timeout=30s")
    kubectl("delete", "node", "n2")
    assert server.api.store.get("nodes", ("", "n2")) is None


def test_a_drain_waits_for_a_budget(kubectl: Kubectl) -> None:
    node(kubectl, "n3")
    pod(kubectl, "guarded", "n3")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "guard"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(budget))
    status = {"status": {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1}}
    kubectl("patch", "pdb", "guard", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    told = kubectl("drain", "n3", "--force", "--timeout=1s", fails=True)
    assert "violate the pod's disruption budget" in told
    kubectl("delete", "pdb", "guard")
    kubectl("delete", "pod", "guarded", "--grace-period=0", "--force")
    kubectl("delete", "node", "n3")


def test_what_the_sandbox_cannot_do_is_said(kubectl: Kubectl) -> None:
    example = str(ROOT / "examples/scan-workers.yaml")
    assert "leave --server-side out" in kubectl("apply", "--server-side", "-f", example, fails=True)
    assert "--dry-run=client -o json" in kubectl("create", "namespace", "x", fails=True)
    made = kubectl("create", "namespace", "x", "--dry-run=client", "-o", "json")
    assert "namespace/x created" in kubectl("apply", "-f", "-", stdin=made)
    assert "Active" in kubectl("get", "namespace", "x")
