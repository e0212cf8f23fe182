//! What a simulation runs on: the records of its inputs, and what comes of them when nothing goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use correlators::Settings;
use engine::bus::memory::{Keep, Memory, MemoryBus, Timing};
use engine::bus::{NewRecord, Request};
use engine::config::TenantRule;
use engine::decode::{Clamp, Decoder};
use engine::publish::Publisher;
use engine::shard::ShardConfig;
use engine::source::{Source, Sources};
use engine::state::Counts;
use engine::worker::{Worker, WorkerConfig};
use schemas::decode::Limits;
use schemas::time::Timestamp;
use serde_json::{Value, json};

use super::client::Client;
use super::{Random, Simulation};
use crate::traffic::{TOPICS, Traffic, Volume};

pub(super) const STATE: &str = "state";
pub(super) const INCIDENTS: &str = "incidents";
pub(super) const DEAD: &str = "dead";
pub(super) const OUTCOMES: &str = "outcomes";
pub(super) const COMMANDS: &str = "commands";
pub(super) const BINDINGS: &str = "leases";
/// How long compaction leaves a tombstone where the inputs are filled beforehand.
pub(super) const TOMBSTONE_MS: i64 = 600_000;
/// Where the broker's clock begins where the inputs are filled beforehand, in milliseconds.
const NOW: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Alerts of the smallest world, and how many more each next one has.
const ALERTS: (usize, usize) = (30, 5);

/// The inputs, and what the engine makes of them undisturbed.
#[derive(Clone, Debug)]
pub struct World {
    shards: u16,
    partitions: u16,
    /// In the order in which they are produced.
    pub(super) records: Vec<NewRecord>,
    /// A record that ends the process that applies it.
    pub(super) poison: Option<Place>,
    pub(super) oracle: Oracle,
}

/// Where a record lies.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Place {
    pub(super) fn is(&self, topic: &str, partition: i32, offset: i64) -> bool {
        self.topic == topic && self.partition == partition && self.offset == offset
    }
}

/// What an undisturbed run leaves behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    /// The last revision of each incident.
    pub(super) incidents: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) counts: BTreeMap<i32, Counts>,
    pub(super) digests: BTreeMap<(i32, String), u128>,
}

/// How the records of a world come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// All of them before anybody reads: then their order is a function of the logs.
    Before,
    /// While they are read, at their own times, and now and then nothing for long.
    Live,
}

impl World {
    /// Makes up the world of this number and lets the engine run through it once. The next ones have more alerts; they have
    /// one to three shards, and every fourth has a record that ends whoever applies it.
    #[must_use]
    pub fn new(number: u64) -> Arc<Self> {
        let shards = u16::try_from(1 + number % 3).unwrap();
        let mut random = Random::new(number);
        let records = records(number, i32::from(shards), &mut random);
        let mut world = Self {
            shards,
            partitions: shards.max(2),
            poison: (number % 4 == 3).then(|| poison(&records, &mut random)),
            records,
            oracle: Oracle::default(),
        };
        world.oracle = Simulation::undisturbed(&Arc::new(world.clone()));
        Arc::new(world)
    }

    /// Returns how many incidents there are when nothing goes wrong.
    #[must_use]
    pub fn num_incidents(&self) -> usize {
        self.oracle.incidents.len()
    }

    pub(super) fn shards(&self) -> i32 {
        self.shards.into()
    }

    pub(super) fn partitions(&self) -> i32 {
        self.partitions.into()
    }

    pub(super) fn num_shards(&self) -> usize {
        self.shards.into()
    }

    /// Returns a broker, with the inputs filled and closed unless they are to come.
    pub(super) fn broker(&self, arrival: Arrival) -> Memory {
        let (now, tombstone) = match arrival {
            Arrival::Before => (NOW, TOMBSTONE_MS),
            Arrival::Live => (self.time(0) - HOUR_MS, Timing::default().tombstone),
        };
        let timing = Timing {
            tombstone,
            ..Timing::default()
        };
        let memory = Memory::simulated(Timestamp(now), timing);
        for topic in topics() {
            memory.create_topic(topic, self.partitions, Keep::All);
        }
        memory.create_topic(STATE, self.shards, Keep::LastOfKey);
        memory.create_topic(INCIDENTS, 2, Keep::All);
        memory.create_topic(DEAD, 1, Keep::All);
        memory.create_topic(OUTCOMES, 1, Keep::All);
        if arrival == Arrival::Before {
            for record in &self.records {
                memory.produce(record.clone()).unwrap();
            }
            self.close(&memory);
        }
        memory
    }

