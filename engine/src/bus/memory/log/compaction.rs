//! Compaction: an act of its own, some time after the records were written.

use std::collections::{BTreeSet, HashMap};

use super::{Entry, Keep, Log, Standing};

/// A log shorter than this is not worth compacting.
const ENTRIES_MIN: usize = 1_024;

impl Log {
    /// Compacts a [`Keep::LastOfKey`] log below an offset, and never beyond its last stable offset.
    ///
    /// Of each key the last committed record below it stays, and offsets stay as they are. Aborted records go. A tombstone
    /// outlives its first compaction by `retention` milliseconds: a reader that is on its way learns of the deletion.
    pub(in crate::bus::memory) fn compact(&mut self, below: i64, now: i64, retention: i64) {
        if self.keep != Keep::LastOfKey {
            return;
        }
        let below = below.min(self.stable());
        let num_below = self
            .entries
            .partition_point(|entry| entry.record.offset < below);
        let mut last: HashMap<&[u8], i64> = HashMap::new();
        let committed = |entry: &&Entry| self.standing(entry) == Standing::Committed;
        for entry in self.entries.range(..num_below).filter(committed) {
            last.insert(key(entry), entry.record.offset);
        }
        let stays = |entry: &Entry| {
            let is_gone = entry.horizon.is_some_and(|horizon| horizon <= now);
            last.get(key(entry)) == Some(&entry.record.offset) && !is_gone
        };
        let mut kept: Vec<bool> = self.entries.range(..num_below).map(stays).collect();
        kept.resize(self.entries.len(), true);
        let mut kept = kept.into_iter();
        let horizon = now.saturating_add(retention);
        self.entries.retain_mut(|entry| {
            if entry.record.offset < below && entry.record.value.is_none() {
                entry.horizon.get_or_insert(horizon);
            }
            kept.next() == Some(true)
        });
        let serials: BTreeSet<_> = self.entries.iter().filter_map(|e| e.serial).collect();
        self.aborted.retain(|serial| serials.contains(serial));
        self.compacted = self.entries.len();
    }

    /// Returns whether the log has doubled since it was compacted: then doing it again costs each record a constant.
    pub(in crate::bus::memory) fn is_dirty(&self) -> bool {
        self.keep == Keep::LastOfKey && self.entries.len() > 2 * self.compacted + ENTRIES_MIN
    }
}

/// Records without a key are refused where this is asked.
fn key(entry: &Entry) -> &[u8] {
    entry.record.key.as_deref().unwrap_or_default()
}
