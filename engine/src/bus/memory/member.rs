//! A member of the group on the bus in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use schemas::time::Timestamp;

use super::log::Next;
use super::{Cluster, Memory};
use crate::bus::{
    Bus, BusError, Change, CommitError, Committed, Epoch, Input, Lane, Moved, Partition, Polled,
    Reading, Record, Request, StateRead, Written, inputs_of,
};

/// One member of the group on a [`Memory`].
pub struct MemoryBus {
    memory: Memory,
    inputs: Vec<Arc<str>>,
    state: Option<Arc<str>>,
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
    /// Where to read from was told.
    begun: bool,
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
            state: None,
            shards,
            generation: None,
            lanes: BTreeMap::new(),
            next_lane: 0,
        }
    }

    /// Reads the shards' state from `topic`.
    #[must_use]
    pub fn with_state(mut self, topic: &str) -> Self {
        self.state = Some(topic.into());
        self
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
                    offset: 0,
                    partition: partition.clone(),
                    reading: Reading::Behind,
                    begun: false,
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
        let is_open = |(lane, position): &(&Lane, &mut Position)| position.begun && wanted(**lane);
        let open = self.lanes.iter_mut().filter(is_open).count().max(1);
        let (records_max, bytes_max) = (request.records_max / open, request.bytes_max / open);
        let mut records = Vec::new();
        for (lane, position) in self.lanes.iter_mut().filter(is_open) {
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

    fn commit(&mut self, epoch: &Epoch) -> Result<Written, CommitError> {
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
        let mut written = Written::new();
        for record in &epoch.records {
            // Every partition was looked up above, so nothing can be half written.
            if let Ok(offset) = cluster.append(record.clone())
                && self.state.as_ref() == Some(&record.topic)
            {
                written.insert(record.partition.unwrap_or(0), offset);
            }
        }
        for Moved {
            partition,
            next,
            epoch,
        } in &epoch.offsets
        {
            let committed = Committed {
                next: *next,
                epoch: Some(*epoch),
            };
            cluster.committed.insert(partition.clone(), committed);
            if let Ok(log) = cluster.log(&partition.topic, partition.number) {
                log.committed(*next);
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
        Ok(written)
    }

    fn begin(&mut self, _shard: i32, offsets: &[(Lane, Option<i64>)]) -> Result<(), BusError> {
        for (lane, offset) in offsets {
            if let Some(position) = self.lanes.get_mut(lane) {
                position.offset = offset.unwrap_or(0);
                position.reading = Reading::Behind;
                position.begun = true;
            }
        }
        Ok(())
    }

    fn read_state(
        &mut self,
        shard: i32,
        from: i64,
        request: &Request,
    ) -> Result<StateRead, BusError> {
        let mut read = StateRead {
            next: from,
            ..StateRead::default()
        };
        let Some(topic) = self.state.clone() else {
            return Ok(read);
        };
        let partition = Partition {
            topic,
            number: shard,
        };
        let mut cluster = self.memory.lock();
        let Ok(log) = cluster.log(&partition.topic, shard) else {
            return Ok(read);
        };
        while read.records.len() < request.records_max
            && let Next::Record(record) = log.next(&partition, read.next)
        {
            read.next = record.offset + 1;
            read.records.push(Record::clone(&record));
        }
        Ok(read)
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

    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn generation(&self) -> i64 {
        let generation = self
            .generation
            .and_then(|number| i64::try_from(number).ok());
        generation.unwrap_or(-1)
    }
}
