"""Our own kinds, Leases, Events, and what the server says of itself."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from agent.kube import paths
from agent.kube.errors import Invalid, NotFound
from agent.kube.lease import LeaseLock
from agent.kube.times import micro_time
from tests.conformance.cluster import Cluster, Json, query
from tests.manifests.cases import CLAIM, OVERLAY, POOL, changed

STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
def pool(cluster: Cluster) -> Json:
    """A NodePool of the test's own, not created yet."""
    cluster.serve_our_kinds()
    found: Json = changed(POOL, ("metadata.name", cluster.name("pool")))
    return found


def test_a_pool_is_stored_with_its_defaults(cluster: Cluster, pool: Json) -> None:
    made = cluster.create(paths.node_pools(), pool)
    assert made["metadata"]["generation"] == 1
    assert made["spec"]["disruption"]["budgets"] == [{"nodes": "10%"}]
    assert made["spec"]["template"]["spec"]["expireAfter"] == "720h"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("spec.template.spec.nodeClassRef", None, "spec.template.spec.nodeClassRef"),
        ("spec.template.spec.requirements.0.operator", "Near", "Unsupported value"),
        ("spec.weight", 0, "spec.weight"),
        ("spec.weight", "heavy", "spec.weight"),
        ("spec.template.spec.requirements.0.values", "amd64", "must be of type array"),
        ("spec.disruption", {"consolidateAfter": "soon"}, "spec.disruption.consolidateAfter"),
        ("spec.limits", {"cpu": "lots"}, "spec.limits.cpu"),
    ],
)
def test_what_does_not_fit_the_schema_is_invalid(
    path: str, value: object, told: str, cluster: Cluster, pool: Json
) -> None:
    with pytest.raises(Invalid) as caught:
        cluster.create(paths.node_pools(), changed(pool, (path, value)))
    assert caught.value.status == 422
    assert told in str(caught.value)
    assert f'NodePool.karpenter.sh "{pool["metadata"]["name"]}" is invalid' in str(caught.value)


def test_an_unknown_field_is_dropped_or_refused_if_asked(cluster: Cluster, pool: Json) -> None:
    odd = changed(pool, ("spec.template.spec.oddity", 1))
    code, status = cluster.call("POST", query(paths.node_pools(), fieldValidation="Strict"), odd)
    assert code == 400
    assert 'strict decoding error: unknown field "spec.template.spec.oddity"' in status["message"]
    made = cluster.create(paths.node_pools(), odd)
    assert "oddity" not in made["spec"]["template"]["spec"]


def test_spec_and_status_are_written_apart(cluster: Cluster, pool: Json) -> None:
    cluster.create(paths.node_pools(), pool | {"status": {"nodes": 7}})
    path = paths.node_pools(pool["metadata"]["name"])
    assert cluster.read(path).get("status", {}).get("nodes") != 7
    cluster.patch(paths.status(path), {"spec": {"weight": 5}, "status": {"nodes": 3}})
    found = cluster.read(path)
    assert ("weight" not in found["spec"], found["status"]["nodes"], found["metadata"]["generation"]) == (True, 3, 1)
    cluster.patch(path, {"spec": {"weight": 5}, "status": {"nodes": 9}})
    found = cluster.read(path)
    assert (found["spec"]["weight"], found["status"]["nodes"], found["metadata"]["generation"]) == (5, 3, 2)
    cluster.patch(path, {"metadata": {"labels": {"a": "b"}}})
    assert cluster.read(path)["metadata"]["generation"] == 2


def test_the_conditions_of_an_overlay_are_written_beside_its_spec(cluster: Cluster) -> None:
    cluster.serve_our_kinds()
    path = paths.node_overlays(cluster.name("overlay"))
    cluster.create(paths.node_overlays(), changed(OVERLAY, ("metadata.name", path.rpartition("/")[2])))
    ready = {"type": "Ready", "status": "False", "reason": "Conflict", "message": "", "observedGeneration": 1}
    ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    cluster.patch(paths.status(path), {"spec": {"weight": 5}, "status": {"conditions": [ready]}})
    found = cluster.read(path)
    assert (found["spec"].get("weight"), found["status"]["conditions"]) == (None, [ready])
    assert found["metadata"]["generation"] == 1
    table = cluster.table(path)
    shown = [c["name"] for c in table["columnDefinitions"] if c["priority"] == 0]
    assert (shown, table["rows"][0]["cells"][1]) == (["Name", "Ready", "Age", "Weight"], "False")


def test_a_custom_object_is_replaced_only_by_its_version(cluster: Cluster, pool: Json) -> None:
    made = cluster.create(paths.node_pools(), pool)
    path = paths.node_pools(pool["metadata"]["name"])
    fresh = copy.deepcopy(made)
    del fresh["metadata"]["resourceVersion"]
    with pytest.raises(Invalid, match=r"metadata.resourceVersion"):
        cluster.api.replace(path, fresh)
    cluster.api.replace(path, made)
    assert cluster.call("PATCH", path, {"spec": {"weight": 1}}, STRATEGIC)[0] == 415


