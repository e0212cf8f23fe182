//! The bus: what the worker needs of Kafka, and nothing more.
//!
//! Two implementations: Kafka, and [`memory`] for replays, the demo and tests. A member of the group is handed
//! shards; a shard's inputs are read as *lanes*, one lane a partition. Offsets are committed only by
//! [`Bus::commit`], in one transaction with what the epoch produces.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemas::time::Timestamp;

pub mod kafka;
pub mod memory;

/// One partition of one topic.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Partition {
    /// Topic.
    pub topic: Arc<str>,
    /// Number inside the topic, from 0.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// One header of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Name; Kafka allows several of one name.
    pub name: String,
    /// Value, any bytes.
    pub value: Option<Vec<u8>>,
}

impl Header {
    /// Makes a header of text.
    #[must_use]
    pub fn text(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.into().into_bytes()),
        }
    }
}

/// One record read from a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Where it lies.
    pub partition: Partition,
    /// Its offset there.
    pub offset: i64,
    /// The broker's time in milliseconds since the epoch; none where there is no broker.
    pub timestamp: Option<i64>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<Header>,
}

impl Record {
    /// Returns the bytes the record takes in memory: a header of no bytes takes some too.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let header = |h: &Header| size_of::<Header>() + h.name.len() + length(h.value.as_ref());
        let headers: usize = self.headers.iter().map(header).sum();
        size_of::<Self>() + length(self.key.as_ref()) + length(self.value.as_ref()) + headers
    }
}

fn length(bytes: Option<&Vec<u8>>) -> usize {
    bytes.map_or(0, Vec::len)
}

/// One record to be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRecord {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition; by murmur2 hash of the key where none is given.
    pub partition: Option<i32>,
    /// The record's own time in milliseconds; the bus's clock where none is given.
    pub timestamp: Option<i64>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<Header>,
}

/// One input partition as this member reads it. Numbers rise and are never used twice by one bus.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lane(pub u32);

/// One input of a shard as it is handed out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Input {
    /// The lane it is read as.
    pub lane: Lane,
    /// The partition.
    pub partition: Partition,
    /// What the group has committed for it; none where there is nothing.
    pub committed: Option<Committed>,
}

/// An offset of the group as it was committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Committed {
    /// The next offset to be read.
    pub next: i64,
    /// Number of the epoch that committed it; none where another program did.
    pub epoch: Option<u64>,
    /// Generation of the group in which that epoch was applied; 0 where nothing tells.
    pub writer: i64,
}

/// How far a lane has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reading {
    /// There may be records that were not handed out yet.
    Behind,
    /// Every record there was when the end was looked at has been handed out.
    AtEnd,
    /// At its end, and nothing will ever follow.
    Closed,
}

/// What the group changed. A member begins with nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A shard is this member's from here on. Its inputs are read once [`Bus::begin`] says from where.
    Assigned {
        /// The shard.
        shard: i32,
        /// Its inputs, by (topic, partition).
        inputs: Vec<Input>,
    },
    /// A shard is this member's no longer: whatever of it was not committed belongs to whoever has it next.
    Revoked {
        /// The shard.
        shard: i32,
    },
}

/// What a poll may return.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Records; at least 1.
    pub records_max: usize,
    /// Bytes; the record that crosses it is still returned.
    pub bytes_max: usize,
    /// How long to wait for a first record.
    pub wait: Duration,
    /// How long to go on collecting once there is one.
    pub collect: Duration,
}

/// What a poll returned. The changes come before the records, and no record is of a shard they took away.
#[derive(Debug, Default)]
pub struct Polled {
    /// The group has answered, be it that this member works on nothing.
    pub joined: bool,
    /// Changes of the group, in order.
    pub changes: Vec<Change>,
    /// Records; of one lane in its own order.
    pub records: Vec<(Lane, Arc<Record>)>,
}

/// What one epoch writes, all of it or nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Epoch {
    /// The records to write, in order.
    pub records: Vec<NewRecord>,
    /// The inputs that moved.
    pub offsets: Vec<Moved>,
}

/// An input that an epoch moved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// The input.
    pub partition: Partition,
    /// The next offset to be read.
    pub next: i64,
    /// Number of its shard's epoch: it tells a commit that was not heard of from one that never was.
    pub epoch: u64,
    /// Generation of the group in which the epoch was applied: it tells this epoch from another's of that number, which may
    /// end at the same offset of an input and hold more of others.
    pub writer: i64,
}

/// Where the state of an epoch went, as far as the bus knows: the last offset of each state partition it wrote to.
pub type Written = BTreeMap<i32, i64>;

/// What reading a shard's state returned.
#[derive(Debug, Default)]
pub struct StateRead {
    /// Committed records, by offset.
    pub records: Vec<Record>,
    /// Where to read on.
    pub next: i64,
}

/// The bus failed in a way that reading on cannot cure.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The log does not hold the offset that is next: reading on would jump over records in silence.
    #[error("offset {} of {partition} is no longer in the log", .offset.map_or_else(|| "0".to_owned(), |offset| offset.to_string()))]
    OffsetOutOfRange {
        /// The partition.
        partition: String,
        /// The offset, where it is known.
        offset: Option<i64>,
    },
    /// The topics do not have the shape the shards need.
    #[error("{problem}")]
    Topics {
        /// What is wrong.
        problem: String,
    },
    /// The client gave up.
    #[error("{action}: {problem}")]
    Client {
        /// What was being done.
        action: &'static str,
        /// What the client said.
        problem: String,
    },
}

