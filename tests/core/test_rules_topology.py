"""Karpenter's rules 10.1 to 10.20, 8.4 to 8.9 and 11.8, and those of kube-scheduler where they differ.

Each asserts a plan that is another one without the rule.
"""

from collections import Counter
from typing import Any

import msgspec
import pytest

from agent.core.inputs import Pair
from agent.model import names
from agent.model.constraints import HostPort, PodAffinityTerm, PreferredTerm, Requirement
from agent.model.ec2 import Offering
from agent.model.kubernetes import DaemonSet, NodeClaim, NodePool, Pod, Taint, Toleration
from agent.model.names import ClassName
from agent.model.plan import Limits
from tests.build import ZONE_A, ZONE_C, amounts, instance_type, meta, pool
from tests.core.neighbours import (
    RACK,
    TYPES,
    ZONE_B,
    ZONES,
    app,
    domains,
    fixed,
    hosts,
    planned,
    question,
    refused,
    running,
    selects,
    spread,
    term,
    types,
    why,
)

HOST = names.HOSTNAME
IGNORE = Limits(launches_per_minute=1000, max_nodes=1000, preference_policy="Ignore")


# Spread.


def test_a_zonal_spread_places_all_its_pods_in_one_pass_and_evenly() -> None:
    pods = app(7, spread=(spread(),))
    found = domains(question(*pods), planned(*pods))
    assert sorted(found.values()) == [2, 2, 3]


def test_without_a_spread_pods_share_the_fewest_nodes() -> None:
    assert len(planned(*app(3)).launches) < len(planned(*app(3, spread=(spread(),))).launches)


def test_rule_10_1_a_zone_that_no_available_offering_allows_is_no_domain() -> None:
    two = instance_type("t3.medium", 2, 4, 0.052, (ZONE_A, ZONE_C))
    gone = msgspec.structs.replace(two, offerings=(*two.offerings, Offering(ZONE_B, "on-demand", 1, available=False)))
    pods = app(4, spread=(spread(),))
    found = domains(question(*pods), planned(*pods, instance_types=types(gone)))
    assert found == {ZONE_A: 2, ZONE_C: 2}


def test_rule_10_1_a_zone_of_a_node_is_a_domain_even_where_nothing_can_be_bought() -> None:
    full = fixed("full", "elsewhere", cpu=0)
    pods = app(4, spread=(spread(),))
    plan = planned(*pods, pairs=(full,))
    assert len(refused(plan)) == 1
    assert domains(question(*pods, pairs=(full,)), plan) == dict.fromkeys(ZONES, 1)


def test_rule_10_1_values_of_a_pool_s_own_label_are_domains() -> None:
    racks = pool(requirements=(Requirement(RACK, "In", ("r1", "r2")),))
    pods = app(4, spread=(spread(RACK),))
    assert domains(question(*pods), planned(*pods, pools=(racks,)), RACK) == {"r1": 2, "r2": 2}


def test_rule_10_1_a_pod_that_selects_a_value_of_a_pool_s_own_label_is_in_that_domain() -> None:
    racks = pool(requirements=(Requirement(RACK, "In", ("r1", "r2")),))
    pods = app(2, spread=(spread(RACK),), node_selector={RACK: "r2"})
    assert domains(question(*pods), planned(*pods, pools=(racks,)), RACK) == {"r2": 2}


def test_rule_10_2_a_key_that_no_node_has_makes_a_pod_unschedulable_and_says_so() -> None:
    plan = planned(*app(1, spread=(spread("example.com/nowhere"),)))
    assert "example.com/nowhere" in why(plan)


def test_rule_10_3_pods_that_run_count_and_finished_and_terminating_ones_do_not() -> None:
    pairs = tuple(fixed(f"n-{zone}", zone, cpu=200) for zone in ZONES)
    there = running(f"n-{ZONE_A}")
    pods = app(2, spread=(spread(),))
    asked = question(*pods, pairs=pairs, bound=(there,))
    assert domains(asked, planned(*pods, pairs=pairs, bound=(there,))) == {ZONE_B: 1, ZONE_C: 1}
    for idle in (
        msgspec.structs.replace(there, phase="Succeeded"),
        msgspec.structs.replace(there, meta=msgspec.structs.replace(there.meta, deleted_at=there.meta.created_at)),
    ):
        # Nothing counts: the first two zones by name are as good as any.
        plan = planned(*pods, pairs=pairs, bound=(idle,))
        assert domains(asked, plan) == {ZONE_A: 1, ZONE_B: 1}