def test_a_claim_with_a_finalizer_counts_its_deletion(cluster: Cluster, pool: Json) -> None:
    assert pool
    claim = changed(CLAIM, ("metadata", {"name": cluster.name("claim"), "finalizers": ["karpenter.sh/termination"]}))
    cluster.create(paths.node_claims(), claim)
    path = paths.node_claims(claim["metadata"]["name"])
    cluster.api.delete(path)
    found = cluster.read(path)["metadata"]
    assert found["deletionTimestamp"]
    assert found["generation"] == 2
    cluster.patch(path, {"metadata": {"finalizers": []}})
    with pytest.raises(NotFound):
        cluster.read(path)


def test_a_kind_that_nobody_defined_is_not_served(cluster: Cluster) -> None:
    assert cluster.call("GET", "/apis/karpenter.sh/v1/nodefleets")[0] == 404
    assert cluster.call("GET", "/apis/nobody.example/v1/things")[0] == 404


def test_a_pool_is_printed_with_its_columns(cluster: Cluster, pool: Json) -> None:
    made = cluster.create(paths.node_pools(), pool)["metadata"]["name"]
    cluster.patch(paths.status(paths.node_pools(made)), {"status": {"nodes": 2}})
    table = cluster.table(paths.node_pools(made))
    assert table["kind"] == "Table"
    shown = [c["name"] for c in table["columnDefinitions"] if c["priority"] == 0]
    assert shown == ["Name", "NodeClass", "Nodes", "Ready", "Age"]
    cells = table["rows"][0]["cells"]
    assert cells[:2] == [made, "class"]
    assert table["rows"][0]["object"]["metadata"]["name"] == made


def test_a_lease_is_held_by_one_and_taken_when_let_go(cluster: Cluster, namespace: str) -> None:
    first, second = (LeaseLock(cluster.api, namespace, "l", who) for who in ("one", "two"))
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.holder == "one"
    assert first.renew()
    first.release()
    assert second.try_acquire()


def test_the_times_of_a_lease_have_a_fraction(cluster: Cluster, namespace: str) -> None:
    now = micro_time(datetime.now(UTC))
    made = cluster.create(
        paths.leases(namespace), {"metadata": {"name": "l"}, "spec": {"renewTime": now, "holderIdentity": "x"}}
    )
    assert made["spec"]["renewTime"] == now
    with pytest.raises(Invalid):
        cluster.create(
            paths.leases(namespace), {"metadata": {"name": "m"}, "spec": {"renewTime": "2026-01-01T00:00:00Z"}}
        )
    with pytest.raises(Invalid):
        cluster.create(paths.leases(namespace), {"metadata": {"name": "m"}, "spec": {"leaseDurationSeconds": 0}})
    del made["metadata"]["resourceVersion"]
    with pytest.raises(Invalid, match=r"metadata.resourceVersion"):
        cluster.api.replace(paths.leases(namespace, "l"), made)


def test_an_event_is_kept_where_its_object_is(cluster: Cluster, namespace: str) -> None:
    involved = {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": namespace}
    body: Json = {
        "metadata": {"generateName": "p."},
        "involvedObject": involved,
        "reason": "Tested",
        "message": "it works",
        "type": "Normal",
        "source": {"component": "joinery"},
        "count": 1,
    }
    made = cluster.create(paths.core_events(namespace), body)
    selector = "involvedObject.name=p,involvedObject.kind=Pod"
    listed = cluster.read(paths.core_events(namespace), fieldSelector=selector)["items"]
    assert [e["message"] for e in listed] == ["it works"]
    new = cluster.read(paths.events(namespace, made["metadata"]["name"]))
    assert (new["apiVersion"], new["note"], new["regarding"]["name"]) == ("events.k8s.io/v1", "it works", "p")
    assert new["deprecatedSource"]["component"] == "joinery"
    with pytest.raises(Invalid, match=r"does not match event.namespace"):
        cluster.create(paths.core_events("default"), body)


def test_the_server_says_what_it_serves(cluster: Cluster) -> None:
    cluster.serve_our_kinds()
    listed = {r["name"]: r for r in cluster.read("/api/v1")["resources"]}
    assert listed["pods/eviction"]["kind"] == "Eviction"
    assert listed["nodes"]["namespaced"] is False
    assert {"watch", "patch"} <= set(listed["pods"]["verbs"])
    groups = {g["name"]: g["preferredVersion"]["version"] for g in cluster.read("/apis")["groups"]}
    assert groups["karpenter.sh"] == "v1"
    assert groups["policy"] == "v1"
    ours = {r["name"]: r["kind"] for r in cluster.read("/apis/karpenter.sh/v1")["resources"]}
    assert ours["nodepools"] == "NodePool"
    assert "nodepools/status" in ours
    assert cluster.read("/version")["gitVersion"].startswith("v1.")
    assert cluster.call("GET", "/readyz") == (200, {"text": "ok"})


def test_the_methods_that_a_path_does_not_have(cluster: Cluster, namespace: str) -> None:
    assert cluster.call("PUT", paths.config_maps(namespace), {})[0] == 405
    assert cluster.call("POST", paths.nodes("x"), {})[0] == 405
    assert cluster.call("GET", f"{paths.config_maps(namespace, 'c')}/status")[0] == 404
