"""Writing objects: identity, versions, patches, deletion."""

from __future__ import annotations

import pytest

from agent.kube import paths
from agent.kube.api import JSON_PATCH, MERGE_PATCH
from agent.kube.errors import AlreadyExists, Conflict, Invalid, KubeError, NotFound
from tests.conformance.cluster import Cluster, Json, query, until

STRATEGIC = "application/strategic-merge-patch+json"


def config(cluster: Cluster, namespace: str, name: str = "c", **meta: object) -> Json:
    body = {"metadata": {"name": name, **meta}, "data": {"a": "1", "b": "2"}}
    return cluster.create(paths.config_maps(namespace), body)


def test_a_created_object_has_what_the_server_gives_it(cluster: Cluster, namespace: str) -> None:
    made = config(cluster, namespace)
    meta = made["metadata"]
    assert (made["kind"], made["apiVersion"], meta["namespace"]) == ("ConfigMap", "v1", namespace)
    assert meta["uid"]
    assert meta["creationTimestamp"].endswith("Z")
    assert int(meta["resourceVersion"]) > 0
    assert "generation" not in meta


def test_a_generated_name_begins_as_asked_and_is_new_each_time(cluster: Cluster, namespace: str) -> None:
    body = {"metadata": {"generateName": "made-"}}
    names = {cluster.create(paths.config_maps(namespace), body)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(n.startswith("made-") and len(n) == len("made-") + 5 for n in names)


def test_an_object_without_a_name_is_invalid(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Invalid, match="name or generateName is required"):
        cluster.create(paths.config_maps(namespace), {"metadata": {}})


def test_a_name_is_taken_once(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace)
    with pytest.raises(AlreadyExists, match='configmaps "c" already exists'):
        config(cluster, namespace)


def test_what_is_not_there_is_not_found(cluster: Cluster, namespace: str) -> None:
    code, status = cluster.call("GET", paths.config_maps(namespace, "no"))
    assert (code, status["reason"], status["details"]) == (404, "NotFound", {"name": "no", "kind": "configmaps"})
    assert status["message"] == 'configmaps "no" not found'
    with pytest.raises(NotFound):
        cluster.api.delete(paths.config_maps(namespace, "no"))
    with pytest.raises(NotFound):
        cluster.api.merge_patch(paths.config_maps(namespace, "no"), {"data": {}})


def test_nothing_is_created_in_a_namespace_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        config(cluster, "nowhere")


def test_another_kind_in_the_body_is_refused(cluster: Cluster, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}
    code, status = cluster.call("POST", paths.config_maps(namespace), body)
    assert (code, status["reason"]) == (400, "BadRequest")


def test_a_version_at_creation_is_refused(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(KubeError, match="resourceVersion should not be set"):
        config(cluster, namespace, resourceVersion="1")


def test_a_replacement_of_an_old_version_conflicts(cluster: Cluster, namespace: str) -> None:
    old = config(cluster, namespace)
    path = paths.config_maps(namespace, "c")
    cluster.patch(path, {"data": {"a": "3"}})
    with pytest.raises(Conflict, match="the object has been modified"):
        cluster.api.replace(path, old)
    fresh = cluster.read(path)
    fresh["data"] = {"z": "1"}
    cluster.api.replace(path, fresh)
    assert cluster.read(path)["data"] == {"z": "1"}


def test_a_replacement_of_another_object_conflicts(cluster: Cluster, namespace: str) -> None:
    made = config(cluster, namespace)
    del made["metadata"]["resourceVersion"]
    made["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(Conflict, match="UID in precondition"):
        cluster.api.replace(paths.config_maps(namespace, "c"), made)


def test_a_write_that_changes_nothing_keeps_the_version(cluster: Cluster, namespace: str) -> None:
    made = config(cluster, namespace)
    path = paths.config_maps(namespace, "c")
    cluster.patch(path, {"data": {"a": "1"}})
    cluster.api.replace(path, made)
    assert cluster.read(path)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_merge_patch_sets_and_takes_away(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace)
    patched = cluster.patch(
        paths.config_maps(namespace, "c"), {"metadata": {"labels": {"x": "y"}}, "data": {"a": None, "c": "3"}}
    )
    assert patched["data"] == {"b": "2", "c": "3"}
    assert patched["metadata"]["labels"] == {"x": "y"}


def test_a_patch_of_an_old_version_conflicts(cluster: Cluster, namespace: str) -> None:
    old = config(cluster, namespace)["metadata"]["resourceVersion"]
    path = paths.config_maps(namespace, "c")
    cluster.patch(path, {"metadata": {"resourceVersion": old}, "data": {"a": "3"}})
    with pytest.raises(Conflict):
        cluster.patch(path, {"metadata": {"resourceVersion": old}, "data": {"a": "4"}})
    replacing = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": old},
        {"op": "add", "path": "/data/q", "value": "1"},
    ]
    with pytest.raises(Conflict):
        cluster.api.json_patch(path, replacing)


def test_a_json_patch_is_carried_out_or_not_at_all(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace)
    path = paths.config_maps(namespace, "c")
    first: Json = {"op": "add", "path": "/metadata/annotations", "value": {"x.y/z": "1"}}
    cluster.api.json_patch(path, [first, {"op": "replace", "path": "/data/a", "value": "9"}])
    for bad in (
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "remove", "path": "/data/none"},
        {"op": "add", "path": "/none/deeper", "value": "1"},
        {"op": "replace", "path": "/none/deeper", "value": "1"},
    ):
        with pytest.raises(Invalid) as caught:
            cluster.api.json_patch(path, [{"op": "add", "path": "/data/new", "value": "1"}, bad])
        assert caught.value.status == 422
    unlike_the_rfc: Json = {"op": "replace", "path": "/data/new", "value": "1"}
    cluster.api.json_patch(path, [{"op": "remove", "path": "/metadata/annotations/x.y~1z"}, unlike_the_rfc])
    found = cluster.read(path)
    assert found["data"] == {"a": "9", "b": "2", "new": "1"}
    assert "annotations" not in found["metadata"]


def test_a_body_that_is_no_object_is_refused(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace)
    path = paths.config_maps(namespace, "c")
    assert cluster.call("PATCH", path, [1], MERGE_PATCH)[0] in {400, 422}
    assert cluster.call("PATCH", path, {"data": {}}, JSON_PATCH)[0] == 400
    assert cluster.call("PATCH", path, {"data": {}}, "application/x")[0] == 415


def test_a_strategic_patch_merges_lists_that_have_keys_and_replaces_the_others(cluster: Cluster) -> None:
    name = cluster.name("strategic")
    taints = [{"key": "a", "effect": "NoSchedule"}]
    cluster.create(paths.nodes(), {"metadata": {"name": name}, "spec": {"taints": taints}})
    path = paths.nodes(name)
    try:
        more = {"spec": {"taints": [{"key": "b", "effect": "NoSchedule"}], "unschedulable": True}}
        code, node = cluster.call("PATCH", path, more, STRATEGIC)
        assert code == 200
        assert "a" not in [t["key"] for t in node["spec"]["taints"]]
        for kind in ("One", "Two", "One"):
            change = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
            assert cluster.call("PATCH", paths.status(path), change, STRATEGIC)[0] == 200
        held = cluster.read(path)["status"]["conditions"]
        assert sorted(c["type"] for c in held) == ["One", "Two"]
        gone = {"status": {"conditions": [{"$patch": "delete", "type": "One"}]}}
        cluster.call("PATCH", paths.status(path), gone, STRATEGIC)
        assert [c["type"] for c in cluster.read(path)["status"]["conditions"]] == ["Two"]
    finally:
        cluster.api.delete(path)


def test_a_dry_run_stores_nothing(cluster: Cluster, namespace: str) -> None:
    path = paths.config_maps(namespace)
    code, made = cluster.call("POST", query(path, dryRun="All"), {"metadata": {"name": "dry"}})
    assert (code, made["metadata"]["name"]) == (201, "dry")
    assert cluster.call("GET", f"{path}/dry")[0] == 404
    config(cluster, namespace)
    assert cluster.call("DELETE", query(f"{path}/c", dryRun="All"))[0] == 200
    assert cluster.read(f"{path}/c")["data"]["a"] == "1"


def test_a_deletion_meets_the_very_object_or_none(cluster: Cluster, namespace: str) -> None:
    made = config(cluster, namespace)["metadata"]
    path = paths.config_maps(namespace, "c")
    with pytest.raises(Conflict):
        cluster.api.delete(path, uid="00000000-0000-4000-8000-000000000000")
    with pytest.raises(Conflict):
        cluster.api.delete(path, resource_version="1")
    cluster.api.delete(path, uid=made["uid"], resource_version=made["resourceVersion"])
    with pytest.raises(NotFound):
        cluster.read(path)


def test_an_object_with_a_finalizer_stays_until_that_is_gone(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, finalizers=["joinery.sh/a"])
    path = paths.config_maps(namespace, "c")
    cluster.api.delete(path)
    going = cluster.read(path)["metadata"]
    assert going["deletionTimestamp"]
    assert going["deletionGracePeriodSeconds"] == 0
    cluster.api.delete(path)
    assert cluster.read(path)["metadata"]["resourceVersion"] == going["resourceVersion"]
    with pytest.raises(Invalid, match="no new finalizers can be added if the object is being deleted"):
        cluster.patch(path, {"metadata": {"finalizers": ["joinery.sh/a", "joinery.sh/b"]}})
    cluster.patch(path, {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        cluster.read(path)


def test_what_an_object_owns_goes_after_it(cluster: Cluster, namespace: str) -> None:
    owner = config(cluster, namespace)["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": owner["uid"]}
    config(cluster, namespace, "owned", ownerReferences=[reference])
    config(cluster, namespace, "free")
    cluster.api.delete(paths.config_maps(namespace, "c"))
    until(lambda: cluster.call("GET", paths.config_maps(namespace, "owned"))[0] == 404)
    assert cluster.read(paths.config_maps(namespace, "free"))


def test_an_owner_that_leaves_orphans_takes_nothing_along(cluster: Cluster, namespace: str) -> None:
    owner = config(cluster, namespace)["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": owner["uid"]}
    config(cluster, namespace, "owned", ownerReferences=[reference])
    cluster.api.delete(paths.config_maps(namespace, "c"), propagation="Orphan")
    until(lambda: cluster.call("GET", paths.config_maps(namespace, "c"))[0] == 404)
    assert "ownerReferences" not in cluster.read(paths.config_maps(namespace, "owned"))["metadata"]


def test_a_collection_is_deleted_by_a_selector(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, "one", labels={"go": "yes"})
    config(cluster, namespace, "two")
    code, _ = cluster.call("DELETE", query(paths.config_maps(namespace), labelSelector="go=yes"))
    assert code == 200
    left = [item["metadata"]["name"] for item in cluster.read(paths.config_maps(namespace))["items"]]
    assert "one" not in left
    assert "two" in left


def test_a_namespace_takes_its_contents_along(cluster: Cluster) -> None:
    name = cluster.name("going")
    cluster.create(paths.namespaces(), {"metadata": {"name": name}})
    config(cluster, name)
    cluster.api.delete(paths.namespaces(name))
    until(lambda: cluster.call("GET", paths.namespaces(name))[0] == 404)
    assert cluster.call("GET", paths.config_maps(name, "c"))[0] == 404


def test_text_of_a_secret_is_kept_as_data(cluster: Cluster, namespace: str) -> None:
    made = cluster.create(paths.secrets(namespace), {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    assert (made["data"], made["type"]) == ({"k": "dg=="}, "Opaque")
    assert "stringData" not in made
