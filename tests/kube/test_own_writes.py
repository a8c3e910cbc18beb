"""What this process wrote is seen at once, and what it does not know for certain is looked up."""

from __future__ import annotations

import msgspec

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.cache import Cache, Pace
from tests.kube.apiserver import ApiServer
from tests.kube.observed import NODES, Owner, Wait, lists, names


def test_an_own_write_is_seen_before_the_watch_brings_it(synced: Cache, server: ApiServer) -> None:
    with server.changed:
        # Watches wait for this lock, so that nothing but the overlay can be seen.
        stored = server.put(paths.nodes("c"), {})
        synced.wrote("nodes", msgspec.json.encode(stored))
        assert names(synced) == ["a", "b", "c"]
        server.remove(paths.nodes("c"))
        synced.deleted("nodes", "c", stored["metadata"]["uid"])
        assert names(synced) == ["a", "b"]
    assert synced.synced()


def test_a_write_that_the_watch_never_brings_is_listed(
    api: KubeApi, server: ApiServer, owner: Owner, eventually: Wait
) -> None:
    stored = server.put(paths.nodes("a"), {})
    cache = Cache(api, (NODES,), wake=owner.wake, pace=Pace(believed_seconds=0.05))
    cache.start()
    try:
        eventually(cache.synced)
        server.silent = True
        lost = stored | {"metadata": stored["metadata"] | {"name": "never", "uid": "n", "resourceVersion": "9000"}}
        cache.wrote("nodes", msgspec.json.encode(lost))
        assert names(cache) == ["a", "never"]
        eventually(lambda: cache.synced() and names(cache) == ["a"])
    finally:
        cache.stop()


def test_after_a_lost_answer_nothing_is_synced_until_listed_anew(
    synced: Cache, server: ApiServer, eventually: Wait
) -> None:
    server.silent = True
    server.delay("GET", "/nodes?list", 0.3)
    server.put(paths.nodes("c"), {})
    synced.unknown("nodes")
    assert not synced.synced()
    eventually(synced.synced)
    assert names(synced) == ["a", "b", "c"]


def test_a_doubt_that_comes_while_a_list_runs_is_not_settled_by_it(
    synced: Cache, server: ApiServer, eventually: Wait
) -> None:
    server.delay("GET", "/nodes?list", 0.3)
    synced.unknown("nodes")
    eventually(lambda: lists(server) == 2)
    synced.unknown("nodes")
    eventually(synced.synced)
    assert lists(server) == 3
