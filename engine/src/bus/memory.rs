//! The bus inside one process: a small, honest model of what Fusor needs of Kafka.
//!
//! Partitions with offsets, committed offsets of one group, epochs that become visible whole, generations that
//! fence a member which was left behind. A partition can also be fed by an iterator, which is read only as far as
//! the member asks: a file of any size passes through in bounded memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{CommitError, Committed, NewRecord, Partition, Record};

mod log;
mod member;
use log::Log;

pub use log::{Feed, Keep};
pub use member::MemoryBus;

/// A broker in memory; clones are the same broker.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cluster: Mutex<Cluster>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Cluster {
    topics: BTreeMap<Arc<str>, Vec<Log>>,
    committed: BTreeMap<Partition, Committed>,
    generation: u64,
    faults: Vec<CommitError>,
    answers_lost: usize,
    transactions: u64,
}

/// The topic is there already with another number of partitions, or is not there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no partition {partition} of topic {topic}")]
pub struct NoPartition {
    topic: String,
    partition: i32,
}

impl Memory {
    /// Creates an empty broker.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a topic; one that exists stays as it is.
    pub fn create_topic(&self, topic: &str, partitions: u16, keep: Keep) {
        let logs = || (0..partitions).map(|_| Log::new(keep)).collect();
        self.lock().topics.entry(topic.into()).or_insert_with(logs);
    }

    /// Appends a record outside of any transaction and returns its offset.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn produce(&self, record: NewRecord) -> Result<i64, NoPartition> {
        let offset = self.lock().append(record)?;
        self.shared.grown.notify_all();
        Ok(offset)
    }

    /// Lets a partition be read from `feed`, after what it holds already; closed when the feed ends.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn feed(&self, topic: &str, partition: i32, feed: Feed) -> Result<(), NoPartition> {
        self.lock().log(topic, partition)?.feed(feed);
        self.shared.grown.notify_all();
        Ok(())
    }

    /// Declares that nothing will follow in a partition.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn close(&self, topic: &str, partition: i32) -> Result<(), NoPartition> {
        self.lock().log(topic, partition)?.close();
        self.shared.grown.notify_all();
        Ok(())
    }

    /// Returns what a partition holds, oldest first. Everything here is committed.
    #[must_use]
    pub fn read(&self, topic: &str, partition: i32) -> Vec<Arc<Record>> {
        let mut cluster = self.lock();
        cluster
            .log(topic, partition)
            .map_or_else(|_| Vec::new(), |log| log.records())
    }

    /// Takes away everything a partition holds, as if its topic had been made anew.
    pub fn truncate(&self, topic: &str, partition: i32) {
        if let Ok(log) = self.lock().log(topic, partition) {
            *log = Log::new(Keep::LastOfKey);
        }
    }

    /// Returns the group's committed offset of a partition.
    #[must_use]
    pub fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let partition = Partition {
            topic: topic.into(),
            number: partition,
        };
        self.lock()
            .committed
            .get(&partition)
            .map(|found| found.next)
    }

    /// Returns how many epochs were committed.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.lock().transactions
    }

    /// Lets the next commits fail, in this order.
    pub fn fail_commits(&self, errors: impl IntoIterator<Item = CommitError>) {
        let mut cluster = self.lock();
        cluster.faults.extend(errors);
    }

    /// Lets the next commit be written and its member hear that it was fenced.
    pub fn lose_answer(&self) {
        self.lock().answers_lost += 1;
    }

    /// Starts a new generation of the group: a member that polled before is fenced.
    pub fn rebalance(&self) {
        self.lock().generation += 1;
        self.shared.grown.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        // A panic while the lock is held leaves no half-made change behind that matters to a reader.
        self.shared
            .cluster
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    fn log(&mut self, topic: &str, partition: i32) -> Result<&mut Log, NoPartition> {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.topics.get_mut(topic)?.get_mut(index))
            .ok_or_else(|| NoPartition {
                topic: topic.to_owned(),
                partition,
            })
    }

    /// Records without a partition go to partition 0: the model does not hash.
    fn append(&mut self, record: NewRecord) -> Result<i64, NoPartition> {
        let partition = Partition {
            number: record.partition.unwrap_or(0),
            topic: Arc::clone(&record.topic),
        };
        Ok(self
            .log(&record.topic, partition.number)?
            .append(partition, record))
    }
}

#[cfg(test)]
mod tests;
