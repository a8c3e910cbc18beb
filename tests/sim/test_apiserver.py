"""The embedded Kubernetes API beyond the conformance suite: time, threads, faulty clients, and the agent on it."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.cli.install import installation
from agent.daemon.kinds import kinds
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.cache import Cache
from agent.kube.errors import Denied, Retryable
from agent.kube.identity import Target, ensure, renew
from agent.kube.install import install
from agent.sim.apiserver import ADMIN, Api, ApiServer, Request, Response, User, WatchStream
from agent.sim.apiserver.store import HistoryGone, Store

Json = dict[str, Any]


class Time:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **how_long: float) -> None:
        self.now += timedelta(**how_long)


def ask(api: Api, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Json]:
    user = more.pop("user", None if "authorization" in more else ADMIN)
    raw = b"" if body is None else json.dumps(body).encode()
    found = api.handle(Request(method, path, body=raw, user=user, **more))
    assert isinstance(found, Response)
    return found.code, json.loads(found.body)


def watch(api: Api, path: str, **query: str) -> WatchStream:
    found = api.handle(Request("GET", path, {"watch": "true", **query}, user=ADMIN))
    assert isinstance(found, WatchStream)
    return found


def lines(stream: WatchStream) -> list[tuple[str, str]]:
    events = [json.loads(line) for line in stream.poll()]
    return [(e["type"], e["object"]["metadata"].get("name", "")) for e in events]


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def api(clock: Time) -> Api:
    return Api(clock=clock, seed=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as running:
        yield running


def test_in_process_a_watch_is_read_without_waiting(api: Api, clock: Time) -> None:
    stream = watch(api, paths.nodes(), timeoutSeconds="90", allowWatchBookmarks="true")
    assert lines(stream) == []
    ask(api, "POST", paths.nodes(), {"metadata": {"name": "a"}})
    assert lines(stream) == [("ADDED", "a")]
    ask(api, "POST", paths.config_maps("default"), {"metadata": {"name": "another-kind"}})
    clock.pass_(seconds=61)
    assert lines(stream) == [], "nothing to tell that was not told"
    ask(api, "DELETE", paths.nodes("a"))
    clock.pass_(seconds=28)
    assert lines(stream) == [("DELETED", "a")]
    clock.pass_(seconds=5)
    assert lines(stream) == []
    assert stream.ended


def test_a_bookmark_comes_after_a_minute_and_before_the_end(api: Api, clock: Time) -> None:
    stream = watch(api, paths.nodes(), timeoutSeconds="100", allowWatchBookmarks="true", labelSelector="x=y")
    assert lines(stream) == []
    for seconds, marks in ((59, 0), (2, 1), (36, 0), (2, 1)):
        ask(api, "POST", paths.nodes(), {"metadata": {"generateName": "not-selected-"}})
        clock.pass_(seconds=seconds)
        assert lines(stream) == [("BOOKMARK", "")] * marks


def test_the_same_seed_gives_the_same_names(clock: Time) -> None:
    made = [
        ask(Api(clock=clock, seed=7), "POST", paths.nodes(), {"metadata": {"generateName": "n-"}})[1] for _ in range(2)
    ]
    assert made[0]["metadata"] == made[1]["metadata"]
    assert made[0]["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


def test_history_is_a_ring() -> None:
    store = Store(history_length=10)
    for n in range(30):
        store.put("nodes", {"metadata": {"name": f"n{n % 3}"}})
    assert len(store.since("nodes", store.revision - 5)) == 5
    assert {s.object["metadata"]["resourceVersion"] for s in store.at("nodes", store.revision - 1).values()} == {
        str(store.revision - n) for n in (1, 2, 3)
    }
    with pytest.raises(HistoryGone):
        store.since("nodes", 2)


def test_tokens_end_in_time(api: Api, clock: Time) -> None:
    body = {"spec": {"expirationSeconds": 600}}
    code, answer = ask(api, "POST", paths.service_account_token("default", "default"), body)
    assert (code, answer["status"]["expirationTimestamp"]) == (201, "2026-01-01T00:10:00Z")
    holder = f"Bearer {answer['status']['token']}"
    data = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "expiration": "2026-01-01T00:10:00Z",
        "usage-bootstrap-authentication": "true",
    }
    secret = {
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    }
    ask(api, "POST", paths.secrets("kube-system"), secret)
    bootstrap = "Bearer abcdef.0123456789abcdef"
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    for seconds, code in ((599, 201), (1, 401)):
        clock.pass_(seconds=seconds)
        assert [ask(api, "POST", review, {}, authorization=t)[0] for t in (holder, bootstrap)] == [code, code]


@pytest.mark.parametrize("token", ["x", "a.b.c", "abcdef.0123456789abcdef", "..", "Basic abc", "Bearer \u00e9"])
def test_nonsense_is_nobodys_token(token: str, api: Api) -> None:
    assert ask(api, "GET", paths.nodes(), authorization=f"Bearer {token}")[0] == 401


def test_a_node_writes_its_own_pods_and_no_others(api: Api) -> None:
    node = User("system:node:i-1", ("system:nodes", "system:authenticated"))
    for name, at in (("mine", "i-1"), ("other", "i-2")):
        spec = {"nodeName": at, "containers": []}
        ask(api, "POST", paths.pods("default"), {"metadata": {"name": name}, "spec": spec})
    running = {"status": {"phase": "Running"}}
    merge = "application/merge-patch+json"
    codes = [
        ask(api, "PATCH", f"{paths.pods('default', name)}/status", running, user=node, content_type=merge)[0]
        for name in ("mine", "other")
    ]
    assert codes == [200, 403]
    assert ask(api, "DELETE", paths.pods("default", "other"), {}, user=node)[0] == 403
    assert ask(api, "DELETE", paths.pods("default", "mine"), {"gracePeriodSeconds": 0}, user=node)[0] == 200
    assert ask(api, "POST", paths.pods("default"), {"metadata": {"name": "p"}}, user=node)[0] == 403
    assert ask(api, "GET", paths.nodes(), user=node)[0] == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"metadata": []}'])
def test_a_body_that_is_no_object_is_a_bad_request(body: bytes, api: Api) -> None:
    found = api.handle(Request("POST", paths.nodes(), body=body, user=ADMIN))
    assert isinstance(found, Response)
    assert found.code in {400, 422}
    assert json.loads(found.body)["kind"] == "Status"


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata": {"name": 1}},
        {"metadata": {"name": "x", "labels": 1}},
        {"metadata": {"name": "x", "labels": {"a": 1}}},
        {"metadata": {"name": "x", "finalizers": "y"}},
        {"metadata": {"name": "x", "ownerReferences": [1]}},
        {"metadata": {"name": "x"}, "spec": []},
        {"metadata": {"name": "x"}, "status": "good"},
    ],
)
def test_a_field_of_another_type_is_a_bad_request(wrong: Json, api: Api) -> None:
    code, status = ask(api, "POST", paths.nodes(), wrong)
    assert (code, status["reason"]) == (400, "BadRequest")
    assert "cannot be handled as a Node" in status["message"]


@pytest.mark.parametrize("name", ["X", "a b", "-a", "a/b", "a" * 254, "a_b"])
def test_a_name_that_is_none_is_invalid(name: str, api: Api) -> None:
    code, status = ask(api, "POST", paths.nodes(), {"metadata": {"name": name}})
    assert (code, status["reason"]) == (422, "Invalid")
    assert "metadata.name: Invalid value" in status["message"]


def test_what_one_owner_owned_goes_with_it_at_once(api: Api) -> None:
    _, owner = ask(api, "POST", paths.config_maps("default"), {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    for name in ("a", "b"):
        meta = {"name": name, "ownerReferences": [reference], "finalizers": ["x.y/z"] if name == "b" else []}
        ask(api, "POST", paths.config_maps("default"), {"metadata": meta})
    options = {"propagationPolicy": "Foreground"}
    assert ask(api, "DELETE", paths.config_maps("default", "owner"), options)[0] == 200
    assert ask(api, "GET", paths.config_maps("default", "a"))[0] == 404
    _, held = ask(api, "GET", paths.config_maps("default", "owner"))
    assert held["metadata"]["finalizers"] == ["foregroundDeletion"], "it waits for what it owns"
    merge = "application/merge-patch+json"
    ask(api, "PATCH", paths.config_maps("default", "b"), {"metadata": {"finalizers": None}}, content_type=merge)
    assert ask(api, "GET", paths.config_maps("default", "owner"))[0] == 404


def test_the_server_goes_on_whatever_a_client_sends(server: ApiServer, tmp_path: Path) -> None:
    host, port = server.url.removeprefix("https://").split(":")
    address = (host, int(port))
    with socket.create_connection(address) as silent, socket.create_connection(address) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with KubeApi.from_kubeconfig(str(server.write_kubeconfig(tmp_path / "admin.conf"))) as api:
            assert b"default" in api.get(paths.namespaces())
        assert silent.fileno() > 0


def test_a_certificate_of_another_authority_is_not_let_in(server: ApiServer, tmp_path: Path) -> None:
    with ApiServer(tmp_path / "..") as stranger:
        pair = stranger.api.authority.client(ADMIN)
    (tmp_path / "stranger.pem").write_bytes(pair.key + pair.certificate)
    context = ssl.create_default_context(cadata=server.ca_pem)
    context.load_cert_chain(tmp_path / "stranger.pem")
    host, port = server.url.removeprefix("https://").split(":")

    def answer() -> bytes:
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            secured.sendall(b"GET /api/v1/nodes HTTP/1.1\r\nHost: x\r\n\r\n")
            return secured.recv(100)

    # With TLS 1.3 the client learns of it only when it reads.
    with pytest.raises(OSError, match=r"(?i)alert|reset|eof|pipe"):
        answer()


def test_an_end_of_the_server_ends_its_watches(tmp_path: Path) -> None:
    with ApiServer(tmp_path) as server:
        api = KubeApi.from_kubeconfig(str(server.write_kubeconfig(tmp_path / "admin.conf")))
        stream = api.watch(paths.nodes(), {}, 600, 600)
    assert list(stream) == []
    stream.close()
    with pytest.raises(Retryable):
        api.get(paths.nodes())
    api.close()


def test_the_agent_installs_itself_and_sees_all_with_the_rights_it_was_given(server: ApiServer, tmp_path: Path) -> None:
    admin_conf = server.write_kubeconfig(tmp_path / "admin.conf")
    objects = installation("joinery-system")
    with KubeApi.from_kubeconfig(str(admin_conf)) as admin:
        assert {line.rpartition(" ")[2] for line in install(admin, objects)} == {"created"}
        assert {line.rpartition(" ")[2] for line in install(admin, objects)} == {"unchanged"}
    target = Target(tmp_path / "kubeconfig", tmp_path / "token")
    now = datetime.now(UTC)
    assert "another was written" in ensure(admin_conf, target, now)
    assert "nothing to do" in ensure(admin_conf, target, now)
    with KubeApi.from_kubeconfig(str(target.kubeconfig)) as daemon:
        assert renew(daemon, target, now) > 3600
        cache = Cache(daemon, kinds("joinery-system"), wake=lambda: None)
        cache.start()
        try:
            end = time.monotonic() + 20
            while not cache.synced():
                assert not cache.fault
                assert time.monotonic() < end
                time.sleep(0.02)
        finally:
            cache.stop()
        for path in (paths.secrets("default"), paths.config_maps("kube-system"), paths.service_accounts("default")):
            with pytest.raises(Denied):
                daemon.get(path)
        with pytest.raises(Denied):
            daemon.create(paths.nodes(), {"metadata": {"name": "x"}})


def test_nodes_and_pods_are_printed_as_kubectl_has_them(api: Api, clock: Time) -> None:
    status = {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.3"}}
    labels = {"node-role.kubernetes.io/control-plane": ""}
    ask(api, "POST", paths.nodes(), {"metadata": {"name": "n", "labels": labels}, "status": status})
    spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
    ask(api, "POST", paths.pods("default"), {"metadata": {"name": "p"}, "spec": spec})
    clock.pass_(minutes=5, seconds=3)
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    _, nodes = ask(api, "GET", paths.nodes(), accept=table)
    assert nodes["rows"][0]["cells"] == ["n", "Ready", "control-plane", "v1.36.3", "<none>", "5m3s"]
    ask(api, "DELETE", paths.pods("default", "p"), {})
    _, pods = ask(api, "GET", paths.pods("default"), accept=table)
    assert pods["rows"][0]["cells"] == ["p", "0/1", "Terminating", "0", "<none>", "n", "5m3s"]


def test_cluster_info_names_the_server_and_its_authority(api: Api) -> None:
    _, info = ask(api, "GET", paths.config_maps("kube-public", "cluster-info"), user=User("system:anonymous"))
    assert api.server in info["data"]["kubeconfig"]
    assert base64.b64encode(api.authority.pem.encode()).decode() in info["data"]["kubeconfig"].replace(
        "\n", ""
    ).replace(" ", "")
