//! What hostile or unlucky records must not do to a tenant's state.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::alert::Alert;
use schemas::decode::{Envelope, Format, Limits, decode};
use schemas::time::Timestamp;
use serde_json::json;

use super::Fusion;
use crate::invariants::check;
use crate::settings::Settings;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
pub(crate) const MONDAY: i64 = 1_767_571_200_000;

/// Returns the alert that a record in the friendly form says.
fn alert(record: &serde_json::Value) -> Alert {
    let envelope = Envelope {
        topic: "alerts",
        partition: 0,
        offset: 0,
        timestamp: None,
        tenant: Some("t"),
    };
    let bytes = record.to_string();
    let decoded = decode(
        bytes.as_bytes(),
        Some(Format::Fusor),
        &envelope,
        &Limits::default(),
    );
    decoded.unwrap().remove(0)
}

/// Returns a medium alert of `rule` at `time` that names `entities`, as in `host:a account:u~sid:S-1-5-21-1`.
pub(crate) fn simple(id: &str, rule: &str, time: i64, entities: &str) -> Alert {
    let entities: Vec<_> = entities
        .split_whitespace()
        .map(|text| {
            let mut names = text.split('~');
            let (kind, value) = names.next().unwrap().split_once(':').unwrap();
            let alt: BTreeMap<&str, &str> =
                names.map(|name| name.split_once(':').unwrap()).collect();
            json!({"type": kind, "value": value, "alt": alt})
        })
        .collect();
    alert(&json!({
        "id": id, "title": rule, "rule": rule, "entities": entities,
        "time": Timestamp(MONDAY + time).to_string(),
    }))
}

fn fusion(settings: Settings) -> Fusion {
    Fusion::new("t", Arc::new(settings))
}

/// Applies alerts five minutes apart, each of a rule of its own.
fn applied(fusion: &mut Fusion, alerts: &[&str]) {
    let first = fusion.episodes.next();
    for (entities, at) in alerts.iter().zip(0..) {
        let name = format!("a{}", first + u64::try_from(at).unwrap());
        fusion.handle_alert(&simple(&name, &name, at * 5 * MINUTE, entities));
        assert_eq!(check(fusion), Ok(()));
    }
}

#[test]
fn two_mentions_of_one_alert_that_unite_in_a_row_leave_one_entity() {
    let mut fusion = fusion(Settings::default());
    let (upn, sid, name) = (
        "upn:bob@t.example",
        "sid:S-1-5-21-1-2-3-1001",
        "account:bob",
    );
    applied(
        &mut fusion,
        &[
            &format!("account:x~{sid}"),
            "account:bob@t.example",
            "account:bob",
            &format!("account:x~{sid}~{upn} {name}~{sid} {name}~{upn}"),
            "account:bob",
        ],
    );
}

#[test]
fn an_entity_named_first_is_not_forgotten_for_one_named_later() {
    let mut settings = Settings::default();
    settings.limits.entities = 2;
    settings.limits.episodes = 1;
    let mut fusion = fusion(settings);
    applied(&mut fusion, &["host:a host:b", "host:c", "host:a host:d"]);
    let episode = fusion.episodes.get(fusion.episodes.next() - 1).unwrap();
    let names: Vec<&str> = episode
        .mentions
        .iter()
        .filter_map(|mention| fusion.entities.get(mention.entity))
        .map(|entity| entity.name.display.as_str())
        .collect();
    assert_eq!(names.first(), Some(&"a"));
}

#[test]
fn a_new_identifier_beside_a_name_that_is_taken_is_someone_else() {
    let mut fusion = fusion(Settings::default());
    applied(
        &mut fusion,
        &[
            "account:S-1-5-21-1-2-3-1001~upn:bob@t.example",
            "account:S-1-5-21-1-2-3-1002~upn:bob@t.example",
            "account:S-1-5-21-1-2-3-1002",
        ],
    );
    let named = |number: u64| fusion.episodes.get(number).unwrap().mentions.clone();
    assert_ne!(named(0), named(1));
    assert_eq!(named(1), named(2));
}

#[test]
fn an_alert_that_lasts_too_long_seals_nothing() {
    let mut fusion = fusion(Settings::default());
    applied(&mut fusion, &["host:a account:b", "host:a account:b"]);
    let mut long = simple("long", "long", 20 * MINUTE, "host:a account:b");
    long.end_time = Timestamp(long.start_time.millis() + 20 * 24 * HOUR);
    fusion.handle_alert(&long);
    assert_eq!(fusion.threads.len(), 2);
    assert_eq!(fusion.stats().sealed, 0);
}
