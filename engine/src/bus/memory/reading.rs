//! What a member reads: its lanes, and the state of shards.

use std::sync::Arc;

use super::MemoryBus;
use super::log::Next;
use crate::bus::{BusError, Lane, Partition, Reading, Record, Request, StateRead};

/// A lane, and how far it was read.
#[derive(Debug)]
pub(super) struct Position {
    partition: Partition,
    offset: i64,
    pub(super) reading: Reading,
    /// Where to read from was told.
    begun: bool,
}

impl Position {
    /// Returns the position of a lane that is not read yet.
    pub(super) fn new(partition: &Partition) -> Self {
        Self {
            partition: partition.clone(),
            offset: 0,
            reading: Reading::Behind,
            begun: false,
        }
    }
}

impl MemoryBus {
    /// Reads each wanted lane up to an even part of what is asked for.
    pub(super) fn read(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Vec<(Lane, Arc<Record>)>, BusError> {
        let asked = match &self.plan {
            Some(plan) => plan.cut(request.records_max),
            None => request.records_max,
        };
        let mut cluster = self.memory.lock();
        let is_open = |(lane, position): &(&Lane, &mut Position)| position.begun && wanted(**lane);
        let open = self.lanes.iter_mut().filter(is_open).count().max(1);
        let (records_max, bytes_max) = (asked / open, request.bytes_max / open);
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
                    Next::End(next) => {
                        (position.offset, position.reading) = (next, Reading::AtEnd);
                        break;
                    }
                    Next::Closed => {
                        position.reading = Reading::Closed;
                        break;
                    }
                    Next::OutOfRange => {
                        return Err(out_of_range(&position.partition, position.offset));
                    }
                }
            }
        }
        Ok(records)
    }

    pub(super) fn begin_lanes(&mut self, shard: i32, offsets: &[(Lane, Option<i64>)]) {
        let mut cluster = self.memory.lock();
        for lane in self.owned.get(&shard).into_iter().flatten() {
            let Some(position) = self.lanes.get_mut(lane) else {
                continue;
            };
            let Partition { topic, number } = &position.partition;
            let start = cluster.log(topic, *number).map_or(0, |log| log.start());
            let told = offsets.iter().find(|(of, _)| of == lane);
            position.offset = told.and_then(|(_, next)| *next).unwrap_or(start);
            position.reading = Reading::Behind;
            position.begun = true;
        }
    }

    pub(super) fn read_committed(
        &self,
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
        let mut bytes = 0;
        while read.records.len() < request.records_max && bytes < request.bytes_max {
            match log.next(&partition, read.next) {
                Next::Record(record) => {
                    bytes += record.bytes();
                    read.next = record.offset + 1;
                    read.records.push(Record::clone(&record));
                }
                Next::OutOfRange => return Err(out_of_range(&partition, read.next)),
                Next::End(_) | Next::Closed => break,
            }
        }
        if read.records.is_empty() && cluster.clock.is_some() {
            self.pass(cluster, request.wait);
        }
        Ok(read)
    }
}

fn out_of_range(partition: &Partition, offset: i64) -> BusError {
    BusError::OffsetOutOfRange {
        partition: partition.to_string(),
        offset: Some(offset),
    }
}
