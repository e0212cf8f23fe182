//! The engine on the bus in memory: how a replay and the demo run it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use correlators::Settings;
use schemas::decode::Limits;

use crate::bus::Request;
use crate::bus::memory::{Keep, Memory, MemoryBus};
use crate::decode::Decoder;
use crate::publish::{INCIDENT_BYTES_MAX, Publisher};
use crate::readiness::Readiness;
use crate::shard::ShardConfig;
use crate::source::Sources;
use crate::view::IncidentView;
use crate::worker::{Worker, WorkerConfig};

/// How the engine runs without a broker.
#[derive(Clone, Debug)]
pub struct Offline {
    /// Records of one epoch. The result is the same for every number.
    pub batch: NonZeroU32,
    /// The constants of correlation.
    pub settings: Arc<Settings>,
    /// Bounds on one record.
    pub limits: Limits,
    /// Threads, at least 1.
    pub threads: usize,
}

/// Default of [`Offline::batch`].
pub const BATCH: NonZeroU32 = NonZeroU32::MIN.saturating_add(4_999);

impl Offline {
    /// Puts a worker on `memory`, where the inputs are and what it writes is not kept.
    pub(crate) fn worker(
        &self,
        memory: &Memory,
        sources: Sources,
        view: Arc<IncidentView>,
        readiness: Arc<Readiness>,
    ) -> Worker<MemoryBus> {
        for topic in [INCIDENTS, DEAD_LETTERS] {
            memory.create_topic(topic, 1, Keep::Nothing);
        }
        let bus = MemoryBus::join(memory, &sources.topics(), 1);
        let stop = Arc::new(AtomicBool::new(false));
        Worker::new(bus, self.config(sources), view, readiness, stop)
    }

    fn config(&self, sources: Sources) -> WorkerConfig {
        let batch = usize::try_from(self.batch.get()).unwrap_or(usize::MAX);
        WorkerConfig {
            // No broker, so no broker's time that event times could be compared with.
            decoder: Decoder {
                sources,
                limits: self.limits,
                clamp: None,
                threads: self.threads,
            },
            shard: ShardConfig {
                settings: Arc::clone(&self.settings),
                state: None,
                tenants_max: TENANTS_MAX,
                threads: self.threads,
            },
            publisher: Publisher {
                topic: INCIDENTS.into(),
                instance: "offline".to_owned(),
                bytes_max: INCIDENT_BYTES_MAX,
            },
            dead_letters: DEAD_LETTERS.into(),
            outcomes: OUTCOMES.into(),
            epoch: Request {
                records_max: batch,
                bytes_max: EPOCH_BYTES_MAX,
                wait: Duration::ZERO,
                collect: Duration::ZERO,
            },
            ahead_records_max: batch.saturating_mul(2),
            ahead_bytes_max: EPOCH_BYTES_MAX,
            drain: Duration::ZERO,
            followed: 0,
            snapshots: None,
            idle: None,
        }
    }
}

const INCIDENTS: &str = "incidents";
const DEAD_LETTERS: &str = "dead-letters";
/// Never written: a replay reads no commands.
const OUTCOMES: &str = "outcomes";
const TENANTS_MAX: usize = 10_000;
const EPOCH_BYTES_MAX: usize = 64 << 20;
