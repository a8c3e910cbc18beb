"""Reading many: selectors, pages, watches."""

from __future__ import annotations

import msgspec
import pytest

from agent.kube import paths
from agent.kube.errors import Expired, Invalid
from tests.conformance.cluster import Cluster, Json, until


def config(cluster: Cluster, namespace: str, name: str, **labels: str) -> Json:
    return cluster.create(paths.config_maps(namespace), {"metadata": {"name": name, "labels": labels}})


def version(cluster: Cluster, namespace: str) -> str:
    found: str = cluster.read(paths.config_maps(namespace))["metadata"]["resourceVersion"]
    return found


def names(listed: Json) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"] if item["metadata"]["name"] != "kube-root-ca.crt"]


def told(events: list[Json]) -> list[tuple[str, str]]:
    """Type and name of what concerns the tests' own objects."""
    found = [(e["type"], e["object"]["metadata"].get("name", "")) for e in events]
    return [(kind, name) for kind, name in found if kind != "BOOKMARK" and name != "kube-root-ca.crt"]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("a=1", ["one"]),
        ("a==1", ["one"]),
        ("a!=1", ["none", "two"]),
        ("a", ["one", "two"]),
        ("!a", ["none"]),
        ("a in (1,2)", ["one", "two"]),
        ("a notin (2)", ["none", "one"]),
        ("a=2,b=x", ["two"]),
        ("a in (2), b notin (y)", ["two"]),
        ("a=3", []),
    ],
)
def test_labels_select(selector: str, found: list[str], cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, "none")
    config(cluster, namespace, "one", a="1")
    config(cluster, namespace, "two", a="2", b="x")
    assert names(cluster.read(paths.config_maps(namespace), labelSelector=selector)) == found


def test_the_fields_that_the_agent_and_kubectl_select_by(cluster: Cluster, namespace: str) -> None:
    container = {"name": "c", "image": "i"}
    for name, node in (("bound", "field-node"), ("waits", "")):
        spec = {"containers": [container], "schedulerName": "nobody"} | ({"nodeName": node} if node else {})
        until(lambda: cluster.call("GET", paths.service_accounts(namespace, "default"))[0] == 200)
        cluster.create(paths.pods(namespace), {"metadata": {"name": name}, "spec": spec})
    pods = paths.pods(namespace)
    assert names(cluster.read(pods, fieldSelector="spec.nodeName=field-node")) == ["bound"]
    assert names(cluster.read(pods, fieldSelector="spec.nodeName=")) == ["waits"]
    assert names(cluster.read(pods, fieldSelector="spec.nodeName!=field-node,status.phase=Pending")) == ["waits"]
    assert names(cluster.read(pods, fieldSelector="status.phase!=Pending")) == []
    assert names(cluster.read(pods, fieldSelector="metadata.name=waits")) == ["waits"]
    everywhere = cluster.read(paths.pods(), fieldSelector=f"metadata.namespace={namespace}")
    assert names(everywhere) == ["bound", "waits"]


def test_an_unknown_field_is_refused(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Invalid, match=r"field label not supported: spec.nonsense"):
        cluster.read(paths.pods(namespace), fieldSelector="spec.nonsense=1")


def test_secrets_are_selected_by_type(cluster: Cluster, namespace: str) -> None:
    cluster.create(paths.secrets(namespace), {"metadata": {"name": "s"}, "type": "joinery.sh/test"})
    cluster.create(paths.secrets(namespace), {"metadata": {"name": "o"}})
    assert names(cluster.read(paths.secrets(namespace), fieldSelector="type=joinery.sh/test")) == ["s"]


def test_a_list_comes_in_pages_of_one_version(cluster: Cluster, namespace: str) -> None:
    for name in "abcde":
        config(cluster, namespace, f"page-{name}", paged="yes")
    path = paths.config_maps(namespace)
    first = cluster.read(path, limit="2", labelSelector="paged=yes")
    config(cluster, namespace, "page-bb", paged="yes")
    cluster.api.delete(paths.config_maps(namespace, "page-d"))
    pages = [first]
    while token := pages[-1]["metadata"].get("continue"):
        pages.append(cluster.read(path, limit="2", labelSelector="paged=yes", **{"continue": token}))
    assert [names(p) for p in pages] == [["page-a", "page-b"], ["page-c", "page-d"], ["page-e"]]
    assert len({p["metadata"]["resourceVersion"] for p in pages}) == 1


def test_the_agents_client_reads_all_pages(cluster: Cluster, namespace: str) -> None:
    for name in "abc":
        config(cluster, namespace, name)
    assert len(list(cluster.api.pages(paths.config_maps(namespace), {"labelSelector": "!x"}, limit=1))) >= 3


def test_a_token_that_makes_no_sense_is_refused(cluster: Cluster, namespace: str) -> None:
    assert cluster.call("GET", f"{paths.config_maps(namespace)}?limit=1&continue=nonsense")[0] == 400


