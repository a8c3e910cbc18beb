import re
from datetime import UTC, datetime

import pytest

from agent.manifests import EC2NodeClassSpec, kubelet_settings, parse_node_class, parse_node_pool
from agent.manifests.disks import volumes
from agent.manifests.durations import DurationError, parse_duration, parse_duration_or_never
from agent.manifests.hardware import one_to
from agent.model.constraints import Requirement
from agent.model.ec2 import KubeletSettings
from agent.model.kubernetes import Budget, Condition, Taint
from agent.model.resources import Resources
from tests.manifests.cases import CLASS, POOL, changed

T = "spec.template.spec"


def test_a_minimal_pool_has_karpenters_defaults() -> None:
    pool = parse_node_pool(POOL)
    assert pool.faults == ()
    assert (pool.name, pool.node_class, pool.weight) == ("pool", "class", 0)
    assert pool.expire_after_seconds == 720 * 3600
    assert pool.termination_grace_seconds is None
    assert (pool.consolidation_policy, pool.consolidate_after_seconds) == ("WhenEmptyOrUnderutilized", 0)
    assert pool.budgets == (Budget(nodes="10%"),)
    assert pool.replicas is None
    assert pool.limits == {}


def test_every_field_of_a_pool_arrives_in_the_engines_units() -> None:
    pool = parse_node_pool(
        changed(
            POOL,
            ("spec.weight", 7),
            ("spec.limits", {"cpu": 20, "memory": "40Gi", "nodes": "3", "nvidia.com/gpu": 2}),
            (f"{T}.expireAfter", "1h30m"),
            (f"{T}.terminationGracePeriod", "90s"),
            (f"{T}.taints", [{"key": "workload", "value": "ai", "effect": "NoSchedule"}]),
            (f"{T}.startupTaints", [{"key": "cni", "effect": "NoExecute"}]),
            ("spec.template.metadata.annotations", {"a": "b"}),
            ("spec.disruption.consolidationPolicy", "WhenEmpty"),
            ("spec.disruption.consolidateAfter", "Never"),
            (
                "spec.disruption.budgets",
                [{"nodes": "1", "schedule": "0 9 * * mon-fri", "duration": "8h", "reasons": ["Empty"]}],
            ),
        )
    )
    assert pool.faults == ()
    assert pool.weight == 7
    assert pool.limits == {"cpu": 20_000, "memory": 40 << 30, "nodes": 3, "nvidia.com/gpu": 2}
    assert (pool.expire_after_seconds, pool.termination_grace_seconds) == (5400, 90)
    assert pool.taints == (Taint("workload", "NoSchedule", "ai"),)
    assert pool.startup_taints == (Taint("cni", "NoExecute"),)
    assert (pool.labels, pool.annotations) == ({"role": "worker"}, {"a": "b"})
    assert (pool.consolidation_policy, pool.consolidate_after_seconds) == ("WhenEmpty", None)
    assert pool.budgets == (Budget("1", "0 9 * * mon-fri", 8 * 3600, ("Empty",)),)


def test_an_empty_list_of_budgets_is_no_limit_and_not_the_default() -> None:
    assert parse_node_pool(changed(POOL, ("spec.disruption.budgets", []))).budgets == ()


def test_never_expires_is_no_age() -> None:
    assert parse_node_pool(changed(POOL, (f"{T}.expireAfter", "Never"))).expire_after_seconds is None


def test_a_limit_beyond_every_number_is_no_fault_and_no_limit() -> None:
    pool = parse_node_pool(changed(POOL, ("spec.limits.cpu", "9223372036854775807")))
    assert (pool.faults, pool.limits["cpu"]) == ((), 2**63 - 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
        ("topology.ebs.csi.aws.com/zone", "topology.kubernetes.io/zone"),
        ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
        ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ],
)
def test_older_names_of_labels_become_the_stable_ones(old: str, new: str) -> None:
    pool = parse_node_pool(changed(POOL, (f"{T}.requirements.0", {"key": old, "operator": "Exists"})))
    assert pool.requirements == (Requirement(new, "Exists"),)


def test_a_broken_part_is_a_fault_and_the_rest_is_read() -> None:
    pool = parse_node_pool(changed(POOL, (f"{T}.requirements.0.operator", "Within"), ("spec.weight", 5)))
    assert pool.faults == (f'{T}.requirements[0].operator: unknown operator "Within"',)
    assert (pool.weight, pool.node_class, pool.requirements) == (5, "class", ())


def test_a_pool_of_which_too_little_is_left_keeps_its_name_and_faults() -> None:
    pool = parse_node_pool({"metadata": {"name": "pool", "uid": "u"}})
    assert (pool.name, pool.meta.uid, pool.node_class) == ("pool", "u", "")
    assert pool.faults == ("apiVersion: is required", "kind: is required", "spec: is required")


def test_the_status_of_a_pool_is_read() -> None:
    status = {
        "nodes": 2,
        "resources": {"cpu": "4", "memory": "8Gi", "nodes": "2"},
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"},
            {"type": "Odd", "status": "True", "lastTransitionTime": "yesterday"},
        ],
        "fromANewerVersion": 1,
    }
    pool = parse_node_pool({**POOL, "status": status})
    assert pool.faults == ()
    assert (pool.node_count, pool.resources) == (2, Resources(cpu_milli=4000, memory_bytes=8 << 30))
    assert pool.conditions == (
        Condition("Ready", "True", last_transition=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        Condition("Odd", "True"),
    )


def test_an_unknown_capacity_type_beside_a_known_one_is_only_noted() -> None:
    requirement = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "sport"]}
    pool = parse_node_pool(changed(POOL, (f"{T}.requirements.0", requirement)))
    assert pool.faults == ()
    assert f"{T}.requirements[0].values: unknown capacity type sport is left out" in pool.notes


