//! The disk of a slot, which outlives the processes there: snapshots that are whole, damaged, or do not fit.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use engine::bus::memory::Memory;
use engine::bus::{BusError, StateRead};
use engine::snapshot::{Snapshots, Store};

use super::Simulation;
use super::violation::Mutant;
use super::world::{STATE, TOMBSTONE_MS};

/// A disk; clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    shared: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    files: BTreeMap<i32, Vec<u8>>,
    /// Bytes that still fit on it, where it is nearly full.
    left: Option<usize>,
    /// Times that a snapshot was opened.
    opened: usize,
}

/// Records of the state read at once for a snapshot.
const READ_MAX: usize = 50;

impl Disk {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.shared.lock().unwrap()
    }

    /// Returns the snapshots of a process that runs on this disk.
    pub(super) fn snapshots(&self, mutant: Option<Mutant>) -> Snapshots {
        let age_max_ms = match mutant {
            Some(Mutant::OldSnapshot) => i64::MAX,
            Some(Mutant::Client(_) | Mutant::SkipUndo | Mutant::DropLate) | None => {
                TOMBSTONE_MS / 2
            }
        };
        Snapshots::new(Box::new(self.clone()), age_max_ms)
    }
}

impl Store for Disk {
    fn open(&self, shard: i32) -> io::Result<Option<Box<dyn Read>>> {
        let mut content = self.content();
        content.opened += 1;
        let file = content.files.get(&shard).cloned();
        Ok(file.map(|file| -> Box<dyn Read> { Box::new(Cursor::new(file)) }))
    }

    fn replace(
        &self,
        shard: i32,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut file = Vec::new();
        content(&mut file)?;
        let mut disk = self.content();
        if disk.left.take().is_some_and(|left| left < file.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.files.insert(shard, file);
        Ok(())
    }

    fn remove(&self, shard: i32) -> io::Result<()> {
        self.content().files.remove(&shard);
        Ok(())
    }
}

impl Simulation {
    /// A process takes snapshots of the shards it holds. The disk may be full, and what lies there may rot.
    pub(super) fn save(&self, amount: usize) {
        let mut slots = self.slots.lock().unwrap();
        let number = amount % slots.len();
        let slot = &mut slots[number];
        let Some(snapshots) = slot.snapshots.clone() else {
            return;
        };
        let disk = slot.disk.clone();
        drop(slots);
        let opened = disk.content().opened;
        disk.content().left = amount.is_multiple_of(7).then_some(amount);
        for shard in snapshots.kept() {
            let mut read = |from| Ok::<_, BusError>(read(&self.memory, shard, from));
            let taken = snapshots.take(shard, &mut read, self.memory.now());
            self.note(&format!("{number} snapshot of {shard}: {taken:?}"));
        }
        let mut content = disk.content();
        (content.opened, content.left) = (opened, None);
        if amount.is_multiple_of(5) {
            let file = content.files.values_mut().next();
            let byte = file.and_then(|file| {
                let length = file.len().max(1);
                file.get_mut(amount % length)
            });
            byte.into_iter().for_each(|byte| *byte ^= 1);
        }
    }

    /// Returns whether a process looked at a snapshot when it took a shard over.
    pub(super) fn has_looked_at_snapshots(&self) -> bool {
        let slots = self.slots.lock().unwrap();
        { slots.iter() }.any(|slot| {
            let content = slot.disk.content();
            content.opened > 0 && !content.files.is_empty()
        })
    }
}

fn read(memory: &Memory, shard: i32, from: i64) -> StateRead {
    let records = memory.read(STATE, shard).into_iter();
    let records: Vec<_> = records
        .filter(|record| record.offset >= from)
        .take(READ_MAX)
        .map(|record| engine::bus::Record::clone(&record))
        .collect();
    let next = records.last().map_or(from, |record| record.offset + 1);
    StateRead { records, next }
}
