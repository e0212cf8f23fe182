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
    a_duplicate_changes_nothing
    a_full_incident_is_sealed_and_continued
    a_further_entity_counts_half_of_the_one_before
    a_higher_revision_raises_severity_in_place
    a_hop_adds_evidence
    a_hot_thread_attaches_over_days
    a_hot_thread_looks_back_for_its_beginning
    a_late_alert_joins_the_open_incident_and_is_flagged
    a_merge_of_two_incidents_leaves_a_redirect
    a_quiet_host_links_at_once_and_not_after_days
    a_scanner_that_sweeps_many_hosts_is_damped
    a_weak_name_that_met_one_strong_identity_counts_in_full
    an_alias_is_one_to_one
    an_ambiguous_lease_is_weak_evidence
    generic_accounts_link_nothing
    hosts_that_shared_an_address_by_lease_stay_apart
    identifiers_seen_apart_and_then_together_unite_their_threads
    idle_threads_are_dropped_and_their_uids_forgotten
    incidents_that_a_bound_keeps_apart_are_related
    one_weak_identifier_links_nothing_and_two_do
    order_does_not_gate
    own_addresses_link_nothing
    promotion_takes_tactics_phases_and_rules
    repeats_fold_into_one_episode
    repeats_make_no_revision_until_a_count_doubles
    routine_alerts_join_and_never_start
    severity_rises_and_never_falls
    tenants_never_mix
    the_sensor_itself_links_nothing
    threads_are_stitched_over_days
    what_is_founded_in_the_first_hours_is_marked_learning
    what_its_vendor_correlated_is_published_at_once
    what_must_never_link_does_not
}
