import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.manifests.schema import CRDS, Crd, crd

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "additionalProperties",
    "anyOf",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
}


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from schemas(field, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from schemas(schema[name], f"{path}[]")


def root_of(spec: Crd) -> dict[str, Any]:
    (version,) = crd(spec)["spec"]["versions"]
    root: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return root


def test_what_is_committed_is_what_the_models_say() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent.manifests", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_generator_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent.manifests"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (64, "usage: python -m agent.manifests --write | --check\n")


@pytest.mark.parametrize("spec", CRDS, ids=lambda spec: spec.kind)
def test_a_schema_is_structural(spec: Crd) -> None:
    for path, schema in schemas(root_of(spec)):
        unknown = {k for k in schema if not k.startswith("x-kubernetes-")} - ALLOWED
        assert not unknown, (path, unknown)
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not {"properties", "additionalProperties"} <= schema.keys(), path


@pytest.mark.parametrize("spec", CRDS, ids=lambda spec: spec.kind)
def test_every_field_is_described_once_for_crd_and_page(spec: Crd) -> None:
    page = (ROOT / "docs/reference" / f"{spec.kind.lower()}.md").read_text("utf-8")
    for part in ("spec", "status"):
        for path, schema in schemas(root_of(spec)["properties"][part], part):
            if path.rpartition(".")[2].endswith("[]") or path == part:
                continue
            assert schema.get("description"), path
            assert f"`{path}`" in page


@pytest.mark.parametrize("spec", CRDS, ids=lambda spec: spec.kind)
def test_the_crd_is_marked_as_ours_and_cluster_scoped(spec: Crd) -> None:
    found = yaml.safe_load((ROOT / "agent/crds" / spec.file).read_text("utf-8"))
    assert json.loads(json.dumps(crd(spec))) == found
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "joinery"}
    assert (found["spec"]["scope"], found["spec"]["names"]["categories"]) == ("Cluster", ["karpenter"])


def test_defaults_are_karpenters() -> None:
    pool = {path: schema.get("default") for path, schema in schemas(root_of(CRDS[0]))}
    template = ".spec.template.spec"
    assert pool[f"{template}.expireAfter"] == "720h"
    assert pool[".spec.disruption"] == {"consolidateAfter": "0s"}
    assert pool[".spec.disruption.consolidationPolicy"] == "WhenEmptyOrUnderutilized"
    assert pool[".spec.disruption.budgets"] == [{"nodes": "10%"}]
    assert pool[".status.nodes"] == 0
    assert {p for p, d in pool.items() if d is not None} == {
        f"{template}.expireAfter",
        ".spec.disruption",
        ".spec.disruption.consolidateAfter",
        ".spec.disruption.consolidationPolicy",
        ".spec.disruption.budgets",
        ".spec.disruption.budgets[].nodes",
        ".status.nodes",
    }


def test_a_pool_can_be_scaled() -> None:
    (version,) = crd(CRDS[0])["spec"]["versions"]
    assert version["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.nodes",
    }
