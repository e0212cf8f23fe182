//! Replays files through the engine without a broker: the same decoders, order, correlation and worker as on Kafka, on
//! the bus in memory.
//!
//! Every file is one partition, so several are merged by event time and one keeps its order. Memory is bounded by the
//! correlation state, the incidents and a few words an episode; a membership adds some words and the id of every alert.

mod feed;
pub mod input;
mod ledger;
mod report;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use correlators::{Output, Settings};
use schemas::decode::{Format, Limits};
use schemas::incident::{Incident, IncidentStatus};

use crate::bus::memory::{Keep, Memory, MemoryBus, NoPartition};
use crate::bus::{Record, Request};
use crate::config::{Name, TenantRule};
use crate::decode::Decoder;
use crate::publish::{INCIDENT_BYTES_MAX, Publisher};
use crate::readiness::Readiness;
use crate::shard::ShardConfig;
use crate::source::{Source, Sources};
use crate::view::IncidentView;
use crate::worker::{Disposition, Observer, Step, Worker, WorkerConfig, WorkerError};

use feed::{FileFeed, Progress};
use input::InputError;
use ledger::Ledger;

pub use ledger::Dispositions;
pub use report::{write_incidents, write_summary, write_table};

/// What to replay, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files with one record a line, plain or gzip; `-` is the standard input.
    pub files: Vec<PathBuf>,
    /// Leases, a file of the same kind.
    pub bindings: Option<PathBuf>,
    /// Format of the records; detected per record where none is given.
    pub format: Option<Format>,
    /// Tenant of every record; their own where none is given.
    pub tenant: Option<Name>,
    /// Records of one epoch. The result is the same for every number.
    pub batch: NonZeroU32,
    /// The constants of correlation.
    pub settings: Arc<Settings>,
    /// Bounds on one record.
    pub limits: Limits,
    /// Threads, at least 1.
    pub threads: usize,
    /// Whether the membership is asked for.
    pub membership: bool,
}

/// Default of [`Options::batch`].
pub const BATCH: NonZeroU32 = NonZeroU32::MIN.saturating_add(4_999);

/// The files could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// More files than a bus has partitions.
    #[error("{count} files are more than {} at once", u16::MAX)]
    TooManyFiles {
        /// Files given.
        count: usize,
    },
    /// A file cannot be read to its end.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The engine failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The bus in memory lacks a partition.
    #[error(transparent)]
    Bus(#[from] NoPartition),
}

/// What came of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The live incidents at their last revision: greatest risk first, of equal risk by tenant and id. One that was
    /// merged into another is in its survivor's `merged_from` and not listed.
    pub incidents: Vec<Arc<Incident>>,
    /// Incidents that were published and merged into another later.
    pub merged: u64,
    /// Records read from the files, the bindings apart.
    pub records: u64,
    /// How the alerts ended.
    pub dispositions: Dispositions,
    /// Refused records by reason, the bindings apart.
    pub refused: BTreeMap<&'static str, u64>,
    /// Leases learnt.
    pub bindings: u64,
    /// Leases refused.
    pub bindings_refused: u64,
    ledger: Ledger,
}