def test_rule_10_4_nodes_that_the_pods_may_not_run_on_are_no_domains_unless_the_policy_says_so() -> None:
    arm = fixed("arm", "elsewhere", cpu=0, labels={names.ARCH: "arm64"})
    selector = {names.ARCH: "amd64"}
    honour = app(4, spread=(spread(),), node_selector=selector)
    ignore = app(4, spread=(spread(honor_affinity=False),), node_selector=selector)
    assert refused(planned(*honour, pairs=(arm,))) == []
    assert len(refused(planned(*ignore, pairs=(arm,)))) == 1


def test_rule_10_4_affinity_counts_nodes_that_the_pods_may_not_run_on() -> None:
    there = fixed("arm", ZONE_C, labels={names.ARCH: "arm64"})
    pods = app(2, affinity=(term(app="db"),), node_selector={names.ARCH: "amd64"})
    plan = planned(*pods, pairs=(there,), bound=(running("arm", "db"),))
    assert domains(question(*pods, pairs=(there,)), plan) == {ZONE_C: 2}


def test_rule_10_5_nodes_with_taints_are_domains_unless_the_policy_says_otherwise() -> None:
    tainted = fixed("tainted", "elsewhere", taints=(Taint("a", "NoSchedule"),))
    assert len(refused(planned(*app(4, spread=(spread(),)), pairs=(tainted,)))) == 1
    assert refused(planned(*app(4, spread=(spread(honor_taints=True),)), pairs=(tainted,))) == []


def test_rule_10_5_zones_of_a_pool_whose_taints_are_not_tolerated_are_no_domains_where_taints_matter() -> None:
    zone = Requirement(names.ZONE, "In", (ZONE_C,))
    apart = pool("apart", requirements=(zone,), taints=(Taint("a", "NoSchedule"),))
    open_to_all = pool(requirements=(Requirement(names.ZONE, "In", (ZONE_A,)),))
    pools = (open_to_all, apart)
    assert len(refused(planned(*app(3, spread=(spread(),)), pools=pools))) == 2
    assert refused(planned(*app(3, spread=(spread(honor_taints=True),)), pools=pools)) == []


def test_rule_10_6_skew_is_against_the_emptiest_domain_that_the_pods_may_use() -> None:
    pods = app(6, spread=(spread(),), node_selector={names.ZONE: ZONE_A})
    assert refused(planned(*pods)) == []
    assert (
        len(refused(planned(*app(6, spread=(spread(honor_affinity=False),), node_selector={names.ZONE: ZONE_A})))) == 5
    )


def test_rule_10_6_max_skew_allows_so_many_more() -> None:
    pairs = (fixed("n", ZONE_A), *(fixed(f"full-{z}", z, cpu=0) for z in (ZONE_B, ZONE_C)))
    pods = app(5, spread=(spread(max_skew=3),), node_selector={names.OS: "linux"})
    nodes = tuple(
        msgspec.structs.replace(
            p,
            node=msgspec.structs.replace(
                p.node, meta=meta(p.node.name, labels=p.node.meta.labels | {names.OS: "linux"})
            ),
        )
        for p in pairs
        if p.node is not None
    )
    plan = planned(*pods, pairs=nodes, pools=())
    assert len(plan.placements) == 3


def test_rule_10_7_min_domains_lets_no_domain_have_more_than_max_skew_until_there_are_so_many() -> None:
    two = types(*(instance_type(t.name, 2, 4, 0.052, (ZONE_A, ZONE_C)) for t in TYPES[:1]))
    assert len(refused(planned(*app(6, spread=(spread(min_domains=3),)), instance_types=two))) == 4
    assert refused(planned(*app(6, spread=(spread(min_domains=2),)), instance_types=two)) == []


def test_rule_10_7_min_domains_belongs_to_the_pod_that_says_it() -> None:
    two = types(*(instance_type(t.name, 2, 4, 0.052, (ZONE_A, ZONE_C)) for t in TYPES[:1]))
    strict = app(4, "strict", labels={"app": "web"}, spread=(spread(min_domains=3),))
    plan = planned(*app(4, spread=(spread(),)), *strict, instance_types=two)
    assert len(refused(plan)) > 0
    assert all(name.startswith("strict") for name in refused(plan))


