"""Who one is, and which server one believes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.kube import errors, kubeconfig, paths
from agent.kube.api import KubeApi
from tests.kube.apiserver import ApiServer
from tests.kube.authority import Authority
from tests.kube.watching import stopped_from_another_thread

NODE = paths.nodes("a")


def test_atoken_file_is_read_anew_when_it_changes(server: ApiServer, tmp_path: Path) -> None:
    server.put(NODE, {})
    token = tmp_path / "token"
    token.write_text("first\n")
    with KubeApi.from_kubeconfig(server.kubeconfig(tmp_path, {"tokenFile": "token", "token": "static"})) as api:
        api.get(NODE)
        fresh = tmp_path / "token.new"
        fresh.write_text("second")
        fresh.replace(token)
        api.get(NODE)
        token.unlink()
        api.get(NODE)
    sent = [c.headers["Authorization"] for c in server.calls]
    assert sent == ["Bearer first", "Bearer second", "Bearer second"]


def test_atoken_file_that_is_not_there_is_named(server: ApiServer, tmp_path: Path) -> None:
    config = server.kubeconfig(tmp_path, {"tokenFile": "nowhere"})
    with pytest.raises(errors.KubeError, match="nowhere"):
        KubeApi.from_kubeconfig(config)


def test_another_identity_uses_the_same_server_and_nothing_of_ours(server: ApiServer, tmp_path: Path) -> None:
    server.put(NODE, {})
    with (
        KubeApi.from_kubeconfig(server.kubeconfig(tmp_path, {"token": "ours"})) as api,
        api.with_bearer("abcdef.0123456789abcdef") as other,
    ):
        api.get(NODE)
        other.get(NODE)
    assert [c.headers["Authorization"] for c in server.calls] == ["Bearer ours", "Bearer abcdef.0123456789abcdef"]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def secure(authority: Authority, tmp_path: Path) -> Iterator[ApiServer]:
    running = ApiServer(authority.server_context(tmp_path))
    yield running
    running.close()


def test_tls_trusts_the_cluster_authority_and_presents_the_client_certificate(
    secure: ApiServer, authority: Authority, tmp_path: Path
) -> None:
    secure.put(NODE, {})
    user = authority.client_entry("admin")
    config = secure.kubeconfig(tmp_path, user, authority.cluster_entry())
    with KubeApi.from_kubeconfig(config) as api:
        api.get(NODE)
        assert stopped_from_another_thread(api) == []
    key = authority.key_of("admin").private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert not [f for f in Path("/tmp").glob("joinery-*/*") if f.read_bytes() == key], "no key stays behind in a file"


def test_tls_refuses_a_server_of_another_authority(secure: ApiServer, tmp_path: Path) -> None:
    stranger = Authority()
    config = secure.kubeconfig(tmp_path, {}, stranger.cluster_entry())
    with (
        KubeApi.from_kubeconfig(config) as api,
        pytest.raises(errors.Retryable, match=r"does not answer: .*certificate") as raised,
    ):
        api.get(NODE)
    assert not raised.value.maybe_done


@pytest.mark.parametrize("text", ["", "[]", "a: [", "clusters: {}", "current-context: c\ncontexts: []", "\x00"])
def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(errors.KubeError, match=rf"kubeconfig {tmp_path}/config cannot be used: ."):
        KubeApi.from_kubeconfig(str(tmp_path / "config"))


def test_a_missing_kubeconfig_is_named() -> None:
    with pytest.raises(errors.KubeError, match="kubeconfig /nowhere/config cannot be used: there is no such file"):
        KubeApi.from_kubeconfig("/nowhere/config")


def test_the_environment_names_the_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    assert kubeconfig.default_path() == "/somewhere/config"


def test_a_proxy_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, server: ApiServer, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.put(NODE, {})
    with KubeApi.from_kubeconfig(server.kubeconfig(tmp_path)) as api:
        api.get(NODE)
