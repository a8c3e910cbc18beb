"""The cache against a server that lists, watches, forgets, stalls and lags."""

from __future__ import annotations

import threading

import msgspec
import pytest

from agent.kube import paths, watcher
from agent.kube.api import KubeApi
from agent.kube.cache import Cache, Fault, Kind, Pace
from agent.model.kubernetes import Pod
from tests.kube.apihttp import Json
from tests.kube.apiserver import ApiServer, status
from tests.kube.observed import NODES, Owner, Wait, lists, names


def test_nothing_is_synced_before_all_is_listed(cache: Cache) -> None:
    assert not cache.synced()
    assert cache.items("nodes") == ()


def test_a_long_list_comes_in_pages(cache: Cache, server: ApiServer, eventually: Wait) -> None:
    for n in range(watcher.PAGE_SIZE + 3):
        server.put(paths.pods("default", f"p{n:04d}"), {})
    cache.start()
    eventually(cache.synced)
    assert len(cache.items("pods")) == watcher.PAGE_SIZE + 3
    assert server.count("GET", "/pods", limit=str(watcher.PAGE_SIZE)) == 2


def test_changes_arrive_and_wake(synced: Cache, server: ApiServer, owner: Owner, eventually: Wait) -> None:
    woken = owner.wakes
    server.put(paths.nodes("c"), {})
    eventually(lambda: names(synced) == ["a", "b", "c"])
    server.remove(paths.nodes("a"))
    eventually(lambda: names(synced) == ["b", "c"])
    server.put(paths.pods("shop", "web"), {})
    eventually(lambda: synced.get("pods", "shop/web") is not None)
    assert owner.wakes == woken + 3
    assert lists(server) == 1, "all of it came by the watch"


@pytest.mark.usefixtures("synced")
def test_a_watch_asks_for_bookmarks_and_for_an_end(server: ApiServer) -> None:
    query = next(c.query for c in server.calls if c.query.get("watch"))
    assert query["allowWatchBookmarks"] == "true"
    assert 65 <= int(query["timeoutSeconds"]) <= 80


def test_a_heartbeat_wakes_nobody(synced: Cache, server: ApiServer, owner: Owner, eventually: Wait) -> None:
    woken = owner.wakes
    beat = {"type": "Ready", "status": "Unknown", "lastHeartbeatTime": "2026-11-25T00:00:00Z"}
    changed = server.put(paths.nodes("a"), {"status": {"conditions": [beat]}})
    version = changed["metadata"]["resourceVersion"]
    eventually(lambda: synced.get("nodes", "a").meta.resource_version == version)
    assert owner.wakes == woken


def test_a_watch_that_is_cut_is_taken_up_where_it_ended(synced: Cache, server: ApiServer, eventually: Wait) -> None:
    server.put(paths.nodes("c"), {})
    eventually(lambda: names(synced) == ["a", "b", "c"])
    version = str(server.version)
    server.cut_watches()
    server.put(paths.nodes("d"), {})
    eventually(lambda: names(synced) == ["a", "b", "c", "d"])
    assert lists(server) == 1
    assert server.count("GET", "/nodes", watch="true", resourceVersion=version) == 1


@pytest.mark.parametrize("by_event", [True, False])
def test_history_that_is_gone_means_a_new_list(
    synced: Cache, server: ApiServer, eventually: Wait, by_event: bool
) -> None:
    if not by_event:
        server.fail("GET", "/nodes?watch", 410, status(410, "Expired", "too old resource version"))
    with server.changed:
        server.cut_watches()
        server.remove(paths.nodes("a"))
        server.put(paths.nodes("c"), {})
        server.compact()
    eventually(lambda: names(synced) == ["b", "c"] and synced.synced())
    assert lists(server) == 2