def test_what_means_nothing_without_eks_is_accepted_and_noted() -> None:
    found = parse_node_class(
        changed(CLASS, ("spec.amiFamily", "Windows2022"), ("spec.ipPrefixCount", 2), ("spec.context", "c"))
    )
    assert found.faults == ()
    assert found.spec is not None
    said = [note.partition(":")[0] for note in found.notes]
    assert said == ["spec.ipPrefixCount", "spec.context", "spec.amiFamily"]


def test_a_class_gives_its_pinned_images_and_conditions() -> None:
    amis = [
        {
            "id": "ami-1",
            "name": "ubuntu",
            "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}],
        },
        {"id": "ami-2"},
    ]
    status = {"amis": amis, "conditions": [{"type": "Ready", "status": "False", "reason": "AMINotFound"}]}
    found = parse_node_class({**CLASS, "status": status})
    assert [(i.id, i.architecture) for i in found.pinned] == [("ami-1", "arm64"), ("ami-2", "amd64")]
    assert found.conditions == (Condition("Ready", "False", "AMINotFound"),)
    assert found.status == status


def test_a_class_without_the_least_has_no_spec_but_its_faults() -> None:
    found = parse_node_class(changed(CLASS, ("spec", {"amiFamily": "Ubuntu"})))
    assert found.spec is None
    assert found.faults == (
        "spec.securityGroupSelectorTerms: is required",
        "spec.subnetSelectorTerms: is required",
    )


def test_a_class_without_metadata_options_has_karpenters() -> None:
    spec = EC2NodeClassSpec.model_validate(CLASS["spec"])
    options = spec.metadata_options
    assert (options.http_endpoint, options.http_protocol_ipv6) == ("enabled", "disabled")
    assert (options.http_put_response_hop_limit, options.http_tokens) == (1, "required")


@pytest.mark.parametrize(
    ("alias", "family"),
    [("al2023@latest", "AL2023"), ("ubuntu@24.04", "Ubuntu"), ("flatcar@latest", "Flatcar"), ("rhel@9", "RHEL")],
)
def test_an_alias_says_the_family(alias: str, family: str) -> None:
    spec = {**CLASS["spec"], "amiFamily": None, "amiSelectorTerms": [{"alias": alias}]}
    found = parse_node_class({**CLASS, "spec": spec})
    assert found.faults == ()
    assert found.spec is not None
    assert found.spec.family == family


def test_kubelet_fields_nobody_checks_are_kept_as_written() -> None:
    kubelet = {"maxPods": 50, "evictionHard": {"memory.available": "5%"}, "featureGates": {"X": True}}
    found = parse_node_class(changed(CLASS, ("spec.kubelet", kubelet)))
    assert found.faults == ()
    assert found.spec is not None
    assert found.spec.kubelet == kubelet


def test_a_class_lays_its_kubelet_settings_over_the_clusters() -> None:
    cluster = KubeletSettings(max_pods=110, kube_reserved=Resources(cpu_milli=100), eviction_storage="15%")
    merged = kubelet_settings(cluster, {"maxPods": 20, "systemReserved": {"memory": "1Gi", "pid": "100"}})
    assert merged == KubeletSettings(
        max_pods=20,
        kube_reserved=Resources(cpu_milli=100),
        system_reserved=Resources(memory_bytes=1 << 30),
        eviction_storage="15%",
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("1ms", 1), ("1500ms", 2), ("720h", 2_592_000)],
)
def test_durations_are_gos(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "1d", "h", "-1h", "1h ", "1 h", "9999999h", "1" * 70 + "h", "Never"])
def test_what_go_would_not_parse_is_no_duration(text: str) -> None:
    with pytest.raises(DurationError):
        parse_duration(text)


def test_never_and_unset_are_no_duration_at_all() -> None:
    assert parse_duration_or_never("Never") is None
    assert parse_duration_or_never(None) is None


@pytest.mark.parametrize("limit", [1, 7, 10, 58, 64, 99, 100, 305, 64_000])
def test_a_pattern_of_numbers_matches_exactly_those(limit: int) -> None:
    pattern = re.compile(one_to(limit))
    near = {0, 1, 2, 9, 10, 11, limit - 1, limit, limit + 1, limit * 10, *range(0, limit + 200, max(1, limit // 500))}
    for number in near:
        assert (pattern.fullmatch(str(number)) is not None) == (1 <= number <= limit)
    assert pattern.fullmatch("01") is None


@pytest.mark.parametrize(
    ("mappings", "count"),
    [
        ([], 1),
        ([{"deviceName": "/dev/sda1", "ebs": {"volumeSize": "20Gi"}}], 1),
        ([{"deviceName": d, "ebs": {"volumeSize": "20Gi"}} for d in ("/dev/sda1", "/dev/sdb")], 2),
    ],
)
def test_the_disks_of_a_class_are_counted_the_images_own_at_least(mappings: list[object], count: int) -> None:
    assert volumes(EC2NodeClassSpec.model_validate(CLASS["spec"] | {"blockDeviceMappings": mappings})) == count