def test_rule_10_8_over_hosts_at_most_max_skew_pods_share_a_node() -> None:
    assert sorted(len(h) for h in hosts(planned(*app(5, cpu="100m", spread=(spread(HOST, 2),))))) == [1, 2, 2]
    assert len(hosts(planned(*app(5, cpu="100m")))) == 1


def test_rule_10_8_over_hosts_pods_that_run_count() -> None:
    pairs, pods = (fixed("n"),), app(1, spread=(spread(HOST),))
    assert len(planned(*pods, pairs=pairs).launches) == 0
    assert len(planned(*pods, pairs=pairs, bound=(running("n"),)).launches) == 1


def test_rule_10_9_the_emptiest_domain_takes_a_pod_even_while_others_have_too_many() -> None:
    pairs = tuple(fixed(f"n-{zone}", zone, cpu=1000) for zone in ZONES)
    crowd = tuple(running(f"n-{ZONE_A}", number=n) for n in range(5))
    pods = app(2, spread=(spread(),))
    plan = planned(*pods, pairs=pairs, bound=crowd)
    assert domains(question(*pods, pairs=pairs), plan) == {ZONE_B: 1, ZONE_C: 1}


def test_rule_10_10_a_pod_that_its_own_spread_does_not_select_raises_no_count() -> None:
    pods = app(5, "other", cpu="100m", spread=(spread(HOST),))
    assert len(hosts(planned(*pods))) == 1
    there, full = fixed("n"), tuple(fixed(f"full-{z}", z, cpu=0) for z in (ZONE_B, ZONE_C))
    pods = app(5, "other", cpu="100m", spread=(spread(),))
    plan = planned(*pods, pairs=(there, *full), pools=(), bound=(running("n"),))
    assert len(plan.placements) == 5


def test_rule_10_10_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert len(hosts(planned(*app(3, cpu="100m", spread=(spread(HOST, selector=None),))))) == 1
    assert len(hosts(planned(*app(3, cpu="100m", spread=(spread(HOST, selector=()),))))) == 3


def test_unlike_rule_10_18_what_the_scheduler_spreads_by_default_buys_no_node() -> None:
    """Its built-in default wants no more than three on a host, if it can be."""
    assert len(hosts(planned(*app(7, cpu="100m")))) == 1


def test_a_spread_counts_its_own_namespace_only() -> None:
    mine, others = app(2, cpu="100m", spread=(spread(HOST),)), app(2, cpu="100m", namespace="other")
    assert len(hosts(planned(*mine, *others))) == 2


def test_a_spread_over_zones_and_hosts_at_once_holds_for_both() -> None:
    pods = app(6, cpu="100m", spread=(spread(), spread(HOST)))
    plan = planned(*pods)
    assert domains(question(*pods), plan) == dict.fromkeys(ZONES, 2)
    assert [len(h) for h in hosts(plan)] == [1] * 6


def test_a_spread_over_capacity_types_buys_both() -> None:
    offerings = (Offering(ZONE_A, "spot", 10**7), Offering(ZONE_A, "on-demand", 10**8))
    both = tuple(msgspec.structs.replace(t, offerings=offerings) for t in TYPES)
    pods = app(4, spread=(spread(names.CAPACITY_TYPE),))
    plan = planned(*pods, instance_types=types(*both))
    assert domains(question(*pods), plan, names.CAPACITY_TYPE) == {"spot": 2, "on-demand": 2}


def test_pods_that_a_spread_merely_counts_get_a_definite_zone_too() -> None:
    plan = planned(*app(3, "plain", labels={"app": "web"}), *app(3, spread=(spread(),)))
    assert all(any(r.key == names.ZONE and len(r.values) == 1 for r in x.draft.requirements) for x in plan.launches)


def test_rule_10_4_pods_that_a_spread_may_count_get_the_labels_that_decide_whether_it_does() -> None:
    owners = app(2, spread=(spread(names.CAPACITY_TYPE),), node_selector={names.ZONE: str(ZONE_A)})
    plan = planned(*owners, *app(1, "plain", labels={"app": "web"}, cpu="1900m"))
    own = next(x for x in plan.launches if "default/plain-0" in x.pods)
    assert [len(r.values) for r in own.draft.requirements if r.key == names.ZONE] == [1]


def test_a_spread_prefers_the_cheap_zone_as_far_as_it_may() -> None:
    cheap = msgspec.structs.replace(
        TYPES[0], offerings=tuple(Offering(z, "on-demand", p) for z, p in zip(ZONES, (9, 5, 9), strict=True))
    )
    pods = app(4, spread=(spread(max_skew=2),))
    assert domains(question(*pods), planned(*pods, instance_types=types(cheap)))[ZONE_B] == 2


