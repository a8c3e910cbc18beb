"""Karpenter's numbered rules of who is pending up to overlays (5 to 15) and of claims and pools (18, 19): what each is
here. Rules are in our words; the numbers are those that names of tests carry (``test_rule_9_7_…``)."""

from enum import StrEnum
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """What became of a rule."""

    KEPT = "kept"
    """As in Karpenter; tests show it."""
    DIFFERENT = "different"
    """Deliberately otherwise: ``where`` stands in docs/differences.md. Tests show what is done instead."""
    LATER = "later"
    """Part of a feature that docs/differences.md lists as not yet there, in the words of ``where``."""
    INNER = "inner"
    """How Karpenter's own program works; no plan and no decision here depends on it."""


class Rule(NamedTuple):
    """One rule; tests named after it count by themselves, ``tests`` are others that show it."""

    number: str
    about: str
    verdict: Verdict = Verdict.KEPT
    tests: tuple[str, ...] = ()
    where: str = ""


SECTIONS: Final = {5: 10, 6: 9, 7: 8, 8: 15, 9: 15, 10: 20, 11: 8, 12: 6, 13: 5, 14: 5, 15: 6, 18: 16, 19: 5}
"""How many rules each section has."""

DIFFERENT, LATER, INNER = Verdict.DIFFERENT, Verdict.LATER, Verdict.INNER
KEPT = Verdict.KEPT

PENDING: Final = (
    Rule("5.1", "who is pending"),
    Rule(
        "5.2",
        "every cycle looks at all that is pending",
        tests=("test_pods_that_were_decided_on_open_no_window_again",),
    ),
    Rule(
        "5.3",
        "the batch window",
        tests=(
            "test_it_closes_after_the_idle_time_without_a_new_pod",
            "test_it_closes_after_the_longest_time_however_many_still_come",
            "test_while_the_batch_window_is_open_nothing_is_bought_and_nobody_refused",
        ),
    ),
    Rule("5.4", "the order of reading: here one snapshot is decided on, all of one moment", INNER),
    Rule("5.5", "pods of nodes that go get room first"),
    Rule(
        "5.6",
        "pods that no node of a pool can serve",
        tests=("test_rules_3_3_and_5_6_a_host_name_is_no_reason_to_buy_a_node",),
    ),
    Rule("5.7", "an unlaunched claim holds nothing up", DIFFERENT, where="a launch whose answer is lost"),
    Rule(
        "5.8",
        "a deadline of a pass: here its time is bounded by the styles that are tried, and shown by benchmarks",
        INNER,
    ),
    Rule(
        "5.9",
        "limits hold also after launches are recorded",
        tests=("test_limits_hold_over_several_decisions_whatever_ec2_returns",),
    ),
    Rule(
        "5.10",
        "a node that pods are planned for is not taken away",
        tests=("test_a_pending_pod_that_fits_keeps_the_node",),
    ),
)

POOLS: Final = (
    Rule("6.1", "pools that may be asked"),
    Rule("6.2", "heavier pools first", DIFFERENT, where="choosing nodes"),
    Rule("6.3", "a pool whose class offers no type is passed over"),
    Rule("6.4", "what the nodes of a pool look like"),
    Rule("6.5", "existing nodes, and in which order"),
    Rule("6.6", "taints of a node that is starting"),
    Rule("6.7", "resources of a node that is starting"),
    Rule("6.8", "what is left of a node"),
    Rule("6.9", "DaemonSets on existing nodes"),
)

ALGEBRA: Final = (
    Rule(
        "7.1",
        "requirements are sets",
        tests=("test_operators_mean_what_kubernetes_says", "test_an_empty_set_allows_nothing"),
    ),
    Rule(
        "7.2",
        "intersection",
        tests=(
            "test_a_value_is_in_the_intersection_exactly_when_it_is_in_both",
            "test_bounds_that_cross_leave_nothing",
            "test_min_values_survive_and_the_larger_wins",
        ),
    ),
    Rule(
        "7.3",
        "two open sets share something unless their bounds cross",
        tests=("test_intersects_says_whether_the_intersection_is_empty", "test_bounds_that_cross_leave_nothing"),
    ),
    Rule("7.4", "labels that one side does not define"),
    Rule("7.5", "a bound needs the label"),
    Rule("7.6", "terms of required node affinity", DIFFERENT, where="alternatives of required node affinity"),
    Rule("7.7", "Gte and Lte are Karpenter's", tests=("test_operators_mean_what_kubernetes_says",)),
    Rule("7.8", "labels that a type does not have"),
)

