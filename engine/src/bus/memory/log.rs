//! One partition of the bus in memory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::bus::{NewRecord, Partition, Record};

/// Where the further records of a fed partition come from; its own offsets follow those the partition holds.
pub type Feed = Box<dyn Iterator<Item = NewRecord> + Send>;

/// What a partition keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// Everything.
    All,
    /// The last record of each key, as a compacted topic.
    LastOfKey,
    /// What the group has not committed yet: for inputs that are read once.
    Uncommitted,
    /// Nothing: written, counted and gone.
    Nothing,
}

/// The log of one partition: records by rising offset, with gaps where compaction took some.
pub(super) struct Log {
    keep: Keep,
    records: VecDeque<Arc<Record>>,
    end: i64,
    feed: Option<Feed>,
    closed: bool,
}

/// What lies at an offset.
pub(super) enum Next {
    /// The first record at or after it.
    Record(Arc<Record>),
    /// Nothing yet.
    End,
    /// Nothing, ever.
    Closed,
}

impl Log {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            records: VecDeque::new(),
            end: 0,
            feed: None,
            closed: false,
        }
    }

    pub(super) fn append(&mut self, partition: Partition, record: NewRecord) -> i64 {
        let offset = self.end;
        self.end += 1;
        match self.keep {
            Keep::Nothing => return offset,
            Keep::LastOfKey => self.records.retain(|kept| kept.key != record.key),
            Keep::All | Keep::Uncommitted => {}
        }
        self.records.push_back(Arc::new(Record {
            partition,
            offset,
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        }));
        offset
    }

    pub(super) fn feed(&mut self, feed: Feed) {
        self.feed = Some(feed);
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn records(&self) -> Vec<Arc<Record>> {
        self.records.iter().cloned().collect()
    }

    /// Returns the first record at or after `offset`, drawing on the feed when the log has none.
    pub(super) fn next(&mut self, partition: &Partition, offset: i64) -> Next {
        let index = self
            .records
            .partition_point(|record| record.offset < offset);
        if let Some(record) = self.records.get(index) {
            return Next::Record(Arc::clone(record));
        }
        match self.feed.as_mut().map(Iterator::next) {
            Some(Some(record)) => {
                self.append(partition.clone(), record);
                self.records
                    .back()
                    .map_or(Next::End, |record| Next::Record(Arc::clone(record)))
            }
            Some(None) => {
                (self.feed, self.closed) = (None, true);
                Next::Closed
            }
            None if self.closed => Next::Closed,
            None => Next::End,
        }
    }

    /// Lets go of what the group will not read again.
    pub(super) fn committed(&mut self, offset: i64) {
        if self.keep == Keep::Uncommitted {
            while self.records.front().is_some_and(|r| r.offset < offset) {
                self.records.pop_front();
            }
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("keep", &self.keep)
            .field("records", &self.records.len())
            .field("end", &self.end)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