# Affinity and anti-affinity.


def test_rule_10_12_a_group_that_must_be_together_chooses_one_zone() -> None:
    pods = app(20, affinity=(term(),))
    assert list(domains(question(*pods), planned(*pods)).values()) == [20]


def test_rule_10_12_a_group_goes_where_one_of_it_runs() -> None:
    there = fixed("n", ZONE_C, cpu=100)
    pods = app(4, affinity=(term(),))
    plan = planned(*pods, pairs=(there,), bound=(running("n"),))
    assert domains(question(*pods, pairs=(there,)), plan) == {ZONE_C: 4}


def test_rule_10_12_a_group_chooses_the_zone_that_all_of_it_can_use() -> None:
    free, bound_to_c = app(3, affinity=(term(),)), app(2, "z", labels={"app": "web"}, affinity=(term(),))
    tied = tuple(msgspec.structs.replace(p, node_selector={names.ZONE: str(ZONE_C)}) for p in bound_to_c)
    pods = (*free, *tied)
    plan = planned(*pods)
    assert domains(question(*pods), plan) == {ZONE_C: 5}


def test_rule_10_12_a_pod_that_its_own_affinity_does_not_select_waits_for_another() -> None:
    plan = planned(*app(1, affinity=(term(app="db"),)))
    assert refused(plan) == ["web-0"]
    assert "affinity" in why(plan)


def test_unlike_rule_10_12_a_group_that_runs_elsewhere_is_not_begun_anew() -> None:
    """kube-scheduler lets a pod be the first only while no pod of its group runs anywhere."""
    here, there = app(1, affinity=(term(),)), fixed("n", "ap-northeast-2z", cpu=100)
    plan = planned(*here, pairs=(there,), bound=(running("n"),))
    assert refused(plan) == ["web-0"]
    assert not plan.launches


def test_rule_10_15_a_pod_follows_its_target_within_the_same_plan() -> None:
    followers, target = app(2, affinity=(term(app="db"),)), app(1, "db", node_selector={names.ZONE: str(ZONE_C)})
    plan = planned(*followers, *target)
    assert domains(question(*followers, *target), plan) == {ZONE_C: 3}


def test_rule_8_2_chains_of_affinity_are_followed_in_one_plan() -> None:
    pods = (
        *app(1, "a", affinity=(term(app="b"),)),
        *app(1, "b", affinity=(term(app="c"),)),
        *app(1, "c", node_selector={names.ZONE: str(ZONE_B)}),
    )
    assert domains(question(*pods), planned(*pods)) == {ZONE_B: 3}


def test_affinity_to_itself_on_one_node_fills_one_node_and_refuses_the_rest() -> None:
    plan = planned(*app(6, affinity=(term(HOST),)))
    assert len(plan.launches) == 1
    assert plan.launches[0].instance_type == "t3.xlarge"
    assert len(refused(plan)) == 6 - len(plan.placements)
    assert len(plan.placements) == 4


def test_affinity_on_one_node_takes_room_that_is_there_if_it_holds_as_many() -> None:
    pods = app(3, affinity=(term(HOST),))
    assert len(planned(*pods, pairs=(fixed("n"),)).launches) == 0


def test_a_group_on_one_node_of_which_each_takes_a_port_is_placed_after_one_that_is_in_a_zone() -> None:
    others = app(4, "db", cpu="100m", affinity=(term(app="db"),))
    group = app(2, cpu="100m", affinity=(term(HOST),), host_ports=(HostPort(80),))
    plan = planned(*others, *group)
    assert refused(plan) == ["web-1"]


def test_affinity_to_another_on_one_node_brings_both_together() -> None:
    plan = planned(*app(2, cpu="500m", affinity=(term(HOST, app="db"),)), *app(1, "db", cpu="500m"))
    assert hosts(plan) == [["db-0", "web-0", "web-1"]]


def test_affinity_to_another_on_one_node_goes_where_it_runs_or_nowhere() -> None:
    pods = app(2, cpu="3", affinity=(term(HOST, app="db"),))
    plan = planned(*pods, pairs=(fixed("n"),), bound=(running("n", "db"),))
    assert hosts(plan) == [["web-0"]]
    assert refused(plan) == ["web-1"]