LOOP: Final = (
    Rule(
        "8.1",
        "who comes first",
        DIFFERENT,
        tests=("test_under_a_limit_the_pod_of_higher_priority_gets_the_node_whatever_its_name_and_size",),
        where="priority of pods",
    ),
    Rule("8.2", "affinity that depends on other pods of the plan"),
    Rule(
        "8.3",
        "a preference is dropped for whom it must be, and for nobody else",
        tests=("test_a_preference_is_dropped_only_for_the_pods_that_it_cannot_be_kept_for",),
    ),
    Rule(
        "8.4",
        "existing nodes before new ones",
        tests=("test_existing_nodes_are_used_before_anything_is_bought_those_that_are_not_ours_too",),
    ),
    Rule("8.5", "a preference that can be met is worth a node"),
    Rule("8.6", "the order in which preferences are dropped"),
    Rule("8.7", "PreferNoSchedule", DIFFERENT, where="`PreferNoSchedule` on a node only"),
    Rule("8.8", "reservations end relaxing", DIFFERENT, where="a capacity reservation that is full"),
    Rule("8.9", "preferencePolicy Ignore"),
    Rule("8.10", "the order of checks of a new node: all must hold, whatever the order", INNER),
    Rule("8.11", "the order of checks of a node that is there: all must hold, whatever the order", INNER),
    Rule("8.12", "a launch stays as open as its pods are"),
    Rule("8.13", "tolerations"),
    Rule(
        "8.14",
        "resource claims are refused by name",
        tests=(
            "test_a_constraint_that_is_not_known_yet_is_refused_by_name_and_never_placed",
            "test_a_hard_constraint_that_the_engine_does_not_know_is_named",
        ),
    ),
    Rule("8.15", "a log line about preferences that keep nodes busy", LATER, where="Consolidation of used nodes"),
)

RESOURCES: Final = (
    Rule(
        "9.1",
        "what a pod asks",
        tests=(
            "test_a_pod_asks_the_sum_of_its_containers_and_one_place",
            "test_a_start_up_step_counts_by_its_peak_and_not_by_its_sum",
            "test_a_sidecar_runs_beside_what_is_started_after_it",
            "test_overhead_comes_on_top_of_everything",
            "test_requests_of_the_whole_pod_stand_over_the_sum",
            "test_a_resize_under_way_counts_by_the_larger_figure",
        ),
    ),
    Rule("9.2", "what fits"),
    Rule(
        "9.3",
        "what is set aside",
        tests=("test_reserved_resources_are_not_for_pods", "test_the_eviction_threshold_is_not_for_pods"),
    ),
    Rule("9.4", "offerings with a capacity of their own: none of EC2's has one", INNER),
    Rule("9.5", "a type needs an available offering"),
    Rule(
        "9.6",
        "DaemonSets count per type",
        tests=("test_rules_9_6_and_9_7_room_for_daemons_is_taken_off_the_types_that_they_run_on",),
    ),
    Rule("9.7", "which DaemonSets run on a new node"),
    Rule("9.8", "what a DaemonSet's pod asks"),
    Rule(
        "9.9",
        "a refusal names what excludes",
        tests=(
            "test_a_label_that_no_type_has_is_named_alone",
            "test_an_amount_and_a_label_that_exclude_each_other_are_named_as_a_pair",
        ),
    ),
    Rule(
        "9.10",
        "minValues",
        tests=("test_rules_9_10_and_2_9_best_effort_lowers_min_values_and_writes_it_down",),
    ),
    Rule("9.11", "minValues and several pools"),
    Rule(
        "9.12",
        "minValues after the list is cut: a launch is never cut here, so that nothing is to be checked again",
        INNER,
    ),
    Rule("9.13", "types by price"),
    Rule(
        "9.14", "the worst price of a launch, which consolidation asks for", LATER, where="Consolidation of used nodes"
    ),
    Rule(
        "9.15",
        "which capacity type is launched",
        DIFFERENT,
        tests=("test_spot_is_bought_only_while_it_is_cheaper_than_on_demand",),
        where="spot and on-demand in one pool",
    ),
)

