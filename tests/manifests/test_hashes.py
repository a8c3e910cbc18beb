import copy
from typing import Any

import pytest

from agent.manifests import HASH_VERSION, parse_node_class, parse_node_pool
from tests.manifests.cases import CLASS, POOL, Json, changed

T = "spec.template.spec"
TAINTS = [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}]


def pool_hash(*changes: tuple[str, Json]) -> str:
    pool = parse_node_pool(changed(POOL, *changes))
    assert pool.faults == ()
    assert pool.hash_version == HASH_VERSION
    return pool.hash


def class_hash(*changes: tuple[str, Json]) -> str:
    found = parse_node_class(changed(CLASS, *changes))
    assert found.faults == ()
    assert found.hash_version == HASH_VERSION
    return found.hash


@pytest.mark.parametrize(
    "change",
    [
        ("spec.template.metadata.labels", {"role": "other"}),
        ("spec.template.metadata.annotations", {"a": "b"}),
        (f"{T}.taints", TAINTS),
        (f"{T}.startupTaints", TAINTS),
        (f"{T}.nodeClassRef.name", "other"),
        (f"{T}.terminationGracePeriod", "1h"),
        (f"{T}.expireAfter", "1h"),
        (f"{T}.expireAfter", "Never"),
    ],
    ids=lambda change: change[0],
)
def test_a_change_of_the_template_changes_the_pools_hash(change: tuple[str, Json]) -> None:
    assert pool_hash(change) != pool_hash()


@pytest.mark.parametrize(
    "change",
    [
        (f"{T}.requirements", []),
        ("spec.weight", 5),
        ("spec.limits", {"cpu": 5}),
        ("spec.disruption", {"consolidationPolicy": "WhenEmpty", "budgets": []}),
        ("metadata.labels", {"a": "b"}),
        (f"{T}.taints", []),
        (f"{T}.expireAfter", "720h"),
        (f"{T}.expireAfter", "43200m"),
        (f"{T}.terminationGracePeriod", None),
    ],
    ids=lambda change: change[0],
)
def test_what_is_compared_elsewhere_or_means_the_same_keeps_the_pools_hash(change: tuple[str, Json]) -> None:
    assert pool_hash(change) == pool_hash()


def test_the_order_of_a_list_keeps_the_pools_hash() -> None:
    assert pool_hash((f"{T}.taints", TAINTS)) == pool_hash((f"{T}.taints", TAINTS[::-1]))


@pytest.mark.parametrize(
    "change",
    [
        ("spec.userData", "#!/bin/sh\n"),
        ("spec.role", "other"),
        ("spec.tags", {"a": "b"}),
        ("spec.kubelet", {"maxPods": 5}),
        ("spec.kubelet", {"cpuCFSQuota": False}),
        ("spec.amiFamily", "Debian"),
        ("spec.blockDeviceMappings", [{"deviceName": "/dev/sda1", "ebs": {"volumeSize": "20Gi"}}]),
        ("spec.metadataOptions", {"httpPutResponseHopLimit": 2}),
        ("spec.detailedMonitoring", True),
        ("metadata.annotations", {"joinery.sh/userdata": "jinja"}),
    ],
    ids=str,
)
def test_a_change_of_the_machine_changes_the_classs_hash(change: tuple[str, Json]) -> None:
    assert class_hash(change) != class_hash()


@pytest.mark.parametrize(
    "change",
    [
        ("spec.subnetSelectorTerms", [{"id": "subnet-1"}]),
        ("spec.securityGroupSelectorTerms", [{"id": "sg-1"}]),
        ("spec.amiSelectorTerms", [{"alias": "ubuntu@latest"}]),
        ("spec.amiRefresh", "@weekly"),
        ("spec.ipPrefixCount", 5),
        ("spec.detailedMonitoring", False),
        ("spec.tags", {}),
        ("spec.metadataOptions", {"httpTokens": "required"}),
    ],
    ids=lambda change: change[0],
)
def test_what_selects_and_what_is_zero_keeps_the_classs_hash(change: tuple[str, Json]) -> None:
    assert class_hash(change) == class_hash()


def test_the_family_counts_and_not_who_says_it() -> None:
    by_alias: dict[str, Any] = copy.deepcopy(CLASS)
    del by_alias["spec"]["amiFamily"]
    by_alias["spec"]["amiSelectorTerms"] = [{"alias": "ubuntu@latest"}]
    assert parse_node_class(by_alias).hash == class_hash()


def test_a_hash_that_the_object_carries_counts_only_where_files_are_taken_as_given() -> None:
    annotations = {"karpenter.sh/nodepool-hash": "42", "karpenter.sh/nodepool-hash-version": "v3"}
    pool = changed(POOL, ("metadata.annotations", annotations))
    assert parse_node_pool(pool).hash == pool_hash()
    given = parse_node_pool(pool, given_hash=True)
    assert (given.hash, given.hash_version) == ("42", "v3")
    annotations = {"karpenter.k8s.aws/ec2nodeclass-hash": "7", "karpenter.k8s.aws/ec2nodeclass-hash-version": "v6"}
    found = parse_node_class(changed(CLASS, ("metadata.annotations", annotations)), given_hash=True)
    assert (found.hash, found.hash_version) == ("7", "v6")


def test_a_pool_that_carries_no_hash_gets_one_even_where_files_are_taken_as_given() -> None:
    assert parse_node_pool(POOL, given_hash=True).hash == pool_hash()
