"""What files of a plan hold beyond pods, nodes and pools, and what a cluster would have filled in."""

from __future__ import annotations

import json

import pytest
import yaml

from agent.kube.offline import Objects, objects
from agent.manifests import check_documents, load_documents
from agent.model.constraints import PodAffinityTerm, Requirement


def read(*manifests: dict[str, object]) -> Objects:
    loaded = load_documents(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}), "file.yaml")
    found = objects(loaded.documents)
    assert (loaded.faults, found.faults, found.notes) == ((), (), ())
    return found


def manifest(api_version: str, kind: str, name: str, **fields: object) -> dict[str, object]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


def test_volumes_their_claims_classes_and_limits_are_read() -> None:
    found = read(
        manifest("v1", "PersistentVolume", "pv", spec={"csi": {"driver": "d", "volumeHandle": "h"}}),
        manifest("v1", "PersistentVolumeClaim", "data", spec={"volumeName": "pv"}),
        manifest("storage.k8s.io/v1", "StorageClass", "gp3", provisioner="d"),
        manifest("storage.k8s.io/v1", "CSINode", "i-1", spec={"drivers": [{"name": "d", "allocatable": {"count": 3}}]}),
    )
    assert [v.handle for v in found.volumes] == ["h"]
    assert [(c.meta.namespace, c.volume) for c in found.volume_claims] == [("default", "pv")]
    assert [c.provisioner for c in found.storage_classes] == ["d"]
    assert [(n.node_name, n.limits) for n in found.attach_limits] == [("i-1", {"d": 3})]


def test_a_claim_of_a_file_is_bound_to_the_volume_that_it_names_unless_a_cluster_said_otherwise() -> None:
    names_it = {"volumeName": "pv"}
    found = read(
        manifest("v1", "PersistentVolumeClaim", "written", spec=names_it),
        manifest("v1", "PersistentVolumeClaim", "waiting", spec=names_it, status={"phase": "Pending"}),
        manifest("v1", "PersistentVolumeClaim", "bound", spec=names_it, status={"phase": "Bound"}),
    )
    assert [c.meta.name for c in found.volume_claims if c.is_binding] == ["waiting"]


def test_a_claim_of_a_file_is_bound_to_the_volume_that_is_kept_for_it() -> None:
    found = read(
        manifest("v1", "PersistentVolumeClaim", "data", spec={}),
        manifest("v1", "PersistentVolumeClaim", "known", spec={}, status={"phase": "Pending"}),
        manifest("v1", "PersistentVolume", "pv", spec={"claimRef": {"namespace": "default", "name": "data"}}),
        manifest("v1", "PersistentVolume", "other", spec={"claimRef": {"namespace": "default", "name": "known"}}),
    )
    assert {c.meta.name: c.volume for c in found.volume_claims} == {"data": "pv", "known": ""}


def test_labels_of_namespaces_are_read() -> None:
    namespace = manifest("v1", "Namespace", "shop")
    namespace["metadata"] = {"name": "shop", "labels": {"team": "x"}}
    assert read(namespace).namespaces == {"shop": {"team": "x"}}


def test_a_pod_has_the_priority_of_its_class_or_of_the_default_class() -> None:
    found = read(
        manifest("v1", "Pod", "classed", spec={"priorityClassName": "high"}),
        manifest("v1", "Pod", "said", spec={"priorityClassName": "high", "priority": 7}),
        manifest("v1", "Pod", "plain", spec={}),
        manifest("scheduling.k8s.io/v1", "PriorityClass", "high", value=1000),
        manifest("scheduling.k8s.io/v1", "PriorityClass", "usual", value=10, globalDefault=True),
    )
    assert {p.meta.name: p.priority for p in found.pods} == {"classed": 1000, "said": 7, "plain": 10}


def test_a_term_of_a_pod_without_a_namespace_looks_in_the_default_one() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    expected = PodAffinityTerm("kubernetes.io/hostname", (Requirement("app", "In", ("web",)),), ("default",))
    pods = read(
        manifest("v1", "Pod", "web", spec={"affinity": affinity}),
        manifest("apps/v1", "Deployment", "api", spec={"replicas": 1, "template": {"spec": {"affinity": affinity}}}),
    ).pods
    assert [p.anti_affinity for p in pods] == [(expected,), (expected,)]


