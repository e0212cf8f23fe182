//! What a row is in bytes, and that an input that broke off leaves nothing behind.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use expect_test::{Expect, expect};
use schemas::alert::Alert;
use schemas::binding::Binding;
use schemas::time::Timestamp;

use super::{Problem, RowKey, StateError};
use crate::fusion::Fusion;
use crate::fusion::tests::{MONDAY, simple};
use crate::invariants::check;
use crate::settings::Settings;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

thread_local! {
    /// Steps that may still be noted before one breaks off; none to let all pass.
    static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Breaks off where the test that runs wants it.
pub(crate) fn step() {
    STEPS_LEFT.with(|left| match left.get() {
        Some(0) => {
            left.set(None);
            std::panic::resume_unwind(Box::new("broken off"));
        }
        Some(steps) => left.set(Some(steps - 1)),
        None => {}
    });
}

/// Runs `input` again and again, breaking it off at one step after the other and undoing it, until it comes through.
/// Returns how often it broke off.
fn broken_off(fusion: &mut Fusion, input: impl Fn(&mut Fusion)) -> u32 {
    let (before, stats) = (fusion.digest(), fusion.stats());
    for steps in 0.. {
        STEPS_LEFT.with(|left| left.set(Some(steps)));
        let done = catch_unwind(AssertUnwindSafe(|| input(fusion))).is_ok();
        STEPS_LEFT.with(|left| left.set(None));
        if done {
            return steps;
        }
        fusion.undo();
        assert_eq!(fusion.digest(), before, "after step {steps}");
        assert_eq!(fusion.stats(), stats, "after step {steps}");
        assert_eq!(check(fusion), Ok(()), "after step {steps}");
    }
    0
}

/// Returns the rows as text.
fn told(fusion: &Fusion) -> String {
    let hex = |value: &[u8]| -> String { value.iter().map(|byte| format!("{byte:02x}")).collect() };
    let rows = fusion.rows();
    rows.map(|(key, value)| format!("{key} {}\n", hex(&value)))
        .collect()
}

/// Small bounds, so that everything has to make room.
fn small() -> Settings {
    let mut settings = Settings::default();
    let limits = &mut settings.limits;
    (limits.episodes, limits.entities, limits.rules) = (8, 6, 4);
    (limits.uids, limits.leases, limits.ring) = (9, 3, 3);
    (limits.ring_threads, limits.rules_at_entity) = (2, 2);
    limits.incident_episodes = 6;
    (limits.cold_idle_ms, limits.warm_idle_ms) = (6 * HOUR, 20 * HOUR);
    limits.entity_idle_ms = 12 * HOUR;
    settings
}

fn tracked(settings: Settings) -> Fusion {
    Fusion::new("t", Arc::new(settings)).track()
}

/// Alerts that repeat, link, stitch, unite entities and fill every bound; `n` counts them.
fn alert(n: i64) -> Alert {
    let entities = match n % 7 {
        0 => "host:a account:bob@t.example",
        1 => "host:a account:bob",
        2 => "host:b account:S-1-5-21-1-2-3-1001",
        3 => "host:d account:S-1-5-21-1-2-3-1001~upn:bob@t.example",
        4 => "host:a host:b",
        5 => "ip:10.0.0.1 account:bob",
        _ => "host:c dns:evil.example.net",
    };
    let rule = format!("r{}", n * 5 % 11);
    let time = n * 37 * MINUTE + n / 9 * 3 * HOUR - n % 5 * 20 * MINUTE;
    let mut alert = simple(
        &format!("a{}", n - i64::from(n % 8 == 7)),
        &rule,
        time,
        entities,
    );
    alert.revision = n;
    if n % 6 == 4 {
        alert.kind = schemas::alert::AlertKind::Incident;
    }
    alert
}

fn lease(n: i64) -> Binding {
    Binding {
        tenant: "t".to_owned(),
        ip: format!("10.0.0.{}", n % 2 + 1),
        host: format!("h{n}"),
        from: Timestamp(MONDAY + n * HOUR),
        to: Timestamp(MONDAY + n * HOUR + 5 * HOUR),
    }
}

#[test]
fn an_input_that_breaks_off_anywhere_leaves_nothing_behind() {
    let mut fusion = tracked(small());
    let mut straight = Fusion::new("t", Arc::new(small()));
    let mut broken = 0;
    for n in 0..70 {
        let (alert, lease) = (alert(n), lease(n));
        let input = |fusion: &mut Fusion| {
            fusion.handle_time(alert.start_time.plus(-10 * MINUTE));
            if n % 4 == 0 {
                fusion.handle_binding(&lease);
            }
            fusion.handle_alert(&alert);
        };
        broken += broken_off(&mut fusion, input);
        fusion.commit();
        input(&mut straight);
        assert_eq!(told(&fusion), told(&straight), "input {n}");
        assert_eq!(fusion.digest(), straight.digest());
        assert_eq!(fusion.poll_incident(), straight.poll_incident());
        while fusion.poll_incident().is_some() | straight.poll_incident().is_some() {}
    }
    let stats = fusion.stats();
    let seldom = [
        stats.promoted,
        stats.evicted_by_bound,
        stats.entities_merged,
    ];
    assert!(!seldom.contains(&0) && broken > 1_000, "{stats:?} {broken}");
}

#[test]
fn what_is_not_tracked_is_not_remembered() {
    let mut fusion = Fusion::new("t", Arc::new(small()));
    for n in 0..40 {
        fusion.handle_alert(&alert(n));
    }
    let rows = fusion.changes();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let mut tracked = Fusion::new("t", Arc::new(small()));
    for n in 0..40 {
        tracked.handle_alert(&alert(n));
    }
    let mut tracked = tracked.track();
    assert_eq!(tracked.changes(), Vec::new());
    let before = tracked.digest();
    tracked.handle_alert(&alert(40));
    assert!(tracked.changes().len() > 3);
    tracked.undo();
    assert_eq!(tracked.digest(), before);
}

#[test]
fn a_repeat_writes_its_episode_thread_rule_and_tenant_alone() {
    let mut fusion = tracked(Settings::default());
    fusion.handle_alert(&simple("a", "r", 0, "host:a account:b"));
    fusion.commit();
    fusion.handle_alert(&simple("b", "r", MINUTE, "host:a account:b"));
    let keys: Vec<String> = fusion
        .changes()
        .iter()
        .map(|(key, _)| key.to_string())
        .collect();
    assert_eq!(keys, ["tenant", "rule/1", "episode/0", "thread/0"]);
    fusion.commit();
    fusion.handle_alert(&simple("b", "r", MINUTE, "host:a account:b"));
    assert_eq!(fusion.changes(), Vec::new());
}

#[test]
fn what_is_forgotten_is_told_as_gone() {
    let mut fusion = tracked(Settings::default());
    fusion.handle_alert(&simple("a", "r", 0, "host:a"));
    fusion.commit();
    fusion.handle_time(Timestamp(MONDAY + 90 * DAY));
    let gone: Vec<String> = fusion
        .changes()
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| key.to_string())
        .collect();
    assert_eq!(gone, ["rule/1", "entity/0", "episode/0", "thread/0"]);
    assert_eq!(fusion.remembers_from(), None);
}

