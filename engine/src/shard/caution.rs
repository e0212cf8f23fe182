//! Crash loops: a shard that does not get past a record is taken slowly, and the record that ends the process goes to the
//! dead-letter topic.
//!
//! What can be caught is caught and refused at once. This is for what cannot: a stack that overflows, memory that runs out.

use schemas::time::Timestamp;

use super::{Shard, restore};
use crate::bus::{NewRecord, Record};
use crate::decode::{Broken, Content, Decoded, Stage};
use crate::state::{Claim, Key, Origin, Start, Suspect, encode};

/// The reason of a record that ended the process when it was applied alone.
pub const QUARANTINED: &str = "quarantined";

/// Starts that did not move the shard, after which records are taken one by one.
const STARTS_MAX: u32 = 3;
/// How often a record may end the process when it is taken alone: whoever has the shard next cannot tell a death from a shard
/// that was lost, so one or two prove little.
const DEATHS_MAX: u32 = 3;
/// Records taken one by one before the shard is trusted again: more than an epoch holds.
const CAUTIOUS_MAX: usize = 5_000;

impl Shard {
    /// Notes one more start where the state stands and returns the records that tell it; to be written before anything is
    /// applied. None for a state that is not written.
    pub fn begin(&mut self, now: Timestamp) -> Vec<NewRecord> {
        let mut records = Vec::new();
        let again = self.start.epoch == self.meta.epoch;
        let mut before = if again {
            std::mem::take(&mut self.start)
        } else {
            Start::default()
        };
        if before.suspect == self.noted {
            before.suspect = None;
        }
        if let Some(suspect) = &before.suspect
            && suspect.attempts >= DEATHS_MAX
        {
            tracing::error!(
                topic = suspect.topic,
                partition = suspect.partition,
                offset = suspect.offset,
                "a record that ends the process is quarantined"
            );
            records.extend(self.quarantine(suspect));
        }
        self.start = Start {
            epoch: self.meta.epoch,
            attempts: before.attempts.saturating_add(1),
            suspect: before.suspect,
        };
        if self.start.attempts > STARTS_MAX {
            tracing::warn!(
                shard = self.number,
                attempts = self.start.attempts,
                "the shard did not move since it was started: records are taken one by one"
            );
            self.cautious = CAUTIOUS_MAX;
        }
        records.extend(self.note());
        records.extend(self.first(now));
        records
    }

    fn quarantine(&mut self, suspect: &Suspect) -> Option<NewRecord> {
        let Suspect {
            topic,
            partition,
            offset,
            ..
        } = suspect.clone();
        self.quarantine.insert((topic.clone(), partition, offset));
        let state = self.config.state.as_ref()?;
        let key = Key::Quarantine {
            topic,
            partition,
            offset,
        };
        let value = encode(self.meta.epoch, suspect);
        Some(restore::record(state, self.number, &key, Some(value)))
    }

    /// Returns whether records are taken one by one.
    #[must_use]
    pub fn is_cautious(&self) -> bool {
        self.cautious > 0
    }

    /// Returns what is to be written before the next record is applied, where records are taken one by one.
    pub fn precaution(&mut self) -> Option<NewRecord> {
        let lanes = self.lanes.as_ref().filter(|_| self.cautious > 0)?;
        let record = &lanes.merge.peek()?.record;
        let (topic, partition) = (&record.partition.topic, record.partition.number);
        let known = self.start.suspect.take().filter(|suspect| {
            *suspect.topic == **topic
                && suspect.partition == partition
                && suspect.offset == record.offset
        });
        self.start.suspect = Some(Suspect {
            topic: topic.to_string(),
            partition,
            offset: record.offset,
            attempts: known
                .map_or(0, |suspect| suspect.attempts)
                .saturating_add(1),
        });
        self.start.epoch = self.meta.epoch;
        self.noted.clone_from(&self.start.suspect);
        self.note()
    }

    /// Counts records that were taken one by one; with its inputs at their ends the shard is past what it crashed at.
    pub(super) fn calm_down(&mut self, taken: usize) {
        let lanes = self.lanes.as_ref();
        self.cautious = match taken {
            0 if lanes.is_none_or(|lanes| lanes.merge.is_at_end()) => 0,
            _ => self.cautious.saturating_sub(taken),
        };
    }

    /// Refuses a record that is quarantined.
    pub(super) fn keep_out(&self, decoded: &mut Decoded) {
        if self.is_quarantined(&decoded.record) {
            decoded.content = Content::Broken(Broken {
                reason: QUARANTINED,
                stage: Stage::Correlate,
                message: "it ended the process when it was applied alone".to_owned(),
            });
        }
    }

    pub(super) fn is_quarantined(&self, record: &Record) -> bool {
        let partition = &record.partition;
        !self.quarantine.is_empty()
            && self.quarantine.contains(&(
                partition.topic.to_string(),
                partition.number,
                record.offset,
            ))
    }

    /// Returns the record by which this member, of this generation of the group, takes the shard.
    #[must_use]
    pub fn claim(&self, generation: i64) -> Option<NewRecord> {
        let topic = self.config.state.as_ref()?;
        let value = encode(self.meta.epoch, &Claim { generation });
        Some(restore::record(
            topic,
            self.number,
            &Key::Claim,
            Some(value),
        ))
    }

    /// Returns the record that tells when the state began, where none does.
    fn first(&self, now: Timestamp) -> Option<NewRecord> {
        let topic = self.config.state.as_ref()?;
        if self.origin.is_some() {
            return None;
        }
        let began = now.millis();
        let value = encode(self.meta.epoch, &Origin { began });
        Some(restore::record(
            topic,
            self.number,
            &Key::Origin,
            Some(value),
        ))
    }

    /// Notes that the records of [`Shard::begin`] were written at `now`.
    pub fn begun(&mut self, now: Timestamp) {
        let began = now.millis();
        self.origin.get_or_insert(Origin { began });
    }

    fn note(&self) -> Option<NewRecord> {
        let topic = self.config.state.as_ref()?;
        let value = encode(self.meta.epoch, &self.start);
        Some(restore::record(
            topic,
            self.number,
            &Key::Start,
            Some(value),
        ))
    }
}