def test_history_that_is_gone_again_and_again_is_never_hot(
    synced: Cache, server: ApiServer, owner: Owner, eventually: Wait
) -> None:
    for _ in range(3):
        server.fail("GET", "/nodes?watch", 410, status(410, "Expired", "too old resource version"))
    server.cut_watches()
    server.put(paths.nodes("c"), {})
    eventually(lambda: "c" in names(synced))
    assert lists(server) <= 4
    assert {f.message for f in owner.faults if f.kind == "nodes"} <= {
        "too old resource version",
        "the watch of /api/v1/nodes ended as soon as it was begun",
    }


def test_a_continue_token_that_is_too_old_is_followed_by_a_whole_list(
    cache: Cache, server: ApiServer, eventually: Wait
) -> None:
    server.put(paths.nodes("a"), {})
    server.fail("GET", "/nodes?list", 410, status(410, "Expired", "The provided continue parameter is too old"))
    cache.start()
    eventually(cache.synced)
    listed = [c.query.get("limit") for c in server.calls if c.path == paths.nodes() and not c.query.get("watch")]
    assert listed == [str(watcher.PAGE_SIZE), None]


def test_errors_are_told_once_and_waited_out(cache: Cache, server: ApiServer, owner: Owner, eventually: Wait) -> None:
    for _ in range(3):
        server.fail("GET", "/nodes?list", 403, status(403, "Forbidden", "may not list nodes"))
    cache.start()
    eventually(lambda: cache.fault == "may not list nodes")
    eventually(cache.synced)
    assert [f for f in owner.faults if f.kind == "nodes"] == [Fault("nodes", "", "may not list nodes")]
    assert lists(server) == 4
    eventually(lambda: cache.fault == "")


def test_a_throttling_server_is_left_alone_as_long_as_it_wishes(
    cache: Cache, server: ApiServer, eventually: Wait
) -> None:
    server.fail("GET", "/nodes?list", 429, status(429, "TooManyRequests", "later"), Retry_After="1")
    cache.start()
    eventually(lambda: lists(server) == 1)
    assert not threading.Event().wait(0.8)
    assert lists(server) == 1
    eventually(cache.synced)


@pytest.mark.usefixtures("synced")
def test_a_watch_that_ends_at_once_is_not_begun_again_at_once(server: ApiServer) -> None:
    before = server.count("GET", "/nodes", watch="true")
    for _ in range(20):
        server.fail("GET", "/nodes?watch", 200, "")
    server.cut_watches()
    assert not threading.Event().wait(0.9)
    assert server.count("GET", "/nodes", watch="true") <= before + 3


def test_half_a_line_is_a_lost_connection_and_not_the_end(
    synced: Cache, server: ApiServer, owner: Owner, eventually: Wait
) -> None:
    server.fail("GET", "/nodes?watch", 200, '{"type": "MODIFIED", "object": {"metad')
    server.cut_watches()
    server.put(paths.nodes("c"), {})
    eventually(lambda: "c" in names(synced))
    assert synced.failed is None
    assert any("cut off" in f.message for f in owner.faults)


def test_silence_is_seen_in_the_age_and_ends_the_connection(
    api: KubeApi, server: ApiServer, owner: Owner, eventually: Wait
) -> None:
    pace = Pace(watch_seconds=(1, 1), silence_seconds=-0.7)
    cache = Cache(api, (NODES,), wake=owner.wake, on_fault=owner.faults.append, pace=pace)
    cache.start()
    try:
        eventually(lambda: server.count("GET", "/nodes", watch="true") == 1)
        eventually(lambda: cache.stale(0.2) == ("nodes",))
        eventually(lambda: server.count("GET", "/nodes", watch="true") == 2)
        assert any("in time" in f.message for f in owner.faults)
        server.put(paths.nodes("a"), {})
        eventually(lambda: names(cache) == ["a"])
        assert lists(server) == 1, "what was missed comes by the watch"
    finally:
        cache.stop()


