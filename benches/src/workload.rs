//! Alerts of a made-up site, without end: noise with hubs, and a hundredth of it steps of attacks.
//!
//! Events come lazily and in order of arrival; one in a hundred comes late. What is kept is a few attacks under way.

use std::collections::VecDeque;

use schemas::decode::Format;
use schemas::time::Timestamp;
use serde_json::{Value, json};

use crate::random::Random;

mod rules;
use rules::{CHAIN, NOISE, Rule, Thing};

/// What kind of site it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// One tenant of 400 hosts, an alert every five seconds.
    Soc,
    /// A thousand tenants of 400 hosts, few of them busy, ten alerts a second.
    Mssp,
    /// One tenant with ten alerts a second, every one of them at the same machine.
    Storm,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Soc, Self::Mssp, Self::Storm];

    /// Returns its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Soc => "soc",
            Self::Mssp => "mssp",
            Self::Storm => "storm",
        }
    }

    const fn tenants(self) -> u32 {
        match self {
            Self::Mssp => 1_000,
            Self::Soc | Self::Storm => 1,
        }
    }

    /// Mean milliseconds between two alerts.
    const fn gap_ms(self) -> u32 {
        match self {
            Self::Soc => 5_000,
            Self::Mssp | Self::Storm => 100,
        }
    }
}

const HOSTS: u32 = 400;
/// Addresses outside, by popularity.
const PEERS: u32 = 5_000;
const FILES: u32 = 2_000;
/// Attacks under way at once.
const ATTACKS: u32 = 8;
/// Machines that one attack passes through.
const ATTACKED: u32 = 3;
/// One alert in so many is a step of an attack, and one in so many is late.
const ONE_IN: u32 = 100;
const LATE_MS: u32 = 300_000;
/// 5 January 2026, 00:00 UTC.
const START_MS: i64 = 1_767_571_200_000;

/// An endless stream of alerts; the same seed gives the same alerts.
#[derive(Clone, Debug)]
pub struct Workload {
    profile: Profile,
    random: Random,
    number: u64,
    clock: i64,
    repeats: u32,
    left: u32,
    last: Option<Event>,
    attacks: VecDeque<Attack>,
}

#[derive(Clone, Copy, Debug)]
struct Attack {
    tenant: u32,
    host: u32,
    peer: u32,
    step: u32,
}

/// One alert: numbers that stand for what it names.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    number: u64,
    tenant: u32,
    time: Timestamp,
    rule: &'static Rule,
    host: u32,
    peer: u32,
    file: u32,
    /// Names the hub besides what its rule names.
    storm: bool,
}

impl Workload {
    /// Creates the stream of `profile` that `seed` determines.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            random: Random::new(seed),
            number: 0,
            clock: START_MS,
            repeats: 1,
            left: 0,
            last: None,
            attacks: VecDeque::new(),
        }
    }

    /// Makes every alert come `repeats` times in a row, each time with an id and a time of its own.
    #[must_use]
    pub fn repeated(mut self, repeats: u32) -> Self {
        self.repeats = repeats.max(1);
        self
    }

    fn noise(&mut self) -> Event {
        let random = &mut self.random;
        let rules = u32::try_from(NOISE.len()).unwrap_or(u32::MAX);
        let rule = usize::try_from(random.zipf(rules)).unwrap_or(0);
        Event {
            number: 0,
            tenant: random.zipf(self.profile.tenants()),
            time: Timestamp(0),
            rule: NOISE.get(rule).unwrap_or(&rules::FIRST),
            host: random.below(HOSTS),
            peer: random.zipf(PEERS),
            file: random.zipf(FILES),
            storm: false,
        }
    }

    /// Takes an attack one step further, or begins one.
    fn step(&mut self) -> Event {
        let noise = self.noise();
        let under_way = u32::try_from(self.attacks.len()).unwrap_or(u32::MAX);
        if under_way < ATTACKS {
            self.attacks.push_back(Attack {
                tenant: noise.tenant,
                host: noise.host,
                peer: PEERS + noise.file,
                step: 0,
            });
        }
        let turn = usize::try_from(self.random.below(ATTACKS.min(under_way + 1))).unwrap_or(0);
        let Some(attack) = self.attacks.get_mut(turn) else {
            return noise;
        };
        let step = usize::try_from(attack.step).unwrap_or(0);
        let rule = CHAIN.get(step).unwrap_or(&rules::FIRST);
        let event = Event {
            tenant: attack.tenant,
            rule,
            host: (attack.host + attack.step / ATTACKED) % HOSTS,
            peer: attack.peer,
            file: attack.peer,
            ..noise
        };
        attack.step += 1;
        if step + 1 >= CHAIN.len() {
            self.attacks.remove(turn);
        }
        event
    }
}

