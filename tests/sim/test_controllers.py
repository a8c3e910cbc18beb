"""The sandbox's controllers, each a function of what is there."""

from datetime import timedelta
from typing import Any

import pytest

from agent.kube.times import rfc3339
from agent.sim.controllers import housekeeping
from agent.sim.controllers.budgets import budgets
from agent.sim.controllers.view import Write
from agent.sim.controllers.workloads import daemon_sets, deployments, replica_sets
from tests.sim.manifests import NOW, Manifest, metadata, node, owned_by, pod, view, workload


def statuses(writes: list[Write]) -> list[Manifest]:
    return [w.body["status"] for w in writes if w.path.endswith("/status")]


def made(writes: list[Write]) -> list[Manifest]:
    return [w.body for w in writes if w.verb == "create"]


def removed(writes: list[Write]) -> list[str]:
    return [w.path.rpartition("/")[2] for w in writes if w.verb == "delete"]


def replica_set_of(deployment: Manifest, **status: int) -> Manifest:
    [body] = made(list(deployments(view(deployments=[deployment]))))
    return body | {"metadata": metadata(body["metadata"]["name"]) | body["metadata"], "status": status}


def test_a_deployment_makes_one_replica_set_for_its_template() -> None:
    web = workload("web", 3)
    [body] = made(list(deployments(view(deployments=[web]))))
    assert body["spec"]["replicas"] == 3
    label = body["spec"]["selector"]["matchLabels"]["pod-template-hash"]
    assert body["metadata"]["name"] == f"web-{label}"
    assert body["spec"]["template"]["metadata"]["labels"] == {"app": "web", "pod-template-hash": label}
    assert body["metadata"]["ownerReferences"][0]["uid"] == web["metadata"]["uid"]
    assert web["spec"]["template"]["metadata"]["labels"] == {"app": "web"}, "the Deployment itself is not changed"


def test_scaling_a_deployment_scales_its_replica_set() -> None:
    web = workload("web", 3)
    owned = replica_set_of(web)
    web["spec"]["replicas"] = 0
    writes = list(deployments(view(deployments=[web], replicasets=[owned])))
    assert writes[0].body == {"spec": {"replicas": 0}}


def test_a_new_template_takes_over_as_its_pods_get_ready() -> None:
    web = workload("web", 3)
    old = replica_set_of(web, readyReplicas=3)
    web["spec"]["template"]["spec"]["priority"] = 7
    new = replica_set_of(web, readyReplicas=2)
    writes = list(deployments(view(deployments=[web], replicasets=[old, new])))
    scaled = {w.path.rpartition("/")[2]: w.body["spec"]["replicas"] for w in writes if "spec" in w.body}
    assert scaled == {old["metadata"]["name"]: 1}


def test_a_deployments_status_counts_its_pods_and_says_when_they_suffice() -> None:
    web = workload("web", 2)
    owned = replica_set_of(web)
    pods = [pod(ready=ready, owner=owned_by(owned, "ReplicaSet")) for ready in (True, False)]
    [status] = statuses(list(deployments(view(deployments=[web], replicasets=[owned], pods=pods))))
    assert (status["replicas"], status["readyReplicas"], status["unavailableReplicas"]) == (2, 1, 1)
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Available", "False")]
    web["status"] = status
    assert not list(deployments(view(deployments=[web], replicasets=[owned], pods=pods))), "nothing is written twice"


def test_a_replica_set_makes_what_is_missing() -> None:
    owned = workload("web-1", 3)
    there = pod("x", owner=owned_by(owned, "ReplicaSet"))
    ended = pod("y", owner=owned_by(owned, "ReplicaSet"), phase="Failed")
    bodies = made(list(replica_sets(view(replicasets=[owned], pods=[there, ended, pod("stranger")]))))
    assert [b["metadata"]["generateName"] for b in bodies] == ["web-1-", "web-1-"]
    assert bodies[0]["spec"]["containers"] == owned["spec"]["template"]["spec"]["containers"]


def test_of_too_many_pods_the_unbound_go_first_then_the_unready_then_the_young() -> None:
    owned = workload("web-1", 1)
    owner = owned_by(owned, "ReplicaSet")
    pods = [
        pod("ready", owner=owner, ready=True, nodeName="n", meta={"creationTimestamp": "2026-11-25T11:00:00Z"}),
        pod("young", owner=owner, ready=True, nodeName="n", meta={"creationTimestamp": "2026-11-25T11:30:00Z"}),
        pod("unready", owner=owner, nodeName="n"),
        pod("unbound", owner=owner),
    ]
    writes = list(replica_sets(view(replicasets=[owned], pods=pods)))
    assert removed(writes) == ["unbound", "unready", "young"]
    assert [w.grace_seconds for w in writes if w.verb == "delete"] == [0, None, None]