/// An epoch was not committed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// It is not known to be written. The same epoch, and no other, may be tried again: the bus finds out by itself
    /// if it was written after all.
    #[error("aborted: {problem}")]
    Aborted {
        /// What the bus said.
        problem: String,
    },
    /// The assignment is gone, and with it the right to write.
    #[error("fenced: {problem}")]
    Fenced {
        /// What the bus said.
        problem: String,
    },
}

/// What the worker needs of Kafka.
pub trait Bus {
    /// Serves the group and returns records of the lanes for which `wanted` is true.
    ///
    /// Waits for a first record, then goes on until a bound of `request` is reached or the lanes run dry.
    /// A lane that is not wanted is held back: its records stay where they are.
    ///
    /// # Errors
    /// Returns what reading on cannot cure; what heals by itself is waited for.
    fn poll(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Polled, BusError>;

    /// Returns how far a lane has been read by the polls so far; [`Reading::Closed`] for one that is gone.
    fn reading(&self, lane: Lane) -> Reading;

    /// Begins to read the inputs of an assigned shard at these offsets, from its start where there is none; what was read
    /// of them before is read again.
    ///
    /// # Errors
    /// As [`Bus::poll`].
    fn begin(&mut self, shard: i32, offsets: &[(Lane, Option<i64>)]) -> Result<(), BusError>;

    /// Reads on in the state of any shard, from `from`: what is committed, as far as it is there within the request's wait.
    ///
    /// Everything before a record that was committed later by this member is returned before it, so a shard is
    /// restored once a record that was written after its assignment comes back.
    ///
    /// # Errors
    /// As [`Bus::poll`]; [`BusError::OffsetOutOfRange`] when the partition was cut or made anew.
    fn read_state(
        &mut self,
        shard: i32,
        from: i64,
        request: &Request,
    ) -> Result<StateRead, BusError>;

    /// Writes an epoch in one transaction.
    ///
    /// # Errors
    /// Returns whether the epoch may be tried again. After [`CommitError::Fenced`] call [`Bus::rejoin`].
    fn commit(&mut self, epoch: &Epoch) -> Result<Written, CommitError>;

    /// Leaves the group and joins it again with nothing; the next polls hand out shards anew.
    ///
    /// # Errors
    /// Returns what the client said when it could not be built again.
    fn rejoin(&mut self) -> Result<(), BusError>;

    /// Serves the group between two tries of one epoch, without reading: no records are returned.
    ///
    /// # Errors
    /// As [`Bus::poll`].
    fn keep_alive(&mut self, wait: Duration) -> Result<Polled, BusError>;

    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the generation of the group this member is in, below 0 for none.
    fn generation(&self) -> i64;
}

/// How inputs are shared out: the inputs of one of so many shards, of topics with their partition counts.
pub type Share = fn(i32, i32, &[(Arc<str>, i32)]) -> Result<Vec<Partition>, BusError>;

/// Returns the inputs of one shard where it does not matter whose they are: all of them in turn, as cards are dealt.
///
/// # Errors
/// Refuses a shard that is none of them.
pub fn dealt_to(
    shard: i32,
    shards: i32,
    topics: &[(Arc<str>, i32)],
) -> Result<Vec<Partition>, BusError> {
    known(shard, shards)?;
    let all = inputs_of(0, 1, topics)?;
    let (first, every) = (usize::try_from(shard), usize::try_from(shards));
    let (first, every) = (first.unwrap_or(0), every.unwrap_or(1).max(1));
    Ok(all.into_iter().skip(first).step_by(every).collect())
}

fn known(shard: i32, shards: i32) -> Result<(), BusError> {
    if (0..shards).contains(&shard) {
        return Ok(());
    }
    let problem = format!(
        "the topic that is shared out had {shards} partitions at the start and now has a partition {shard}: \
         how many there are can only change while nothing runs"
    );
    Err(BusError::Topics { problem })
}

/// Returns the inputs of one shard, by (topic, partition): all of them where there is one shard, else partition
/// `shard` of every topic.
///
/// # Errors
/// Names the topics whose partition count is not the number of shards, where there are several, and a shard
/// that is none of them: the state topic grew, and its new partition would be handed inputs that are another's.
pub fn inputs_of(
    shard: i32,
    shards: i32,
    topics: &[(Arc<str>, i32)],
) -> Result<Vec<Partition>, BusError> {
    known(shard, shards)?;
    let partition = |topic: &Arc<str>, number| Partition {
        topic: Arc::clone(topic),
        number,
    };
    let mut inputs: Vec<Partition> = if shards == 1 {
        let all = |(topic, count): &(Arc<str>, i32)| {
            (0..*count).map(|number| partition(topic, number)).collect()
        };
        topics.iter().flat_map::<Vec<_>, _>(all).collect()
    } else {
        let uneven: Vec<String> = topics
            .iter()
            .filter(|(_, count)| *count != shards)
            .map(|(topic, count)| format!("{topic} has {count}"))
            .collect();
        if !uneven.is_empty() {
            let problem = format!(
                "with {shards} shards every input needs {shards} partitions: {}",
                uneven.join(", ")
            );
            return Err(BusError::Topics { problem });
        }
        let one = |(topic, _): &(Arc<str>, i32)| partition(topic, shard);
        topics.iter().map(one).collect()
    };
    inputs.sort();
    inputs.dedup();
    Ok(inputs)
}