impl Iterator for Workload {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.clock += i64::from(self.random.below(2 * self.profile.gap_ms()));
        let mut event = match self.last.filter(|_| self.left > 0) {
            Some(last) => last,
            None => {
                self.left = self.repeats;
                if self.random.below(ONE_IN) == 0 {
                    self.step()
                } else {
                    self.noise()
                }
            }
        };
        self.left -= 1;
        let late = if self.random.below(ONE_IN) == 0 {
            i64::from(self.random.below(LATE_MS))
        } else {
            0
        };
        event.number = self.number;
        event.time = Timestamp(self.clock - late);
        event.storm = self.profile == Profile::Storm;
        self.number += 1;
        self.last = Some(event);
        Some(event)
    }
}

impl Event {
    /// Writes the alert in a format; none where the workload has no such producer.
    #[must_use]
    pub fn record(&self, format: Format) -> Option<Vec<u8>> {
        match format {
            Format::Fusor => Some(self.fusor()),
            Format::Suricata => Some(self.suricata()),
            Format::Sentinel | Format::DefenderCloud | Format::Ocsf | Format::Wazuh => None,
        }
    }

    /// Writes the alert in format `fusor`.
    #[must_use]
    pub fn fusor(&self) -> Vec<u8> {
        let things = self.rule.things.iter().chain(self.hub());
        let entities: Vec<Value> = things.map(|thing| self.entity(*thing)).collect();
        let rule = self.rule;
        let record = json!({
            "id": format!("{}-{}", rule.product, self.number),
            "tenant": self.tenant(),
            "time": self.time.to_string(),
            "source": rule.product,
            "rule": rule.name,
            "title": format!("{} on {}", rule.title, host(self.host)),
            "severity": rule.severity,
            "confidence": 60,
            "tactics": [rule.tactic],
            "techniques": [rule.technique],
            "entities": entities,
        });
        record.to_string().into_bytes()
    }

    /// Writes the alert as the event that Suricata would log of it: only what is seen on the wire.
    #[must_use]
    pub fn suricata(&self) -> Vec<u8> {
        let rule = self.rule;
        let peer = if self.storm {
            DIRECTORY_ADDRESS.to_owned()
        } else {
            outside(self.peer)
        };
        let record = json!({
            "timestamp": self.time.to_string(),
            "flow_id": self.number,
            "in_iface": "eth1",
            "event_type": "alert",
            "src_ip": inside(self.host),
            "src_port": 49_152 + self.number % 16_384,
            "dest_ip": peer,
            "dest_port": 443,
            "proto": "TCP",
            "community_id": format!("1:{:028x}=", self.number),
            "host": format!("sensor-{}", self.tenant()),
            "alert": {
                "action": "allowed",
                "gid": 1,
                "signature_id": rule.signature,
                "rev": 3,
                "signature": rule.title,
                "category": "Potentially Bad Traffic",
                "severity": 2,
                "metadata": {
                    "signature_severity": ["Major"],
                    "confidence": ["Medium"],
                    "mitre_tactic_name": [rule.tactic],
                    "mitre_technique_id": [rule.technique],
                },
            },
            "http": {
                "hostname": domain(self.peer),
                "url": format!("/{}/{}", rule.name, self.file),
                "http_method": "GET",
                "status": 200,
                "http_user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
            },
            "app_proto": "http",
            "flow": {
                "pkts_toserver": 12, "pkts_toclient": 14,
                "bytes_toserver": 1_534, "bytes_toclient": 9_211,
                "start": self.time.plus(-1_500).to_string(),
            },
        });
        record.to_string().into_bytes()
    }

    fn tenant(&self) -> String {
        format!("tenant-{:04}", self.tenant)
    }

    fn hub(&self) -> Option<&'static Thing> {
        self.storm.then_some(&Thing::Directory)
    }

    fn entity(&self, thing: Thing) -> Value {
        let (kind, value, role) = match thing {
            Thing::Host => ("host", host(self.host), "target"),
            Thing::Account => ("account", format!("EXAMPLE\\u{}", self.host), "unknown"),
            Thing::Inside => ("ip", inside(self.host), "source"),
            Thing::Outside => ("ip", outside(self.peer), "destination"),
            Thing::Attacker => ("ip", outside(self.peer), "source"),
            Thing::Domain => ("dns", domain(self.peer), "unknown"),
            Thing::File => ("filehash", format!("{:064x}", self.file), "unknown"),
            Thing::Neighbour => ("host", host((self.host + 1) % HOSTS), "source"),
            Thing::Directory => ("host", "dc01".to_owned(), "destination"),
            Thing::Service => ("account", "EXAMPLE\\svc-deploy".to_owned(), "unknown"),
            Thing::Proxy => ("ip", "10.0.0.8".to_owned(), "source"),
        };
        json!({ "type": kind, "value": value, "role": role })
    }
}

const DIRECTORY_ADDRESS: &str = "10.0.0.2";

fn host(number: u32) -> String {
    format!("ws{number:03}.example.com")
}

fn inside(number: u32) -> String {
    format!("10.1.{}.{}", number / 250, number % 250 + 1)
}

fn outside(number: u32) -> String {
    format!("198.18.{}.{}", number / 250, number % 250 + 1)
}

fn domain(number: u32) -> String {
    format!("h{number}.example.net")
}

#[cfg(test)]
mod tests;