def test_pods_behind_a_scheduling_gate_are_not_pending() -> None:
    gated = {"schedulingGates": [{"name": "quota"}]}
    pods = read(
        manifest("v1", "Pod", "gated", spec=gated),
        manifest("v1", "Pod", "free", spec={}),
        manifest("apps/v1", "Deployment", "api", spec={"replicas": 1, "template": {"spec": gated}}),
    ).pods
    assert {p.meta.name: p.unschedulable for p in pods} == {"gated": False, "free": True, "api-0": False}


def test_ephemeral_volumes_get_the_claims_that_a_cluster_would_make() -> None:
    template = {"spec": {"storageClassName": "gp3"}}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    found = read(
        manifest("v1", "Pod", "made", spec={"volumes": volumes}),
        manifest("v1", "Pod", "there", spec={"volumes": volumes}),
        manifest("v1", "PersistentVolumeClaim", "there-scratch", spec={"storageClassName": "own"}),
        manifest("apps/v1", "Deployment", "api", spec={"replicas": 1, "template": {"spec": {"volumes": volumes}}}),
    )
    claims = {c.meta.name: (c.meta.namespace, c.storage_class) for c in found.volume_claims}
    assert claims == {
        "made-scratch": ("default", "gp3"),
        "there-scratch": ("default", "own"),
        "api-0-scratch": ("default", "gp3"),
    }


def faults(text: str) -> list[str]:
    return [str(f) for f in objects(load_documents(text, "f").documents).faults]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"metadata": {"name": "a", "namespace": 0}}, 'metadata.namespace: must be a string (write "0")'),
        ({"metadata": {"name": "a"}, "status": {"conditions": 1.5}}, "status.conditions: must be a list"),
        ({"metadata": {"labels": {"a": "b"}}}, "metadata.name: is required"),
        ({"metadata": {"name": "a", "namespace": []}}, "metadata.namespace: must be a string"),
        ({"spec": {"nodeName": 1}}, 'spec.nodeName: must be a string (write "1")'),
    ],
)
def test_a_pod_has_the_same_fault_in_a_json_list_and_in_yaml(change: dict[str, object], fault: str) -> None:
    whole = {"apiVersion": "v1", "kind": "List", "items": [{**manifest("v1", "Pod", "a"), **change}]}
    (listed,) = faults(json.dumps(whole))
    (written,) = faults(yaml.safe_dump(whole))
    assert fault in listed
    assert fault in written


def test_all_faults_of_an_object_are_told_each_at_its_place() -> None:
    container = {"resources": {"requests": {"cpu": "1 core", "memory": "-1Gi"}}, "ports": [{"hostPort": "80"}]}
    spec = {
        "containers": [{}, container],
        "nodeSelector": {"a": "b", "gpu": True},
        "tolerations": [None, "all"],
        "hostNetwork": "yes",
        "priority": "high",
        "overhead": {"cpu": []},
    }
    made = {"name": "a", "creationTimestamp": "yesterday", "labels": {"n": 1}}
    assert faults(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": spec})) == [
        f"f: Pod/a: {line}"
        for line in (
            'metadata.creationTimestamp: "yesterday" is not a time such as 2026-11-20T12:00:00Z',
            'metadata.labels.n: must be a string (write "1")',
            "spec.containers[1].ports[0].hostPort: must be an integer (write 80, without quotes)",
            (
                "spec.containers[1].resources.requests.cpu: "
                "'1 core' is not a quantity: expected a number such as 2, 500m, 1.5 or 4Gi"
            ),
            'spec.containers[1].resources.requests.memory: "-1Gi" is less than nothing',
            "spec.hostNetwork: must be true or false",
            'spec.nodeSelector.gpu: must be a string (write "true")',
            "spec.overhead.cpu: must be a quantity such as 500m or 4Gi",
            "spec.priority: must be an integer",
            "spec.tolerations[0]: must be a mapping of fields, not null",
            "spec.tolerations[1]: must be a mapping of fields",
        )
    ]


