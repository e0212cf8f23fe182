//! A seeded week of a small company: routine alerts from every host, a few attacks among them, some records nobody can read.
//!
//! One seed gives the same bytes on every machine. Times are fixed, far in the past: the records carry them as their own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kafka::Outgoing;

/// Records ready to be produced, and what is known of them.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Everything, by time. In each partition the times rise.
    pub records: Vec<Outgoing>,
    /// Number of records per topic, broken ones and repeats included.
    pub counts: BTreeMap<&'static str, u64>,
    /// The records nobody can read.
    pub broken: Vec<Broken>,
    /// Records delivered a second time, byte for byte.
    pub num_repeated: u64,
    /// Ids of the alerts of each attack, as their sensors wrote them.
    pub attacks: Vec<Vec<String>>,
}

/// A record nobody can read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// Where it was produced.
    pub topic: &'static str,
    /// Its bytes.
    pub value: Vec<u8>,
    /// The word for why it is refused.
    pub reason: &'static str,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Volume {
    /// Drives every choice.
    pub seed: u64,
    /// Alerts in all, those of the attacks included; repeats and broken records come on top.
    pub num_alerts: usize,
    /// Attacks, each of [`STEPS`] alerts.
    pub num_attacks: usize,
    /// Broken records.
    pub num_broken: usize,
    /// Repeats.
    pub num_repeated: usize,
}

/// The topics, with the format of each.
pub const TOPICS: [(&str, &str); 3] = [
    (ENDPOINT, "fusor"),
    (IDENTITY, "fusor"),
    (NETWORK, "suricata"),
];

/// Partitions of each topic.
pub const NUM_PARTITIONS: i32 = 2;

/// Alerts of one attack.
pub const STEPS: usize = ATTACK.len();

const ENDPOINT: &str = "alerts.endpoint";
const IDENTITY: &str = "alerts.identity";
const NETWORK: &str = "alerts.suricata";

impl Traffic {
    /// Makes it up.
    pub fn new(volume: Volume) -> Self {
        let mut random = Random(volume.seed);
        let mut alerts: Vec<Alert> = vec![];
        let mut attacks = vec![];
        for attack in 0..volume.num_attacks {
            let steps = attack_alerts(attack, volume.num_attacks);
            attacks.push(steps.iter().filter_map(|step| step.id.clone()).collect());
            alerts.extend(steps);
        }
        while alerts.len() < volume.num_alerts {
            alerts.push(routine_alert(alerts.len(), &mut random));
        }
        let repeated: Vec<Alert> = (0..volume.num_repeated)
            .map(|_| {
                let original = &alerts[random.below(alerts.len())];
                Alert {
                    time: original.time + MINUTE,
                    ..original.clone()
                }
            })
            .collect();
        let num_repeated = u64::try_from(repeated.len()).unwrap();
        alerts.extend(repeated);
        let mut broken = vec![];
        for number in 0..volume.num_broken {
            let record = broken_record(number);
            alerts.push(Alert {
                id: None,
                topic: record.topic,
                value: record.value.clone(),
                time: random.time(),
            });
            broken.push(record);
        }
        alerts.sort_by_key(|alert| alert.time);
        let mut counts = BTreeMap::new();
        for alert in &alerts {
            *counts.entry(alert.topic).or_default() += 1;
        }
        let records = alerts.into_iter().enumerate().map(outgoing).collect();
        Self {
            records,
            counts,
            broken,
            num_repeated,
            attacks,
        }
    }
}

#[derive(Clone, Debug)]
struct Alert {
    id: Option<String>,
    topic: &'static str,
    value: Vec<u8>,
    time: i64,
}

fn outgoing((number, alert): (usize, Alert)) -> Outgoing {
    Outgoing {
        topic: alert.topic.to_owned(),
        partition: i32::try_from(number).unwrap() % NUM_PARTITIONS,
        value: alert.value,
        timestamp: alert.time,
    }
}

/// Every host has its own few rules that fire day and night, so none of it is news after the first day.
fn routine_alert(number: usize, random: &mut Random) -> Alert {
    let host = random.below(NUM_HOSTS);
    let habit = random.below(3);
    let rule = (host * 7 + habit * 11) % NUM_RULES;
    let time = random.time();
    let id = format!("routine-{number}");
    match rule % 3 {
        0 => fusor_alert(
            ENDPOINT,
            &id,
            time,
            &format!("routine check {rule}"),
            "low",
            "discovery",
            vec![json!({"type": "host", "value": format!("pc{host}")})],
        ),
        1 => fusor_alert(
            IDENTITY,
            &id,
            time,
            &format!("sign-in notice {rule}"),
            "low",
            "initial-access",
            vec![
                json!({"type": "account", "value": format!("user{host}")}),
                json!({"type": "host", "value": format!("pc{host}")}),
            ],
        ),
        _ => suricata_alert(
            number,
            time,
            &format!("POLICY chatter {rule}"),
            3,
            [
                format!("10.1.{}.{}", host / 200, host % 200 + 1),
                format!("10.9.0.{}", rule + 1),
            ],
        ),
    }
}