def test_required_affinity_terms_hold_for_one_pod_together() -> None:
    both = (term(app="a"), term(tier="x"))
    pairs = (fixed("n", ZONE_A), fixed("m", ZONE_A))
    apart = (running("n", "a"), running("m", meta=meta("x", namespace="default", labels={"tier": "x"})))
    one = running("n", meta=meta("ax", namespace="default", labels={"app": "a", "tier": "x"}))
    assert refused(planned(*app(1, affinity=both), pairs=pairs, bound=apart)) == ["web-0"]
    assert refused(planned(*app(1, affinity=both), pairs=pairs, bound=(one,))) == []


def test_rule_10_14_zonal_anti_affinity_places_one_pod_in_each_zone_in_one_pass() -> None:
    pods = app(4, anti_affinity=(term(),))
    plan = planned(*pods)
    assert domains(question(*pods), plan) == dict.fromkeys(ZONES, 1)
    assert refused(plan) == ["web-3"]
    assert "anti-affinity" in why(plan)


def test_rule_10_14_anti_affinity_by_host_gets_each_pod_its_own_node() -> None:
    assert len(planned(*app(4, cpu="100m", anti_affinity=(term(HOST),))).launches) == 4
    assert len(planned(*app(4, cpu="100m")).launches) == 1


def test_rule_10_16_anti_affinity_of_a_running_pod_keeps_others_out_of_its_zone() -> None:
    there = fixed("n", ZONE_A)
    guard = running("n", "db", anti_affinity=(term(),))
    pods = app(3)
    assert ZONE_A not in domains(question(*pods, pairs=(there,)), planned(*pods, pairs=(there,), bound=(guard,)))


def test_rule_10_16_anti_affinity_of_a_running_pod_keeps_others_off_its_node() -> None:
    guard = running("n", "db", anti_affinity=(term(HOST),))
    assert len(planned(*app(1), pairs=(fixed("n"),), bound=(guard,)).launches) == 1
    assert len(planned(*app(1), pairs=(fixed("n"),), bound=(running("n", "db"),)).launches) == 0


def test_rule_10_16_anti_affinity_of_pods_of_the_same_plan_works_both_ways() -> None:
    pods = (*app(1, "guard", cpu="100m", anti_affinity=(term(HOST),)), *app(2, cpu="100m"))
    assert ["guard-0"] in hosts(planned(*pods))


@pytest.mark.parametrize("key", [HOST, names.ZONE])
def test_rule_10_16_a_preferred_anti_affinity_keeps_nobody_else_out(key: str) -> None:
    shy, others = app(1, "shy", cpu="100m", preferred_anti_affinity=(term(key, 10),)), app(2, cpu="100m")
    plan = planned(*shy, *others, pairs=(fixed("n"),), pools=())
    assert hosts(plan) == [["shy-0", "web-0", "web-1"]]
    there = running("n", "shy", preferred_anti_affinity=(term(key, 10),))
    assert refused(planned(*others, pairs=(fixed("n"),), bound=(there,), pools=())) == []


@pytest.mark.parametrize(
    ("namespaces", "selector", "counted"),
    [
        ((), None, False),
        (("other",), None, True),
        ((), (Requirement("team", "In", ("a",)),), True),
        ((), (Requirement("team", "In", ("b",)),), False),
        ((), (), True),
        (("other",), (Requirement("team", "In", ("b",)),), True),
    ],
)
def test_rule_10_17_namespaces_of_a_term(
    namespaces: tuple[str, ...], selector: tuple[Requirement, ...] | None, counted: object
) -> None:
    there = running("n", meta=meta("there", namespace="other", labels={"app": "web"}))
    away = PodAffinityTerm(HOST, selects(app="web"), namespaces, selector)
    pods = app(1, "me", anti_affinity=(away,))
    plan = planned(*pods, pairs=(fixed("n"),), bound=(there,), namespaces={"other": {"team": "a"}})
    assert bool(plan.launches) == counted


# Host ports.


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (HostPort(80), HostPort(80), False),
        (HostPort(80), HostPort(81), True),
        (HostPort(80), HostPort(80, "UDP"), True),
        (HostPort(80, address="10.0.0.1"), HostPort(80, address="10.0.0.2"), True),
        (HostPort(80, address="10.0.0.1"), HostPort(80, address="10.0.0.1"), False),
        (HostPort(80, address="10.0.0.1"), HostPort(80), False),
        (HostPort(80, address="0.0.0.0"), HostPort(80, address="10.0.0.1"), False),
    ],
)
def test_rule_11_8_host_ports_clash_by_port_protocol_and_address(
    one: HostPort, other: HostPort, together: object
) -> None:
    pods = (*app(1, "a", cpu="100m", host_ports=(one,)), *app(1, "b", cpu="100m", host_ports=(other,)))
    assert (len(planned(*pods).launches) == 1) == together
    there = running("n", host_ports=(one,))
    assert (not planned(pods[1], pairs=(fixed("n"),), bound=(there,)).launches) == together


