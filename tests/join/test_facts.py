"""What a machine must know to join, from the cluster itself."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess

import pytest

from agent.join.errors import FactsUnavailable
from agent.join.facts import BEGIN, END, JoinFacts, ca_hashes, facts_in, parse_facts, read_facts
from tests.join.conftest import REGION, World, ca_certificate, info_kubeconfig


def read(world: World, endpoint: str = "") -> JoinFacts:
    return read_facts(
        world.api, cluster="demo", region=REGION, token_parameter=world.policy.parameter, endpoint=endpoint
    )


def test_facts_come_from_cluster_info_and_version(world: World, ca: str) -> None:
    facts = read(world)

    assert facts.endpoint == "10.0.0.10:6443"
    assert facts.kubernetes_version == "v1.36.3"
    assert (facts.minor, facts.release, facts.host) == ("1.36", "1.36.3", "10.0.0.10")
    assert facts.ca_cert_hashes == ca_hashes(base64.b64encode(ca.encode()).decode())


def test_a_pin_is_the_one_that_openssl_computes(ca: str) -> None:
    key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=ca, capture_output=True, text=True, check=True)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"], input=key.stdout.encode(), capture_output=True, check=True
    )

    pins = ca_hashes(base64.b64encode(ca.encode()).decode())

    assert pins == (f"sha256:{hashlib.sha256(der.stdout).hexdigest()}",)


def test_every_ca_of_a_bundle_is_pinned_once(world: World, ca: str) -> None:
    other = ca_certificate()
    world.cluster.info_kubeconfig = info_kubeconfig("https://api.demo.example:6443", ca, other, ca)

    facts = read(world)

    assert len(facts.ca_cert_hashes) == 2
    assert facts.endpoint == "api.demo.example:6443"


def test_the_endpoint_of_the_settings_wins(world: World) -> None:
    assert read(world, "10.9.9.9:443").endpoint == "10.9.9.9:443"


@pytest.mark.parametrize(
    ("server", "endpoint"),
    [("https://api.example", "api.example:443"), ("https://[fd00::10]:6443", "[fd00::10]:6443")],
)
def test_the_endpoint_always_has_a_port(world: World, ca: str, server: str, endpoint: str) -> None:
    world.cluster.info_kubeconfig = info_kubeconfig(server, ca)

    assert read(world).endpoint == endpoint


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "kubeadm init phase bootstrap-token"),
        ("", "holds no kubeconfig"),
        ("clusters: []", "holds no kubeconfig"),
        ("clusters: [{cluster: {server: 'https://a:1', certificate-authority-data: 'bm8='}}]", "no CA certificate"),
        ("clusters: [{cluster: {server: 'https://a:1', certificate-authority-data: '%'}}]", "no CA certificate"),
    ],
)
def test_a_cluster_that_does_not_say_enough_is_told_what_is_missing(
    world: World, text: str | None, sentence: str
) -> None:
    world.cluster.info_kubeconfig = text

    with pytest.raises(FactsUnavailable, match=sentence):
        read(world)


def test_an_endpoint_that_is_none_is_refused(world: World, ca: str) -> None:
    world.cluster.info_kubeconfig = info_kubeconfig("nonsense", ca)

    with pytest.raises(FactsUnavailable, match="cannot be used"):
        read(world)


def test_facts_are_exactly_the_agreed_json(world: World) -> None:
    assert json.loads(world.facts.text()) == {
        "cluster": "demo",
        "region": REGION,
        "endpoint": "10.0.0.10:6443",
        "caCertHashes": ["sha256:" + "a" * 64],
        "tokenParameter": world.policy.parameter,
        "kubernetesVersion": "v1.36.3",
    }
    assert parse_facts(world.facts.text()) == world.facts


def test_facts_are_found_between_their_markers(world: World) -> None:
    assert facts_in(f"#!/bin/bash\n{BEGIN}\n{world.facts.text()}\n{END}\n") == world.facts


@pytest.mark.parametrize("script", ["", f"{BEGIN}\n{{}}\n{END}\n", f"{BEGIN}\nnonsense\n{END}\n"])
def test_a_script_without_facts_is_refused(script: str) -> None:
    with pytest.raises(FactsUnavailable):
        facts_in(script)