/// One attack: three machines of its own, one stolen account, one server outside, a few minutes between the steps.
fn attack_alerts(attack: usize, num_attacks: usize) -> Vec<Alert> {
    let spread = i64::try_from(attack).unwrap() * DAYS_OF_ATTACKS * DAY
        / i64::try_from(num_attacks).unwrap();
    let start = START + 2 * DAY + spread;
    let account = format!("victim{attack}");
    let outside = format!("198.51.{}.{}", 100 + attack / 200, attack % 200 + 1);
    ATTACK
        .into_iter()
        .enumerate()
        .map(|(step, (rule, tactic, machine))| {
            let time = start + i64::try_from(step).unwrap() * 9 * MINUTE;
            let host = format!("srv{attack}-{machine}");
            let id = format!("attack-{attack}-{step}");
            let topic = if step == 0 { IDENTITY } else { ENDPOINT };
            fusor_alert(
                topic,
                &id,
                time,
                rule,
                "high",
                tactic,
                vec![
                    json!({"type": "host", "value": host}),
                    json!({"type": "account", "value": account}),
                    json!({"type": "ip", "value": outside}),
                ],
            )
        })
        .collect()
}

fn fusor_alert(
    topic: &'static str,
    id: &str,
    time: i64,
    rule: &str,
    severity: &str,
    tactic: &str,
    entities: Vec<Value>,
) -> Alert {
    let value = json!({
        "id": id,
        "time": timestamp(time),
        "source": topic,
        "title": rule,
        "severity": severity,
        "tactics": [tactic],
        "entities": entities,
    });
    Alert {
        id: Some(id.to_owned()),
        topic,
        value: value.to_string().into_bytes(),
        time,
    }
}

fn suricata_alert(
    flow: usize,
    time: i64,
    signature: &str,
    severity: u8,
    [from, to]: [String; 2],
) -> Alert {
    let value = json!({
        "timestamp": timestamp(time).replace('Z', "000+0000"),
        "flow_id": 1_000_000 + flow,
        "event_type": "alert",
        "src_ip": from,
        "src_port": 40_000 + flow % 20_000,
        "dest_ip": to,
        "dest_port": 443,
        "proto": "TCP",
        "alert": {
            "action": "allowed",
            "gid": 1,
            "signature_id": 9_000_000 + signature.len(),
            "rev": 1,
            "signature": signature,
            "category": "Generic Protocol Command Decode",
            "severity": severity,
        },
    });
    Alert {
        id: None,
        topic: NETWORK,
        value: value.to_string().into_bytes(),
        time,
    }
}

/// Each has its number in it, so that no two are alike.
fn broken_record(number: usize) -> Broken {
    let (topic, reason, value) = match number % 5 {
        0 => (
            ENDPOINT,
            "not_json",
            format!("{{\"id\": \"{number}\", ").into_bytes(),
        ),
        1 => (
            IDENTITY,
            "not_json",
            [number.to_string().as_bytes(), b"\xff\xfe\x00"].concat(),
        ),
        2 => (
            ENDPOINT,
            "missing_field",
            format!("{{\"id\":\"{number}\",\"title\":\"no time\"}}").into_bytes(),
        ),
        3 => (
            IDENTITY,
            "invalid_field",
            format!("{{\"id\":\"{number}\",\"title\":\"t\",\"time\":\"yesterday\"}}").into_bytes(),
        ),
        _ => (
            ENDPOINT,
            "too_large",
            format!(
                "{{\"id\":\"{number}\",\"pad\":\"{}\"}}",
                "x".repeat(300 << 10)
            )
            .into_bytes(),
        ),
    };
    Broken {
        topic,
        value,
        reason,
    }
}

/// Writes RFC 3339 in UTC with milliseconds, for times of the generated weeks only.
fn timestamp(millis: i64) -> String {
    let since = millis - START;
    let (day, rest) = (since / DAY, since % DAY);
    format!(
        "2026-01-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        5 + day,
        rest / HOUR,
        rest % HOUR / MINUTE,
        rest % MINUTE / 1_000,
        rest % 1_000
    )
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn time(&mut self) -> i64 {
        START + i64::try_from(self.below(usize::try_from(DAYS * DAY).unwrap())).unwrap()
    }
}

/// Rule, tactic, and which of the attack's machines it happens on.
const ATTACK: [(&str, &str, usize); 8] = [
    ("sign-in from a new country", "initial-access", 0),
    ("encoded script host", "execution", 0),
    ("new service installed", "persistence", 0),
    ("memory of the logon process read", "credential-access", 0),
    ("remote service created", "lateral-movement", 1),
    ("archive of file shares", "collection", 1),
    ("upload to rare server", "exfiltration", 1),
    ("shadow copies deleted", "impact", 2),
];

const NUM_HOSTS: usize = 300;
const NUM_RULES: usize = 40;

/// 2026-01-05T00:00:00Z.
const START: i64 = 1_767_571_200_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const DAYS: i64 = 5;
const DAYS_OF_ATTACKS: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: Volume = Volume {
        seed: 1,
        num_alerts: 500,
        num_attacks: 3,
        num_broken: 10,
        num_repeated: 5,
    };

    #[test]
    fn a_seed_decides_every_byte() {
        let again = Traffic::new(VOLUME).records;
        assert_eq!(Traffic::new(VOLUME).records, again);
        let other = Traffic::new(Volume { seed: 2, ..VOLUME }).records;
        assert_ne!(other, again);
    }

    #[test]
    fn counts_are_those_asked_for() {
        let traffic = Traffic::new(VOLUME);
        assert_eq!(traffic.records.len(), 515);
        assert_eq!(traffic.counts.values().sum::<u64>(), 515);
        assert_eq!(traffic.attacks.len(), 3);
        assert!(traffic.attacks.iter().all(|steps| steps.len() == STEPS));
        assert!(traffic.records.is_sorted_by_key(|record| record.timestamp));
    }

    #[test]
    fn times_are_written_as_they_are() {
        assert_eq!(timestamp(START), "2026-01-05T00:00:00.000Z");
        let late = START + DAY + 13 * HOUR + 7 * MINUTE + 4_056;
        assert_eq!(timestamp(late), "2026-01-06T13:07:04.056Z");
    }
}