impl Replayed {
    /// Writes where every record ended, one JSON object a line: the files as they were given, each in its own order.
    /// It is empty unless [`Options::membership`] was set.
    ///
    /// # Errors
    /// Returns why `out` takes no more.
    pub fn write_membership(&self, out: &mut dyn Write) -> io::Result<()> {
        for entry in self.ledger.entries() {
            serde_json::to_writer(&mut *out, &entry)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// Replays the files. `progress` is told after every epoch how many bytes of them were taken.
///
/// # Errors
/// Returns the first file that cannot be read to its end. A record that cannot be understood is no error.
pub fn replay(options: &Options, progress: &mut dyn FnMut(u64)) -> Result<Replayed, ReplayError> {
    let memory = Memory::new();
    let read = Progress::default();
    feed_all(options, &memory, &read)?;
    let sources = sources(options);
    let bus = MemoryBus::join(&memory, &sources.topics(), 1);
    let mut worker = Worker::new(
        bus,
        worker_config(options, sources),
        Arc::new(IncidentView::default()),
        Arc::new(Readiness::default()),
        Arc::new(AtomicBool::new(false)),
    );
    let mut collector = Collector::new(options);
    while worker.step(&mut collector)? != Step::Finished {
        read.check()?;
        progress(read.bytes());
    }
    read.check()?;
    Ok(collector.finish())
}

fn feed_all(options: &Options, memory: &Memory, read: &Progress) -> Result<(), ReplayError> {
    let count = options.files.len();
    let files = u16::try_from(count).map_err(|_| ReplayError::TooManyFiles { count })?;
    memory.create_topic(ALERTS, files, Keep::Uncommitted);
    for (file, partition) in options.files.iter().zip(0..) {
        let feed = FileFeed::open(file, ALERTS, partition, &options.limits, read)?;
        memory.feed(ALERTS, partition, Box::new(feed))?;
    }
    if let Some(file) = &options.bindings {
        memory.create_topic(BINDINGS, 1, Keep::Uncommitted);
        let feed = FileFeed::open(file, BINDINGS, 0, &options.limits, read)?;
        memory.feed(BINDINGS, 0, Box::new(feed))?;
    }
    for topic in [INCIDENTS, DEAD_LETTERS] {
        memory.create_topic(topic, 1, Keep::Nothing);
    }
    Ok(())
}

fn sources(options: &Options) -> Sources {
    let alerts = Source::Alerts {
        format: options.format,
        tenant: options.tenant.clone().map(TenantRule::Fixed),
    };
    let bindings = options
        .bindings
        .as_ref()
        .map(|_| (BINDINGS.to_owned(), Source::Bindings));
    Sources::new([(ALERTS.to_owned(), alerts)].into_iter().chain(bindings))
}

fn worker_config(options: &Options, sources: Sources) -> WorkerConfig {
    let batch = usize::try_from(options.batch.get()).unwrap_or(usize::MAX);
    WorkerConfig {
        decoder: Decoder {
            sources,
            limits: options.limits,
            clamp: None,
            threads: options.threads,
        },
        shard: ShardConfig {
            settings: Arc::clone(&options.settings),
            tenants_max: TENANTS_MAX,
            threads: options.threads,
        },
        publisher: Publisher {
            topic: INCIDENTS.into(),
            instance: "replay".to_owned(),
            bytes_max: INCIDENT_BYTES_MAX,
        },
        dead_letters: DEAD_LETTERS.into(),
        epoch: Request {
            records_max: batch,
            bytes_max: EPOCH_BYTES_MAX,
            wait: Duration::ZERO,
            collect: Duration::ZERO,
        },
        ahead_records_max: batch.saturating_mul(2),
        ahead_bytes_max: EPOCH_BYTES_MAX,
        drain: Duration::ZERO,
    }
}

/// Gathers what the worker tells.
struct Collector {
    incidents: BTreeMap<String, Arc<Incident>>,
    ledger: Ledger,
    records: u64,
    refused: BTreeMap<&'static str, u64>,
    bindings: u64,
    bindings_refused: u64,
}

impl Collector {
    fn new(options: &Options) -> Self {
        Self {
            incidents: BTreeMap::new(),
            ledger: Ledger::new(if options.membership {
                options.files.len()
            } else {
                0
            }),
            records: 0,
            refused: BTreeMap::new(),
            bindings: 0,
            bindings_refused: 0,
        }
    }

    fn finish(mut self) -> Replayed {
        self.ledger.settle();
        let published = self.incidents.len();
        let mut incidents: Vec<Arc<Incident>> = self
            .incidents
            .into_values()
            .filter(|incident| incident.status != IncidentStatus::Merged)
            .collect();
        incidents.sort_by(|a, b| {
            b.risk
                .total_cmp(&a.risk)
                .then_with(|| (&a.tenant, &a.id).cmp(&(&b.tenant, &b.id)))
        });
        Replayed {
            merged: (published - incidents.len()) as u64,
            incidents,
            records: self.records,
            dispositions: self.ledger.dispositions(),
            refused: self.refused,
            bindings: self.bindings,
            bindings_refused: self.bindings_refused,
            ledger: self.ledger,
        }
    }
}

impl Observer for Collector {
    fn record(&mut self, record: &Record, disposition: Disposition<'_>) {
        let is_binding = *record.partition.topic == *BINDINGS;
        match disposition {
            Disposition::Binding => self.bindings += 1,
            Disposition::DeadLetter(_) if is_binding => self.bindings_refused += 1,
            Disposition::DeadLetter(broken) => {
                self.records += 1;
                *self.refused.entry(broken.reason).or_default() += 1;
                self.ledger.refuse(record.partition.number, broken.reason);
            }
            Disposition::Alerts(alerts, placements) => {
                self.records += 1;
                for (alert, placement) in alerts.iter().zip(placements) {
                    self.ledger
                        .place(record.partition.number, alert, *placement);
                }
            }
        }
    }

    fn outputs(&mut self, tenant: &str, outputs: &[Output]) {
        for output in outputs {
            self.ledger.output(tenant, output);
        }
    }

    fn incident(&mut self, incident: &Arc<Incident>) {
        self.incidents
            .insert(incident.id.clone(), Arc::clone(incident));
    }
}

// Leases are merged before alerts of the same moment, as their topic comes first.
const BINDINGS: &str = "1-bindings";
const ALERTS: &str = "2-alerts";
const INCIDENTS: &str = "incidents";
const DEAD_LETTERS: &str = "dead-letters";
const TENANTS_MAX: usize = 10_000;
const EPOCH_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests;
