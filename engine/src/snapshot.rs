//! Local copies of shards' states, so that whoever takes a shard over again has less of the state topic to read.
//!
//! A snapshot is a part of the topic's partition from its beginning to some offset, compacted: the last value of each key.
//! It says of which life of the topic it is and how old it is, and where either does not fit, or a byte is wrong, it is
//! let go and the topic is read instead. What follows it is always read from the topic, up to the reader's own claim. A
//! process without a disk, or with one that is full, works as any other and only starts later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::time::Timestamp;

use crate::bus::{BusError, Partition, Record, StateRead};
use crate::metrics;
use crate::shard::{RestoreError, Shard};
use crate::state::{Key, Origin, decode};

mod directory;
mod format;
mod keeper;

pub use directory::Directory;
pub use format::{Damage, Header, Reader, Writer};
pub(crate) use keeper::Keeper;

/// Where snapshots are kept: one a shard, the last one taken.
pub trait Store: fmt::Debug + Send + Sync {
    /// Opens the shard's snapshot; none where there is none.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, shard: i32) -> io::Result<Option<Box<dyn Read>>>;

    /// Puts a snapshot in the place of the last one: whole or not at all, whatever ends the process.
    ///
    /// # Errors
    /// What `content` or the system says; the last one is still there.
    fn replace(
        &self,
        shard: i32,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()>;

    /// Lets go of the shard's snapshot.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, shard: i32) -> io::Result<()>;
}

/// A snapshot was not taken, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The state topic could not be read.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// It could not be written or read.
    #[error("the snapshot of shard {shard}: {source}")]
    Store {
        /// The shard.
        shard: i32,
        /// What the system says.
        source: io::Error,
    },
    /// What it holds is no state.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// The snapshots of a process.
#[derive(Debug)]
pub struct Snapshots {
    store: Box<dyn Store>,
    age_max_ms: i64,
    kept: Mutex<BTreeSet<i32>>,
}

/// Records of the state topic from its beginning within which its origin is looked for.
const ORIGIN_WITHIN: usize = 10_000;
/// Bytes of the topic that are sorted in memory at once.
const TAIL_BYTES_MAX: usize = 64 << 20;
/// A snapshot that is further in the future than clocks differ was taken by a clock that cannot be believed.
const SKEW_MS: i64 = 300_000;

/// Reads on in the state of a shard, as [`crate::bus::Bus::read_state`] does: nothing at the end.
pub type ReadState<'a> = dyn FnMut(i64) -> Result<StateRead, BusError> + 'a;

impl Snapshots {
    /// Uses `store`. A snapshot is believed for `age_max_ms`, which must be well below the time for which the topic keeps
    /// its tombstones: one that is older may hold what is gone.
    #[must_use]
    pub fn new(store: Box<dyn Store>, age_max_ms: i64) -> Self {
        Self {
            store,
            age_max_ms,
            kept: Mutex::default(),
        }
    }

    /// Says of which shards snapshots are taken.
    pub fn keep(&self, shards: impl Iterator<Item = i32>) {
        *self.lock() = shards.collect();
    }

    /// Returns the shards of which snapshots are taken.
    #[must_use]
    pub fn kept(&self) -> Vec<i32> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the shard as its snapshot has it: none where that is of another life of the topic, too old, damaged, ends
    /// before what was read already, or after `until`.
    #[must_use]
    pub fn load(&self, shard: &Shard, until: Option<i64>, now: Timestamp) -> Option<Shard> {
        let number = shard.number();
        match self.try_load(shard, until, now) {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(shard = number, %error, "a snapshot is let go: the state topic is read instead");
                metrics::snapshot_failed();
                self.forget(number);
                None
            }
        }
    }

