//! The digests of an epoch's records, in the order of application.

use correlators::Placement;
use serde::{Deserialize, Serialize};

/// A part of an epoch's records. Together the blocks tell the order in which everything was applied, what became of it,
/// and which alerts are remembered; a block is gone once every alert in it is forgotten.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Block {
    /// The input partitions that entries point at.
    pub partitions: Vec<(String, i32)>,
    /// The tenants that digests point at.
    pub tenants: Vec<String>,
    /// What was applied, in order.
    pub entries: Vec<Entry>,
}

impl Block {
    /// Returns the partition that an entry points at.
    #[must_use]
    pub fn partition(&self, index: u32) -> Option<&(String, i32)> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

/// One record, or time that passed without one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// Index into [`Block::partitions`]; none for time alone.
    pub partition: Option<u32>,
    /// Offset of the record; 0 for time alone.
    pub offset: i64,
    /// The watermark at which it was applied, in milliseconds.
    pub watermark: Option<i64>,
    /// Whether every tenant was told the watermark, not only the record's own.
    pub broadcast: bool,
    /// What became of it.
    pub fate: Fate,
}

impl Entry {
    /// Returns the digests of its alerts; empty for any other record.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        match &self.fate {
            Fate::Alerts(digests) => digests,
            Fate::Binding(_) | Fate::DeadLetter(_) | Fate::Command { .. } | Fate::Time => &[],
        }
    }
}

/// What became of a record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Fate {
    /// Its alerts were applied.
    Alerts(Vec<Digest>),
    /// Its lease was learnt by a tenant: index into [`Block::tenants`].
    Binding(u32),
    /// It went to the dead-letter topic, for this reason.
    DeadLetter(String),
    /// A command was answered; tenant as an index into [`Block::tenants`], and whether it was applied.
    Command {
        /// Tenant.
        tenant: u32,
        /// Whether it was applied.
        applied: bool,
    },
    /// Time passed.
    Time,
}

/// One alert.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Digest {
    /// Index into [`Block::tenants`].
    pub tenant: u32,
    /// Its uid.
    pub uid: String,
    /// Its revision.
    pub revision: i64,
    /// Its start, in milliseconds.
    pub time: i64,
    /// The episode that holds it.
    pub episode: u64,
    /// What became of it.
    pub placed: Placed,
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Placed {
    /// It opened or joined an episode.
    New,
    /// The same, after the watermark.
    Late,
    /// It was seen before.
    Duplicate,
    /// It updated one seen before.
    Update,
}

impl Placed {
    /// Returns the episode of a placement, and the kind.
    #[must_use]
    pub fn of(placement: Placement) -> (u64, Self) {
        match placement {
            Placement::Placed {
                episode,
                late: false,
            } => (episode, Self::New),
            Placement::Placed {
                episode,
                late: true,
            } => (episode, Self::Late),
            Placement::Duplicate { episode } => (episode, Self::Duplicate),
            Placement::Updated { episode, .. } => (episode, Self::Update),
        }
    }
}