TOPOLOGY: Final = (
    Rule("10.1", "which domains there are"),
    Rule("10.2", "a key that no node has"),
    Rule("10.3", "which running pods count"),
    Rule("10.4", "nodes that a spread may count"),
    Rule("10.5", "taints and domains"),
    Rule("10.6", "maxSkew"),
    Rule("10.7", "minDomains", DIFFERENT, where="`minDomains` of two pods with equal selectors"),
    Rule("10.8", "a spread over hosts"),
    Rule("10.9", "a spread that is uneven already"),
    Rule("10.10", "selectors that do not select the pod itself"),
    Rule("10.11", "matchLabelKeys", tests=("test_label_keys_that_the_api_server_merged_already_are_not_merged_twice",)),
    Rule(
        "10.12",
        "affinity, and who begins",
        DIFFERENT,
        where="a group that runs only where a pod of it cannot go",
    ),
    Rule(
        "10.13",
        "the first domain of a group is one that its pods can use",
        tests=("test_rule_10_12_a_group_chooses_the_zone_that_all_of_it_can_use",),
    ),
    Rule("10.14", "anti-affinity by zone", DIFFERENT, where="a spread, or anti-affinity, by zone"),
    Rule("10.15", "who follows whom", DIFFERENT, where="who follows whom"),
    Rule("10.16", "anti-affinity of others"),
    Rule("10.17", "namespaces of a term"),
    Rule(
        "10.18",
        "default constraints",
        DIFFERENT,
        where="Default spread constraints",
    ),
    Rule("10.19", "zones of volumes are no affinity"),
    Rule(
        "10.20",
        "a pod that is relaxed counts as relaxed",
        tests=("test_a_preference_is_dropped_only_for_the_pods_that_it_cannot_be_kept_for",),
    ),
)

VOLUMES: Final = (
    Rule("11.1", "which claims a pod uses", tests=("test_ephemeral_volumes_get_the_claims_that_a_cluster_would_make",)),
    Rule("11.2", "claims that cannot be used"),
    Rule("11.3", "zones of volumes", DIFFERENT, where="a claim that nothing makes a volume for"),
    Rule("11.4", "alternatives of volumes"),
    Rule("11.5", "volumes of a host", DIFFERENT, where="a volume bound to a host"),
    Rule("11.6", "how many volumes a node attaches", DIFFERENT, where="volumes of a new node"),
    Rule(
        "11.7",
        "drivers of volumes",
        tests=(
            "test_an_in_tree_ebs_volume_is_the_csi_drivers",
            "test_a_class_says_who_makes_its_volumes_where_and_when",
        ),
    ),
    Rule("11.8", "host ports"),
)

LIMITS: Final = (
    Rule("12.1", "what counts against limits", DIFFERENT, where="limits while a node goes"),
    Rule("12.2", "types beyond the limit"),
    Rule("12.3", "a launch counts as its largest type"),
    Rule("12.4", "limits.nodes", DIFFERENT, where="`limits.nodes`"),
    Rule("12.5", "limits that are met exactly, and of any resource"),
    Rule("12.6", "limits and replacements", LATER, where="Consolidation of used nodes"),
)

RESERVED: Final = (
    Rule("13.1", "how many instances a reservation has room for"),
    Rule("13.2", "what an open launch holds", DIFFERENT, where="a launch that may use several capacity reservations"),
    Rule("13.3", "what does not fit", DIFFERENT, where="a capacity reservation that is full"),
    Rule("13.4", "a launch into a reservation names it"),
    Rule("13.5", "drift of reserved nodes", LATER, where="drift"),
)

STATIC: Final = (
    Rule("14.1", "a static pool serves no pending pods"),
    Rule("14.2", "filling a static pool"),
    Rule(
        "14.3",
        "what goes first",
        DIFFERENT,
        tests=("test_unlike_rule_21_6_scaling_down_keeps_within_budgets_and_says_what_holds_it",),
        where="scaling a static pool down",
    ),
    Rule("14.4", "claims of a static pool"),
    Rule("14.5", "drift of static pools", LATER, where="drift"),
)

OVERLAYS: Final = (
    Rule(
        "15.1",
        "prices and capacities",
        tests=("test_rules_15_1_and_15_4_a_price_is_set_or_changed_and_never_below_nothing",),
    ),
    Rule("15.2", "what an overlay is about"),
    Rule("15.3", "the heaviest wins"),
    Rule(
        "15.4",
        "never below nothing",
        tests=("test_rules_15_1_and_15_4_a_price_is_set_or_changed_and_never_below_nothing",),
    ),
    Rule("15.5", "a broken overlay"),
    Rule("15.6", "overrides of offerings: none of EC2's has one", INNER),
)