    fn try_load(
        &self,
        shard: &Shard,
        until: Option<i64>,
        now: Timestamp,
    ) -> Result<Option<Shard>, SnapshotError> {
        let number = shard.number();
        let failed = |source| SnapshotError::Store {
            shard: number,
            source,
        };
        let Some(origin) = shard.origin() else {
            return Ok(None);
        };
        let Some(mut reader) = self.usable(number, origin, now).map_err(failed)? else {
            return Ok(None);
        };
        let next = reader.header().next;
        if next <= shard.next_state() || until.is_some_and(|until| next > until + 1) {
            return Ok(None);
        }
        let mut loaded = shard.anew();
        let mut record = Record {
            partition: Partition {
                topic: "snapshot".into(),
                number,
            },
            offset: next - 1,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        while let Some((key, value)) = reader.next().map_err(failed)? {
            (record.key, record.value) = (Some(key), Some(value));
            loaded.restore(std::slice::from_ref(&record))?;
        }
        tracing::info!(
            shard = number,
            next,
            "state restored from a snapshot up to here"
        );
        metrics::snapshot_loaded();
        Ok(Some(loaded))
    }

    /// Lets go of a shard's snapshot.
    pub fn forget(&self, shard: i32) {
        if let Err(error) = self.store.remove(shard) {
            tracing::warn!(shard, %error, "a snapshot cannot be removed");
        }
    }

    /// Opens the shard's snapshot, where it is of this life of the topic and not too old.
    fn usable(&self, shard: i32, origin: Origin, now: Timestamp) -> io::Result<Option<Old>> {
        let Some(source) = self.store.open(shard)? else {
            return Ok(None);
        };
        let reader = Reader::new(source)?;
        let header = reader.header();
        let age_ms = now.millis() - header.taken;
        let fits = (header.shard, header.origin) == (shard, origin)
            && (-SKEW_MS..=self.age_max_ms).contains(&age_ms);
        Ok(fits.then_some(reader))
    }

    /// Takes a snapshot of what is committed of a shard, on top of its last one; returns the offset that it ends before,
    /// or none where there is nothing new.
    ///
    /// # Errors
    /// When the topic cannot be read or the snapshot cannot be written: the last one is still there, unless it is damaged.
    pub fn take(
        &self,
        shard: i32,
        read: &mut ReadState<'_>,
        now: Timestamp,
    ) -> Result<Option<i64>, SnapshotError> {
        let Some(origin) = origin(read)? else {
            return Ok(None);
        };
        let mut taken = None;
        loop {
            let old = self.usable(shard, origin, now).unwrap_or(None);
            let from = old.as_ref().map_or(0, |old| old.header().next);
            let (tail, next) = tail(read, from)?;
            if tail.is_empty() {
                return Ok(taken);
            }
            let header = Header {
                shard,
                origin,
                next,
                taken: now.millis(),
            };
            self.replace(header, old, tail)
                .map_err(|source| SnapshotError::Store { shard, source })?;
            taken = Some(next);
        }
    }

    fn replace(&self, header: Header, mut old: Option<Old>, tail: Tail) -> io::Result<()> {
        let replaced = self.store.replace(header.shard, &mut |file| {
            let mut writer = Writer::new(BufWriter::new(file), header)?;
            merge(old.as_mut(), &tail, &mut writer)?;
            writer.end()
        });
        // A damaged one would be in the way for ever.
        let damaged = |error: &io::Error| {
            let kind = error.kind();
            matches!(
                kind,
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            )
        };
        if replaced.as_ref().is_err_and(damaged) {
            self.forget(header.shard);
        }
        replaced
    }
}

/// A snapshot that was taken before.
type Old = Reader<Box<dyn Read>>;
/// What follows a snapshot: the last value of each key, none for one that is gone.
type Tail = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn origin(read: &mut ReadState<'_>) -> Result<Option<Origin>, BusError> {
    let (mut from, mut seen) = (0, 0);
    while seen < ORIGIN_WITHIN {
        let batch = read(from)?;
        if batch.records.is_empty() {
            return Ok(None);
        }
        let is_origin = |record: &&Record| {
            let key = Key::read(record.key.as_deref().unwrap_or_default());
            key == Ok(Key::Origin)
        };
        if let Some(record) = batch.records.iter().find(is_origin) {
            let value = record.value.as_deref().map(decode::<Origin>);
            return Ok(value.and_then(Result::ok).map(|(_, origin)| origin));
        }
        seen += batch.records.len();
        from = batch.next;
    }
    Ok(None)
}

fn tail(read: &mut ReadState<'_>, from: i64) -> Result<(Tail, i64), BusError> {
    let (mut tail, mut next, mut bytes) = (Tail::new(), from, 0);
    while bytes < TAIL_BYTES_MAX {
        let batch = read(next)?;
        if batch.records.is_empty() {
            break;
        }
        next = batch.next;
        for record in batch.records {
            bytes += record.bytes();
            tail.insert(record.key.unwrap_or_default(), record.value);
        }
    }
    Ok((tail, next))
}

/// Writes an old snapshot with what followed it in its place; both are in the order of keys.
fn merge(
    mut old: Option<&mut Old>,
    tail: &Tail,
    writer: &mut Writer<impl Write>,
) -> io::Result<()> {
    let mut next_old = || old.as_mut().map_or(Ok(None), |old| old.next());
    let mut before = next_old()?;
    for (key, value) in tail {
        while let Some((old_key, old_value)) = before.take_if(|(old_key, _)| *old_key < *key) {
            writer.write(&old_key, &old_value)?;
            before = next_old()?;
        }
        if before.take_if(|(old_key, _)| *old_key == *key).is_some() {
            before = next_old()?;
        }
        if let Some(value) = value {
            writer.write(key, value)?;
        }
    }
    while let Some((key, value)) = before {
        writer.write(&key, &value)?;
        before = next_old()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
