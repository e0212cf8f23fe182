//! Made-up alerts: few entities and rules, so that they meet; times that step back now and then.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use schemas::alert::{Alert, AlertDisposition, AlertKind, Severity};
use schemas::attack::attacks_of;
use schemas::binding::Binding;
use schemas::entity::{Entity, EntityRole, named};
use schemas::time::Timestamp;
use tests::scenario::{Step, blank};

/// 2026-01-05T00:00:00Z.
pub(crate) const START: i64 = 1_767_571_200_000;
const MINUTE: i64 = 60_000;

/// How hard the inputs are to get right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// One name an entity; leases.
    Plain,
    /// Several strong and weak names of the same entities.
    Aliased,
    /// Times, counts and numbers of entities that nobody sends in good faith.
    Hostile,
}

/// Returns streams of up to `max` inputs, in the order of arrival.
pub(crate) fn steps(kind: Kind, max: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(drafted(kind), 1..=max).prop_map(|drafts| {
        let mut time = START;
        let mut steps: Vec<Step> = Vec::new();
        for (number, draft) in drafts.into_iter().enumerate() {
            time += draft.minutes * MINUTE;
            steps.push(draft.step(number, time));
        }
        steps
    })
}

#[derive(Clone, Debug)]
struct Draft {
    minutes: i64,
    rule: usize,
    severity: Severity,
    tactics: Vec<&'static str>,
    product: usize,
    entities: Vec<Entity>,
    confidence: Option<i32>,
    /// 0 to 99: what else is special.
    odd: u32,
    lease: (u8, u8, i64, i64),
    hostile: Option<(i64, i64, i32)>,
}

impl Draft {
    fn step(self, number: usize, time: i64) -> Step {
        if self.odd < 6 {
            let (ip, host, before, hours) = self.lease;
            return Step::Lease(Binding {
                tenant: "acme".to_owned(),
                ip: format!("10.0.0.{ip}"),
                host: format!("h{host}"),
                from: Timestamp(time - before * 60 * MINUTE),
                to: Timestamp(time + hours * 60 * MINUTE),
            });
        }
        Step::Alert(Box::new(self.alert(number, time)))
    }

    fn alert(self, number: usize, time: i64) -> Alert {
        let rule = self.rule;
        let mut alert = blank(&format!("a{number}"), &format!("r{rule}"), Timestamp(time));
        alert.source.product = Some(format!("p{}", self.product));
        alert.severity = self.severity;
        alert.attacks = attacks_of(&self.tactics, &[] as &[&str]);
        alert.entities = self.entities;
        alert.confidence = self.confidence;
        match self.odd {
            6..10 => {
                alert.uid = format!("a{}", number.saturating_sub(1));
                alert.revision = i64::from(self.odd) - 7;
            }
            10..14 => alert.kind = AlertKind::Incident,
            14..18 => alert.disposition = AlertDisposition::Blocked,
            18..20 => alert.kind = AlertKind::Vulnerability,
            20..24 => alert.end_time = alert.start_time.plus(20 * MINUTE),
            24..28 => alert.count = 5,
            _ => {}
        }
        if let Some((start, end, count)) = self.hostile {
            alert.start_time = Timestamp(start);
            alert.end_time = Timestamp(end);
            alert.count = count;
            alert.revision = start;
        }
        alert
    }
}

fn drafted(kind: Kind) -> impl Strategy<Value = Draft> {
    let minutes = prop_oneof![
        6 => 0_i64..12,
        3 => 12_i64..180,
        1 => 180_i64..3_000,
        2 => -90_i64..0,
    ];
    let severity = select(vec![
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ]);
    let most: usize = if kind == Kind::Hostile { 64 } else { 3 };
    let common = prop_oneof![9 => 1_usize..=3, 1 => 0..=most]
        .prop_flat_map(move |count| vec(entity(kind), count));
    (
        minutes,
        0_usize..9,
        severity,
        subsequence(TACTICS.to_vec(), 0..=2),
        0_usize..3,
        common,
        proptest::option::of(0_i32..=100),
        0_u32..100,
        (1_u8..4, 0_u8..5, 0_i64..8, 1_i64..8),
        hostile(kind),
    )
        .prop_map(
            |(
                minutes,
                rule,
                severity,
                tactics,
                product,
                entities,
                confidence,
                odd,
                lease,
                hostile,
            )| {
                Draft {
                    minutes,
                    rule,
                    severity,
                    tactics,
                    product,
                    entities,
                    confidence,
                    odd,
                    lease,
                    hostile,
                }
            },
        )
}

