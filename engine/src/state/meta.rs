//! How far a shard has come.

use serde::{Deserialize, Serialize};

use super::Placed;

/// How far a shard has come; the last record of every epoch. Its offsets are the truth: those of the group are compared
/// with them and never used instead.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Meta {
    /// Rises only when the state is rebuilt; 1 at first. The `generation` of every incident.
    pub generation: i32,
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// The inputs, by (topic, partition).
    pub inputs: Vec<Position>,
    /// Event time up to which the inputs have come, less the lateness, in milliseconds.
    pub watermark: Option<i64>,
    /// Generation of the group in which the epoch was written. It never falls along the log.
    pub writer: i64,
    /// What became of everything so far.
    pub counts: Counts,
    /// Hash of the settings of correlation.
    pub config: String,
    /// Inputs with commands that the generation before had applied up to `next`: they are not taken before what was appended
    /// earlier. None once they were taken.
    pub again: Vec<Position>,
}

/// How far one input was read.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Position {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The next offset to be applied; none where nothing was yet.
    pub next: Option<i64>,
    /// Latest event time applied, in milliseconds.
    pub seen: Option<i64>,
    /// Event time at which the last record was applied, in milliseconds: one without a time of its own follows it.
    pub last: Option<i64>,
}

/// What became of everything a shard has read: every record and every alert once.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Records.
    pub records: u64,
    /// Alerts that opened or joined an episode.
    pub placed: u64,
    /// Of these, alerts that came after the watermark.
    pub late: u64,
    /// Alerts seen before.
    pub duplicates: u64,
    /// Alerts that updated one seen before.
    pub updates: u64,
    /// Leases.
    pub bindings: u64,
    /// Commands.
    pub commands: u64,
    /// Records refused.
    pub dead_letters: u64,
}

impl Counts {
    /// Counts an alert.
    pub fn place(&mut self, placed: Placed) {
        match placed {
            Placed::New => self.placed += 1,
            Placed::Late => {
                self.placed += 1;
                self.late += 1;
            }
            Placed::Duplicate => self.duplicates += 1,
            Placed::Update => self.updates += 1,
        }
    }
}

/// The starts of a shard since it last moved: one that never gets past a record is a crash loop.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Start {
    /// Epoch of the state at the start.
    pub epoch: u64,
    /// Starts at that epoch, this one included.
    pub attempts: u32,
    /// The record that is applied alone right now.
    pub suspect: Option<Suspect>,
}

/// A record that is applied alone because its epoch ended the process.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Suspect {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// How often it was tried, this time included.
    pub attempts: u32,
}

/// Who works on a shard, written before anything of it is read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Claim {
    /// Generation of the group.
    pub generation: i64,
}

/// The beginning of a state.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Origin {
    /// When the first member began to work on it, in milliseconds since the epoch.
    pub began: i64,
}
