//! The whole state machine on random and hostile input: its indexes agree, and what it publishes is decided by records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use schemas::alert::Alert;
use schemas::binding::Binding;
use schemas::decode::{Envelope, Format, Limits, decode};
use schemas::incident::Incident;
use schemas::time::Timestamp;
use serde_json::json;

use super::Fusion;
use crate::graph::{Edge, components};
use crate::settings::Settings;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
const MONDAY: i64 = 1_767_571_200_000;

/// Returns the alert that a record in the friendly form says.
pub(crate) fn alert(record: &serde_json::Value) -> Alert {
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

/// One input.
#[derive(Clone, Debug)]
enum Input {
    Alert(Box<Alert>),
    Lease(Binding),
    Time(i64),
}

/// What to draw: numbers that [`input`] makes an input of.
type Draw = (u8, i64, [u8; 6], bool);

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let step = prop_oneof![
        6 => 0..40 * MINUTE,
        2 => -5 * HOUR..5 * HOUR,
        1 => 10 * HOUR..60 * HOUR,
    ];
    let draw = (0..20_u8, step, any::<[u8; 6]>(), any::<bool>());
    proptest::collection::vec(draw, 1..160)
}

fn inputs(draws: &[Draw]) -> Vec<Input> {
    let mut now = 0;
    let mut newest = 0;
    let mut inputs = Vec::new();
    for (number, draw) in draws.iter().enumerate() {
        now += draw.1;
        newest = newest.max(now);
        inputs.push(input(number, now, newest, draw));
    }
    inputs
}

fn input(number: usize, now: i64, newest: i64, (kind, _, dice, flag): &Draw) -> Input {
    let [a, b, c, d, e, f] = *dice;
    if *kind == 0 {
        return Input::Lease(Binding {
            tenant: "t".into(),
            ip: format!("10.0.0.{}", a % 3),
            host: format!("h{}", b % 6),
            from: Timestamp(MONDAY + now),
            to: Timestamp(MONDAY + now + i64::from(c) * HOUR / 8),
        });
    }
    if *kind < 3 {
        return Input::Time(MONDAY + newest - 10 * MINUTE);
    }
    let mut entities = vec![json!({"type": "host", "value": format!("h{}", a % 6)})];
    match b % 5 {
        0 => entities.push(json!({"type": "account", "value": format!("u{}", c % 4)})),
        1 => entities.push(json!({"type": "account", "value": format!("u{}", c % 4),
            "alt": {"sid": format!("S-1-5-21-1-2-3-{}", 1_000 + u32::from(d % 4))}})),
        2 => entities.push(json!({"type": "account", "value": format!("x{}", d % 3),
            "alt": {"sid": format!("S-1-5-21-1-2-3-{}", 1_000 + u32::from(c % 4)),
                    "upn": format!("u{}@t.example", d % 4)}})),
        3 => entities.push(json!({"type": "ip", "value": format!("10.0.0.{}", c % 4)})),
        _ => {}
    }
    if d % 3 == 0 {
        entities.push(
            json!({"type": "ip", "value": format!("198.51.100.{}", e % 5), "role": "source"}),
        );
    }
    if f % 16 == 0 {
        for n in 0..6 {
            entities.push(
                json!({"type": "host", "value": format!("s{}", (usize::from(e) + n * 3) % 24)}),
            );
        }
    }
    let rule = e % 9;
    let tactic = [
        "initial-access",
        "execution",
        "credential-access",
        "lateral-movement",
        "exfiltration",
    ]
    .get(usize::from(rule % 5))
    .copied();
    let id = if *flag && f % 8 == 0 {
        number / 2
    } else {
        number
    };
    let length = if f % 11 == 0 { i64::from(c) * HOUR } else { 0 };
    let mut alert = alert(&json!({
        "id": format!("a{id}"), "title": format!("r{rule}"), "rule": format!("r{rule}"),
        "time": Timestamp(MONDAY + now).to_string(),
        "end_time": Timestamp(MONDAY + now + length).to_string(),
        "severity": (["low", "medium", "high", "critical"].get(usize::from(b % 4))),
        "source": (["edr", "ndr"].get(usize::from(a % 2))), "tactics": [tactic], "entities": entities,
    }));
    alert.revision = i64::from(f / 16);
    Input::Alert(Box::new(alert))
}

/// Settings whose every bound is met soon.
fn tight() -> Settings {
    let mut settings = Settings::default();
    settings.promote.tactics = 2;
    settings.promote.risk_tenths = 50;
    settings.promote.rules = 2;
    settings.attach.mature_ms = HOUR;
    settings.attach.hot_burst = 2_000;
    settings.link.bar = 4_000;
    let limits = &mut settings.limits;
    limits.incident_episodes = 7;
    limits.incident_entities = 9;
    limits.incident_life_ms = 60 * HOUR;
    (limits.ring, limits.ring_threads, limits.links) = (4, 3, 2);
    limits.repeat_uids = 2;
    limits.cold_idle_ms = 20 * HOUR;
    limits.warm_idle_ms = 50 * HOUR;
    limits.entity_idle_ms = 100 * HOUR;
    (limits.episodes, limits.entities) = (30, 20);
    (limits.rules, limits.rules_at_entity) = (7, 3);
    (limits.uids, limits.leases) = (40, 4);
    settings
}

fn apply(fusion: &mut Fusion, input: &Input) {
    match input {
        Input::Alert(alert) => {
            fusion.handle_alert(alert);
        }
        Input::Lease(binding) => fusion.handle_binding(binding),
        Input::Time(time) => fusion.handle_time(Timestamp(*time)),
    }
}

