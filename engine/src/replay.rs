//! Replays files through the engine without a broker: the same decoders, order, correlation and worker as on Kafka, on
//! the bus in memory.
//!
//! Every file is one partition, so several are merged by event time and one keeps its order. Memory is bounded by the
//! correlation state, the incidents and a few words an episode; a membership adds some words and the id of every alert.

mod collect;
mod feed;
pub mod input;
mod ledger;
mod offline;
mod report;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use schemas::decode::Format;
use schemas::incident::Incident;

use crate::bus::Partition;
use crate::bus::memory::{Keep, Memory, NoPartition};
use crate::config::{Tenant, TenantRule};
use crate::readiness::Readiness;
use crate::source::{Source, Sources};
use crate::view::IncidentView;
use crate::worker::{Step, WorkerError};

use feed::{FileFeed, Progress};
use input::InputError;
use ledger::Ledger;

pub(crate) use collect::Collector;
pub use ledger::Dispositions;
pub use offline::{BATCH, Offline};
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
    pub tenant: Option<Tenant>,
    /// How the engine runs.
    pub engine: Offline,
    /// Whether the membership is asked for.
    pub membership: bool,
}

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
    /// Returns the incident every record ended in, in the order of the membership.
    pub(crate) fn incidents_of_records(&self) -> impl Iterator<Item = Option<String>> {
        self.ledger
            .entries()
            .map(|entry| entry.incident.map(|id| id.to_string()))
    }

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
    let (view, readiness) = (
        Arc::new(IncidentView::default()),
        Arc::new(Readiness::default()),
    );
    let mut worker = options.engine.worker(&memory, sources, view, readiness);
    let inputs = (0..)
        .take(options.files.len())
        .map(|number| Partition {
            topic: ALERTS.into(),
            number,
        })
        .collect();
    let mut collector = Collector::new(inputs, options.membership);
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
        let feed = FileFeed::open(file, ALERTS, partition, &options.engine.limits, read)?;
        memory.feed(ALERTS, partition, Box::new(feed))?;
    }
    if let Some(file) = &options.bindings {
        memory.create_topic(BINDINGS, 1, Keep::Uncommitted);
        let feed = FileFeed::open(file, BINDINGS, 0, &options.engine.limits, read)?;
        memory.feed(BINDINGS, 0, Box::new(feed))?;
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

// Leases are merged before alerts of the same moment, as their topic comes first.
const BINDINGS: &str = "1-bindings";
const ALERTS: &str = "2-alerts";

#[cfg(test)]
mod tests;
