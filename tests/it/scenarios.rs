//! What the core does, one behaviour a file of `tests/scenarios`.

use std::collections::BTreeSet;

use tests::scenario;

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { scenario::check(stringify!($name)); })*

        #[test]
        fn every_file_is_a_scenario_that_runs() {
            let run = BTreeSet::from([$(stringify!($name).to_owned()),*]);
            assert_eq!(BTreeSet::from_iter(scenario::names()), run);
        }
    };
}

scenarios! {
    a_blocked_step_counts_half
    a_busy_host_links_nothing
    a_closed_incident_is_not_merged
    a_command_is_refused_where_there_is_no_such_incident
    a_command_names_the_revision_it_saw
    a_command_sent_again_is_applied_once
    a_duplicate_changes_nothing
    a_full_incident_is_sealed_and_continued
    a_further_entity_counts_half_of_the_one_before
    a_higher_revision_raises_severity_in_place
    a_hop_adds_evidence
    a_hot_thread_attaches_over_days
    a_hot_thread_looks_back_for_its_beginning
    a_late_alert_joins_the_open_incident_and_is_flagged
    a_matching_alert_does_not_reopen_a_false_positive
    a_matching_alert_long_after_closing_begins_a_related_incident
    a_matching_alert_soon_after_closing_reopens_a_true_positive
    a_merge_by_command_keeps_the_bounds
    a_merge_of_two_incidents_leaves_a_redirect
    a_part_that_goes_back_and_is_split_off_again_is_another
    a_quiet_host_links_at_once_and_not_after_days
    a_repeat_after_closing_is_not_swallowed
    a_repeat_reopens_a_true_positive
    a_rule_whose_logic_was_wrong_counts_for_less
    a_scanner_that_sweeps_many_hosts_is_damped
    a_weak_name_that_met_one_strong_identity_counts_in_full
    an_alert_is_linked_with_all_of_its_thread
    an_alias_is_one_to_one
    an_ambiguous_lease_is_weak_evidence
    an_analyst_merges_what_nothing_links
    an_analyst_moves_an_incident_along
    an_incident_that_analysts_worked_on_survives_a_merge_with_all_they_wrote
    an_outcome_beyond_the_bound_is_forgotten
    an_unlinked_alert_stays_away_until_it_is_linked
    an_unlinked_alerts_entities_count_for_less
    bounds_on_what_analysts_write_refuse
    closing_takes_a_classification_and_shuts_the_incident
    generic_accounts_link_nothing
    hosts_that_shared_an_address_by_lease_stay_apart
    identifiers_seen_apart_and_then_together_unite_their_threads
    idle_threads_are_dropped_and_their_uids_forgotten
    incidents_classified_differently_are_not_merged
    incidents_of_different_owners_are_not_merged
    incidents_that_a_bound_keeps_apart_are_related
    one_weak_identifier_links_nothing_and_two_do
    order_does_not_gate
    own_addresses_link_nothing
    promotion_takes_tactics_phases_and_rules
    repeats_fold_into_one_episode
    repeats_make_no_revision_until_a_count_doubles
    routine_alerts_join_and_never_start
    severity_rises_and_never_falls
    severity_set_by_an_analyst_is_pinned
    tenants_never_mix
    the_riskiest_part_keeps_the_id
    the_sensor_itself_links_nothing
    threads_are_stitched_over_days
    two_alerts_unlinked_stay_together_where_others_hold_them
    what_is_expected_starts_nothing
    what_is_founded_in_the_first_hours_is_marked_learning
    what_is_split_off_is_an_incident_of_its_own
    what_its_vendor_correlated_is_published_at_once
    what_must_never_link_does_not
}
