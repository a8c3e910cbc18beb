from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import settings
from agent.manifests.meanings import meanings
from agent.model.plan import Limits
from agent.settings import Settings, SettingsError

LEAST: dict[str, Any] = {"clusterName": "prod", "region": "ap-northeast-2"}


def faults(**fields: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        settings.parse({**LEAST, **fields}, "agent.yaml")
    return tuple(fault.removeprefix("agent.yaml: ") for fault in caught.value.faults)


def test_the_least_is_a_name_and_a_region() -> None:
    loaded = settings.parse(LEAST, "agent.yaml")
    assert loaded.namespace == "joinery-system"
    assert (loaded.token.ttl_seconds, loaded.token.rotate_seconds, loaded.token.overlap_seconds) == (7200, 3600, 900)
    assert (loaded.admission, loaded.node_name, loaded.log_format) == ("verified", "instance-id", "auto")
    assert loaded.lease_duration_seconds == 15
    assert loaded.capacity_error_seconds == 180


def test_defaults_of_decisions_are_those_of_the_model() -> None:
    assert settings.limits(settings.parse(LEAST, "agent.yaml")) == Limits()
    assert settings.limits(settings.defaults()) == Limits()


def test_limits_are_in_the_engines_units() -> None:
    found = settings.limits(settings.parse({**LEAST, "maxPricePerHour": 0.107, "repair": False}, "f"))
    assert (found.max_price_nano_usd, found.repair) == (107_000_000, False)


def test_parameters_stand_under_the_clusters_name_unless_told_otherwise() -> None:
    assert settings.parse(LEAST, "f").token_parameter == "/joinery/prod/bootstrap-token"
    assert settings.parse({**LEAST, "ssmPrefix": "/ops/x/"}, "f").facts_parameter == "/ops/x/join-facts"


def test_all_faults_are_named_at_once() -> None:
    assert faults(maxNode=5, region="Seoul", token={"ttlSeconds": 90}, repair="yes", apiServerEndpoint="10.0.0.10") == (
        'apiServerEndpoint: "10.0.0.10" is not host:port, such as 10.0.0.10:6443',
        "maxNode: unknown field (did you mean maxNodes?)",
        'region: "Seoul" is not an AWS region such as ap-northeast-2',
        "repair: must be true or false",
        "token.ttlSeconds: must be 600..7200",
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"token": {"overlapSeconds": 3600, "rotateSeconds": 3600}},
            (
                "token.overlapSeconds: overlapSeconds must be less than rotateSeconds, "
                "or more than two tokens would live at once"
            ),
        ),
        (
            {"token": {"ttlSeconds": 3600}},
            (
                "token.ttlSeconds: ttlSeconds must be at least rotateSeconds plus overlapSeconds, "
                "or a published token could be dead"
            ),
        ),
        ({"token": {"ttlSeconds": 7201}}, "token.ttlSeconds: must be 600..7200"),
        ({"batchIdleSeconds": 20}, "batchIdleSeconds: batchIdleSeconds must not be more than batchMaxSeconds"),
        ({"batchIdleSeconds": float("nan")}, "batchIdleSeconds: must be a finite number"),
        ({"batchIdleSeconds": True}, "batchIdleSeconds: must be a number"),
        ({"maxPricePerHour": -1}, "maxPricePerHour: must be 0..1000000"),
        ({"maxNodes": -1}, "maxNodes: must be at least 0"),
        ({"launchesPerMinute": 0}, "launchesPerMinute: must be 1..1000"),
        ({"leaseDurationSeconds": 1}, "leaseDurationSeconds: must be 5..300"),
        (
            {"apiServerEndpoint": "api:65536"},
            'apiServerEndpoint: "api:65536" is not host:port, such as 10.0.0.10:6443',
        ),
        ({"admission": "verify"}, 'admission: unknown admission "verify" (did you mean verified?)'),
        ({"kubeconfig": ""}, "kubeconfig: must not be empty"),
        ({"clusterName": 5}, 'clusterName: must be a string (write "5")'),
        ({"ssmPrefix": "joinery"}, 'ssmPrefix: "joinery" is not a parameter path such as /joinery/prod'),
        ({"clusterName": None}, "clusterName: is required"),
    ],
)
def test_each_rule_has_its_line(fields: dict[str, object], line: str) -> None:
    assert faults(**fields) == (line,)


@pytest.mark.parametrize("endpoint", ["10.0.0.10:6443", "api.example.com:443", "[fd00::1]:6443", "localhost:65535"])
def test_an_endpoint_is_host_and_port(endpoint: str) -> None:
    assert settings.parse({**LEAST, "apiServerEndpoint": endpoint}, "f").api_server_endpoint == endpoint


@given(st.sampled_from([info.alias or name for name, info in Settings.model_fields.items() if not info.is_required()]))
def test_a_null_is_the_default(name: str) -> None:
    assert settings.parse({**LEAST, name: None}, "f") == settings.parse(LEAST, "f")


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("clusterName: prod\nregion: ap-northeast-2\nmaxNodes: 5\n", "utf-8")
    assert settings.load(str(path)).max_nodes == 5


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"clusterName: [\n", "YAML: line 2, column 1: did not find expected node content"),
        (b"", "must hold exactly one document, not 0"),
        (b"a: 1\n---\nb: 1\n", "must hold exactly one document, not 2"),
        (b"- a\n", "document/0: must be an object with apiVersion and kind"),
        (b"\xff\xfe\xfa", "is not UTF-8 text"),
        (b"clusterName: prod\nclusterName: dev\n", 'YAML: line 2, column 1: the key "clusterName" stands twice'),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        settings.load(str(path))
    assert str(caught.value) == f"{path}: {line}"


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    with pytest.raises(SettingsError) as caught:
        settings.load(str(path))
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"


def test_settings_are_overridden_by_key_and_value() -> None:
    base = settings.parse({**LEAST, "token": {"ttlSeconds": 7000}, "maxPricePerHour": 3}, "f")
    found = settings.override(
        base,
        ["preferencePolicy=Ignore", "token.rotateSeconds=1800", "spotToSpotConsolidation=false", "maxPricePerHour="],
    )
    assert found.preference_policy == "Ignore"
    assert (found.token.rotate_seconds, found.token.ttl_seconds) == (1800, 7000)
    assert found.spot_to_spot_consolidation is False
    assert found.max_price_per_hour is None
    assert found.cluster_name == "prod"


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("preferencePolcy=Ignore", "--set: preferencePolcy: unknown field (did you mean preferencePolicy?)"),
        ("token.ttl=5", "--set: token.ttl: unknown field (did you mean token.ttlSeconds?)"),
        (
            "minValuesPolicy=Lax",
            '--set: minValuesPolicy: unknown minValuesPolicy "Lax" (one of Strict, BestEffort)',
        ),
        ("repair=maybe", "--set: repair: must be true or false"),
        ("region.x=1", "--set: region: must be a string"),
        ("repair", "--set repair: must be KEY=VALUE"),
        ("=1", "--set =1: must be KEY=VALUE"),
        ("repair=[", "--set repair=[: the value cannot be read"),
        ("repair=1\nb: 2\n---\nc: 1", "--set repair=1\nb: 2\n---\nc: 1: the value cannot be read"),
    ],
)
def test_an_override_that_does_not_fit_is_named(assignment: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.override(settings.defaults(), [assignment])
    assert str(caught.value) == line


def test_every_field_stands_on_the_reference_page_with_its_meaning() -> None:
    page = settings.reference()
    said = meanings(Settings)
    for name, info in Settings.model_fields.items():
        assert f"`{info.alias or name}" in page
        assert said[name]
