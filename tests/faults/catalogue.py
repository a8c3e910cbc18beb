"""Ninety things that go wrong around a node autoscaler, and what here shows that each does no harm.

A fault is shown by tests that make it happen and look at what must hold; or it waits for a feature that is not there
yet; or it cannot happen here. Tests are named as pytest names them, from the folder tests/.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Group = Literal["A", "B", "C", "D", "E", "F"]
GROUPS: dict[Group, str] = {
    "A": "launching",
    "B": "joining",
    "C": "draining and terminating",
    "D": "repacking and stability",
    "E": "interruption and infrastructure",
    "F": "control plane and daemon",
}
CONSOLIDATION = "consolidation of used nodes"
INTERRUPTION = "interruption notices"
REPAIR = "node repair"
DRIFT = "drift"


class Fault(NamedTuple):
    """One fault."""

    number: int
    group: Group
    what: str
    tests: tuple[str, ...] = ()
    waits_for: str = ""
    not_here: str = ""


def shown(number: int, group: Group, what: str, *tests: str) -> Fault:
    return Fault(number, group, what, tests)


def waits(number: int, group: Group, what: str, feature: str) -> Fault:
    return Fault(number, group, what, waits_for=feature)


CRASH = "crash/test_crash.py::test_killed_at_an_effect_the_end_is_the_same"
MATRIX = "virtual/test_matrix.py::test_a_crash_at_an_effect_changes_nothing_in_the_end"
UNDISTURBED = "virtual/test_matrix.py::test_undisturbed_every_scenario_comes_to_rest_without_a_violation"
L, J, D, R = (f"faults/test_{name}.py::test_" for name in ("launching", "joining", "draining", "running"))

FAULTS: tuple[Fault, ...] = (
    shown(
        *(1, "A", "The daemon dies after EC2 has launched and before it has noted which instance"),
        CRASH,
        MATRIX,
        "cluster/test_daemon.py::test_killed_after_the_launch_call_and_before_its_answer_it_has_bought_one_instance",
    ),
    shown(
        *(2, "A", "The answer to a launch never comes although it was carried out"),
        "aws/test_launch.py::test_a_lost_answer_costs_nothing_because_the_same_token_returns_the_same_instance",
        "cluster/test_daemon.py::test_an_answer_that_is_lost_is_asked_for_again_by_the_same_token",
    ),
    shown(
        *(3, "A", "A client token is sent again whose instance has ended meanwhile"),
        "aws/test_launch.py::test_a_token_whose_instance_is_terminated_is_a_definite_answer_and_the_next_launches",
        "core/test_lifecycle.py::test_after_a_definite_answer_the_next_attempt_is_composed_anew",
    ),
    shown(
        *(4, "A", "A client token is sent again with another request"),
        "aws/test_launch.py::test_another_request_with_the_same_token_is_a_definite_answer",
        "aws/test_launch.py::test_a_stored_request_is_resent_word_for_word",
    ),
    shown(
        *(5, "A", "EC2 has some of the instances that are wanted and not the rest"),
        L + "of_five_launches_the_three_that_ec2_has_are_kept_and_the_rest_planned_anew",
    ),
    shown(
        *(6, "A", "One answer holds an instance and errors"),
        "aws/test_launch.py::test_capacity_that_is_short_in_one_zone_is_reported_beside_the_instance",
    ),
    shown(
        *(7, "A", "The best type has no capacity, others have"),
        "cluster/test_daemon.py::test_without_capacity_the_next_offering_is_taken_and_the_refused_one_remembered",
    ),
    shown(
        *(8, "A", "One shape has no capacity anywhere for hours"),
        L + "a_shape_without_capacity_for_six_hours_holds_up_no_other_and_is_asked_for_seldom",
    ),
    shown(
        *(9, "A", "Capacity comes and goes each minute"),
        L + "capacity_that_comes_and_goes_each_minute_buys_nothing_twice",
    ),
    shown(
        *(10, "A", "The account's quota of spot or of vCPUs is used up"),
        "aws/test_launch.py::test_a_quota_refuses_the_whole_capacity_type",
        L + "an_account_without_spot_quota_buys_on_demand_where_the_pool_allows_it",
    ),
    shown(
        *(11, "A", "A subnet has no address left"),
        "aws/test_launch.py::test_a_full_subnet_is_a_capacity_error_of_its_subnet",
        L + "a_full_subnet_sends_the_launch_to_the_other",
    ),
    shown(
        *(12, "A", "EC2 throttles while many launches are wanted"),
        "aws/test_launch.py::test_a_throttled_launch_was_not_carried_out_and_is_not_repeated_by_the_sdk",
        L + "a_storm_of_throttled_calls_loses_no_launch",
    ),
    shown(
        *(13, "A", "The role may not launch"),
        "cluster/test_daemon.py::test_denied_by_ec2_it_says_so_and_buys_when_it_may_again",
    ),
    shown(
        *(14, "A", "The image, a security group or the profile is gone"),
        "aws/test_classes.py::test_a_deregistered_image_is_not_found",
        "aws/test_launch.py::test_a_profile_that_does_not_exist_is_invalid",
        "cluster/test_daemon.py::test_a_pool_and_a_class_with_faults_say_so_and_stop_no_other",
    ),
    shown(
        *(15, "A", "Instances end while they are pending, as with a key that may not be used"),
        L + "instances_that_end_while_they_are_pending_put_the_pool_into_protected_mode",
    ),
    shown(
        *(16, "A", "userData or the request is too large"),
        "aws/test_templates.py::test_user_data_over_the_limit_is_refused_before_ec2_sees_it",
        "join/test_userdata.py::test_userdata_that_is_too_long_says_by_how_much",
    ),
    shown(
        *(17, "A", "EC2 does not show a new instance for half a minute"),
        L + "an_instance_that_ec2_does_not_show_for_half_a_minute_is_not_bought_again",
        "core/test_lifecycle.py::test_an_instance_missing_from_one_answer_is_not_judged_dead",
    ),
    shown(
        *(18, "A", "EC2 tells states of some while ago"),
        L + "states_that_ec2_tells_late_are_come_to_terms_with",
    ),
    shown(
        *(19, "A", "A page of a list is lost, and half of the fleet with it"),
        "aws/test_machines.py::test_a_page_that_is_lost_is_an_error_and_never_half_a_list",
        L + "half_a_fleet_that_is_missing_from_a_list_is_neither_replaced_nor_terminated",
    ),
    shown(
        *(20, "A", "Ten thousand pods at once"),
        L + "ten_thousand_pods_at_once_are_decided_on_within_bounded_memory_beside_a_thousand_impossible_ones",
    ),
    shown(
        *(21, "A", "A thousand pods that nothing serves among those that can be served"),
        L + "ten_thousand_pods_at_once_are_decided_on_within_bounded_memory_beside_a_thousand_impossible_ones",
        L + "pods_that_nothing_serves_delay_nobody",
    ),
    shown(
        *(22, "A", "A pod is larger than the largest type"),
        "core/test_refusing.py::test_an_amount_that_no_type_has_is_named_alone_with_the_most_there_is",
        "kube/test_events.py::"
        "test_each_impossible_pod_gets_one_event_however_many_there_are_and_however_often_it_is_refused",
    ),
    shown(
        *(23, "A", "A second decision is made while launches of the first are under way and the limit is near"),
        "core/test_packing.py::test_limits_hold_over_several_decisions_whatever_ec2_returns",
        "core/test_decide.py::test_a_claim_in_flight_counts_against_limits_as_the_largest_it_may_become",
    ),
    shown(
        *(24, "A", "Prices are missing, zero, no number, or old"),
        "aws/test_prices.py::test_what_is_no_believable_price_is_refused",
        "aws/test_prices.py::test_one_bad_price_leaves_the_last_known_one",
        "aws/test_prices.py::test_what_was_learnt_is_kept_when_the_next_answer_fails",
    ),
    shown(
        *(25, "A", "EC2 describes a type that nobody knows yet"),
        "aws/test_catalog.py::test_a_type_that_is_new_or_incomplete_is_left_out_without_harm",
    ),
    shown(
        *(26, "A", "A node has less memory than its type promises, and the pod does not fit it"),
        L + "a_node_smaller_than_its_type_promises_is_learnt_from_and_not_bought_again_and_again",
        "core/test_decide.py::test_what_a_node_turned_out_to_have_replaces_the_estimate",
    ),
    shown(
        *(27, "A", "Pods state limits and no requests"),
        "kube/test_pods.py::test_a_limit_stands_in_for_a_request_that_is_missing",
    ),
    shown(
        *(28, "A", "Something taints every node after it has joined"),
        L + "a_taint_that_appears_on_every_new_node_buys_few_nodes_and_no_crowd",
        "core/test_runaway.py::test_after_one_such_node_another_is_tried_and_after_two_no_more",
    ),
    waits(29, "A", "A startup taint is never removed: the node must be replaced after a while", REPAIR),
    shown(
        *(30, "A", "The scheduler puts pods elsewhere than planned"),
        L + "pods_that_the_scheduler_puts_elsewhere_leave_a_node_that_is_given_back",
    ),
    shown(
        *(31, "B", "A machine boots for longer than the token lives"),
        J + "machines_that_boot_for_longer_than_a_token_lives_join_with_its_successor",
        "sim/test_machines.py::test_a_rotated_token_is_read_for_the_next_try",
    ),
    shown(
        *(32, "B", "Somebody deletes the token"),
        J + "a_token_that_somebody_deletes_is_replaced_before_the_next_machine_needs_it",
        "join/test_rotation.py::test_repair_mends_what_somebody_broke_and_says_what_it_was",
    ),
    shown(
        *(33, "B", "Parameter Store refuses the new token"),
        "join/test_rotation.py::test_parameter_store_saying_no_leaves_the_old_token_published",
        "cluster/test_joining.py::test_when_parameter_store_refuses_the_published_token_stays_alive",
    ),
    shown(
        *(34, "B", "The daemon dies between making a token and publishing it, or right after"),
        CRASH,
        "crash/test_commands.py::test_a_rotation_killed_at_any_write_leaves_a_token_that_works",
        "join/test_rotation.py::test_a_crash_at_any_step_leaves_a_working_token_and_is_made_good",
    ),
    shown(
        *(35, "B", "Parameter Store answers with the version before"),
        J + "a_parameter_store_that_answers_with_the_version_before_lets_machines_join",
    ),
    shown(
        *(36, "B", "The clock of the daemon's host steps by ten minutes"),
        J + "a_clock_that_steps_by_ten_minutes_makes_no_token_that_does_not_work",
        "kube/test_lease.py::test_a_step_of_the_wall_clock_gives_the_lock_to_nobody",
    ),
    shown(
        *(37, "B", "A machine's clock is wrong, so that it cannot use the certificate that it got"),
        "join/test_script.py::test_a_join_that_fails_after_its_certificate_powers_off",
    ),
    shown(
        *(38, "B", "The cluster gets another certificate authority"),
        J + "another_endpoint_or_authority_is_in_the_user_data_of_the_next_machine",
        "sim/test_machines.py::test_a_ca_that_is_not_pinned_keeps_it_out_before_the_token_is_shown",
    ),
    shown(
        *(39, "B", "The API server gets another address"),
        J + "another_endpoint_or_authority_is_in_the_user_data_of_the_next_machine",
        "kube/test_identity.py::test_the_kubeconfig_follows_a_moved_endpoint",
    ),
    shown(
        *(40, "B", "An instance never joins"),
        UNDISTURBED,
        "core/test_lifecycle.py::test_an_instance_whose_node_does_not_come_is_given_up_and_counts_as_a_failed_join",
    ),
    shown(
        *(41, "B", "No instance joins any more"),
        J + "machines_that_never_join_cost_at_most_what_it_takes_to_notice",
        "core/test_lifecycle.py::test_ten_failed_joins_put_a_pool_into_protected_mode_and_a_join_ends_it",
    ),
    shown(
        *(42, "B", "A machine joins under the name of another node"),
        "core/test_admission.py::test_a_registered_node_gets_no_second_certificate",
        "core/test_lifecycle.py::test_a_node_that_states_the_provider_id_under_another_name_is_never_registered",
    ),
    shown(
        *(43, "B", "A node does not say which instance it is"),
        J + "a_node_that_does_not_say_which_instance_it_is_is_found_by_its_name",
    ),
    shown(
        *(44, "B", "Requests for certificates pile up"),
        J + "a_pile_of_requests_that_are_not_ours_holds_up_no_machine_of_ours",
        "core/test_admission.py::test_a_second_certificate_is_never_issued_whoever_got_the_first",
    ),
    shown(
        *(45, "B", "A stranger joins with a stolen token"),
        J + "a_machine_with_a_stolen_token_gets_no_certificate",
        "cluster/test_admission.py::test_a_request_is_denied_with_its_reason_for",
    ),
    shown(
        *(46, "B", "Somebody deletes the Node of a machine that lives"),
        J + "a_node_that_is_deleted_by_hand_takes_its_instance_along_though_its_kubelet_lives",
        "core/test_lifecycle.py::test_a_node_that_was_deleted_by_hand_takes_its_claim_along",
    ),
    shown(
        *(47, "B", "A machine joins in the moment in which it is given up"),
        J + "a_machine_that_joins_just_as_it_is_given_up_leaves_nothing_behind",
    ),
    shown(
        *(48, "B", "Two Nodes claim to be one instance"),
        "core/test_lifecycle.py::test_a_node_that_states_the_provider_id_under_another_name_is_never_registered",
    ),
    shown(
        *(49, "C", "A budget lets no pod go, ever"),
        UNDISTURBED,
        "core/test_termination.py::test_at_the_deadline_a_pod_is_deleted_once_and_not_again_while_it_goes",
        "core/test_termination.py::test_without_a_deadline_no_pod_is_ever_deleted_over_its_budget",
    ),
    shown(
        *(50, "C", "Two budgets are about one pod"),
        "kube/test_drain.py::test_two_budgets_on_one_pod_are_reported_and_not_hammered",
    ),
    shown(
        *(51, "C", "Two nodes drain behind one budget and wait for each other"),
        D + "two_nodes_that_drain_behind_one_budget_both_come_to_an_end",
    ),
    shown(
        *(52, "C", "A pod will not end"),
        D + "a_pod_that_will_not_end_holds_its_node_for_a_minute_beyond_its_grace",
        "core/test_termination.py::test_a_pod_stuck_in_deletion_is_not_waited_for_longer_than_a_minute",
    ),
    shown(
        *(53, "C", "A pod that must not be disrupted comes while its node is being judged"),
        D + "a_pod_that_comes_as_its_node_is_found_empty_is_not_lost",
        "core/test_termination.py::test_a_do_not_disrupt_pod_is_waited_for_but_never_evicted_before_the_deadline",
    ),
    shown(
        *(54, "C", "A pod is about to be bound to a node that looks empty"),
        D + "a_pod_that_comes_as_its_node_is_found_empty_is_not_lost",
        "core/test_decide.py::test_a_pending_pod_that_fits_keeps_the_node",
    ),
    shown(
        *(55, "C", "The daemon dies after the taint, or among evictions"),
        CRASH,
        MATRIX,
        "core/test_decide.py::test_a_disruption_that_was_marked_and_never_carried_out_is_taken_back_and_decided_anew",
    ),
    shown(
        *(56, "C", "The daemon dies after the instance was terminated and before its Node is deleted"), CRASH, MATRIX
    ),
    shown(
        *(57, "C", "EC2 throttles terminations"),
        D + "terminations_that_ec2_throttles_are_repeated_until_they_are_done",
    ),
    shown(
        *(58, "C", "An instance has termination protection"),
        D + "an_instance_with_termination_protection_is_reported_and_asked_for_seldom",
        "aws/test_errors.py::test_protection_against_termination_is_not_taken_for_a_missing_right",
    ),
    shown(
        *(59, "C", "A node is taken for another instance than it is"),
        "core/test_lifecycle.py::test_a_node_that_states_the_provider_id_under_another_name_is_never_registered",
        "core/test_termination.py::test_an_instance_without_our_tags_is_never_terminated",
        "aws/test_machines.py::test_what_is_not_ours_is_never_terminated",
    ),
    shown(
        *(60, "C", "A volume stays attached"),
        "core/test_termination.py::test_volumes_are_detached_before_the_instance_goes",
    ),
    shown(
        *(61, "C", "Our finalizer is taken off, or somebody else's keeps a Node"),
        UNDISTURBED,
        D + "a_node_that_somebody_elses_finalizer_keeps_holds_up_no_other",
    ),
    shown(
        *(62, "C", "A webhook without a backend refuses evictions and changes of nodes"),
        D + "while_evictions_and_changes_of_nodes_fail_instances_are_still_launched",
    ),
    shown(
        *(63, "C", "An eviction is forbidden, as in a namespace that is going away"),
        "kube/test_drain.py::test_a_refusal_is_reported_and_tried_slowly",
    ),
    shown(
        *(64, "C", "The API server throttles evictions"),
        "kube/test_drain.py::test_throttling_is_not_taken_for_a_budget",
        "kube/test_api.py::test_a_throttled_call_knows_when_to_come_again",
    ),
    waits(65, "C", "A drain takes longer than the notice of a spot interruption", INTERRUPTION),
    waits(66, "C", "A replacement is not ready although what it replaces is drained", CONSOLIDATION),
    shown(
        *(67, "C", "Somebody has cordoned a node"),
        D + "a_node_that_somebody_cordoned_stays_so_and_gets_nothing",
    ),
    waits(68, "D", "Types of about equal price take turns", CONSOLIDATION),
    waits(69, "D", "The type that nodes should move to has no capacity, again and again", CONSOLIDATION),
    shown(
        *(70, "D", "Replicas go up and down every few minutes"),
        R + "a_queue_that_fills_and_empties_every_three_minutes_keeps_its_nodes",
    ),
    waits(71, "D", "A descheduler evicts what was just packed", CONSOLIDATION),
    shown(
        *(72, "D", "Another autoscaler works on the same cluster"),
        "cluster/test_install.py::test_it_does_not_run_beside_a_karpenter_that_renews_its_lease",
        "cluster/test_check.py::test_others_that_buy_nodes_and_pools_that_mean_something_else_here_are_told",
    ),
    waits(73, "D", "Preferences are counted differently when a node is bought and when it is judged", CONSOLIDATION),
    waits(74, "D", "There are too many nodes to judge all of them in one go", CONSOLIDATION),
    waits(75, "D", "Spot nodes move down the ladder of prices one by one", CONSOLIDATION),
    shown(
        *(76, "D", "Manifests are changed, changed again and changed back"),
        R + "a_pool_that_is_edited_and_edited_back_ends_where_it_was",
    ),
    waits(77, "D", "All nodes have drifted at once", DRIFT),
    waits(78, "E", "Notices of interruption come twice, late, out of order or for unknown instances", INTERRUPTION),
    waits(79, "E", "Two hundred notices at once", INTERRUPTION),
    waits(80, "E", "The queue is gone, forbidden, or holds what cannot be read", INTERRUPTION),
    shown(
        *(81, "E", "Somebody stops or terminates an instance"),
        R + "an_instance_that_is_stopped_by_hand_is_replaced_once",
        "cluster/test_daemon.py::test_an_instance_terminated_by_hand_is_replaced_once",
    ),
    shown(
        *(82, "E", "A zone is gone"),
        R + "a_zone_that_is_gone_sends_launches_to_the_other_and_ends_nothing_in_a_hurry",
    ),
    shown(*(83, "E", "Every node is NotReady at once"), R + "every_node_not_ready_at_once_ends_none_of_them"),
    shown(
        *(84, "E", "A node is Ready and NotReady in turn"),
        R + "a_node_that_is_ready_and_not_ready_each_minute_is_left_alone",
    ),
    shown(
        *(85, "F", "A watch says nothing any more"),
        "kube/test_cache.py::test_silence_is_seen_in_the_age_and_ends_the_connection",
        R + "a_watch_that_says_nothing_is_noticed_and_the_queue_is_served",
    ),
    shown(
        *(86, "F", "History is compacted, or a list has lost its objects"),
        "kube/test_cache.py::test_history_that_is_gone_means_a_new_list",
        "core/test_orphans.py::test_instances_but_no_claims_at_all_is_asked_about_never_acted_on",
        R + "a_restored_etcd_without_claims_terminates_nothing_by_itself",
    ),
    shown(
        *(87, "F", "An API server that is behind answers after one that was not"),
        "kube/test_cache.py::test_a_server_that_lags_behind_is_not_believed",
        "kube/test_store.py::test_a_deleted_object_is_not_brought_back_by_an_older_server",
    ),
    shown(
        *(88, "F", "The Lease is lost, the leader sleeps for a minute, two daemons run"),
        "virtual/test_leaders.py::test_a_leader_that_was_stopped_for_a_minute_wakes_up_as_a_standby",
        "crash/test_leaders.py::test_a_leader_that_slept_longer_than_its_lease_writes_nothing_more",
        "crash/test_leaders.py::test_a_leader_that_fell_asleep_between_fence_and_write_does_no_harm",
    ),
    shown(
        *(89, "F", "Credentials of AWS have expired or cannot be had"),
        R + "credentials_that_expired_are_waited_out",
        "aws/test_errors.py::test_no_credentials_is_a_denial_that_says_where_to_put_them",
    ),
    shown(
        *(90, "F", "The disk is full or read-only, or what was on it is gone"),
        "kube/test_identity.py::test_a_full_or_read_only_disk_keeps_the_old_file",
        "kube/test_identity.py::test_a_first_start_writes_a_token_and_a_kubeconfig_that_work",
        CRASH,
    ),
)