def test_a_watch_tells_what_happened_after_its_version(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, "before")
    since = version(cluster, namespace)
    config(cluster, namespace, "x")
    cluster.patch(paths.config_maps(namespace, "x"), {"data": {"a": "1"}})
    gone = cluster.read(paths.config_maps(namespace, "x"))
    cluster.api.delete(paths.config_maps(namespace, "x"))
    events = cluster.events(paths.config_maps(namespace), resourceVersion=since)
    assert told(events) == [("ADDED", "x"), ("MODIFIED", "x"), ("DELETED", "x")]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions))
    assert versions[-1] > int(gone["metadata"]["resourceVersion"]), "a deletion has a version of its own"
    assert events[0]["object"]["kind"] == "ConfigMap"


def test_a_watch_without_a_version_begins_with_what_is_there(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, "there")
    assert ("ADDED", "there") in told(cluster.events(paths.config_maps(namespace), 1))
    assert ("ADDED", "there") in told(cluster.events(paths.config_maps(namespace), 1, resourceVersion="0"))


def test_a_watch_of_all_namespaces_and_of_one_name(cluster: Cluster, namespace: str) -> None:
    since = version(cluster, namespace)
    mine, other = cluster.name("mine"), cluster.name("other")
    config(cluster, namespace, mine)
    config(cluster, namespace, other)
    everywhere = told(cluster.events(paths.config_maps(), 1, resourceVersion=since))
    assert {("ADDED", mine), ("ADDED", other)} <= set(everywhere)
    named = cluster.events(
        paths.config_maps(namespace), 1, resourceVersion=since, fieldSelector=f"metadata.name={mine}"
    )
    assert told(named) == [("ADDED", mine)]


def test_to_a_selecting_watch_objects_come_and_go_with_their_labels(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, "x")
    since = version(cluster, namespace)
    path = paths.config_maps(namespace, "x")
    for labels in ({"in": "yes"}, {"more": "1"}, {"in": None}, {"more": "2"}):
        cluster.patch(path, {"metadata": {"labels": labels}})
    cluster.api.delete(path)
    events = cluster.events(paths.config_maps(namespace), resourceVersion=since, labelSelector="in=yes")
    assert told(events) == [("ADDED", "x"), ("MODIFIED", "x"), ("DELETED", "x")]
    last = events[-1]["object"]["metadata"]
    assert last["labels"] == {"in": "yes", "more": "1"}, "the last state that was selected"
    assert int(last["resourceVersion"]) > int(events[1]["object"]["metadata"]["resourceVersion"])


def marks(cluster: Cluster, namespace: str, **params: str) -> tuple[int, list[Json]]:
    """The version of a change elsewhere, made while a watch is open, and the bookmarks that the watch brings."""
    since = version(cluster, namespace)
    watch = cluster.api.watch(paths.config_maps(namespace), {"resourceVersion": since, **params}, 4, 30)
    try:
        other = config(cluster, "default", cluster.name("elsewhere"))["metadata"]["resourceVersion"]
        events = [msgspec.json.decode(line) for line in watch]
    finally:
        watch.close()
    return int(other), [e["object"] for e in events if e["type"] == "BOOKMARK"]


def test_bookmarks_say_how_far_a_watch_is(cluster: Cluster, namespace: str) -> None:
    def far_enough() -> bool:
        # The real server promises none, and one that falls due shortly before the end may come too late.
        other, found = marks(cluster, namespace, allowWatchBookmarks="true")
        return any(m["kind"] == "ConfigMap" and int(m["metadata"]["resourceVersion"]) >= other for m in found)

    until(far_enough)


def test_nobody_gets_bookmarks_that_did_not_ask_for_them(cluster: Cluster, namespace: str) -> None:
    assert marks(cluster, namespace)[1] == []


def test_a_watch_that_begins_with_the_present_marks_its_end(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, "there")
    asked = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    events = cluster.events(paths.config_maps(namespace), 2, **asked)
    first = next(e["object"]["metadata"] for e in events if e["type"] == "BOOKMARK")
    assert first["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert ("ADDED", "there") in told(events[: events.index(next(e for e in events if e["type"] == "BOOKMARK"))])


def test_what_is_forgotten_cannot_be_watched_from(cluster: Cluster, namespace: str) -> None:
    config(cluster, namespace, "x")
    cluster.forget()
    (event,) = cluster.events(paths.config_maps(namespace), resourceVersion="1")
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_what_is_forgotten_cannot_be_paged_through(cluster: Cluster, namespace: str) -> None:
    for name in "abc":
        config(cluster, namespace, name)
    path = paths.config_maps(namespace)
    first = cluster.read(path, limit="1")
    config(cluster, namespace, "d")
    cluster.forget()

    def gone() -> bool:
        try:
            cluster.read(path, limit="1", **{"continue": first["metadata"]["continue"]})
        except Expired:
            return True
        return False

    until(gone, 60)


def test_a_version_of_the_future_is_too_large(cluster: Cluster, namespace: str) -> None:
    path = f"{paths.config_maps(namespace)}?resourceVersion=9000000000&resourceVersionMatch=NotOlderThan"
    code, status = cluster.call("GET", path)
    assert (code, status["reason"]) == (504, "Timeout")
