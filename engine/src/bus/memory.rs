//! The bus inside one process: a faithful model of what Fusor needs of Kafka.
//!
//! Partitions with offsets; transactions whose records lie in the log from the start and count only once their end is
//! written; a group with generations, cooperative hand-over and fences; retention, compaction, time. What is left
//! out is what nobody can tell from outside: replicas, batches, segments.
//!
//! A broker made by [`Memory::new`] has no clock and never fails: it runs replays and the demo. One made by
//! [`Memory::simulated`] has a clock that only moves when it is told to, so that a run is a function of its seed. There,
//! members may be given a [`Plan`] that lets any request fail, and the broker's own acts (a rebalance, a lost
//! session, retention, compaction) are calls.
//!
//! A partition can also be fed by an iterator, which is read only as far as the member asks: a file of any size
//! passes through in bounded memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use schemas::time::Timestamp;

use super::{CommitError, Committed, NewRecord, Partition, Record};

mod acts;
mod client;
mod faults;
mod group;
mod log;
mod member;
mod partitioner;
mod reading;
mod transaction;

use group::Group;
use log::{Log, record_at};
use transaction::Coordinator;

pub use faults::{Crash, Fault, Mistake, Plan, Point};
pub use group::{Fence, MemberId};
pub use log::{Feed, Keep, Standing};
pub use member::MemoryBus;
pub use transaction::{Producer, Refusal};

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
    group: Group,
    transactions: Coordinator,
    /// The time in milliseconds, where there is a clock.
    clock: Option<i64>,
    timing: Timing,
    refusals: VecDeque<CommitError>,
    answers_lost: usize,
    commits: u64,
}

/// After what time a broker acts by itself, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A member whose heartbeats are missing is put out: default 10 s.
    pub session: i64,
    /// An open transaction is aborted: default 10 s.
    pub transaction: i64,
    /// Compaction may take a tombstone that it met so long ago: default 7 days.
    pub tombstone: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            session: 10_000,
            transaction: 10_000,
            tombstone: 7 * 86_400_000,
        }
    }
}

/// The topic is there already with another number of partitions, or is not there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no partition {partition} of topic {topic}")]
pub struct NoPartition {
    topic: String,
    partition: i32,
}

impl Memory {
    /// Creates an empty broker without a clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty broker whose clock stands at `now` until it is moved.
    #[must_use]
    pub fn simulated(now: Timestamp, timing: Timing) -> Self {
        let memory = Self::new();
        let mut cluster = memory.lock();
        (cluster.clock, cluster.timing) = (Some(now.0), timing);
        drop(cluster);
        memory
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
        let mut cluster = self.lock();
        let partition = cluster.partition_of(&record)?;
        let now = cluster.clock;
        let log = cluster.log(&partition.topic, partition.number)?;
        let offset = log.append(None, |offset| record_at(&partition, offset, record, now));
        drop(cluster);
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

    /// Returns what a partition holds that is committed, oldest first, up to the last stable offset.
    #[must_use]
    pub fn read(&self, topic: &str, partition: i32) -> Vec<Arc<Record>> {
        let mut cluster = self.lock();
        let Ok(log) = cluster.log(topic, partition) else {
            return Vec::new();
        };
        let stable = log.stable();
        let committed = |(record, standing): (&Arc<Record>, Standing)| {
            (standing == Standing::Committed && record.offset < stable).then(|| Arc::clone(record))
        };
        log.records().filter_map(committed).collect()
    }

    /// Returns everything a partition holds, oldest first, each record with how it stands.
    #[must_use]
    pub fn read_uncommitted(&self, topic: &str, partition: i32) -> Vec<(Arc<Record>, Standing)> {
        let mut cluster = self.lock();
        let Ok(log) = cluster.log(topic, partition) else {
            return Vec::new();
        };
        let records = log.records();
        records.map(|(record, s)| (Arc::clone(record), s)).collect()
    }

    /// Returns the high watermark of a partition and its last stable offset; none where there is no such partition.
    #[must_use]
    pub fn ends(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let mut cluster = self.lock();
        let log = cluster.log(topic, partition).ok()?;
        Some((log.end(), log.stable()))
    }

    /// Returns the group's committed offset of a partition.
    #[must_use]
    pub fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        self.offset(topic, partition)
            .map(|committed| committed.next)
    }

    /// Returns what the group has committed for a partition.
    #[must_use]
    pub fn offset(&self, topic: &str, partition: i32) -> Option<Committed> {
        let partition = Partition {
            topic: topic.into(),
            number: partition,
        };
        self.lock().group.committed(&partition)
    }

    /// Returns how many epochs were committed.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.lock().commits
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

    /// Returns where a record goes: the partition it names, else that of its key, else the first.
    fn partition_of(&self, record: &NewRecord) -> Result<Partition, NoPartition> {
        let missing = || NoPartition {
            topic: record.topic.to_string(),
            partition: record.partition.unwrap_or(0),
        };
        let logs = self.topics.get(&record.topic).ok_or_else(missing)?;
        let count = u32::try_from(logs.len()).unwrap_or(u32::MAX);
        let number = match (record.partition, &record.key) {
            (Some(number), _) => number,
            (None, Some(key)) => {
                i32::try_from(partitioner::partition_of(key, count)).unwrap_or(i32::MAX)
            }
            (None, None) => 0,
        };
        Ok(Partition {
            topic: Arc::clone(&record.topic),
            number,
        })
    }

    fn commit_offset(&mut self, partition: Partition, committed: Committed) {
        if let Ok(log) = self.log(&partition.topic, partition.number) {
            log.committed(committed.next);
        }
        self.group.commit(partition, committed);
    }

    /// The time in milliseconds; without a clock it is always 0.
    fn now(&self) -> i64 {
        self.clock.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
