//! The crash loop: engines die at every failpoint and at random, brokers die under them, and at the end nothing may be lost,
//! doubled or told otherwise than without a crash.
//!
//! The verdict is that of `fusor check-topic`, which shares no code with the worker, of `fusor state verify` and `replay`,
//! and, where the topics were filled before the start, of a calm run over the same topics.

mod report;
mod storm;
mod verdict;
mod witness;

pub use report::Report;
pub use verdict::{last_revisions, rising};

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::ClientConfig;
use serde_json::Value;

use crate::{
    engine::{Engine, Setup},
    kafka::{Cluster, Outgoing, produce},
    traffic::{TOPICS, Traffic, Volume},
};
use storm::Storm;
use witness::Witness;

/// How much is to die.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Drives who dies when and where, and the traffic.
    pub seed: u64,
    /// Processes at once.
    pub num_engines: usize,
    /// Deaths of engines by signal 9, at the least.
    pub num_kills: u32,
    /// Of these at each failpoint, at the least.
    pub num_at_each_point: u32,
    /// Deaths of brokers, of three, at the least.
    pub num_broker_kills: u32,
    /// Alerts there are; the storm must end before they do.
    pub num_alerts: usize,
    /// Records of one transaction at most while it storms: the smaller, the longer the alerts last.
    pub epoch_records: u32,
    /// Whether they are produced while the engines run; otherwise before.
    pub live: bool,
}

/// Shards: partitions of the state and of every input.
pub const SHARDS: i32 = 4;

/// The group that crashes, and the one that does not.
const GROUP: &str = "fusor";
const CALM: &str = "calm";

/// Runs the plan. `None`: there is no Kafka.
pub fn crash(plan: &Plan) -> Option<Report> {
    let cluster = Cluster::start(3)?;
    for (topic, _) in TOPICS {
        cluster.create_topic(topic, SHARDS);
    }
    let traffic = Traffic::new(Volume {
        seed: plan.seed,
        num_alerts: plan.num_alerts,
        num_attacks: plan.num_alerts / 1_000,
        num_broken: plan.num_alerts / 400,
        num_repeated: plan.num_alerts / 400,
    });
    let mut report = Report::default();
    let producer = Producer::start(&cluster, traffic.records, plan.live);
    let engines: Vec<Engine<'_>> = (0..plan.num_engines)
        .map(|_| Engine::set_up(&cluster, setup(GROUP, plan.epoch_records)))
        .collect();
    let witness = Witness::start(cluster.client(), &engines[0].state());
    let started = Instant::now();
    let mut storm = Storm::new(plan, &cluster, &engines, &mut report);
    storm.rage();
    storm.calm(|| producer.stop());
    report.took = started.elapsed();
    report.take_overs(&witness.end());
    verdict::judge(&cluster, &engines[0], plan, &mut report);
    Some(report)
}

fn setup(group: &'static str, epoch_records: u32) -> Setup {
    Setup {
        group,
        epoch_records,
        shards: SHARDS,
    }
}

/// Returns the partition of a record, and with it its tenant: the steps of an attack stay together, and so do repeats.
fn tenant(value: &[u8]) -> i32 {
    let alert: Value = serde_json::from_slice(value).unwrap_or_default();
    let attack = alert["id"].as_str().and_then(|id| {
        let (attack, _) = id.strip_prefix("attack-")?.split_once('-')?;
        attack.parse::<i32>().ok()
    });
    let sum = || value.iter().map(|byte| i32::from(*byte)).sum();
    attack.unwrap_or_else(sum) % SHARDS
}

/// Puts the records into the inputs. In each partition their times rise.
struct Producer {
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<bool>>,
}

impl Producer {
    /// Produces everything now, or, live, the quiet days before the attacks, and the rest little by little in a thread.
    fn start(cluster: &Cluster, mut records: Vec<Outgoing>, live: bool) -> Self {
        for record in &mut records {
            record.partition = tenant(&record.value);
        }
        let enough = Arc::new(AtomicBool::new(false));
        if !live {
            cluster.produce(records);
            return Self {
                enough,
                thread: None,
            };
        }
        let attacked = records.split_off(records.len() * 2 / 5);
        cluster.produce(records);
        let client: ClientConfig = cluster.client();
        let told = Arc::clone(&enough);
        let thread = thread::spawn(move || {
            for some in attacked.chunks(LIVE_CHUNK) {
                if told.load(Ordering::Relaxed) {
                    return true;
                }
                produce(&client, some.iter().cloned());
                thread::park_timeout(LIVE_PAUSE);
            }
            false
        });
        Self {
            enough,
            thread: Some(thread),
        }
    }

    /// Ends the production; returns whether there was still something to be produced.
    fn stop(self) -> bool {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.is_none_or(|thread| thread.join().unwrap())
    }
}

const LIVE_CHUNK: usize = 100;
const LIVE_PAUSE: Duration = Duration::from_millis(600);