def test_rule_11_8_the_ports_of_a_daemonset_count_on_new_nodes() -> None:
    daemon = DaemonSet(meta("agent", namespace="kube-system"), app(1, "agent", host_ports=(HostPort(80),))[0])
    plan = planned(*app(1, host_ports=(HostPort(80),)), *app(1, "other"), daemonsets=(daemon,))
    assert refused(plan) == ["web-0"]


# What refusals say.


@pytest.mark.parametrize(
    ("pods", "sentences"),
    [
        (
            app(4, spread=(spread(honor_affinity=False),), node_selector={names.ZONE: str(ZONE_A)}),
            (
                "topology spread on topology.kubernetes.io/zone with maxSkew 1",
                "ap-northeast-2a would have 2",
                "ap-northeast-2b",
            ),
        ),
        (app(4, spread=(spread(min_domains=4),)), ("minDomains", "3 domains of the 4")),
        (app(4, anti_affinity=(term(),)), ("anti-affinity by topology.kubernetes.io/zone to pods with app=web",)),
        (app(1, affinity=(term(app="db"),)), ("affinity by topology.kubernetes.io/zone to pods with app=db",)),
        (app(1, affinity=(term(HOST, app="db"),)), ("affinity by kubernetes.io/hostname to pods with app=db",)),
    ],
)
def test_a_refusal_names_the_rule_about_other_pods_and_the_domain(
    pods: tuple[Pod, ...], sentences: tuple[str, ...]
) -> None:
    told = why(planned(*pods))
    assert all(sentence in told for sentence in sentences), told


def test_a_refusal_for_a_limit_still_names_the_limit() -> None:
    plan = planned(*app(3, cpu="1500m", spread=(spread(max_skew=9),)), pools=(pool(limits={"nodes": 1}),))
    assert "limit" in why(plan)


# Preferences.


def test_rule_8_5_a_preference_that_can_be_met_buys_a_node_rather_than_use_one_that_violates_it() -> None:
    wanted = (PreferredTerm(1, (Requirement(names.ZONE, "In", (ZONE_C,)),)),)
    pods = app(1, preferred_terms=wanted)
    assert len(planned(*pods, pairs=(fixed("n"),)).launches) == 1
    assert len(planned(*pods, pairs=(fixed("n"),), limits=IGNORE).launches) == 0


def test_rule_8_6_of_preferred_node_affinities_the_heaviest_counts_and_is_dropped_first() -> None:
    def wanting(zone: str, weight: int) -> PreferredTerm:
        return PreferredTerm(weight, (Requirement(names.ZONE, "In", (zone,)),))

    pods = app(1, preferred_terms=(wanting(ZONE_A, 1), wanting(ZONE_C, 9)))
    assert domains(question(*pods), planned(*pods)) == {ZONE_C: 1}
    nowhere = app(1, preferred_terms=(wanting(ZONE_B, 1), wanting("nowhere", 9)))
    assert domains(question(*nowhere), planned(*nowhere)) == {ZONE_B: 1}


def test_rule_8_6_a_preferred_affinity_is_dropped_before_a_preferred_anti_affinity() -> None:
    there = (fixed("n", ZONE_A),)
    pods = app(1, preferred_affinity=(term(app="db", weight=1),), preferred_anti_affinity=(term(app="db", weight=1),))
    plan = planned(*pods, pairs=there, bound=(running("n", "db"),))
    assert ZONE_A not in domains(question(*pods, pairs=there), plan)


def test_rule_8_6_a_preferred_anti_affinity_is_dropped_before_a_preferred_node_affinity() -> None:
    there = (fixed("n", ZONE_A),)
    wanted = (PreferredTerm(1, (Requirement(names.ZONE, "In", (ZONE_A,)),)),)
    pods = app(1, preferred_anti_affinity=(term(app="db", weight=1),), preferred_terms=wanted)
    plan = planned(*pods, pairs=there, bound=(running("n", "db"),))
    assert domains(question(*pods, pairs=there), plan) == {ZONE_A: 1}