CLAIMS: Final = (
    Rule(
        "18.1",
        "the steps of a claim",
        tests=(
            "test_a_draft_comes_back_as_the_claim_that_was_meant",
            "test_a_claim_in_flight_is_room_so_that_nothing_is_bought_twice",
        ),
    ),
    Rule(
        "18.2",
        "one claim is launched once",
        DIFFERENT,
        tests=(
            "test_an_intent_without_an_answer_is_sent_again_word_for_word",
            "test_an_instance_that_carries_the_claims_uid_is_recorded_and_nothing_is_bought",
        ),
        where="a launch whose answer is lost",
    ),
    Rule(
        "18.3",
        "without capacity the claim goes",
        tests=(
            "test_a_claim_is_given_up_when_no_offering_or_no_class_is_left",
            "test_offerings_that_ec2_refused_lately_are_left_out_until_the_memory_of_it_ends",
        ),
    ),
    Rule("18.4", "what is known after the launch"),
    Rule(
        "18.5",
        "whose node it is",
        tests=("test_a_node_that_states_the_provider_id_under_another_name_is_never_registered",),
    ),
    Rule(
        "18.6",
        "what a node is given",
        DIFFERENT,
        tests=(
            "test_the_node_of_the_instance_is_registered_with_the_pools_taints_and_without_the_unregistered_one",
            "test_a_node_without_the_unregistered_taint_is_registered_and_reported",
            "test_an_instance_with_a_node_is_adopted",
        ),
        where="the node of a claim that was lost",
    ),
    Rule("18.7", "hooks of other providers", INNER),
    Rule("18.8", "startup taints are given once", tests=("test_a_ready_node_without_startup_taints_is_initialised",)),
    Rule("18.9", "when a node is initialised", tests=("test_initialisation_waits_for",)),
    Rule(
        "18.10",
        "how long a launch and a join may take",
        tests=(
            "test_a_claim_not_launched_in_time_is_given_up",
            "test_an_instance_whose_node_does_not_come_is_given_up_and_counts_as_a_failed_join",
        ),
    ),
    Rule(
        "18.11",
        "joins that keep failing",
        DIFFERENT,
        tests=("test_ten_failed_joins_put_a_pool_into_protected_mode_and_a_join_ends_it",),
        where="joins that keep failing",
    ),
    Rule(
        "18.12",
        "how a claim ends",
        tests=("test_the_node_lives_as_long_as_the_instance", "test_then_the_node_and_at_last_the_claim_are_forgotten"),
    ),
    Rule(
        "18.13",
        "what is told of a node smaller than thought",
        LATER,
        where="ConsistentStateFound",
    ),
    Rule(
        "18.14",
        "instances that are gone take their claims along",
        DIFFERENT,
        tests=(
            "test_a_terminated_instance_takes_its_claim_along",
            "test_an_instance_missing_from_one_answer_is_not_judged_dead",
        ),
        where="an instance that EC2 no longer shows",
    ),
    Rule("18.15", "the time of the last pod", DIFFERENT, where="`consolidateAfter` after a restart"),
    Rule("18.16", "labels of claims of old releases: there are none", INNER),
)

NODEPOOLS: Final = (
    Rule(
        "19.1",
        "a pool is as ready as its class",
        tests=("test_rule_6_1_a_class_that_is_not_ready_holds_its_pools_back",),
    ),
    Rule("19.2", "faults of a pool", tests=("test_a_faulty_pool_stops_no_other",)),
    Rule("19.3", "hashes of pools", tests=("test_a_change_of_the_template_changes_the_pools_hash",)),
    Rule("19.4", "what a pool's status counts"),
    Rule(
        "19.5",
        "a pool that is deleted",
        tests=(
            "test_rule_6_1_a_pool_that_is_static_deleted_or_not_ready_serves_nobody",
            "test_a_claim_is_owned_by_its_pool",
        ),
    ),
)

RULES: Final = (
    *PENDING,
    *POOLS,
    *ALGEBRA,
    *LOOP,
    *RESOURCES,
    *TOPOLOGY,
    *VOLUMES,
    *LIMITS,
    *RESERVED,
    *STATIC,
    *OVERLAYS,
    *CLAIMS,
    *NODEPOOLS,
)
