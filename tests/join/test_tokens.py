"""Tokens as values."""

from __future__ import annotations

import base64
import json
import random
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.join.errors import TokenMalformed
from agent.join.tokens import (
    BootstrapToken,
    bootstrap_rbac,
    parse_secret,
    parse_secrets,
    secret_manifest,
)
from agent.kube.times import rfc3339
from agent.model.names import BOOTSTRAP_GROUP

END = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
TOKEN = BootstrapToken("abcdef", "0123456789abcdef")


@given(st.integers())
def test_a_generated_token_reads_back_and_is_shown_nowhere(seed: int) -> None:
    token = BootstrapToken.generate(random.Random(seed))

    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token.text)
    assert BootstrapToken.parse(token.text) == token
    assert token.secret not in f"{token} {token!r} {[token]!r}"


@pytest.mark.parametrize("text", ["", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef0"])
def test_what_is_no_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(TokenMalformed) as refused:
        BootstrapToken.parse(text)

    assert not text or text not in str(refused.value)


def test_the_secret_of_a_token_says_what_kubeadm_and_admission_need() -> None:
    manifest = secret_manifest(TOKEN, END, "zzzzzz")
    raw = json.loads(json.dumps(manifest))
    data = {k: base64.b64decode(v).decode() for k, v in raw["data"].items()}

    assert raw["metadata"]["name"] == "bootstrap-token-abcdef"
    assert raw["metadata"]["namespace"] == "kube-system"
    assert raw["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "joinery"}
    assert raw["type"] == "bootstrap.kubernetes.io/token"
    assert data["expiration"] == "2026-03-01T14:00:00Z"
    assert data["usage-bootstrap-authentication"] == data["usage-bootstrap-signing"] == "true"
    assert data["auth-extra-groups"] == BOOTSTRAP_GROUP
    assert data["description"]


def encoded(**changes: str) -> bytes:
    manifest = json.loads(json.dumps(secret_manifest(TOKEN, END, "")))
    for key, value in changes.items():
        manifest["data"][key.replace("_", "-")] = base64.b64encode(value.encode()).decode()
    return json.dumps(manifest).encode()


def test_a_secret_reads_back() -> None:
    found = parse_secret(encoded())

    assert found is not None
    assert (found.token, found.expires_at, found.managed, found.faults) == (TOKEN, END, True, ())
    assert found.live(END.replace(hour=13))
    assert not found.live(END)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"auth_extra_groups": "system:bootstrappers:kubeadm:default-node-token"}, "its groups are"),
        ({"auth_extra_groups": f"{BOOTSTRAP_GROUP},system:bootstrappers:kubeadm:default-node-token"}, "its groups are"),
        ({"usage_bootstrap_signing": "yes"}, "usage-bootstrap-signing: true"),
        ({"usage_bootstrap_authentication": "false"}, "usage-bootstrap-authentication: true"),
        ({"expiration": ""}, "no expiration"),
        ({"expiration": "tomorrow"}, "no RFC 3339 time"),
        ({"expiration": "2026-03-01T14:00:00"}, "no RFC 3339 time"),
    ],
)
def test_a_secret_that_nothing_can_join_with_says_why(changes: dict[str, str], fault: str) -> None:
    found = parse_secret(encoded(**changes))

    assert found is not None
    assert any(fault in f for f in found.faults)


@pytest.mark.parametrize("changes", [{"token_id": "fedcba"}, {"token_secret": "short"}, {"token_secret": "X" * 16}])
def test_a_secret_that_could_never_authenticate_is_no_token(changes: dict[str, str]) -> None:
    assert parse_secret(encoded(**changes)) is None


def test_a_secret_of_another_type_or_with_damaged_data_is_no_token() -> None:
    other = json.loads(encoded())
    other["type"] = "Opaque"
    damaged = json.loads(encoded())
    damaged["data"]["token-secret"] = "%%%"

    assert parse_secret(json.dumps(other).encode()) is None
    assert parse_secret(json.dumps(damaged).encode()) is None


def test_a_list_is_newest_first() -> None:
    old, new = json.loads(encoded()), json.loads(encoded(token_id="newnew"))
    old["metadata"]["creationTimestamp"] = "2026-03-01T10:00:00Z"
    new["metadata"]["creationTimestamp"] = "2026-03-01T11:00:00Z"
    new["metadata"]["name"] = "bootstrap-token-newnew"

    assert [s.id for s in parse_secrets(json.dumps({"items": [old, new]}).encode())] == ["newnew", "abcdef"]


def test_times_are_utc_with_z() -> None:
    assert rfc3339(datetime.fromisoformat("2026-03-01T23:00:00+09:00")) == "2026-03-01T14:00:00Z"


def test_our_group_gets_what_a_join_needs_and_no_approval() -> None:
    manifests = bootstrap_rbac()
    text = json.dumps(manifests)

    assert "system:node-bootstrapper" in text
    assert "certificatesigningrequests:nodeclient" not in text
    assert "kubeadm:default-node-token" not in text
    for name in ("kubeadm-config", "kubelet-config", "kube-proxy"):
        assert name in text
    bindings = [m for m in manifests if str(m["kind"]).endswith("Binding")]
    assert all(
        m["subjects"] == [{"kind": "Group", "name": BOOTSTRAP_GROUP, "apiGroup": "rbac.authorization.k8s.io"}]
        for m in bindings
    )
    assert len({(m["kind"], json.dumps(m["metadata"])) for m in manifests}) == len(manifests)