def test_a_daemon_set_has_a_pod_on_each_node_that_it_may_run_on() -> None:
    agents = workload("agent", None)
    owner = owned_by(agents, "DaemonSet")
    nodes = [
        node("a"),
        node("b"),
        node("cordoned", unschedulable=True),
        node("tainted", taints=[{"key": "domain", "value": "x", "effect": "NoSchedule"}]),
    ]
    pods = [pod("on-a", owner=owner, nodeName="a", ready=True), pod("on-t", owner=owner, nodeName="tainted")]
    writes = list(daemon_sets(view(daemonsets=[agents], nodes=nodes, pods=pods)))
    assert [b["spec"]["nodeName"] for b in made(writes)] == ["b", "cordoned"]
    assert removed(writes) == ["on-t"]
    [status] = statuses(writes)
    assert (status["desiredNumberScheduled"], status["numberReady"]) == (3, 1)
    keys = [t["key"] for t in made(writes)[0]["spec"]["tolerations"]]
    assert "node.kubernetes.io/unschedulable" in keys


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"minAvailable": 2}, 1),
        ({"minAvailable": "50%"}, 1),
        ({"minAvailable": "100%"}, 0),
        ({"maxUnavailable": 1}, 0),
        ({"maxUnavailable": 2}, 1),
        ({"maxUnavailable": "30%"}, 1),
        ({"maxUnavailable": "100%"}, 3),
    ],
)
def test_a_budget_allows_what_its_spec_leaves_of_the_healthy_pods(spec: dict[str, Any], allowed: int) -> None:
    owned = workload("web-1", 4)
    owner = owned_by(owned, "ReplicaSet")
    pods = [pod(owner=owner, ready=ready, labels={"app": "web"}) for ready in (True, True, True, False)]
    budget = {"metadata": metadata("b"), "spec": spec | {"selector": {"matchLabels": {"app": "web"}}}}
    objects = {"poddisruptionbudgets": [budget], "pods": [*pods, pod(ready=True)], "replicasets": [owned]}
    [status] = statuses(list(budgets(view(**objects))))
    assert (status["expectedPods"], status["currentHealthy"]) == (4, 3)
    assert status["disruptionsAllowed"] == allowed
    assert status["conditions"][0]["status"] == ("True" if allowed else "False")
    budget["status"] = status
    assert not list(budgets(view(**objects)))


def test_what_a_replica_set_is_short_of_counts_as_unhealthy() -> None:
    owned = workload("web-1", 3)
    pods = [pod(owner=owned_by(owned, "ReplicaSet"), ready=True) for _ in range(2)]
    budget = {"metadata": metadata("b"), "spec": {"maxUnavailable": 1, "selector": {}}}
    [status] = statuses(list(budgets(view(poddisruptionbudgets=[budget], pods=pods, replicasets=[owned]))))
    assert (status["expectedPods"], status["disruptionsAllowed"]) == (3, 0)


def test_pods_end_with_their_node() -> None:
    pods = [pod("lost", nodeName="gone"), pod("kept", nodeName="n"), pod("unbound")]
    [write] = list(housekeeping.lost_pods(view(nodes=[node("n")], pods=pods)))
    assert (write.path.rpartition("/")[2], write.uid, write.grace_seconds) == ("lost", "uid-lost", 0)


def lease(name: str, age_seconds: int) -> Manifest:
    renewed = rfc3339(NOW - timedelta(seconds=age_seconds))
    return {"metadata": metadata(name), "spec": {"renewTime": renewed}}


def test_a_silent_node_becomes_unknown_and_unreachable_and_a_lively_one_is_left_alone() -> None:
    world = {"nodes": [node("dead"), node("alive")], "leases": [lease("dead", 41), lease("alive", 39)]}
    [write] = list(housekeeping.silent_nodes(view(**world)))
    assert write.path.endswith("/nodes/dead/status")
    assert [c["status"] for c in write.body["status"]["conditions"]] == ["Unknown"]
    [taints] = list(housekeeping.silent_nodes(view(nodes=[node("dead", ready="Unknown")], leases=[lease("dead", 41)])))
    assert [t["effect"] for t in taints.body["spec"]["taints"]] == ["NoSchedule", "NoExecute"]
    back = node("dead", taints=taints.body["spec"]["taints"])
    [lifted] = list(housekeeping.silent_nodes(view(nodes=[back], leases=[lease("dead", 1)])))
    assert lifted.body == {"spec": {"taints": []}}


def test_a_control_plane_node_gets_the_label_of_its_role() -> None:
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    plain, done = node("plain", taints=[taint]), node("done", taints=[taint], labels={taint["key"]: ""})
    [write] = list(housekeeping.roles(view(nodes=[plain, done, node("worker")])))
    assert write.path.endswith("/nodes/plain")
    assert write.body == {"metadata": {"labels": {taint["key"]: ""}}}
