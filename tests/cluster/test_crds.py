"""The CRDs on a real API server: what the models accept or refuse it accepts or refuses, and defaults are equal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.manifests import load_documents, parse_node_class, parse_node_pool
from agent.manifests.schema import CRDS
from tests.cluster.access import Json
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import ClusterError
from tests.manifests.cases import CASES, CLAIM, CLASS, POOL, Case, changed

ROOT = Path(__file__).parents[2]
SOUND = ("business-hours-budgets.yaml", "side-project-spot.yaml", "worker-scalable.yaml")


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    for spec in CRDS:
        control_plane.kubectl("apply", "-f", str(ROOT / "agent/crds" / spec.file))
    names = [f"crd/{spec.plural}.{spec.group}" for spec in CRDS]
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    yield control_plane
    for spec in CRDS:
        control_plane.kubectl("delete", f"{spec.plural}.{spec.group}", "--all", "--wait=false")


def named(obj: Json, name: str) -> Json:
    return changed(obj, ("metadata.name", name))


def apply(cluster: ControlPlane, obj: Json, *options: str) -> Json:
    answer: Json = json.loads(cluster.kubectl("apply", "-o", "json", *options, "-f", "-", stdin=json.dumps(obj)))
    return answer


def refusal(cluster: ControlPlane, obj: Json, *options: str) -> str:
    with pytest.raises(ClusterError) as caught:
        apply(cluster, obj, *options)
    return str(caught.value)


def test_the_api_server_has_nothing_against_the_schemas(cluster: ControlPlane) -> None:
    for spec in CRDS:
        _, found = cluster.api(
            "GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{spec.plural}.{spec.group}"
        )
        conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_example_is_accepted_and_stored_as_it_is_read(cluster: ControlPlane, name: str) -> None:
    text = (ROOT / "examples" / name).read_text("utf-8")
    cluster.kubectl("apply", "-f", "-", stdin=text)
    for document in load_documents(text, name).documents:
        stored = json.loads(cluster.kubectl("get", f"{document.kind}.{document.group}", document.name, "-o", "json"))
        if document.kind == "NodePool":
            pool = parse_node_pool(stored)
            assert (pool.faults, pool.hash) == ((), parse_node_pool(document.obj).hash)
        else:
            node_class = parse_node_class(stored)
            assert (node_class.faults, node_class.spec) == ((), parse_node_class(document.obj).spec)


def test_the_broken_example_is_refused(cluster: ControlPlane) -> None:
    with pytest.raises(ClusterError) as caught:
        cluster.kubectl("apply", "-f", str(ROOT / "examples/broken-nodepool.yaml"))
    assert 'unknown field "spec.limit"' in str(caught.value)
    with pytest.raises(ClusterError) as caught:
        cluster.kubectl("apply", "--validate=false", "-f", str(ROOT / "examples/broken-nodepool.yaml"))
    said = str(caught.value)
    for part in ("spec.weight", "operator", "expireAfter"):
        assert part in said


@pytest.mark.parametrize("case", [c for c in CASES if c.server], ids=lambda case: case.name)
def test_what_the_models_refuse_the_api_server_refuses(cluster: ControlPlane, case: Case) -> None:
    assert refusal(cluster, case.obj, "--dry-run=server")


@pytest.mark.parametrize("case", [c for c in CASES if not c.server], ids=lambda case: case.name)
def test_what_only_the_agent_can_tell_passes_the_api_server(cluster: ControlPlane, case: Case) -> None:
    apply(cluster, case.obj, "--dry-run=server")


@pytest.mark.parametrize("obj", [POOL, CLASS, CLAIM], ids=lambda obj: obj["kind"])
def test_a_null_is_unset_for_the_api_server_too(cluster: ControlPlane, obj: Json) -> None:
    with_nulls = changed(obj, ("metadata.annotations", None), ("spec.weight" if obj is POOL else "spec.role", None))
    if obj is CLASS:
        with_nulls["spec"]["instanceProfile"] = "p"
    if obj is CLAIM:
        del with_nulls["spec"]["role"]
    status, answer = cluster.api("POST", f"{path_of(obj)}?dryRun=All&fieldValidation=Strict", with_nulls)
    assert status == 201, answer


def path_of(obj: Json) -> str:
    plural = next(spec.plural for spec in CRDS if spec.kind == obj["kind"])
    return f"/apis/{obj['apiVersion']}/{plural}"


def test_a_claim_cannot_be_changed(cluster: ControlPlane) -> None:
    apply(cluster, named(CLAIM, "fixed"))
    said = refusal(cluster, changed(named(CLAIM, "fixed"), ("spec.resources.requests.cpu", "2")))
    assert "a NodeClaim's spec cannot be changed" in said


def test_a_pool_may_take_another_class_but_not_another_kind_of_class(cluster: ControlPlane) -> None:
    ref = "spec.template.spec.nodeClassRef"
    pool = named(POOL, "refers")
    apply(cluster, pool)
    apply(cluster, changed(pool, (f"{ref}.name", "other")))
    assert "group and kind cannot be changed" in refusal(cluster, changed(pool, (f"{ref}.kind", "OtherClass")))


def test_a_pool_neither_becomes_static_nor_ceases_to_be(cluster: ControlPlane) -> None:
    apply(cluster, named(POOL, "dynamic"))
    apply(cluster, changed(named(POOL, "static"), ("spec.replicas", 1)))
    assert "replicas may not come or go" in refusal(cluster, changed(named(POOL, "dynamic"), ("spec.replicas", 1)))
    assert "replicas may not come or go" in refusal(cluster, named(POOL, "static"))


def test_a_static_pool_is_scaled_by_kubectl(cluster: ControlPlane) -> None:
    apply(cluster, changed(named(POOL, "scaled"), ("spec.replicas", 1)))
    cluster.kubectl("scale", "nodepool", "scaled", "--replicas=3")
    assert cluster.kubectl("get", "nodepool", "scaled", "-o", "jsonpath={.spec.replicas}") == "3"


def test_defaults_are_filled_in_by_the_api_server_as_by_the_models(cluster: ControlPlane) -> None:
    stored = apply(cluster, named(POOL, "defaults"))
    assert stored["spec"]["disruption"] == {
        "budgets": [{"nodes": "10%"}],
        "consolidateAfter": "0s",
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
    }
    assert stored["spec"]["template"]["spec"]["expireAfter"] == "720h"
    stored = apply(cluster, named(CLASS, "defaults"))
    assert stored["spec"]["metadataOptions"]["httpTokens"] == "required"


def test_kubelet_fields_survive_that_no_schema_names(cluster: ControlPlane) -> None:
    kubelet = {"maxPods": 20, "featureGates": {"X": True}, "unheardOf": [1, {"a": None}]}
    stored = apply(cluster, changed(named(CLASS, "kubelet"), ("spec.kubelet", kubelet)))
    assert stored["spec"]["kubelet"]["featureGates"] == {"X": True}
    assert stored["spec"]["kubelet"]["unheardOf"][0] == 1


def test_kubectl_get_shows_the_columns_that_people_know(cluster: ControlPlane) -> None:
    apply(cluster, named(POOL, "columns"))
    apply(cluster, named(CLASS, "columns"))
    apply(cluster, named(CLAIM, "columns"))
    header = cluster.kubectl("get", "nodepools", "columns").splitlines()[0].split()
    assert header == ["NAME", "NODECLASS", "NODES", "READY", "AGE"]
    header = cluster.kubectl("get", "nodeclaims", "columns").splitlines()[0].split()
    assert header == ["NAME", "TYPE", "CAPACITY", "ZONE", "NODE", "READY", "AGE"]
    header = cluster.kubectl("get", "ec2nc", "columns", "-o", "wide").splitlines()[0].split()
    assert header == ["NAME", "READY", "AGE", "ROLE"]
    everything = cluster.kubectl("get", "karpenter", "-o", "name")
    assert "nodepool.karpenter.sh/columns" in everything
    assert "ec2nodeclass.karpenter.k8s.aws/columns" in everything
