"""Karpenter's rules of sections 5, 6, 7, 9 and 12: who is pending, which pools and nodes count, what fits, limits."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import names
from agent.model.actions import Launch
from agent.model.constraints import Requirement
from agent.model.ec2 import InstanceType, Offering
from agent.model.kubernetes import (
    RESOURCE_CLAIMS,
    Condition,
    DaemonSet,
    Meta,
    Node,
    NodeClaim,
    Pod,
    PodDisruptionBudget,
    Taint,
    Toleration,
)
from agent.model.names import ClassName, NodeName, PoolName
from agent.model.plan import Limits, Plan
from agent.model.resources import Resources
from tests.build import (
    GIB,
    NOW,
    TYPES,
    ZONE_A,
    ZONE_C,
    amounts,
    claim,
    conditions,
    instance_type,
    machine,
    meta,
    node,
    node_class,
    pod,
    pool,
    snapshot,
)

DEFAULT = ClassName("default")
READY = ("Launched", "Registered", "Initialized")


def bought(plan: Plan) -> list[str]:
    return [x.instance_type for x in plan.launches]


def placed(plan: Plan) -> dict[str, str | None]:
    return {p.pod.removeprefix("default/"): p.node or p.claim for p in plan.placements}


def why(plan: Plan) -> str:
    return "; ".join(reason.message for r in plan.refusals for _, reason in r.reasons)


def base(name: str = "base", **fields: Any) -> Node:
    """A node that is not ours."""
    labels = {names.ZONE: ZONE_A, names.HOSTNAME: name} | fields.pop("labels", {})
    return node(machine(7), **({"meta": meta(name, labels=labels), "taints": (), "provider_id": None} | fields))


def among(key: str, *values: str, least: int | None = None) -> Requirement:
    return Requirement(key, "In", values, least)


def daemon(cpu: str = "600m", **fields: Any) -> DaemonSet:
    template = pod("log", cpu=cpu, memory="64Mi", owner_kind="DaemonSet", unschedulable=False, **fields)
    return DaemonSet(Meta("log", "default", "uid-log"), template)


# 5. Who is pending.


@pytest.mark.parametrize(
    ("fields", "pending"),
    [
        ({}, True),
        ({"unschedulable": False}, False),
        ({"node_name": NodeName("base")}, False),
        ({"nominated_node": NodeName("base")}, False),
        ({"owner_kind": "DaemonSet"}, False),
        ({"owner_kind": "Node"}, False),
        ({"owner_kind": ""}, True),
        ({"phase": "Succeeded"}, False),
        ({"meta": meta("web", namespace="default", deleted_at=NOW)}, False),
    ],
)
def test_rule_5_1_a_pod_is_pending_when_the_scheduler_found_no_node_for_it(
    fields: dict[str, Any], pending: bool
) -> None:
    assert len(decide(snapshot(pods=(pod(**fields),))).launches) == pending


def going(*pods: Pod, **fields: Any) -> Plan:
    """A world in which one node of ours is on its way out with these pods."""
    instance = machine(1)
    leaving = claim(
        instance=instance, conditions=(*conditions(*READY), Condition("DisruptionReason", "True", "Drifted"))
    )
    return decide(
        snapshot(pods=pods, claims=(leaving,), machines=(instance,), nodes=(node(instance, taints=()),), **fields)
    )


def test_rule_5_5_pods_of_a_node_that_goes_get_room_before_they_are_evicted() -> None:
    there = machine(1).id
    plan = going(
        pod("web", node=there),
        pod("log", node=there, owner_kind="DaemonSet"),
        pod("static", node=there, owner_kind="Node"),
    )
    assert [x.pods for x in plan.launches] == [("default/web",)]
    stateful = pod("db", node=there, owner_kind="StatefulSet", meta=meta("db", namespace="default", deleted_at=NOW))
    plain = pod("web", node=there, meta=meta("web", namespace="default", deleted_at=NOW))
    assert [x.pods for x in going(stateful, plain).launches] == [("default/db",)]


def budget(**fields: Any) -> PodDisruptionBudget:
    name = fields.pop("name", "pdb")
    return PodDisruptionBudget(Meta(name, "default"), (among("app", "web"),), **fields)


@pytest.mark.parametrize(
    ("pdbs", "moved"),
    [
        ((), True),
        ((budget(disruptions_allowed=0),), True),
        ((budget(blocks=True),), False),
        ((budget(disruptions_allowed=1), budget(name="other", disruptions_allowed=1)), False),
        ((msgspec.structs.replace(budget(blocks=True), meta=Meta("pdb", "elsewhere")),), True),
        ((msgspec.structs.replace(budget(blocks=True), selector=(among("app", "other"),)),), True),
        ((msgspec.structs.replace(budget(blocks=True), selector=None),), True),
    ],
)
def test_rule_5_5_no_room_is_bought_for_pods_that_nothing_will_evict(
    pdbs: tuple[PodDisruptionBudget, ...], moved: bool
) -> None:
    web = pod("web", node=machine(1).id, meta=meta("web", namespace="default", labels={"app": "web"}))
    assert len(going(web, pdbs=pdbs).launches) == moved


def test_rule_5_5_a_protected_pod_gets_no_room_either() -> None:
    kept = meta("web", namespace="default", annotations={names.DO_NOT_DISRUPT: "true"})
    assert going(pod("web", node=machine(1).id, meta=kept)).launches == ()


def test_rule_5_6_a_pod_that_wants_no_node_of_a_pool_gets_none_bought_and_uses_what_is_there() -> None:
    fixed_only = pod(affinity_terms=((Requirement(names.NODEPOOL, "DoesNotExist"),),))
    assert decide(snapshot(pods=(fixed_only,))).launches == ()
    assert placed(decide(snapshot(pods=(fixed_only,), nodes=(base(),)))) == {"web": "base"}


def test_rules_3_3_and_5_6_a_host_name_is_no_reason_to_buy_a_node() -> None:
    picky = pod(node_selector={names.HOSTNAME: "base"})
    assert decide(snapshot(pods=(picky,))).launches == ()
    assert placed(decide(snapshot(pods=(picky,), nodes=(base(), base("other"))))) == {"web": "base"}


def test_unlike_rule_5_7_a_claim_that_is_not_launched_yet_holds_nothing_up() -> None:
    flying = claim("workers-9", requests=amounts("100m", "1Mi"))
    plan = decide(snapshot(pods=(pod(),), claims=(flying,)))
    assert bought(plan) == ["t3.medium"]


# 6. Which pools and nodes count.


@pytest.mark.parametrize(
    "fields",
    [
        {"replicas": 0},
        {"meta": meta("workers", deleted_at=NOW)},
        {"faults": ("spec: is wrong",)},
        {"node_class": ClassName("missing")},
    ],
)
def test_rule_6_1_a_pool_that_is_static_deleted_or_not_ready_serves_nobody(fields: dict[str, Any]) -> None:
    plan = decide(snapshot(pods=(pod(),), pools=(pool(weight=1, **fields), pool("other"))))
    assert [x.draft.pool for x in plan.launches] == ["other"]
    assert decide(snapshot(pods=(pod(),), pools=(pool(**fields),))).launches == ()


def test_rule_6_1_a_class_that_is_not_ready_holds_its_pools_back() -> None:
    unready = node_class(conditions=(Condition("Ready", "False", "SubnetsNotFound", "no subnet"),))
    plan = decide(snapshot(pods=(pod(),), classes=(unready,)))
    assert plan.launches == ()
    assert "no subnet" in why(plan)


def test_rule_6_2_the_heavier_pool_is_asked_first_though_it_is_dearer() -> None:
    dear = pool("dear", weight=1, requirements=(among(names.INSTANCE_TYPE, "t3.xlarge"),))
    assert bought(decide(snapshot(pods=(pod(),), pools=(dear, pool("cheap"))))) == ["t3.xlarge"]


def test_unlike_rule_6_2_of_equal_weights_the_cheaper_pool_wins_and_not_the_later_name() -> None:
    dear = pool("zzz", requirements=(among(names.INSTANCE_TYPE, "t3.xlarge"),))
    assert [x.draft.pool for x in decide(snapshot(pods=(pod(),), pools=(dear, pool("aaa")))).launches] == ["aaa"]
    tie = decide(snapshot(pods=(pod(),), pools=(pool("zzz"), pool("aaa"))))
    assert [x.draft.pool for x in tie.launches] == ["aaa"]


def test_rule_6_4_labels_of_the_template_are_labels_of_the_nodes() -> None:
    blue = pool(labels={"example.com/team": "blue"})
    wants = pod(node_selector={"example.com/team": "blue"})
    assert len(decide(snapshot(pods=(wants,), pools=(blue,))).launches) == 1
    assert decide(snapshot(pods=(wants,), pools=(pool(),))).launches == ()
    other = pod(node_selector={"example.com/team": "red"})
    assert decide(snapshot(pods=(other,), pools=(blue,))).launches == ()


def test_rule_6_4_a_pool_whose_requirements_leave_no_type_serves_nobody_and_says_so() -> None:
    plan = decide(snapshot(pods=(pod(),), pools=(pool(requirements=(among(names.ARCH, "arm64"),)),)))
    assert plan.launches == ()
    assert plan.refusals[0].reasons[0][1].code == "NoCompatibleInstanceTypes"


def test_rule_6_4_what_the_agent_will_label_itself_may_be_asked_for() -> None:
    wants = pod(node_selector={"karpenter.sh/registered": "true", "karpenter.sh/initialized": "true"})
    launches = decide(snapshot(pods=(wants,))).launches
    assert len(launches) == 1
    asked = {r.key for r in launches[0].draft.requirements}
    assert not asked & {"karpenter.sh/registered", "karpenter.sh/initialized"}


def ours(number: int, *true: str, **fields: Any) -> tuple[NodeClaim, Node]:
    """A node of ours in some state of its life."""
    instance = machine(number, claim=f"workers-{number}")
    of_claim = fields.pop("of_claim", {})
    labels = {names.NODEPOOL: "workers", names.INSTANCE_TYPE: "t3.large", names.ZONE: ZONE_A}
    labels |= {names.CAPACITY_TYPE: "on-demand"} | of_claim.pop("labels", {})
    own = claim(
        f"workers-{number}",
        instance=instance,
        conditions=conditions(*true),
        meta=meta(f"workers-{number}", labels=labels),
        **of_claim,
    )
    return own, node(instance, **({"taints": ()} | fields))


def world(*pairs: tuple[NodeClaim, Node], **fields: Any) -> Plan:
    about = {
        "claims": tuple(c for c, _ in pairs),
        "nodes": (*(n for _, n in pairs), *fields.pop("nodes", ())),
        "machines": tuple(machine(int(c.name.rpartition("-")[2]), claim=c.name) for c, _ in pairs),
    }
    return decide(snapshot(**(about | fields)))


def test_rule_6_5_initialised_nodes_are_used_first_then_by_name_and_those_that_are_not_ours_too() -> None:
    starting = ours(1, "Launched", "Registered")
    plan = world(starting, pods=(pod(cpu="1"),), nodes=(base("z"), base("y")))
    assert placed(plan) == {"web": "y"}
    assert placed(world(starting, pods=(pod(cpu="1"),))) == {"web": machine(1).id}


def test_rule_6_5_a_node_that_is_on_its_way_out_takes_nobody_not_even_who_tolerates_that() -> None:
    leaving = ours(1, *READY, taints=(Taint(names.DISRUPTED_TAINT, "NoSchedule"),))
    tolerant = pod(tolerations=(Toleration(operator="Exists"),))
    assert bought(world(leaving, pods=(tolerant,))) == ["t3.medium"]


def test_rule_6_6_taints_that_will_go_keep_nobody_off_a_node_that_is_starting() -> None:
    taints = (
        Taint("node.kubernetes.io/not-ready", "NoSchedule"),
        Taint("readiness.k8s.io/network", "NoSchedule"),
        Taint("example.com/warming", "NoSchedule"),
    )
    about: dict[str, Any] = {"of_claim": {"startup_taints": taints[2:]}, "taints": taints}
    assert placed(world(ours(1, "Launched", "Registered", **about), pods=(pod(),))) == {"web": machine(1).id}
    about = {"of_claim": {"startup_taints": taints[2:]}, "taints": taints}
    assert bought(world(ours(1, *READY, **about), pods=(pod(),))) == ["t3.medium"]


def test_rule_6_6_before_registration_the_claims_labels_and_taints_count() -> None:
    wants = pod(node_selector={"example.com/team": "blue"})
    blue = pool(labels={"example.com/team": "blue"})
    unregistered = ours(1, "Launched", of_claim={"labels": {"example.com/team": "blue"}})
    assert placed(world(unregistered, pods=(wants,), pools=(blue,))) == {"web": machine(1).id}
    tainted = ours(1, "Launched", of_claim={"taints": (Taint("role", "NoSchedule", "db"),)})
    assert bought(world(tainted, pods=(pod(),))) == ["t3.medium"]


def test_rule_6_7_of_a_starting_node_the_claim_says_what_its_plugins_have_not_reported_yet() -> None:
    gpu = Resources(1000, GIB, 1, extended=(("nvidia.com/gpu", 1),))
    promised = TYPES[1].allocatable + Resources(extended=(("nvidia.com/gpu", 1),))
    starting = ours(1, "Launched", "Registered", of_claim={})
    starting = (msgspec.structs.replace(starting[0], allocatable=promised), starting[1])
    assert placed(world(starting, pods=(pod(requests=gpu),))) == {"web": machine(1).id}
    ready = (msgspec.structs.replace(starting[0], conditions=conditions(*READY)), starting[1])
    assert placed(world(ready, pods=(pod(requests=gpu),))) == {}


def test_rule_6_8_room_is_what_pods_leave_less_daemons_that_will_come() -> None:
    log = daemon("600m")
    assert placed(decide(snapshot(pods=(pod(cpu="1500m"),), nodes=(base(),)))) == {"web": "base"}
    assert placed(decide(snapshot(pods=(pod(cpu="1500m"),), nodes=(base(),), daemonsets=(log,)))) != {"web": "base"}
    running = pod("log-1", cpu="600m", node="base", owner_kind="DaemonSet", owner_uid="uid-log")
    plan = decide(snapshot(pods=(pod(cpu="1300m"), running), nodes=(base(),), daemonsets=(log,)))
    assert placed(plan) == {"web": "base"}
    done = pod("job", cpu="1", node="base", phase="Succeeded")
    assert placed(decide(snapshot(pods=(pod(cpu="1500m"), done), nodes=(base(),)))) == {"web": "base"}


def test_rule_6_9_a_daemonset_that_will_not_run_on_a_node_takes_none_of_its_room() -> None:
    for log in (
        daemon(node_selector={"example.com/disk": "ssd"}),
        daemon(affinity_terms=((among("a", "1"),), (among("b", "1"),))),
    ):
        plan = decide(snapshot(pods=(pod(cpu="1500m"),), nodes=(base(),), daemonsets=(log,)))
        assert placed(plan) == {"web": "base"}
    second_term = daemon(affinity_terms=((among("a", "1"),), (among(names.ZONE, ZONE_A),)))
    plan = decide(snapshot(pods=(pod(cpu="1500m"),), nodes=(base(),), daemonsets=(second_term,)))
    assert placed(plan) != {"web": "base"}
    tainted = base(taints=(Taint("role", "NoSchedule", "db"),))
    tolerant = pod(cpu="1500m", tolerations=(Toleration("role", "Exists"),))
    assert placed(decide(snapshot(pods=(tolerant,), nodes=(tainted,), daemonsets=(daemon(),)))) == {"web": "base"}


# 7. Requirements, as they show in plans.


def test_rule_7_4_what_the_instance_decides_may_be_asked_of_new_nodes_and_must_be_there_on_old_ones() -> None:
    wants = pod(node_selector={names.ARCH: "amd64"})
    assert len(decide(snapshot(pods=(wants,))).launches) == 1
    unlabelled = decide(snapshot(pods=(wants,), nodes=(base(),)))
    assert len(unlabelled.launches) == 1
    labelled = base(labels={names.ARCH: "amd64"})
    assert placed(decide(snapshot(pods=(wants,), nodes=(labelled,)))) == {"web": "base"}


@pytest.mark.parametrize(
    ("operator", "values", "served"),
    [("NotIn", ("x",), True), ("DoesNotExist", (), True), ("Exists", (), False), ("In", ("x",), False)],
)
def test_rule_7_4_an_unknown_label_is_missing_on_new_nodes(
    operator: Any, values: tuple[str, ...], served: bool
) -> None:
    asked = pod(affinity_terms=((Requirement("example.com/x", operator, values),),))
    assert len(decide(snapshot(pods=(asked,))).launches) == served


def test_rule_7_5_a_bound_needs_the_label() -> None:
    asked = pod(affinity_terms=((Requirement("example.com/x", "Gt", ("1",)),),))
    assert decide(snapshot(pods=(asked,))).launches == ()
    assert placed(decide(snapshot(pods=(asked,), nodes=(base(),)))) == {}
    assert placed(decide(snapshot(pods=(asked,), nodes=(base(labels={"example.com/x": "2"}),)))) == {"web": "base"}


def test_unlike_rule_7_6_every_term_of_required_node_affinity_is_tried() -> None:
    asked = pod(affinity_terms=((among(names.ZONE, "elsewhere"),), (among(names.ZONE, ZONE_C),)))
    assert [x.zone for x in decide(snapshot(pods=(asked,))).launches] == [ZONE_C]


def test_rule_7_8_a_type_that_lacks_a_label_cannot_be_what_needs_it() -> None:
    bare, big = instance_type("bare.large"), instance_type("big.large", price=0.9)
    sized = msgspec.structs.replace(
        big, requirements=(*big.requirements, among("karpenter.k8s.aws/instance-generation", "7"))
    )
    asked = pod(affinity_terms=((Requirement("karpenter.k8s.aws/instance-generation", "Gt", ("4",)),),))
    plan = decide(snapshot(pods=(asked,), instance_types={DEFAULT: (bare, sized)}))
    assert bought(plan) == ["big.large"]


# 9. What fits.


def test_rule_9_2_a_request_of_zero_for_an_unknown_resource_fits() -> None:
    nothing, something = (amounts("1", "1Gi", **{"example.com/x": amount}) for amount in ("0", "1"))
    plan = decide(snapshot(pods=(pod(requests=nothing), pod("other", requests=something))))
    assert [x.pods for x in plan.launches] == [("default/web",)]


def test_rule_9_2_nothing_fits_where_more_is_used_than_there_is() -> None:
    hog = pod("hog", cpu="0", memory="20Gi", node="base")
    assert placed(decide(snapshot(pods=(pod(cpu="1", memory="0"), hog), nodes=(base(),)))) != {"web": "base"}


def test_rule_9_2_a_node_on_which_not_even_its_daemons_fit_is_never_bought() -> None:
    log = DaemonSet(Meta("log", "default", "uid-log"), pod("log", requests=amounts("1", **{"example.com/x": "1"})))
    assert bought(decide(snapshot(pods=(pod(cpu="100m"),)))) == ["t3.medium"]
    assert bought(decide(snapshot(pods=(pod(cpu="100m"),), daemonsets=(log,)))) == []


def test_rule_9_3_huge_pages_are_set_aside_of_the_memory() -> None:
    kind = instance_type("t3.large", 2, 8)
    paged = msgspec.structs.replace(kind, capacity=kind.capacity + Resources(extended=(("hugepages-2Mi", 6 * GIB),)))
    asked = pod(memory="3Gi")
    assert decide(snapshot(pods=(asked,), instance_types={DEFAULT: (paged,)})).launches == ()
    assert bought(decide(snapshot(pods=(asked,), instance_types={DEFAULT: (kind,)}))) == ["t3.large"]


@pytest.mark.parametrize(
    "offering",
    [
        Offering(ZONE_A, "on-demand", 1, available=False),
        Offering(ZONE_A, "spot", 1),
        Offering(ZONE_C, "on-demand", 1),
    ],
)
def test_rule_9_5_a_type_counts_only_with_an_available_offering_that_is_allowed(offering: Offering) -> None:
    narrow = pool(requirements=(among(names.ZONE, ZONE_A), among(names.CAPACITY_TYPE, "on-demand")))
    tempting = msgspec.structs.replace(instance_type("cheap.large"), offerings=(offering,))
    plan = decide(snapshot(pods=(pod(),), pools=(narrow,), instance_types={DEFAULT: (*TYPES, tempting)}))
    assert bought(plan) == ["t3.medium"]


def test_rules_9_6_and_9_7_room_for_daemons_is_taken_off_the_types_that_they_run_on() -> None:
    arm = msgspec.structs.replace(
        instance_type("arm.medium", 2, 4, 0.051), requirements=(among(names.ARCH, "arm64"), among(names.OS, "linux"))
    )
    kinds = {DEFAULT: (*TYPES, arm)}
    only_arm = daemon("600m", node_selector={names.ARCH: "arm64"})
    asked = (pod(cpu="1500m"),)
    assert bought(decide(snapshot(pods=asked, instance_types=kinds))) == ["arm.medium"]
    assert bought(decide(snapshot(pods=asked, instance_types=kinds, daemonsets=(only_arm,)))) == ["t3.medium"]


@pytest.mark.parametrize(
    ("taints", "fields", "counts"),
    [
        ({"taints": (Taint("role", "NoSchedule", "db"),)}, {}, False),
        ({"taints": (Taint("role", "NoSchedule", "db"),)}, {"tolerations": (Toleration("role", "Exists"),)}, True),
        ({"taints": (Taint("role", "PreferNoSchedule", "db"),)}, {}, True),
        ({"startup_taints": (Taint("role", "NoSchedule", "db"),)}, {}, True),
        ({}, {"node_selector": {"example.com/x": "y"}}, False),
        ({}, {"node_selector": {names.NODEPOOL: "workers"}}, True),
        ({}, {"node_selector": {"karpenter.sh/registered": "true"}}, True),
        ({}, {"affinity_terms": ((among("example.com/x", "y"),), (among(names.ARCH, "amd64"),))}, True),
    ],
)
def test_rule_9_7_a_daemonset_counts_on_new_nodes_that_it_will_run_on(
    taints: dict[str, Any], fields: dict[str, Any], counts: bool
) -> None:
    asked = pod(cpu="1500m", tolerations=(Toleration("role", "Exists"),))
    plan = decide(snapshot(pods=(asked,), pools=(pool(**taints),), daemonsets=(daemon("600m", **fields),)))
    assert bought(plan) == ["t3.xlarge" if counts else "t3.medium"]


def test_rule_9_8_a_daemonset_asks_what_its_newest_pod_asks() -> None:
    def running(name: str, cpu: str, hours: int) -> Pod:
        made = meta(name, namespace="default", created_at=NOW - timedelta(hours=hours))
        about: dict[str, Any] = {"owner_kind": "DaemonSet", "owner_uid": "uid-log", "meta": made}
        # The DaemonSet controller binds each pod to its node.
        about |= {"affinity_terms": ((among(names.HOSTNAME, "base"),),)}
        return pod(name, cpu=cpu, memory="64Mi", node="base", **about)

    old, new = running("log-1", "10m", 2), running("log-2", "900m", 1)
    busy = base(allocatable=Resources(cpu_milli=10, pods=2))
    about: dict[str, Any] = {"nodes": (busy,), "daemonsets": (daemon("10m"),)}
    assert bought(decide(snapshot(pods=(pod(cpu="1500m"), old), **about))) == ["t3.medium"]
    assert bought(decide(snapshot(pods=(pod(cpu="1500m"), old, new), **about))) == ["t3.xlarge"]


def test_rule_8_14_a_daemonset_with_resource_claims_takes_no_room() -> None:
    asked = (pod(cpu="1500m"),)
    claiming = daemon("600m", unsupported=(RESOURCE_CLAIMS,))
    assert bought(decide(snapshot(pods=asked, daemonsets=(claiming,)))) == ["t3.medium"]
    assert placed(decide(snapshot(pods=asked, nodes=(base(),), daemonsets=(claiming,)))) == {"web": "base"}
    other = daemon("600m", unsupported=("spec.topologySpreadConstraints[].labelSelector",))
    assert bought(decide(snapshot(pods=asked, daemonsets=(other,)))) == ["t3.xlarge"]


def diverse(least: int, *types: str) -> Requirement:
    return among(names.INSTANCE_TYPE, *(types or ("t3.medium", "t3.large", "t3.xlarge")), least=least)


def test_rule_9_10_min_values_keep_a_launch_flexible() -> None:
    small = pod(cpu="100m", memory="64Mi")
    (launch,) = decide(snapshot(pods=(small,), pools=(pool(requirements=(diverse(3),)),))).launches
    assert len(launch.instance_types) == 3
    assert [r.min_values for r in launch.draft.requirements if r.key == names.INSTANCE_TYPE] == [3]
    large = pod(memory="6Gi")
    plan = decide(snapshot(pods=(large,), pools=(pool(requirements=(diverse(3),)),)))
    assert plan.launches == ()
    assert "wants 3 values of node.kubernetes.io/instance-type (minValues)" in why(plan)


def test_rule_9_10_min_values_split_pods_that_together_would_leave_too_few_types() -> None:
    pods = tuple(pod(f"w{n}") for n in range(4))
    assert bought(decide(snapshot(pods=pods))) == ["t3.xlarge"]
    kept = decide(snapshot(pods=pods, pools=(pool(requirements=(diverse(3),)),)))
    assert all(len(x.instance_types) == 3 for x in kept.launches)
    assert sum(len(x.pods) for x in kept.launches) == 4


def test_rules_9_10_and_2_9_best_effort_lowers_min_values_and_writes_it_down() -> None:
    relaxed = Limits(min_values_policy="BestEffort")
    about: dict[str, Any] = {"pools": (pool(requirements=(diverse(3),)),), "limits": relaxed}
    (launch,) = decide(snapshot(pods=(pod(memory="6Gi"),), **about)).launches
    mark = "karpenter.sh/nodeclaim-min-values-relaxed"
    assert launch.draft.annotations[mark] == "true"
    assert [r.min_values for r in launch.draft.requirements if r.key == names.INSTANCE_TYPE] == [2]
    (launch,) = decide(snapshot(pods=(pod(cpu="100m", memory="64Mi"),), **about)).launches
    assert launch.draft.annotations[mark] == "false"


def test_rule_9_11_best_effort_lowers_the_heavier_pools_min_values_before_it_asks_the_next() -> None:
    heavy = pool("heavy", weight=9, requirements=(diverse(3),))
    about: dict[str, Any] = {"pods": (pod(memory="6Gi"),), "pools": (heavy, pool("light"))}
    strict = decide(snapshot(**about))
    assert [x.draft.pool for x in strict.launches] == ["light"]
    best_effort = decide(snapshot(limits=Limits(min_values_policy="BestEffort"), **about))
    assert [x.draft.pool for x in best_effort.launches] == ["heavy"]


def test_rule_9_13_types_are_tried_by_the_price_of_their_cheapest_allowed_offering() -> None:
    def offered(name: str, a: int, c: int) -> InstanceType:
        offerings = (Offering(ZONE_A, "on-demand", a), Offering(ZONE_C, "on-demand", c))
        return msgspec.structs.replace(instance_type(name), offerings=offerings)

    kinds = {DEFAULT: (offered("one.large", 10, 90), offered("two.large", 50, 60))}
    (anywhere,) = decide(snapshot(pods=(pod(),), instance_types=kinds)).launches
    assert anywhere.instance_types == ("one.large", "two.large")
    (there,) = decide(snapshot(pods=(pod(node_selector={names.ZONE: ZONE_C}),), instance_types=kinds)).launches
    assert there.instance_types == ("two.large", "one.large")


# 12. Limits.


def test_rule_12_1_limits_count_capacity_and_not_what_pods_can_have() -> None:
    limited = pool(limits={"memory": 4 * GIB})
    assert bought(decide(snapshot(pods=(pod(),), pools=(limited,)))) == ["t3.medium"]
    just_less = pool(limits={"memory": 4 * GIB - 1})
    assert decide(snapshot(pods=(pod(),), pools=(just_less,))).launches == ()


def test_rule_12_1_nodes_of_the_pool_count_and_those_of_others_do_not() -> None:
    own = ours(1, *READY, allocatable=Resources(cpu_milli=1, pods=1))
    limited = pool(limits={"cpu": 3000})
    assert world(own, pods=(pod(),), pools=(limited,)).launches == ()
    foreign = (msgspec.structs.replace(own[0], pool=PoolName("others")), own[1])
    assert bought(world(foreign, pods=(pod(),), pools=(limited,))) == ["t3.medium"]


def test_unlike_rule_12_1_a_node_counts_until_its_instance_is_gone() -> None:
    own, there = ours(1, *READY)
    going = msgspec.structs.replace(own, meta=msgspec.structs.replace(own.meta, deleted_at=NOW))
    limited = pool(limits={"cpu": 3000})
    assert world((going, there), pods=(pod(),), pools=(limited,)).launches == ()
    assert bought(decide(snapshot(pods=(pod(),), pools=(limited,)))) == ["t3.medium"]


def test_rule_12_2_types_beyond_the_limit_are_left_out_and_a_spent_pool_leaves_it_to_the_next() -> None:
    heavy = pool("heavy", weight=9, limits={"cpu": 2000})
    plan = decide(snapshot(pods=(pod("big", cpu="3"), pod("small")), pools=(heavy, pool("light"))))
    assert sorted((x.draft.pool, x.instance_type) for x in plan.launches) == [
        ("heavy", "t3.medium"),
        ("light", "t3.xlarge"),
    ]
    (small,) = [x for x in plan.launches if x.draft.pool == "heavy"]
    assert "t3.xlarge" not in small.instance_types


def test_rule_12_3_a_launch_counts_as_the_largest_that_it_may_become() -> None:
    def largest(launch: Launch) -> int:
        return max(t.capacity.cpu_milli for t in TYPES if t.name in launch.instance_types)

    limited = pool(limits={"cpu": 6000})
    (launch,) = decide(snapshot(pods=(pod(cpu="100m"),), pools=(limited,))).launches
    flying = claim(
        "workers-7", requirements=launch.draft.requirements, requests=launch.draft.requests, pool=PoolName("workers")
    )
    left = 6000 - largest(launch)
    more = tuple(pod(f"w{n}", cpu="1900m") for n in range(4))
    plan = decide(snapshot(pods=more, claims=(flying,), pools=(limited,), busy=(flying.name,)))
    assert sum(map(largest, plan.launches)) <= left
    several = decide(snapshot(pods=more, pools=(limited,))).launches
    assert len(several) > 1
    assert sum(map(largest, several)) <= 6000


@pytest.mark.parametrize(("limit", "nodes"), [(0, 0), (1, 1), (3, 3), (9, 5)])
def test_unlike_rule_12_4_the_limit_on_nodes_holds_within_one_plan(limit: int, nodes: int) -> None:
    pods = tuple(pod(f"w{n}", cpu="1500m") for n in range(5))
    one_size = pool(limits={"nodes": limit}, requirements=(among(names.INSTANCE_TYPE, "t3.medium"),))
    assert len(decide(snapshot(pods=pods, pools=(one_size,))).launches) == nodes


def test_rule_12_5_a_limit_may_be_met_exactly_and_a_resource_that_a_type_lacks_counts_as_none() -> None:
    exact = pool(limits={"cpu": 2000, "nvidia.com/gpu": 0})
    assert bought(decide(snapshot(pods=(pod(),), pools=(exact,)))) == ["t3.medium"]


@pytest.mark.parametrize(("limit", "served"), [(1, 1), (2, 2)])
def test_rule_12_5_any_resource_may_be_limited(limit: int, served: int) -> None:
    kind = instance_type("g5.xlarge", 4, 16, 1.0)
    gpu = msgspec.structs.replace(kind, capacity=kind.capacity + Resources(extended=(("nvidia.com/gpu", 1),)))
    asked = tuple(pod(f"w{n}", requests=Resources(1000, GIB, 1, extended=(("nvidia.com/gpu", 1),))) for n in range(3))
    limited = pool(limits={"nvidia.com/gpu": limit})
    plan = decide(snapshot(pods=asked, pools=(limited,), instance_types={DEFAULT: (gpu,)}))
    assert len(plan.launches) == served
    assert {reason.code for r in plan.refusals for _, reason in r.reasons} <= {"LimitExceeded"}