def test_a_server_that_lags_behind_is_not_believed(
    synced: Cache, server: ApiServer, owner: Owner, eventually: Wait
) -> None:
    old = server.version
    server.put(paths.nodes("c"), {})
    server.remove(paths.nodes("a"))
    eventually(lambda: names(synced) == ["b", "c"])
    server.lag = old
    returned = {"metadata": {"name": "a", "uid": "x", "resourceVersion": str(old)}}
    server.dishonest_event(paths.nodes(), "ADDED", returned)
    eventually(lambda: any("was seen before" in f.message for f in owner.faults))
    eventually(lambda: lists(server) >= 2)
    assert names(synced) == ["b", "c"]
    assert not synced.synced()
    server.lag = None
    eventually(synced.synced)
    assert names(synced) == ["b", "c"]
    assert synced.failed is None


def test_one_bad_object_is_reported_once_and_hides_no_other(
    cache: Cache, server: ApiServer, owner: Owner, eventually: Wait
) -> None:
    bad: Json = {"spec": {"containers": [{"resources": {"requests": {"cpu": "many"}}}]}}
    server.put(paths.pods("shop", "bad"), bad)
    server.put(paths.pods("shop", "good"), {})
    cache.start()
    eventually(cache.synced)
    assert names(cache, "pods") == ["good"]
    assert cache.unreadable("pods") == ("shop/bad",)
    assert [(f.kind, f.name) for f in owner.faults] == [("pods", "shop/bad")]
    assert "many" in owner.faults[0].message
    cache.unknown("pods")
    eventually(cache.synced)
    server.put(paths.pods("shop", "bad"), {})
    eventually(lambda: names(cache, "pods") == ["bad", "good"])
    assert cache.unreadable("pods") == ()
    assert len(owner.faults) == 1


def test_an_object_that_turns_bad_is_left_out(synced: Cache, server: ApiServer, owner: Owner, eventually: Wait) -> None:
    server.put(paths.nodes("a"), {"status": {"capacity": {"cpu": True}}})
    eventually(lambda: names(synced) == ["b"])
    server.put(paths.nodes("c"), {})
    eventually(lambda: names(synced) == ["b", "c"])
    server.remove(paths.nodes("a"))
    eventually(lambda: synced.unreadable("nodes") == ())
    assert [f.name for f in owner.faults] == ["a"]


def test_the_death_of_a_watch_thread_reaches_the_owner(api: KubeApi, server: ApiServer, eventually: Wait) -> None:
    server.put(paths.nodes("a"), {})
    owner = Owner()
    died: list[BaseException | None] = []
    hook, threading.excepthook = threading.excepthook, lambda told: died.append(told.exc_value)

    def broken(raw: bytes | msgspec.Raw) -> Pod:
        raise AssertionError(f"a bug met {len(bytes(raw))} bytes")

    cache = Cache(api, (Kind("nodes", paths.nodes(), broken),), wake=owner.wake, on_fault=owner.faults.append)
    cache.start()
    try:
        eventually(lambda: cache.failed is not None)
        assert isinstance(cache.failed, AssertionError)
        eventually(lambda: owner.wakes == 1)
        assert not cache.synced()
    finally:
        cache.stop()
        threading.excepthook = hook
    assert died == [cache.failed]


def test_a_stopped_cache_has_no_threads_left(synced: Cache) -> None:
    synced.stop()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("watch-")]


def test_bookmarks_carry_the_version_on(synced: Cache, server: ApiServer, eventually: Wait) -> None:
    server.put(paths.pods("shop", "other"), {})
    server.bookmark(paths.nodes())
    version = str(server.version)
    eventually(lambda: synced.get("pods", "shop/other") is not None)
    server.put(paths.nodes("c"), {})
    eventually(lambda: "c" in names(synced))
    server.cut_watches()
    eventually(lambda: server.count("GET", "/nodes", watch="true") == 2)
    resumed = [c.query["resourceVersion"] for c in server.calls if c.path == paths.nodes() and c.query.get("watch")]
    assert int(resumed[-1]) > int(version)