@pytest.mark.parametrize(
    ("kind", "spec", "fault"),
    [
        ("apps/v1 DaemonSet", {"template": {"spec": {"nodeSelector": {"a": 1}}}}, "spec.template.spec.nodeSelector.a"),
        ("apps/v1 Deployment", {"template": {"spec": {"nodeSelector": {"a": 1}}}}, "spec.template.spec.nodeSelector.a"),
        ("apps/v1 Deployment", {"replicas": "3"}, "spec.replicas: must be an integer (write 3, without quotes)"),
        ("policy/v1 PodDisruptionBudget", {"selector": []}, "spec.selector: must be a mapping of fields"),
    ],
)
def test_faults_of_other_kinds_are_told_in_the_same_words(kind: str, spec: dict[str, object], fault: str) -> None:
    version, _, name = kind.partition(" ")
    (told,) = faults(json.dumps(manifest(version, name, "a", spec=spec)))
    assert told.startswith(f"f: {name}/a: {fault}")


def test_a_number_beyond_all_bounds_is_no_matter_where_nobody_reads_it() -> None:
    pod = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": 1e999}}'
    assert faults(f'{{"kind": "List", "items": [{pod}]}}') == []


def test_a_number_beyond_all_bounds_is_a_fault_of_what_people_write() -> None:
    pool = '{"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "a"}, "spec": {"weight": 1e999}}'
    (document,) = load_documents(f'{{"kind": "List", "items": [{pool}]}}', "f").documents
    assert document.obj["spec"] == {"weight": "1e999"}
    assert "f: NodePool/a: spec.weight: must be an integer" in map(str, check_documents((document,)).faults)


@pytest.mark.parametrize(
    ("status", "moment"),
    [
        ({"startTime": "2026-01-02T03:04:05Z"}, "2026-01-02T03:04:05+00:00"),
        ({"startTime": "2026-01-02T03:04:05Z", "message": 'a "quoted" word'}, "2026-01-02T03:04:05+00:00"),
        (
            {"a": [{"b": "2026-01-02T05:04:05+02:00"}], "message": "since 2027-01-02T03:04:05Z"},
            "2026-01-02T03:04:05+00:00",
        ),
        (
            {"message": 'since "2027-01-02T03:04:05Z"', "a": "2026-01-02T03:04:05.5Z"},
            "2026-01-02T03:04:05.500000+00:00",
        ),
        ({"2026-01-02T03:04:05Z": "2026-13-02T03:04:05Z"}, None),
        ([], None),
    ],
)
def test_the_newest_time_is_the_same_in_a_json_list_and_alone(status: object, moment: str | None) -> None:
    pod = manifest("v1", "ConfigMap", "a", status=status)
    for whole in (pod, {"kind": "List", "items": [pod]}):
        for indent in (None, 2):
            found = objects(load_documents(json.dumps(whole, indent=indent), "f").documents).newest
            assert (found.isoformat() if found is not None else None) == moment


def test_a_budget_that_nobody_has_counted_allows_what_a_cluster_would_count() -> None:
    def web(name: str, **status: object) -> dict[str, object]:
        found = manifest("v1", "Pod", name, spec={"nodeName": "n-1"}, status={"phase": "Running", **status})
        return found | {"metadata": {"name": name, "labels": {"app": "web"}}}

    def budget(name: str, status: object = None) -> dict[str, object]:
        spec = {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": "50%"}
        found = manifest("policy/v1", "PodDisruptionBudget", name, spec=spec)
        return found if status is None else found | {"status": status}

    ready = [{"type": "Ready", "status": "True"}]
    found = read(
        web("one", conditions=ready),
        web("two", conditions=ready),
        web("three"),
        budget("none"),
        budget("empty", {}),
        budget("nothing", {"disruptionsAllowed": 0}),
        budget("three", {"disruptionsAllowed": 3}),
    )
    allowed = {b.meta.name: b.disruptions_allowed for b in found.pdbs}
    assert allowed == {"none": 1, "empty": 1, "nothing": 0, "three": 3}
