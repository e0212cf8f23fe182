//! The bus as a member of a simulation has it: a record may be in it that ends whoever applies it.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use engine::bus::memory::{Crash, Memory, MemoryBus};
use engine::bus::{
    Bus, BusError, CommitError, Epoch, Lane, Polled, Reading, Record, Request, StateRead, Written,
};
use engine::state::{Block, Fate, Key, Meta, decode};
use schemas::time::Timestamp;

use super::world::{BINDINGS, Place};

/// A member's bus.
#[derive(Debug)]
pub(super) struct Client {
    bus: MemoryBus,
    memory: Memory,
    /// The record that ends the process that applies it.
    poison: Option<Place>,
    /// The watermark as it was last written, for the member that drops what lies behind it.
    watermark: Option<i64>,
    drops_late: bool,
}

impl Client {
    pub(super) fn new(bus: MemoryBus, memory: &Memory, poison: Option<Place>) -> Self {
        Self {
            bus,
            memory: memory.clone(),
            poison,
            watermark: None,
            drops_late: false,
        }
    }

    /// Lets alerts behind the watermark fall under the table.
    pub(super) fn dropping_late(mut self, drops_late: bool) -> Self {
        self.drops_late = drops_late;
        self
    }

    /// Ends this member where it has applied the poison: a stack that overflowed leaves nothing to catch.
    fn suffer(&self, epoch: &Epoch) {
        let Some(poison) = &self.poison else {
            return;
        };
        let blocks = contents::<Block>(epoch, |key| matches!(key, Key::Block { .. }));
        let applies = |block: &Block| {
            block.entries.iter().any(|entry| {
                let partition = entry.partition.and_then(|at| block.partition(at));
                partition.is_some_and(|(topic, partition)| {
                    poison.is(topic, *partition, entry.offset)
                        && !matches!(entry.fate, Fate::DeadLetter(_))
                })
            })
        };
        if blocks.iter().any(applies) {
            self.memory.kill(self.bus.member());
            resume_unwind(Box::new(Crash));
        }
    }

    fn is_late(&self, record: &Record) -> bool {
        let time = record.timestamp.unwrap_or(i64::MAX);
        *record.partition.topic != *BINDINGS && self.watermark.is_some_and(|mark| time < mark)
    }
}

/// Returns the values of an epoch's records of the state under such keys.
fn contents<T: serde::de::DeserializeOwned>(epoch: &Epoch, is_meant: fn(&Key) -> bool) -> Vec<T> {
    let of = |record: &engine::bus::NewRecord| {
        let key = Key::read(record.key.as_deref()?).ok()?;
        let value = record.value.as_deref().filter(|_| is_meant(&key))?;
        Some(decode(value).ok()?.1)
    };
    epoch.records.iter().filter_map(of).collect()
}

impl Bus for Client {
    fn poll(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Polled, BusError> {
        let mut polled = self.bus.poll(request, wanted)?;
        if self.drops_late {
            let is_late = |record: &Arc<Record>| self.is_late(record);
            polled.records.retain(|(_, record)| !is_late(record));
        }
        Ok(polled)
    }

    fn reading(&self, lane: Lane) -> Reading {
        self.bus.reading(lane)
    }

    fn begin(&mut self, shard: i32, offsets: &[(Lane, Option<i64>)]) -> Result<(), BusError> {
        self.bus.begin(shard, offsets)
    }

    fn read_state(
        &mut self,
        shard: i32,
        from: i64,
        request: &Request,
    ) -> Result<StateRead, BusError> {
        self.bus.read_state(shard, from, request)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Written, CommitError> {
        self.suffer(epoch);
        let written = self.bus.commit(epoch)?;
        if self.drops_late {
            let metas = contents::<Meta>(epoch, |key| *key == Key::Meta);
            self.watermark = metas.into_iter().filter_map(|meta| meta.watermark).max();
        }
        Ok(written)
    }

    fn rejoin(&mut self) -> Result<(), BusError> {
        self.bus.rejoin()
    }

    fn keep_alive(&mut self, wait: Duration) -> Result<Polled, BusError> {
        self.bus.keep_alive(wait)
    }

    fn now(&self) -> Timestamp {
        self.bus.now()
    }

    fn generation(&self) -> i64 {
        self.bus.generation()
    }
}