def test_rule_8_6_a_preferred_node_affinity_is_dropped_before_a_spread_that_is_schedule_anyway() -> None:
    wanted = (PreferredTerm(1, (Requirement(names.ZONE, "In", (ZONE_A,)),)),)
    pods = app(6, preferred_terms=wanted, spread=(spread(hard=False),))
    assert domains(question(*pods), planned(*pods)) == dict.fromkeys(ZONES, 2)


def test_a_spread_that_is_schedule_anyway_holds_while_it_can_and_refuses_nobody() -> None:
    pods = app(6, spread=(spread(hard=False),))
    assert domains(question(*pods), planned(*pods)) == dict.fromkeys(ZONES, 2)
    full = fixed("full", "elsewhere", cpu=0)
    assert refused(planned(*pods, pairs=(full,))) == []


def test_rule_8_6_a_soft_taint_keeps_pods_away_until_nothing_else_is_left() -> None:
    soft = Taint("a", "PreferNoSchedule")
    shunned, other = pool("a-shunned", taints=(soft,)), pool("b-other")
    plan = planned(*app(1), pools=(shunned, other))
    assert [x.draft.pool for x in plan.launches] == ["b-other"]
    assert [x.draft.pool for x in planned(*app(1), pools=(shunned,)).launches] == ["a-shunned"]


def test_rule_8_7_a_soft_taint_of_a_node_keeps_pods_away_only_while_something_can_be_bought() -> None:
    there = (fixed("n", taints=(Taint("a", "PreferNoSchedule"),)),)
    assert len(planned(*app(1), pairs=there).launches) == 1
    assert len(planned(*app(1), pairs=there, pools=()).placements) == 1
    tolerant = app(1, tolerations=(Toleration("a", "Exists"),))
    assert len(planned(*tolerant, pairs=there).launches) == 0


def test_rule_8_9_preferences_are_ignored_when_the_policy_says_so_and_soft_taints_are_not() -> None:
    pods = app(4, cpu="100m", preferred_anti_affinity=(term(HOST, 1),), spread=(spread(hard=False),))
    assert len(planned(*pods).launches) == 4
    assert len(planned(*pods, limits=IGNORE).launches) == 1
    shunned, other = pool("a-shunned", taints=(Taint("a", "PreferNoSchedule"),)), pool("b-other")
    assert planned(*app(1), pools=(shunned, other), limits=IGNORE).launches[0].draft.pool == "b-other"


def test_a_preference_is_dropped_only_for_the_pods_that_it_cannot_be_kept_for() -> None:
    pods = app(4, preferred_anti_affinity=(term(weight=5), term(HOST, 1)))
    plan = planned(*pods)
    assert refused(plan) == []
    assert set(domains(question(*pods), plan)) == {*ZONES}
    assert len(plan.launches) == 4


def test_alternatives_of_required_node_affinity_are_tried_in_order() -> None:
    terms = tuple((Requirement(names.ZONE, "In", (zone,)),) for zone in ("nowhere", ZONE_C, ZONE_A))
    pods = app(1, affinity_terms=terms, spread=(spread(),))
    assert domains(question(*pods), planned(*pods)) == {ZONE_C: 1}


# Existing and coming nodes.


def test_rule_8_4_room_that_is_there_is_used_before_anything_is_bought_as_far_as_the_rules_allow() -> None:
    pairs = tuple(fixed(f"n-{zone}", zone) for zone in ZONES)
    plan = planned(*app(6, spread=(spread(),)), pairs=pairs)
    assert not plan.launches
    assert Counter(p.node for p in plan.placements) == {f"n-{zone}": 2 for zone in ZONES}


def test_a_claim_that_is_coming_counts_as_one_host_and_with_its_zone() -> None:
    claim = NodeClaim(
        meta("coming", labels={names.NODEPOOL: "workers", names.ZONE: str(ZONE_A)}),
        ClassName("default"),
        requirements=(Requirement(names.INSTANCE_TYPE, "In", ("t3.xlarge",)),),
        requests=amounts("3", "8Gi", pods="10"),
    )
    pods = app(2, cpu="100m", anti_affinity=(term(HOST),))
    plan = planned(*pods, pairs=(Pair(None, claim),))
    assert [p.claim for p in plan.placements if p.claim] == ["coming"]
    assert len(plan.launches) == 1


