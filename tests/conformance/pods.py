"""Pods come to nodes by binding and leave them by deletion or eviction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.kube import paths
from agent.kube.errors import BudgetExhausted, Conflict, NotFound, Retryable
from tests.conformance.cluster import Cluster, Json, until


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    name = cluster.name("pod-node")
    cluster.create(paths.nodes(), {"metadata": {"name": name}})
    yield name
    cluster.api.delete(paths.nodes(name))


def pod(cluster: Cluster, namespace: str, name: str, node: str = "", **spec: object) -> Json:
    until(lambda: cluster.call("GET", paths.service_accounts(namespace, "default"))[0] == 200)
    body: Json = {
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], "schedulerName": "nobody", **spec},
    }
    if node:
        body["spec"]["nodeName"] = node
    return cluster.create(paths.pods(namespace), body)


def running(cluster: Cluster, namespace: str, name: str, node: str) -> Json:
    """A pod that is ready, as its kubelet would say."""
    pod(cluster, namespace, name, node)
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    return cluster.patch(
        paths.status(paths.pods(namespace, name)), {"status": {"phase": "Running", "conditions": ready}}
    )


def budget(cluster: Cluster, namespace: str, name: str, healthy: int, allowed: int) -> None:
    """A budget, and the status that its controller gives it for one ready pod."""
    spec = {"minAvailable": healthy, "selector": {"matchLabels": {"app": "web"}}}
    cluster.create(paths.pdbs(namespace), {"metadata": {"name": name}, "spec": spec})
    status = {
        "disruptionsAllowed": allowed,
        "currentHealthy": 1,
        "desiredHealthy": healthy,
        "expectedPods": 1,
        "observedGeneration": 1,
    }
    path = paths.pdbs(namespace, name)
    cluster.patch(paths.status(path), {"status": status})

    def settled() -> bool:
        found = cluster.read(path)["status"]
        return all(found.get(k, 0) == v for k, v in status.items())

    until(settled)


def test_a_new_pod_waits_and_has_the_defaults_that_are_looked_at(cluster: Cluster, namespace: str) -> None:
    made = pod(cluster, namespace, "p")
    spec = made["spec"]
    assert made["status"]["phase"] == "Pending"
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"], spec["priority"]) == ("Always", 30, 0)
    assert spec["serviceAccountName"] == "default"
    tolerated = {t["key"]: t["tolerationSeconds"] for t in spec["tolerations"]}
    assert tolerated == {"node.kubernetes.io/not-ready": 300, "node.kubernetes.io/unreachable": 300}


def test_a_limit_without_a_request_is_the_request(cluster: Cluster, namespace: str) -> None:
    container = {"name": "c", "image": "i", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}
    made = pod(cluster, namespace, "p", containers=[container | {"name": "d"}])
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "2", "memory": "1Gi"}


def test_a_pod_is_bound_once(cluster: Cluster, namespace: str, node: str) -> None:
    pod(cluster, namespace, "p")
    path = paths.pods(namespace, "p")
    body = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}}
    cluster.api.create(f"{path}/binding", body)
    found = cluster.read(path)
    assert found["spec"]["nodeName"] == node
    scheduled = [c["status"] for c in found["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert scheduled == ["True"]
    with pytest.raises(Conflict, match="is already assigned to node"):
        cluster.api.create(f"{path}/binding", body)


def test_a_pod_without_a_node_goes_at_once(cluster: Cluster, namespace: str) -> None:
    pod(cluster, namespace, "p")
    cluster.api.delete(paths.pods(namespace, "p"))
    with pytest.raises(NotFound):
        cluster.read(paths.pods(namespace, "p"))


def test_a_pod_on_a_node_has_its_grace_until_the_kubelet_confirms(cluster: Cluster, namespace: str, node: str) -> None:
    made = running(cluster, namespace, "p", node)["metadata"]
    path = paths.pods(namespace, "p")
    cluster.api.delete(path, uid=made["uid"])
    going = cluster.read(path)["metadata"]
    assert going["deletionGracePeriodSeconds"] == 30
    assert going["deletionTimestamp"] > made["creationTimestamp"]
    cluster.api.delete(path, grace_seconds=5)
    shorter = cluster.read(path)["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < going["deletionTimestamp"]
    cluster.api.delete(path, grace_seconds=20)
    assert cluster.read(path)["metadata"]["deletionGracePeriodSeconds"] == 5
    cluster.api.delete(path, grace_seconds=0)
    with pytest.raises(NotFound):
        cluster.read(path)


def test_a_pod_that_has_ended_goes_at_once(cluster: Cluster, namespace: str, node: str) -> None:
    pod(cluster, namespace, "p", node)
    path = paths.pods(namespace, "p")
    cluster.patch(paths.status(path), {"status": {"phase": "Succeeded"}})
    cluster.api.delete(path)
    with pytest.raises(NotFound):
        cluster.read(path)


def test_the_status_of_a_pod_is_written_apart_from_the_rest(cluster: Cluster, namespace: str, node: str) -> None:
    running(cluster, namespace, "p", node)
    path = paths.pods(namespace, "p")
    cluster.patch(path, {"metadata": {"labels": {"x": "y"}}, "status": {"phase": "Failed"}})
    found = cluster.read(path)
    assert (found["status"]["phase"], found["metadata"]["labels"]["x"]) == ("Running", "y")


def test_a_pod_without_a_budget_is_evicted(cluster: Cluster, namespace: str, node: str) -> None:
    made = running(cluster, namespace, "p", node)
    cluster.api.evict(namespace, "p", made["metadata"]["uid"])
    assert cluster.read(paths.pods(namespace, "p"))["metadata"]["deletionTimestamp"]


def test_an_eviction_meets_the_very_pod_or_none(cluster: Cluster, namespace: str, node: str) -> None:
    running(cluster, namespace, "p", node)
    with pytest.raises(Conflict):
        cluster.api.evict(namespace, "p", "00000000-0000-4000-8000-000000000000")
    with pytest.raises(NotFound):
        cluster.api.evict(namespace, "q", "")


def test_a_spent_budget_forbids_an_eviction(cluster: Cluster, namespace: str, node: str) -> None:
    running(cluster, namespace, "p", node)
    budget(cluster, namespace, "web", 1, 0)
    with pytest.raises(BudgetExhausted) as caught:
        cluster.api.evict(namespace, "p", "")
    assert str(caught.value) == (
        "Cannot evict pod as it would violate the pod's disruption budget. "
        "The disruption budget web needs 1 healthy pods and has 1 currently"
    )
    assert "deletionTimestamp" not in cluster.read(paths.pods(namespace, "p"))["metadata"]


def test_a_budget_with_room_is_spent_by_an_eviction(cluster: Cluster, namespace: str, node: str) -> None:
    running(cluster, namespace, "p", node)
    budget(cluster, namespace, "web", 0, 1)
    cluster.api.evict(namespace, "p", "")
    assert cluster.read(paths.pods(namespace, "p"))["metadata"]["deletionTimestamp"]
    until(lambda: cluster.read(paths.pdbs(namespace, "web"))["status"]["disruptionsAllowed"] == 0)


def test_a_pod_of_two_budgets_cannot_be_evicted(cluster: Cluster, namespace: str, node: str) -> None:
    running(cluster, namespace, "p", node)
    for name in ("one", "two"):
        budget(cluster, namespace, name, 0, 1)
    with pytest.raises(Retryable, match="more than one PodDisruptionBudget") as caught:
        cluster.api.evict(namespace, "p", "")
    assert caught.value.status == 500


def test_a_pod_that_waits_is_evicted_whatever_its_budget(cluster: Cluster, namespace: str, node: str) -> None:
    running(cluster, namespace, "p", node)
    budget(cluster, namespace, "web", 1, 0)
    pod(cluster, namespace, "waits")
    cluster.api.evict(namespace, "waits", "")
    until(lambda: cluster.call("GET", paths.pods(namespace, "waits"))[0] == 404)


def test_scale_shows_and_sets_replicas(cluster: Cluster, namespace: str) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    made = cluster.create(path, {"metadata": {"name": "d"}, "spec": spec})
    assert made["metadata"]["generation"] == 1
    scale = cluster.read(f"{path}/d/scale")
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {}, "a=b")
    assert cluster.patch(f"{path}/d/scale", {"spec": {"replicas": 2}})["spec"] == {"replicas": 2}
    found = cluster.read(f"{path}/d")
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (2, 2)
    cluster.api.delete(f"{path}/d")