fn polled(fusion: &mut Fusion) -> Vec<Incident> {
    std::iter::from_fn(|| fusion.poll_incident()).collect()
}

/// Fails where two indexes of the state disagree or a bound does not hold.
#[track_caller]
pub(crate) fn consistent(fusion: &Fusion) {
    let limits = &fusion.settings.limits;
    let size = |max: u32| usize::try_from(max).unwrap();
    assert!(fusion.episodes.len() <= size(limits.episodes));
    assert!(fusion.uids.len() <= size(limits.uids));
    assert!(fusion.touched.is_empty());
    let remembered: usize = fusion.uid_hours.values().map(|uids| uids.len()).sum();
    assert_eq!(remembered, fusion.uids.len());
    let mut queue = BTreeSet::new();
    let mut placed = 0;
    let mut named: BTreeMap<u32, u32> = BTreeMap::new();
    for number in 0..fusion.threads.next() {
        let Some(thread) = fusion.threads.get(number) else {
            continue;
        };
        queue.insert((thread.expires, number));
        placed += thread.episodes.len();
        let mut mentioned = BTreeSet::new();
        for number in &thread.episodes {
            let episode = fusion.episodes.get(*number).unwrap();
            assert_eq!(episode.thread, thread.founder, "episode {number}");
            for mention in &episode.mentions {
                *named.entry(mention.entity.0).or_default() += 1;
                mentioned.insert(mention.entity);
            }
        }
        links_hold(fusion, thread, &mentioned);
        for (entity, presence) in &thread.entities {
            assert!(mentioned.contains(entity), "presence of {entity:?}");
            for number in &presence.episodes {
                let episode = fusion.episodes.get(*number).unwrap();
                assert!(!episode.context && episode.thread == thread.founder);
                assert!(episode.mention(*entity).is_some());
            }
        }
    }
    assert_eq!(queue, fusion.expiry);
    assert_eq!(
        placed,
        fusion.episodes.len(),
        "each episode is in one thread"
    );
    for (key, number) in &fusion.open {
        assert_eq!(&fusion.episodes.get(*number).unwrap().fold_key(), key);
    }
    fusion.entities.consistent(&named, |id, state| {
        assert!(state.ring.len() <= size(limits.ring));
        assert!(state.threads.len() <= size(limits.ring_threads));
        assert!(state.rules.len() <= size(limits.rules_at_entity));
        for number in &state.threads {
            let thread = fusion.threads.get(*number).unwrap();
            assert!(thread.warm && thread.entities.contains_key(&id));
        }
        for number in &state.ring {
            let episode = fusion.episodes.get(*number);
            assert!(episode.is_none_or(|episode| episode.mention(id).is_some()));
        }
        let live = |number: &&u64| fusion.episodes.get(**number).is_some();
        let indexed = state.episodes.iter().filter(live).count();
        assert_eq!(indexed, usize::try_from(state.live).unwrap());
    });
}

/// Fails where the links of a thread do not add up, name what is not there, or do not hold all of it together.
#[track_caller]
fn links_hold(
    fusion: &Fusion,
    thread: &crate::thread::Thread,
    mentioned: &BTreeSet<crate::entity::EntityId>,
) {
    let place = |number: u64| thread.episodes.iter().position(|known| *known == number);
    let mut joins = Vec::new();
    for (at, number) in thread.episodes.iter().enumerate() {
        for link in &fusion.episodes.get(*number).unwrap().links {
            assert_eq!(link.to, *number);
            assert_eq!(
                link.terms.iter().map(|term| term.bits).sum::<i32>(),
                link.weight
            );
            let entities = link.terms.iter().filter_map(|term| term.entity);
            for entity in entities {
                assert!(mentioned.contains(&entity), "a term names {entity:?}");
            }
            if link.joined {
                assert!(link.weight >= link.bar, "{link:?}");
                joins.push(Edge {
                    from: place(link.from).unwrap(),
                    to: at,
                    weight: link.weight,
                });
            }
        }
    }
    assert_eq!(joins.len() + 1, thread.episodes.len());
    assert_eq!(components(thread.episodes.len(), &joins).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn indexes_agree_and_bounds_hold_after_every_input(draws in draws()) {
        let mut fusion = Fusion::new("t", Arc::new(tight()));
        for input in inputs(&draws) {
            apply(&mut fusion, &input);
            consistent(&fusion);
        }
    }

    #[test]
    fn a_revision_says_the_same_whenever_it_is_polled(draws in draws(), every in 2..20_usize) {
        let (mut always, mut seldom) = (
            Fusion::new("t", Arc::new(tight())),
            Fusion::new("t", Arc::new(tight())),
        );
        let mut published: BTreeMap<(String, i64), Incident> = BTreeMap::new();
        let mut newest: BTreeMap<String, i64> = BTreeMap::new();
        for (number, input) in inputs(&draws).iter().enumerate() {
            apply(&mut always, input);
            apply(&mut seldom, input);
            for incident in polled(&mut always) {
                let before = newest.insert(incident.id.clone(), incident.revision);
                prop_assert!(before.is_none_or(|before| before < incident.revision));
                published.insert((incident.id.clone(), incident.revision), incident);
            }
            if number % every == 0 {
                for incident in polled(&mut seldom) {
                    let same = published.get(&(incident.id.clone(), incident.revision));
                    prop_assert_eq!(same, Some(&incident));
                }
            }
        }
    }
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
        consistent(fusion);
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
