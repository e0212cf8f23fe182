use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

#[test]
fn a_seed_makes_the_same_scenario_and_another_seed_another() {
    assert_eq!(scenario(1).records, scenario(1).records);
    assert_ne!(scenario(1).records, scenario(2).records);
}

#[test]
fn several_thousand_alerts_mean_nothing_and_a_few_dozen_are_attacks() {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for record in scenario(1).records {
        *counts.entry(record.attack).or_default() += 1;
    }
    assert!(counts[&None] > 4000, "{counts:?}");
    assert_eq!((counts[&Some(RANSOMWARE)], counts[&Some(MAILBOX)]), (44, 9));
}

#[test]
fn every_record_goes_to_a_known_topic_and_is_one_json_object() {
    let topics: BTreeSet<&str> = TOPICS.iter().map(|(topic, _)| *topic).collect();
    let mut used = BTreeSet::new();
    for record in scenario(1).records {
        let value: Value = serde_json::from_slice(&record.bytes).unwrap();
        assert!(value.is_object());
        used.insert(record.topic);
    }
    assert_eq!(
        used.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        topics
    );
}

#[test]
fn the_ransomware_takes_three_hours_and_four_hosts_and_both_sites_know_their_names() {
    let records = scenario(1).records;
    let text = |record: &Sent| String::from_utf8(record.bytes.clone()).unwrap();
    for host in ["ws-014", "ws-031", "file-02", "backup-01"] {
        let of = |attack| {
            records
                .iter()
                .any(|record| record.attack == attack && text(record).contains(host))
        };
        assert!(of(Some(RANSOMWARE)) && of(None), "{host}");
        let alpine = |record: &Sent| text(record).contains(ALPINE) && text(record).contains(host);
        assert!(records.iter().any(alpine), "{host} at the other site");
    }
}