def test_rule_10_3_pods_that_stay_on_a_node_that_is_going_count_for_a_spread() -> None:
    """Nothing evicts them, and kube-scheduler counts them until they are gone."""
    going = fixed("n", ZONE_A, taints=(Taint(names.DISRUPTED_TAINT, "NoSchedule"),))
    staying = tuple(running("n", number=n) for n in range(2))
    pods = app(4, spread=(spread(),))
    plan = planned(*pods, pairs=(going,), bound=staying)
    assert domains(question(*pods, pairs=(going,)), plan) == {ZONE_B: 2, ZONE_C: 2}


def test_a_node_that_is_going_is_no_domain_but_its_pods_count() -> None:
    leaving = fixed("n", "elsewhere", taints=(Taint(names.DISRUPTED_TAINT, "NoSchedule"),))
    assert refused(planned(*app(4, spread=(spread(),)), pairs=(leaving,))) == []
    guard = running("n", "db", anti_affinity=(term(),))
    here = fixed("n", ZONE_A, taints=(Taint(names.DISRUPTED_TAINT, "NoSchedule"),))
    assert ZONE_A not in domains(question(), planned(*app(1), pairs=(here,), bound=(guard,)))


# Limits.


def test_a_spread_still_holds_when_a_limit_keeps_some_nodes_from_being_bought() -> None:
    for most in range(1, 7):
        limits = Limits(launches_per_minute=1000, max_nodes=most)
        pods = app(12, cpu="1500m", spread=(spread(),))
        found = domains(question(*pods), planned(*pods, limits=limits))
        assert max(found.values()) - min(found.get(zone, 0) for zone in ZONES) <= 1


def test_pools_of_less_weight_are_asked_for_what_the_heavier_may_not_buy() -> None:
    first = pool("first", weight=10, limits={"nodes": 1}, requirements=(Requirement(names.ZONE, "In", (ZONE_A,)),))
    second = pool("second")
    plan = planned(*app(6, spread=(spread(),)), pools=(first, second))
    assert refused(plan) == []
    assert Counter(str(x.draft.pool) for x in plan.launches)["first"] == 1


def test_pods_that_no_rule_is_about_keep_every_zone_open() -> None:
    plan = planned(*app(3, "plain"))
    assert all(len(r.values) != 1 for x in plan.launches for r in x.draft.requirements if r.key == names.ZONE)


def test_a_launch_that_will_lack_a_label_is_no_domain_for_pods_that_select_a_value_of_it() -> None:
    team = "example.com/team"
    own = (Requirement(team, "In", ("blue", "red")), Requirement(names.ZONE, "In", (ZONE_C,)))
    blue = app(2, node_selector={team: "blue"}, spread=(spread(),))
    other = app(1, "db", affinity_terms=((Requirement(team, "NotIn", ("red",)),),), node_selector={names.ZONE: ZONE_A})
    pools = (pool("teams", requirements=own), pool("plain"))
    plan = planned(*blue, *other, pools=pools)
    assert domains(question(*blue, *other, pools=pools), plan) == {ZONE_C: 2, ZONE_A: 1}


# minValues in the domains that pods are dealt to.


def two_types(**fields: Any) -> NodePool:
    """A pool whose launches must be able to become two types."""
    asked = Requirement(names.INSTANCE_TYPE, "Exists", min_values=2)
    return pool("diverse", requirements=(asked,), **fields)


def test_rule_9_10_pods_are_not_dealt_to_a_zone_in_which_min_values_cannot_be_kept() -> None:
    cheap = instance_type("t3.medium", 2, 4, 0.01, ZONES)
    offered = types(cheap, instance_type("t3.large", 2, 8, 0.104, (ZONE_B,)))
    pods = app(1, anti_affinity=(term(),))
    found = planned(*pods, pools=(two_types(),), instance_types=offered)
    assert domains(question(*pods), found) == {ZONE_B: 1}


def test_two_launches_that_leave_each_other_too_few_types_within_a_limit_become_one_and_the_next_pool_serves() -> None:
    offered = types(instance_type("t3.medium", 2, 4, 0.05, ZONES), instance_type("t3.xlarge", 4, 16, 0.2, ZONES))
    dear = pool("dear", requirements=(Requirement(names.INSTANCE_TYPE, "In", ("t3.xlarge",)),))
    apart = app(2, anti_affinity=(term(HOST),))
    found = planned(*apart, pools=(two_types(limits={"cpu": 5000}), dear), instance_types=offered)
    assert refused(found) == []
    assert sorted(launch.draft.pool for launch in found.launches) == ["dear", "diverse"]