#[test]
fn keys_have_one_way_of_writing() {
    for text in [
        "tenant",
        "rule/0",
        "entity/7",
        "episode/18446744073709551615",
        "thread/3",
        "lease/10.0.0.1/-5",
        "lease/::1/0",
        "command/12",
    ] {
        assert_eq!(text.parse::<RowKey>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "tenant/",
        "rule",
        "rule/",
        "rule/01",
        "rule/+1",
        "entity/4294967296",
        "lease/10.0.0.1",
        "lease/0:0::1/0",
        "lease/10.0.0.1/5/6",
        "other/1",
    ] {
        assert!(text.parse::<RowKey>().is_err(), "{text}");
    }
}

#[test]
fn a_number_that_would_exhaust_memory_is_refused() {
    let mut fusion = tracked(Settings::default());
    fusion.handle_alert(&simple("a", "r", 0, "host:a"));
    let rows: Vec<_> = fusion.rows().collect();
    let mut restored = tracked(Settings::default());
    for (key, value) in &rows {
        let far = match key {
            RowKey::Entity(_) => RowKey::Entity(u32::MAX),
            RowKey::Rule(_) => RowKey::Rule(u32::MAX),
            RowKey::Tenant
            | RowKey::Lease(..)
            | RowKey::Episode(_)
            | RowKey::Thread(_)
            | RowKey::Command(_) => continue,
        };
        let problem = Problem::OutOfRange("number");
        let error = StateError { row: far, problem };
        assert_eq!(restored.put(&far, Some(value)), Err(error));
    }
}

/// Rows stay readable: a change of these bytes needs a new version of the format.
#[test]
fn rows_are_written_as_ever() {
    let mut fusion = tracked(Settings::default());
    fusion.handle_binding(&lease(0));
    let mut first = simple("a", "r", 0, "host:a account:x~upn:bob@t.example");
    first.kind = schemas::alert::AlertKind::Incident;
    fusion.handle_alert(&first);
    fusion.handle_alert(&simple("b", "s", 5 * MINUTE, "host:a account:bob"));
    let digest = format!("{:032x}\n", fusion.digest());
    golden().assert_eq(&(told(&fusion) + &digest));
}

fn golden() -> Expect {
    expect![[r#"
        tenant 0180e0a0b7f166c0afc5b7f166ffffffffffffffffff01ffffffffffffffffff0100e0f73b02e0f73b0280a29511010000000000000000000000000002030102010000
        rule/0 0000000000000000
        rule/1 017200e0f73b01e0f73b80e0a0b7f1660000
        rule/2 017300e0f73b01e0f73bc0afc5b7f1660000
        entity/0 0b686f73743a6e616d653a6104686f737401610000e0f73b02e0f73b00e0f73b02e0f73b00e0f73b01e0f73b020100e0f73b01e0f73b0200e0f73b01e0f73b0200010100020180e0a0b7f16602c0afc5b7f1660000000000e0f73b
        entity/1 0e6163636f756e743a6e616d653a78076163636f756e74017801196163636f756e743a75706e3a626f6240742e6578616d706c6500e0f73b01e0f73b00e0f73b01e0f73b00e0f73b01e0f73b010100e0f73b01e0f73b01000100010080e0a0b7f16601106163636f756e743a6e616d653a626f620000000000e0f73b
        entity/2 106163636f756e743a6e616d653a626f62076163636f756e7403626f620000e0f73b01e0f73b00e0f73b01e0f73b00e0f73b01e0f73b010200e0f73b01e0f73b010101000100c0afc5b7f1660000000000e0f73b
        lease/10.0.0.1/1767571200000 018082b6c8f166026830
        episode/0 10430d6f1f3fe85dd998b6ea4a0642687b076675736f723a6101610101720172056675736f720000033202000001000200000100000000b82c00000000000180e0a0b7f1660280e0a0b7f166000280e0a0b7f1660000010000
        episode/1 103a35a38668b55bcba323281a75935251076675736f723a6201620201730173056675736f720000033202000002000200000200000000bc2c000000000000c0afc5b7f16602c0afc5b7f1660002c0afc5b7f1660000010001000101c0cf2401010100a09c01a09c01f86001
        thread/0 10430d6f1f3fe85dd998b6ea4a0642687b02000180e0a0b7f166c0afc5b7f166e011030080e0a0b7f166c0afc5b7f166c0afc5b7f166d5aae60c02000102010101020101000180e0a0b7f16680e0a0b7f16680e0a0b7f166d5aae60c01000101010101196163636f756e743a75706e3a626f6240742e6578616d706c6502c0afc5b7f166c0afc5b7f166c0afc5b7f1669cbfe30c010101020101000201010102010100010001010480e0a0b7f166c0afc5b7f166020206020000001e52656c6174656420616c65727473206f6e206120616e642032206d6f7265010001000000000000000000000000000000
        8926d224bf730a2e837ef3a9ca699729
    "#]]
}
