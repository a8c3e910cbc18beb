"""Calls, their failures, and who one is."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.kube import errors, paths
from agent.kube.api import KubeApi
from tests.kube.apiserver import ApiServer, status
from tests.kube.watching import stopped_from_another_thread

NODE = paths.nodes("a")


def decoded(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])


def test_an_object_is_created_read_changed_and_deleted(api: KubeApi) -> None:
    made = decoded(api.create(paths.nodes(), {"metadata": {"name": "a", "labels": {"x": "1"}}}))
    assert decoded(api.get(NODE)) == made
    patched = decoded(api.merge_patch(NODE, {"metadata": {"labels": {"x": None, "y": "2"}}}))
    assert patched["metadata"]["labels"] == {"y": "2"}
    replaced = decoded(api.replace(NODE, patched | {"spec": {"unschedulable": True}}))
    assert replaced["spec"] == {"unschedulable": True}
    api.delete(NODE, uid=made["metadata"]["uid"])
    with pytest.raises(errors.NotFound, match='nodes "a" not found'):
        api.get(NODE)


def test_writes_name_their_field_manager(api: KubeApi, server: ApiServer) -> None:
    api.create(paths.nodes(), {"metadata": {"name": "a"}})
    assert server.calls[-1].query == {"fieldManager": "joinery"}


def test_each_patch_has_its_own_content_type(api: KubeApi, server: ApiServer) -> None:
    server.put(NODE, {})
    api.merge_patch(NODE, {"spec": {}})
    assert server.calls[-1].headers["Content-Type"] == "application/merge-patch+json"
    server.fail("PATCH", "/nodes/a", 422, status(422, "Invalid", "the test failed"))
    with pytest.raises(errors.Invalid, match="the test failed"):
        api.json_patch(NODE, [{"op": "test", "path": "/spec", "value": 1}])
    assert server.calls[-1].headers["Content-Type"] == "application/json-patch+json"


def test_a_stale_version_is_a_conflict_and_a_taken_name_is_not(api: KubeApi, server: ApiServer) -> None:
    old = server.put(NODE, {})
    server.put(NODE, {"spec": {}})
    with pytest.raises(errors.Conflict, match="has been modified"):
        api.replace(NODE, old)
    with pytest.raises(errors.Conflict, match="Precondition failed"):
        api.delete(NODE, uid="another")
    with pytest.raises(errors.AlreadyExists, match="already exists"):
        api.create(paths.nodes(), {"metadata": {"name": "a"}})


def test_a_deletion_says_what_it_expects_and_how(api: KubeApi, server: ApiServer) -> None:
    made = server.put(NODE, {})["metadata"]
    api.delete(
        NODE, uid=made["uid"], resource_version=made["resourceVersion"], grace_seconds=0, propagation="Background"
    )
    assert server.calls[-1].body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": made["uid"], "resourceVersion": made["resourceVersion"]},
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Background",
    }


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Denied),
        (403, "Forbidden", errors.Denied),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Expired),
        (415, "UnsupportedMediaType", errors.Invalid),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.Throttled),
        (500, "InternalError", errors.Retryable),
        (503, "ServiceUnavailable", errors.Retryable),
        (504, "Timeout", errors.Retryable),
    ],
)
def test_the_type_says_what_to_do_and_the_status_what_happened(
    api: KubeApi, server: ApiServer, code: int, reason: str, kind: type[errors.KubeError]
) -> None:
    server.fail("POST", "/nodes", code, status(code, reason, "it was so"))
    with pytest.raises(errors.KubeError) as raised:
        api.create(paths.nodes(), {"metadata": {"name": "a"}})
    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.reason, str(raised.value)) == (code, reason, "it was so")


def test_a_throttled_call_knows_when_to_come_again(api: KubeApi, server: ApiServer) -> None:
    server.fail("GET", "/nodes/a", 429, status(429, "TooManyRequests", "slow down"), Retry_After="7")
    with pytest.raises(errors.Throttled) as by_header:
        api.get(NODE)
    assert by_header.value.retry_after_seconds == 7.0
    body = status(429, "TooManyRequests", "slow down", details={"retryAfterSeconds": 4})
    server.fail("GET", "/nodes/a", 429, body)
    with pytest.raises(errors.Throttled) as by_body:
        api.get(NODE)
    assert by_body.value.retry_after_seconds == 4.0


def test_a_resource_that_the_server_does_not_have_is_told_from_a_missing_object(
    api: KubeApi, server: ApiServer
) -> None:
    server.fail("GET", "/nodeclaims", 404, "404 page not found")
    with pytest.raises(errors.NotFound, match=r"GET /apis/karpenter.sh/v1/nodeclaims of http.* is its CRD installed\?"):
        api.get(paths.node_claims())


@pytest.mark.parametrize("page", ["<html>Bad Gateway</html>", "upstream failed", "", "{", "null", '{"code": "x"}'])
def test_an_answer_that_is_no_status_is_a_sentence_all_the_same(api: KubeApi, server: ApiServer, page: str) -> None:
    server.fail("GET", "/nodes/a", 502, page)
    with pytest.raises(errors.Retryable, match=r"GET /api/v1/nodes/a of http://.* HTTP status 502") as raised:
        api.get(NODE)
    assert "<html>" not in str(raised.value)


def test_nobody_there_is_a_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        config = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [],
        }
        (tmp_path / "config").write_text(json.dumps(config))
        with KubeApi.from_kubeconfig(str(tmp_path / "config")) as api, pytest.raises(errors.Retryable) as raised:
            api.create(paths.nodes(), {})
    assert str(raised.value) == f"the API server at {url} does not answer: connection refused"
    assert not raised.value.maybe_done


def test_a_write_whose_answer_is_lost_says_that_it_may_have_happened(api: KubeApi, server: ApiServer) -> None:
    server.hang_up("POST", "/nodes", after=True)
    with pytest.raises(errors.Retryable, match="broke during POST /api/v1/nodes") as raised:
        api.create(paths.nodes(), {"metadata": {"name": "a"}})
    assert raised.value.maybe_done
    assert server.count("POST", "/nodes") == 1, "a write is never repeated by itself"
    assert server.stored(NODE) is not None


def test_a_slow_answer_is_not_waited_for(server: ApiServer, tmp_path: Path) -> None:
    server.delay("POST", "/nodes", 0.5)
    with (
        KubeApi.from_kubeconfig(server.kubeconfig(tmp_path), timeout_seconds=0.1) as api,
        pytest.raises(errors.Retryable, match="did not answer POST /api/v1/nodes in time") as raised,
    ):
        api.create(paths.nodes(), {"metadata": {"name": "a"}})
    assert raised.value.maybe_done


def test_reading_survives_a_connection_that_was_closed_meanwhile(api: KubeApi, server: ApiServer) -> None:
    server.put(NODE, {})
    api.get(NODE)
    server.hang_up("GET", "/nodes/a")
    assert decoded(api.get(NODE))["metadata"]["name"] == "a"


def test_a_list_comes_in_pages_of_one_version(api: KubeApi, server: ApiServer) -> None:
    for n in range(7):
        server.put(paths.nodes(f"n{n}"), {})
    pages = [decoded(p) for p in api.pages(paths.nodes(), limit=3)]
    assert [len(p["items"]) for p in pages] == [3, 3, 1]
    assert len({p["metadata"]["resourceVersion"] for p in pages}) == 1


def test_a_continue_token_that_is_too_old_is_expired(api: KubeApi, server: ApiServer) -> None:
    for n in range(4):
        server.put(paths.nodes(f"n{n}"), {})
    pages = api.pages(paths.nodes(), limit=2)
    next(pages)
    server.put(paths.nodes("late"), {})
    server.compact()
    with pytest.raises(errors.Expired):
        next(pages)


def test_a_list_that_is_cut_off_is_an_error_and_not_a_short_list(api: KubeApi, server: ApiServer) -> None:
    server.fail("GET", "/nodes?list", 200, '{"items": [')
    with pytest.raises(errors.Retryable, match="is not JSON"):
        list(api.pages(paths.nodes()))


def test_a_watch_yields_whole_lines_and_ends_when_the_server_ends_it(api: KubeApi, server: ApiServer) -> None:
    server.put(NODE, {})
    server.put(NODE, {"spec": {"unschedulable": True}})
    watch = api.watch(paths.nodes(), {"resourceVersion": "100"}, 1, 5.0)
    events = [decoded(line) for line in watch]
    watch.close()
    assert [e["type"] for e in events] == ["ADDED", "MODIFIED"]


def test_a_watch_of_lost_history_is_expired(api: KubeApi, server: ApiServer) -> None:
    server.fail("GET", "/nodes?watch", 410, status(410, "Expired", "too old resource version"))
    with pytest.raises(errors.Expired, match="too old"):
        api.watch(paths.nodes(), {"resourceVersion": "1"}, 1, 5.0)


def test_silence_on_a_watch_is_noticed(api: KubeApi) -> None:
    watch = api.watch(paths.nodes(), {"resourceVersion": "100"}, 60, 0.2)
    with pytest.raises(errors.Retryable, match="in time"):
        next(watch)
    watch.close()


def test_a_watch_can_be_stopped_from_another_thread(api: KubeApi) -> None:
    assert stopped_from_another_thread(api) == []


def test_one_api_serves_many_threads(api: KubeApi, server: ApiServer) -> None:
    threads = [
        threading.Thread(target=lambda n=n: api.create(paths.nodes(), {"metadata": {"name": f"n{n}"}}))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(server.stored(paths.nodes(f"n{n}")) for n in range(12))