    /// Declares that no more records will come.
    pub(super) fn close(&self, memory: &Memory) {
        for (topic, partition) in self.inputs() {
            memory.close(topic, partition).unwrap();
        }
    }

    /// Returns the bytes that lie at a place.
    pub(super) fn value(&self, place: &Place) -> Option<&[u8]> {
        let there = |record: &&NewRecord| {
            *record.topic == *place.topic && record.partition == Some(place.partition)
        };
        let offset = usize::try_from(place.offset).unwrap();
        let record = self.records.iter().filter(there).nth(offset)?;
        record.value.as_deref()
    }

    /// Returns when a record is written, as its own time has it.
    pub(super) fn time(&self, index: usize) -> i64 {
        let record = self.records.get(index);
        record.and_then(|record| record.timestamp).unwrap_or(0)
    }

    pub(super) fn inputs(&self) -> Vec<(&'static str, i32)> {
        let partitions = |topic| (0..i32::from(self.partitions)).map(move |number| (topic, number));
        topics().flat_map(partitions).collect()
    }

    /// Returns the shard that reads a partition of an input.
    pub(super) fn shard_of(&self, partition: i32) -> usize {
        let shard = if self.shards == 1 { 0 } else { partition };
        usize::try_from(shard).unwrap()
    }

    pub(super) fn join(&self, memory: &Memory) -> MemoryBus {
        let topics: Vec<Arc<str>> = topics().map(Arc::from).collect();
        MemoryBus::join(memory, &topics, self.shards()).with_state(STATE)
    }

    /// Returns a member that nothing befalls, and that lets no time pass.
    pub(super) fn worker(&self, memory: &Memory, config: WorkerConfig) -> Worker<Client> {
        let none = (Arc::default(), Arc::default(), Arc::default());
        let bus = Client::new(self.join(memory), memory, self.poison.clone());
        let config = WorkerConfig {
            idle: None,
            ..config
        };
        Worker::new(bus, config, none.0, none.1, none.2)
    }

    /// Returns a configuration whose bounds cut the epochs in a way of its own.
    pub(super) fn config(&self, arrival: Arrival, random: &mut Random) -> WorkerConfig {
        let is_live = arrival == Arrival::Live;
        let mut settings = Settings::default();
        if !is_live {
            // So short that alerts are forgotten on the way, and their blocks with them.
            settings.limits.warm_idle_ms = 6 * HOUR_MS;
        }
        WorkerConfig {
            decoder: Decoder {
                sources: sources(),
                limits: Limits::default(),
                clamp: is_live.then(Clamp::default),
                threads: 1,
            },
            shard: ShardConfig {
                settings: Arc::new(settings),
                state: Some(STATE.into()),
                tenants_max: 10,
                threads: 1,
            },
            publisher: Publisher {
                topic: INCIDENTS.into(),
                instance: "simulated".to_owned(),
                bytes_max: 1 << 20,
            },
            dead_letters: DEAD.into(),
            outcomes: OUTCOMES.into(),
            epoch: Request {
                records_max: 1 + random.below(24),
                bytes_max: 1 << 20,
                wait: Duration::from_millis(10),
                collect: Duration::ZERO,
            },
            ahead_records_max: 1 + random.below(24),
            ahead_bytes_max: 1 << 20,
            drain: Duration::ZERO,
            followed: self.shards() * i32::try_from(random.below(2)).unwrap(),
            snapshots: None,
            idle: is_live.then(|| Duration::from_secs(30)),
        }
    }
}

