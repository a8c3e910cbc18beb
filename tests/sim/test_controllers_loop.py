"""The sandbox's controllers at work on a real API server: together they bring about what is wanted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.kinds import items
from agent.sim.apiserver import ApiServer, User
from agent.sim.controllers.loop import Controllers
from agent.sim.controllers.view import DEPLOYMENTS, collection
from tests.cluster.processes import wait_until
from tests.sim.manifests import Manifest, workload

DEPLOYED = collection(DEPLOYMENTS, "default")
BUDGETS = paths.pdbs("default")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as running:
        yield running


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> Iterator[KubeApi]:
    with KubeApi.from_kubeconfig(str(server.write_kubeconfig(tmp_path / "admin.conf"))) as admin:
        yield admin


def deployment(replicas: int) -> Manifest:
    made = workload("web", replicas)
    return made | {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}}


def add_node(api: KubeApi, name: str, cpu: str) -> None:
    api.create(paths.nodes(), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    amounts = {"cpu": cpu, "memory": "16Gi", "pods": "110"}
    ready = [{"type": "Ready", "status": "True"}]
    status = {"capacity": amounts, "allocatable": amounts, "conditions": ready}
    api.merge_patch(paths.status(paths.nodes(name)), {"status": status})


def bound(api: KubeApi) -> list[str]:
    return sorted(p["spec"].get("nodeName", "") for p in items(api, paths.pods("default")))


def status(api: KubeApi) -> dict[str, Any]:
    [found] = items(api, DEPLOYED)
    return found.get("status") or {}


def run_all(api: KubeApi) -> None:
    """Say of every bound pod that it runs, as its kubelet would."""
    for pod in items(api, paths.pods("default")):
        conditions = [{"type": "Ready", "status": "True"}]
        path = paths.status(paths.pods("default", pod["metadata"]["name"]))
        api.merge_patch(path, {"status": {"phase": "Running", "conditions": conditions}})


def test_a_deployment_becomes_pods_on_nodes_and_goes_without_a_trace(api: KubeApi) -> None:
    add_node(api, "a", "2")
    with Controllers(api) as controllers:
        api.create(DEPLOYED, deployment(3))
        wait_until("two bound pods and one that waits", lambda: bound(api) == ["", "a", "a"])
        add_node(api, "b", "1")
        wait_until("three bound pods", lambda: bound(api) == ["a", "a", "b"])
        run_all(api)
        wait_until("its status", lambda: status(api).get("readyReplicas") == 3)
        api.merge_patch(f"{DEPLOYED}/web", {"spec": {"replicas": 0}})
        wait_until("pods being deleted", lambda: all("deletionTimestamp" in p["metadata"] for p in pods(api)))
        api.delete(f"{DEPLOYED}/web")
        for pod in pods(api):
            api.delete(paths.pods("default", pod["metadata"]["name"]), grace_seconds=0)
        wait_until("an empty namespace", lambda: not pods(api))
    assert controllers.failed is None


def pods(api: KubeApi) -> list[Manifest]:
    return items(api, paths.pods("default"))


def test_a_budget_stands_in_the_way_of_an_eviction_as_soon_as_it_is_counted(api: KubeApi) -> None:
    add_node(api, "a", "2")
    with Controllers(api):
        api.create(DEPLOYED, deployment(1))
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
        meta = {"name": "web", "namespace": "default"}
        api.create(BUDGETS, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec})
        wait_until("a bound pod", lambda: bound(api) == ["a"])
        run_all(api)
        wait_until("a count", lambda: items(api, BUDGETS)[0].get("status", {}).get("currentHealthy") == 1)
        [budget] = items(api, BUDGETS)
        assert (budget["status"]["disruptionsAllowed"], budget["status"]["observedGeneration"]) == (0, 1)


def test_a_refused_write_ends_no_thread_and_is_done_once_it_is_allowed(
    server: ApiServer, api: KubeApi, tmp_path: Path
) -> None:
    """Somebody who may read everything and write nothing, until a role says otherwise."""
    rbac = "rbac.authorization.k8s.io"
    for name, verbs in (("reader", ["get", "list", "watch"]), ("writer", ["*"])):
        rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}
        role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}
        api.create(f"/apis/{rbac}/v1/clusterroles", role)
    bind(api, "reader")
    kubeconfig = server.write_kubeconfig(tmp_path / "reader.conf", user=User("controllers"))
    with KubeApi.from_kubeconfig(str(kubeconfig)) as reader, Controllers(reader) as controllers:
        api.create(DEPLOYED, deployment(1))
        wait_until("a view", controllers.cache.synced)
        wait_until("the Deployment is seen", lambda: bool(controllers.cache.items(DEPLOYMENTS)))
        assert pods(api) == []
        bind(api, "writer")
        wait_until("a pod", lambda: bool(pods(api)))
        assert controllers.failed is None


def bind(api: KubeApi, role: str) -> None:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "controllers"}],
    }
    api.create(f"/apis/{group}/v1/clusterrolebindings", binding)
