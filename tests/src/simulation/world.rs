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
    records: Vec<NewRecord>,
    /// The last revision of each incident.
    pub(super) incidents: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) counts: Counts,
    pub(super) digests: BTreeMap<(i32, String), u128>,
}

impl World {
    /// Makes up a world of so many alerts and lets the engine run through it once.
    #[must_use]
    pub fn new(seed: u64, num_alerts: usize) -> Self {
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
        let mut world = Self {
            records: traffic.records.into_iter().map(record).collect(),
            incidents: BTreeMap::new(),
            counts: Counts::default(),
            digests: BTreeMap::new(),
        };
        let memory = world.broker();
        let mut worker = world.worker(&memory, &mut Random::new(seed));
        let finished =
            (0..STEPS_MAX).any(|_| worker.step(&mut NoObserver).unwrap() == Step::Finished);
        assert!(finished, "the undisturbed run does not end");
        world.incidents = super::check::last(&memory);
        let shard = worker.shards().next().unwrap();
        world.counts = shard.meta().counts;
        world.digests = super::check::digests(shard);
        world
    }

    /// Returns how many incidents there are when nothing goes wrong.
    #[must_use]
    pub fn num_incidents(&self) -> usize {
        self.incidents.len()
    }

    pub(super) fn shards(&self) -> i32 {
        1
    }

    /// Returns a broker with the inputs filled and closed.
    pub(super) fn broker(&self) -> Memory {
        let memory = Memory::simulated(Timestamp(NOW), Timing::default());
        let partitions = u16::try_from(NUM_PARTITIONS).unwrap();
        for (topic, _) in TOPICS {
            memory.create_topic(topic, partitions, Keep::All);
        }
        memory.create_topic(STATE, 1, Keep::LastOfKey);
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
            epoch: Request {
                records_max: 1 + random.below(24),
                bytes_max: 1 << 20,
                wait: Duration::from_millis(10),
                collect: Duration::ZERO,
            },
            ahead_records_max: 1 + random.below(24),
            ahead_bytes_max: 1 << 20,
            drain: Duration::ZERO,
            followed: i32::try_from(random.below(2)).unwrap(),
            idle: None,
        }
    }
}