fn topics() -> impl Iterator<Item = &'static str> {
    TOPICS
        .into_iter()
        .map(|(topic, _)| topic)
        .chain([BINDINGS, COMMANDS])
}

fn sources() -> Sources {
    let alerts = TOPICS.map(|(topic, _)| {
        let source = Source::Alerts {
            format: None,
            tenant: Some(TenantRule::Key),
        };
        (topic.to_owned(), source)
    });
    let bindings = (BINDINGS.to_owned(), Source::Bindings);
    let commands = (COMMANDS.to_owned(), Source::Commands);
    Sources::new(alerts.into_iter().chain([bindings, commands]))
}

/// Makes up the records: alerts keyed by tenant, some of them long after their time, and who held the addresses in them.
fn records(number: u64, shards: i32, random: &mut Random) -> Vec<NewRecord> {
    let traffic = Traffic::new(Volume {
        seed: number,
        num_alerts: ALERTS.0 + ALERTS.1 * usize::try_from(number).unwrap(),
        num_attacks: 3,
        num_broken: 2,
        num_repeated: 4,
    });
    let mut records = Vec::new();
    for (index, outgoing) in traffic.records.into_iter().enumerate() {
        let json: Value = serde_json::from_slice(&outgoing.value).unwrap_or_default();
        // Two tenants a shard; an attack is one tenant's.
        let tenants = 2 * usize::try_from(shards).unwrap();
        let attack = json["id"]
            .as_str()
            .and_then(|id| id.strip_prefix("attack-"));
        let attack = attack.and_then(|rest| rest.split_once('-')?.0.parse().ok());
        let tenant = attack.unwrap_or(index) % tenants;
        let partition = i32::try_from(if shards == 1 { index % 2 } else { tenant }).unwrap();
        let record = |topic: &str, key: String, value: Vec<u8>| NewRecord {
            topic: topic.into(),
            partition: Some(partition % shards.max(2)),
            timestamp: Some(outgoing.timestamp),
            key: Some(key.into_bytes()),
            value: Some(value),
            headers: Vec::new(),
        };
        let name = format!("tenant-{tenant}");
        if let Some(address) = json["src_ip"].as_str() {
            let lease = lease(&name, address, outgoing.timestamp);
            records.push(record(BINDINGS, name.clone(), lease));
        }
        records.push(record(&outgoing.topic, name, outgoing.value.clone()));
    }
    for index in 0..records.len() {
        if random.below(10) == 0 {
            let last = (index + 3 + random.below(9)).min(records.len() - 1);
            let late = records.remove(index);
            records.insert(last, late);
        }
    }
    records
}

/// Returns who held an address of a routine alert for a day.
fn lease(tenant: &str, address: &str, time: i64) -> Vec<u8> {
    let mut parts = address.split('.').skip(2).map(|part| part.parse::<i64>());
    let mut part = || parts.next().and_then(Result::ok).unwrap_or(0);
    let host = part() * 200 + part() - 1;
    let lease = json!({
        "tenant": tenant,
        "ip": address,
        "host": format!("pc{host}"),
        "from": Timestamp(time - HOUR_MS).to_string(),
        "to": Timestamp(time + DAY_MS).to_string(),
    });
    lease.to_string().into_bytes()
}

/// Chooses an alert somewhere in the middle.
fn poison(records: &[NewRecord], random: &mut Random) -> Place {
    let middle = records.len() / 4 + random.below(records.len() / 2);
    let is_alert = |record: &&NewRecord| {
        let value = record.value.as_deref().unwrap_or_default();
        let json: Value = serde_json::from_slice(value).unwrap_or_default();
        json["entities"].is_array()
    };
    let chosen = records[middle..]
        .iter()
        .position(|record| is_alert(&record));
    let chosen = middle + chosen.unwrap();
    let NewRecord {
        topic, partition, ..
    } = &records[chosen];
    let before = records[..chosen].iter();
    let before = before.filter(|record| record.topic == *topic && record.partition == *partition);
    Place {
        topic: topic.to_string(),
        partition: partition.unwrap(),
        offset: i64::try_from(before.count()).unwrap(),
    }
}