fn hostile(kind: Kind) -> BoxedStrategy<Option<(i64, i64, i32)>> {
    if kind != Kind::Hostile {
        return Just(None).boxed();
    }
    let time = || {
        prop_oneof![
            Just(Timestamp::MIN.0),
            Just(Timestamp::MAX.0),
            Just(START),
            Timestamp::MIN.0..Timestamp::MAX.0,
        ]
    };
    let count = prop_oneof![Just(i32::MAX), Just(i32::MIN), any::<i32>()];
    proptest::option::of((time(), time(), count)).boxed()
}

fn entity(kind: Kind) -> BoxedStrategy<Entity> {
    let role = select(vec![
        EntityRole::Unknown,
        EntityRole::Unknown,
        EntityRole::Source,
        EntityRole::Target,
        EntityRole::Actor,
    ]);
    let plain = prop_oneof![
        4 => (0_u8..6).prop_map(|n| named("host", &format!("h{n}"), [])),
        3 => (0_u8..4).prop_map(|n| named("account", &format!("u{n}@acme.example"), [])),
        2 => (1_u8..4).prop_map(|n| named("ip", &format!("10.0.0.{n}"), [])),
        1 => (1_u8..4).prop_map(|n| named("ip", &format!("8.8.4.{n}"), [])),
        1 => (1_u8..4).prop_map(|n| named("dns", &format!("evil{n}.example.net"), [])),
        1 => (1_u8..3).prop_map(|n| named("cloud-application", &format!("app{n}"), [])),
    ];
    let name = match kind {
        Kind::Plain => plain.boxed(),
        Kind::Aliased | Kind::Hostile => prop_oneof![plain, aliased()].boxed(),
    };
    (name, role, 0_u8..12)
        .prop_map(move |(entity, role, weak)| {
            let mut entity = entity.unwrap();
            entity.role = role;
            if weak == 0 && kind != Kind::Plain {
                let strong = entity.key.take().into_iter();
                entity.weak_keys = strong.chain(entity.alt_keys.drain(..)).collect();
            }
            entity
        })
        .boxed()
}

/// Any of the names of one account or host, or several of them, now and then those of another.
fn aliased() -> impl Strategy<Value = Option<Entity>> {
    let names = subsequence(vec!["upn", "sid", "aad", "guid"], 1..=3);
    (0_u8..4, names, 0_u8..8).prop_map(|(n, names, wrong)| {
        let mut entities = names.into_iter().enumerate().map(|(at, name)| {
            let n = if wrong == 0 && at > 0 { (n + 1) % 4 } else { n };
            match name {
                "upn" => format!("account:upn:u{n}@acme.example"),
                "sid" => format!("account:sid:s-1-5-21-1-2-3-110{n}"),
                "aad" => format!("account:aad:00000000-0000-0000-0000-00000000000{n}"),
                _ => format!("account:guid:10000000-0000-0000-0000-00000000000{n}"),
            }
        });
        let key = entities.next()?;
        Some(Entity {
            kind: "account".to_owned(),
            display: key.clone(),
            key: Some(key),
            alt_keys: entities.collect(),
            weak_keys: vec![format!("account:name:u{n}")],
            ..Entity::default()
        })
    })
}

const TACTICS: [&str; 9] = [
    "TA0043", "TA0001", "TA0002", "TA0005", "TA0006", "TA0008", "TA0011", "TA0010", "TA0040",
];
