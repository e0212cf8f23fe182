//! What a simulation runs on: topics filled beforehand, and what comes of them when nothing goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::bus::memory::{Keep, Memory, MemoryBus, Timing};
use engine::bus::{NewRecord, Request};
use engine::decode::Decoder;
use engine::publish::Publisher;
use engine::shard::ShardConfig;
use engine::source::{Source, Sources};
use engine::state::Counts;
use engine::worker::{NoObserver, Step, Worker, WorkerConfig};
use schemas::decode::Limits;
use schemas::time::Timestamp;

use super::Random;
use crate::traffic::{NUM_PARTITIONS, TOPICS, Traffic, Volume};

pub(super) const STATE: &str = "state";
pub(super) const INCIDENTS: &str = "incidents";
pub(super) const DEAD: &str = "dead";
/// Steps of the undisturbed run at most.
const STEPS_MAX: usize = 10_000;
/// Where the broker's clock begins, in milliseconds.
const NOW: i64 = 1_790_000_000_000;

/// The inputs, and what the engine makes of them undisturbed.
#[derive(Debug)]
pub struct World {
    shards: u16,
    records: Vec<NewRecord>,
    /// The last revision of each incident.
    pub(super) incidents: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) counts: BTreeMap<i32, Counts>,
    pub(super) digests: BTreeMap<(i32, String), u128>,
}

impl World {
    /// Makes up a world of so many alerts, dealt out to 1 or 2 shards, and lets the engine run through it once.
    #[must_use]
    pub fn new(seed: u64, num_alerts: usize, shards: u16) -> Self {
        let traffic = Traffic::new(Volume {
            seed,
            num_alerts,
            num_attacks: 3,
            num_broken: 2,
            num_repeated: 4,
        });
        let record = |outgoing: crate::kafka::Outgoing| NewRecord {
            topic: outgoing.topic.into(),
            partition: Some(outgoing.partition),
            timestamp: Some(outgoing.timestamp),
            key: None,
            value: Some(outgoing.value),
            headers: Vec::new(),
        };
        let mut records: Vec<NewRecord> = traffic.records.into_iter().map(record).collect();
        if shards > 1 {
            records.retain_mut(give_tenant);
        }
        let mut world = Self {
            shards,
            records,
            incidents: BTreeMap::new(),
            counts: BTreeMap::new(),
            digests: BTreeMap::new(),
        };
        let memory = world.broker();
        let mut worker = world.worker(&memory, &mut Random::new(seed));
        let finished =
            (0..STEPS_MAX).any(|_| worker.step(&mut NoObserver).unwrap() == Step::Finished);
        assert!(finished, "the undisturbed run does not end");
        world.incidents = super::check::last(&memory);
        world.counts = super::check::counts(&worker);
        world.digests = worker.shards().flat_map(super::check::digests).collect();
        world
    }

    /// Returns how many incidents there are when nothing goes wrong.
    #[must_use]
    pub fn num_incidents(&self) -> usize {
        self.incidents.len()
    }

    pub(super) fn shards(&self) -> i32 {
        self.shards.into()
    }

    /// Returns a broker with the inputs filled and closed.
    pub(super) fn broker(&self) -> Memory {
        let memory = Memory::simulated(Timestamp(NOW), Timing::default());
        let partitions = u16::try_from(NUM_PARTITIONS).unwrap();
        for (topic, _) in TOPICS {
            memory.create_topic(topic, partitions, Keep::All);
        }
        memory.create_topic(STATE, self.shards, Keep::LastOfKey);
        memory.create_topic(INCIDENTS, 2, Keep::All);
        memory.create_topic(DEAD, 1, Keep::All);
        for record in &self.records {
            memory.produce(record.clone()).unwrap();
        }
        for (topic, partition) in self.inputs() {
            memory.close(topic, partition).unwrap();
        }
        memory
    }

    pub(super) fn inputs(&self) -> Vec<(&'static str, i32)> {
        let partitions = |topic| (0..NUM_PARTITIONS).map(move |partition| (topic, partition));
        let topics = TOPICS.into_iter().map(|(topic, _)| topic);
        topics.flat_map(partitions).collect()
    }

    pub(super) fn join(&self, memory: &Memory) -> MemoryBus {
        let topics = TOPICS.map(|(topic, _)| Arc::from(topic));
        MemoryBus::join(memory, &topics, self.shards()).with_state(STATE)
    }

    pub(super) fn worker(&self, memory: &Memory, random: &mut Random) -> Worker<MemoryBus> {
        let none = (Arc::default(), Arc::default(), Arc::default());
        let (bus, config) = (self.join(memory), self.config(random));
        Worker::new(bus, config, none.0, none.1, none.2)
    }

    /// Returns a configuration whose bounds cut the epochs in a way of its own.
    pub(super) fn config(&self, random: &mut Random) -> WorkerConfig {
        let source = |(topic, _): (&str, &str)| {
            let source = Source::Alerts {
                format: None,
                tenant: None,
            };
            (topic.to_owned(), source)
        };
        WorkerConfig {
            decoder: Decoder {
                sources: Sources::new(TOPICS.map(source)),
                limits: Limits::default(),
                clamp: None,
                threads: 1,
            },
            shard: ShardConfig {
                settings: Arc::default(),
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
            outcomes: "outcomes".into(),
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
            idle: None,
        }
    }
}

/// Gives an alert in the friendly format the tenant of its partition, so that each shard has its own; returns whether the
/// record is one, or can be read by nobody.
fn give_tenant(record: &mut NewRecord) -> bool {
    if *record.topic == *TOPICS[2].0 {
        return false;
    }
    let value = record.value.take().unwrap_or_default();
    let alert: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_slice(&value);
    record.value = Some(match alert {
        Ok(mut alert) if alert.contains_key("entities") => {
            let tenant = format!("tenant-{}", record.partition.unwrap_or(0));
            alert.insert("tenant".to_owned(), tenant.into());
            serde_json::to_vec(&alert).unwrap()
        }
        Ok(_) | Err(_) => value,
    });
    true
}
