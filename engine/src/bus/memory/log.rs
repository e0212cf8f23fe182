//! One partition of the bus in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::transaction::Serial;
use crate::bus::{NewRecord, Partition, Record};

mod compaction;

/// Where the further records of a fed partition come from; its own offsets follow those the partition holds.
pub type Feed = Box<dyn Iterator<Item = NewRecord> + Send>;

/// What a partition keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// Everything.
    All,
    /// The last record of each key, as a compacted topic; a record without a key is refused.
    LastOfKey,
    /// What the group has not committed yet: for inputs that are read once.
    Uncommitted,
    /// Nothing: written, counted and gone.
    Nothing,
}

/// The log of one partition: records by rising offset, with gaps where a transaction's end took an offset and where
/// compaction took records.
///
/// The records of a transaction lie in the log from the moment they are written; its end decides who may see them.
pub(super) struct Log {
    keep: Keep,
    entries: VecDeque<Entry>,
    /// The first offset that was not deleted.
    start: i64,
    /// The next offset to be given: the high watermark, as there are no replicas to wait for.
    end: i64,
    /// The first offset of each transaction that is open here.
    open: BTreeMap<Serial, i64>,
    /// Those that ended by an abort and still have records here.
    aborted: BTreeSet<Serial>,
    /// Entries that the last compaction left.
    compacted: usize,
    feed: Option<Feed>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    /// The transaction it was written in.
    serial: Option<Serial>,
    /// When a tombstone that compaction has met may go, in milliseconds.
    horizon: Option<i64>,
}

/// What lies at an offset, for a reader of what is committed.
pub(super) enum Next {
    /// The first committed record at or after it.
    Record(Arc<Record>),
    /// Nothing yet: it is to be asked for again from this offset.
    End(i64),
    /// Nothing, ever.
    Closed,
    /// The log does not hold the offset: it was deleted, or never was.
    OutOfRange,
}

/// How a record of the log stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Written outside of a transaction, or in one that was committed.
    Committed,
    /// Its transaction is open.
    Open,
    /// Its transaction was aborted.
    Aborted,
}

impl Log {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            entries: VecDeque::new(),
            start: 0,
            end: 0,
            open: BTreeMap::new(),
            aborted: BTreeSet::new(),
            compacted: 0,
            feed: None,
            closed: false,
        }
    }

    /// Returns such a log as it was when it was made.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.keep)
    }

    /// Returns whether records need a key here.
    pub(super) fn needs_keys(&self) -> bool {
        self.keep == Keep::LastOfKey
    }

    /// Appends the record that `make` builds for its offset, in an open transaction or outside of any.
    pub(super) fn append(
        &mut self,
        serial: Option<Serial>,
        make: impl FnOnce(i64) -> Record,
    ) -> i64 {
        let offset = self.end;
        self.end += 1;
        if let Some(serial) = serial {
            self.open.entry(serial).or_insert(offset);
        }
        if self.keep != Keep::Nothing {
            self.entries.push_back(Entry {
                record: Arc::new(make(offset)),
                serial,
                horizon: None,
            });
        }
        offset
    }

    /// Ends a transaction here with a marker, which takes an offset.
    pub(super) fn end_transaction(&mut self, serial: Serial, commit: bool) {
        self.end += 1;
        let first = self.open.remove(&serial);
        if !commit && first.is_some() && self.keep != Keep::Nothing {
            self.aborted.insert(serial);
        }
    }

    pub(super) fn feed(&mut self, feed: Feed) {
        self.feed = Some(feed);
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Returns the high watermark: behind the last record, committed or not.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Returns the first offset that is still there.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// Returns the last stable offset: a reader of what is committed goes no further.
    pub(super) fn stable(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end)
    }

    /// Returns what a reader of everything sees, oldest first, each record with how it stands.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Arc<Record>, Standing)> {
        self.entries
            .iter()
            .map(|entry| (&entry.record, self.standing(entry)))
    }

    fn standing(&self, entry: &Entry) -> Standing {
        match entry.serial {
            Some(serial) if self.open.contains_key(&serial) => Standing::Open,
            Some(serial) if self.aborted.contains(&serial) => Standing::Aborted,
            Some(_) | None => Standing::Committed,
        }
    }

    /// Returns the first committed record at or after `offset`, drawing on the feed when the log has none.
    pub(super) fn next(&mut self, partition: &Partition, offset: i64) -> Next {
        if offset < self.start || offset > self.end {
            return Next::OutOfRange;
        }
        let stable = self.stable();
        let index = self.entries.partition_point(|e| e.record.offset < offset);
        let found = self
            .entries
            .range(index..)
            .take_while(|entry| entry.record.offset < stable)
            .find(|entry| self.standing(entry) == Standing::Committed);
        if let Some(entry) = found {
            return Next::Record(Arc::clone(&entry.record));
        }
        if stable < self.end {
            return Next::End(stable.max(offset));
        }
        match self.feed.as_mut().map(Iterator::next) {
            Some(Some(record)) => {
                self.append(None, |offset| record_at(partition, offset, record, None));
                self.entries.back().map_or(Next::End(self.end), |entry| {
                    Next::Record(Arc::clone(&entry.record))
                })
            }
            Some(None) => {
                (self.feed, self.closed) = (None, true);
                Next::Closed
            }
            None if self.closed => Next::Closed,
            None => Next::End(self.end),
        }
    }

    /// Lets go of what the group will not read again, where that is asked for.
    pub(super) fn committed(&mut self, offset: i64) {
        if self.keep == Keep::Uncommitted {
            self.delete_before(offset);
        }
    }

    /// Deletes everything before an offset, as retention does.
    pub(super) fn delete_before(&mut self, offset: i64) {
        self.start = self.start.max(offset.min(self.end));
        let is_gone = |entry: &Entry| entry.record.offset < self.start;
        while self.entries.front().is_some_and(is_gone) {
            self.entries.pop_front();
        }
    }
}

/// Puts a record at its place. It keeps its own time; one without takes the broker's, where there is one.
pub(super) fn record_at(
    partition: &Partition,
    offset: i64,
    record: NewRecord,
    now: Option<i64>,
) -> Record {
    Record {
        partition: partition.clone(),
        offset,
        timestamp: record.timestamp.or(now),
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("keep", &self.keep)
            .field("entries", &self.entries.len())
            .field("start", &self.start)
            .field("end", &self.end)
            .field("open", &self.open)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
