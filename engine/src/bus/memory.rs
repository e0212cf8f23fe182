//! The bus inside one process: a small, honest model of what Fusor needs of Kafka.
//!
//! Partitions with offsets, committed offsets of one group, epochs that become visible whole, generations that
//! fence a member which was left behind. A partition can also be fed by an iterator, which is read only as far as
//! the member asks: a file of any size passes through in bounded memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{
    Bus, BusError, Change, CommitError, Epoch, Input, Lane, NewRecord, Partition, Polled, Reading,
    Record, Request, inputs_of,
};

mod log;
use log::{Log, Next};

pub use log::{Feed, Keep};

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
    committed: BTreeMap<Partition, i64>,
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

    /// Returns the group's committed offset of a partition.
    #[must_use]
    pub fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let partition = Partition {
            topic: topic.into(),
            number: partition,
        };
        self.lock().committed.get(&partition).copied()
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

/// One member of the group on a [`Memory`].
pub struct MemoryBus {
    memory: Memory,
    inputs: Vec<Arc<str>>,
    shards: i32,
    generation: Option<u64>,
    lanes: BTreeMap<Lane, Position>,
    next_lane: u32,
}

#[derive(Debug)]
struct Position {
    partition: Partition,
    offset: i64,
    reading: Reading,
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus")
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

impl MemoryBus {
    /// Joins the group that reads `inputs`, split over `shards`.
    #[must_use]
    pub fn join(memory: &Memory, inputs: &[Arc<str>], shards: i32) -> Self {
        Self {
            memory: memory.clone(),
            inputs: inputs.to_vec(),
            shards,
            generation: None,
            lanes: BTreeMap::new(),
            next_lane: 0,
        }
    }

    /// Takes part in a new generation of the group, if there is one: every shard is taken away and handed out again.
    fn serve_group(&mut self, cluster: &Cluster) -> Result<Vec<Change>, BusError> {
        if self.generation == Some(cluster.generation) {
            return Ok(Vec::new());
        }
        let mut changes = Vec::new();
        if self.generation.is_some() {
            changes.extend((0..self.shards).map(|shard| Change::Revoked { shard }));
        }
        self.lanes.clear();
        let topics: Vec<(Arc<str>, i32)> = self
            .inputs
            .iter()
            .map(|topic| {
                let count = cluster.topics.get(topic).map_or(0, Vec::len);
                (Arc::clone(topic), i32::try_from(count).unwrap_or(i32::MAX))
            })
            .collect();
        for shard in 0..self.shards {
            let mut inputs = Vec::new();
            for partition in inputs_of(shard, self.shards, &topics)? {
                let lane = Lane(self.next_lane);
                self.next_lane += 1;
                let committed = cluster.committed.get(&partition).copied();
                let position = Position {
                    offset: committed.unwrap_or(0),
                    partition: partition.clone(),
                    reading: Reading::Behind,
                };
                self.lanes.insert(lane, position);
                inputs.push(Input {
                    lane,
                    partition,
                    committed,
                });
            }
            changes.push(Change::Assigned { shard, inputs });
        }
        self.generation = Some(cluster.generation);
        Ok(changes)
    }

    /// Reads each wanted lane up to an even part of what is asked for.
    fn read(
        &mut self,
        cluster: &mut Cluster,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Vec<(Lane, Arc<Record>)> {
        let open = self
            .lanes
            .keys()
            .filter(|lane| wanted(**lane))
            .count()
            .max(1);
        let (records_max, bytes_max) = (request.records_max / open, request.bytes_max / open);
        let mut records = Vec::new();
        for (lane, position) in self.lanes.iter_mut().filter(|(lane, _)| wanted(**lane)) {
            let Partition { topic, number } = &position.partition;
            let Ok(log) = cluster.log(topic, *number) else {
                continue;
            };
            let (mut count, mut bytes) = (0, 0);
            while count < records_max.max(1) && bytes <= bytes_max {
                match log.next(&position.partition, position.offset) {
                    Next::Record(record) => {
                        (count, bytes) = (count + 1, bytes + record.bytes());
                        position.offset = record.offset + 1;
                        position.reading = Reading::Behind;
                        records.push((*lane, record));
                    }
                    Next::End => {
                        position.reading = Reading::AtEnd;
                        break;
                    }
                    Next::Closed => {
                        position.reading = Reading::Closed;
                        break;
                    }
                }
            }
        }
        records
    }
}

impl Bus for MemoryBus {
    fn poll(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Polled, BusError> {
        let memory = self.memory.clone();
        let mut cluster = memory.lock();
        let deadline = Instant::now() + request.wait;
        loop {
            let before: Vec<Reading> = self.lanes.values().map(|lane| lane.reading).collect();
            let changes = self.serve_group(&cluster)?;
            let records = self.read(&mut cluster, request, wanted);
            let after = self.lanes.values().map(|lane| lane.reading);
            let moved = !changes.is_empty() || !records.is_empty() || !after.eq(before);
            let left = deadline.saturating_duration_since(Instant::now());
            if moved || left.is_zero() {
                return Ok(Polled {
                    joined: true,
                    changes,
                    records,
                });
            }
            cluster = memory
                .shared
                .grown
                .wait_timeout(cluster, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn reading(&self, lane: Lane) -> Reading {
        self.lanes
            .get(&lane)
            .map_or(Reading::Closed, |position| position.reading)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<(), CommitError> {
        let mut cluster = self.memory.lock();
        if self.generation != Some(cluster.generation) {
            let problem = "the member is of an older generation".to_owned();
            return Err(CommitError::Fenced { problem });
        }
        if !cluster.faults.is_empty() {
            return Err(cluster.faults.remove(0));
        }
        for record in &epoch.records {
            cluster
                .log(&record.topic, record.partition.unwrap_or(0))
                .map_err(|error| CommitError::Aborted {
                    problem: error.to_string(),
                })?;
        }
        for record in &epoch.records {
            // Every partition was looked up above, so nothing can be half written.
            let _appended = cluster.append(record.clone());
        }
        for (partition, offset) in &epoch.offsets {
            cluster.committed.insert(partition.clone(), *offset);
            if let Ok(log) = cluster.log(&partition.topic, partition.number) {
                log.committed(*offset);
            }
        }
        cluster.transactions += 1;
        let lost = cluster.answers_lost > 0;
        cluster.answers_lost = cluster.answers_lost.saturating_sub(1);
        drop(cluster);
        self.memory.shared.grown.notify_all();
        if lost {
            let problem = "the answer was lost with the membership".to_owned();
            return Err(CommitError::Fenced { problem });
        }
        Ok(())
    }

    fn rejoin(&mut self) -> Result<(), BusError> {
        self.generation = None;
        self.lanes.clear();
        Ok(())
    }

    fn keep_alive(&mut self, _wait: Duration) -> Result<Polled, BusError> {
        let memory = self.memory.clone();
        let cluster = memory.lock();
        Ok(Polled {
            joined: true,
            changes: self.serve_group(&cluster)?,
            records: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
