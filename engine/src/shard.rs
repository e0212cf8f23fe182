//! One shard: its state, and while this member works on it its inputs in order.
//!
//! A shard is followed or worked on. Followed, it takes in the records of its state topic. Worked on, it applies its
//! inputs, and what an epoch changed is either committed or undone. So a shard that is lost is followed from
//! there on, and one that is handed out begins where its state says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use correlators::{Output, Placement, Settings, Stats, Verdict};
use schemas::incident::Incident;
use schemas::time::Timestamp;

use crate::bus::{Input, Lane, Moved, NewRecord};
use crate::decode::{Broken, Content, Decoded, Stage};
use crate::failpoint;
use crate::source::Sources;
use crate::state::{Meta, Origin, Start, Suspect};

mod again;
mod blocks;
mod caution;
mod clock;
mod lanes;
mod restore;
mod tenants;
mod work;
mod write;

pub use again::AppliedAgain;
pub use caution::QUARANTINED;
pub use restore::{RestoreError, Torn};
pub use tenants::TOO_MANY_TENANTS;

use blocks::Blocks;
use lanes::Lanes;
use tenants::Tenants;

/// How a shard applies its records.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// The constants of correlation, the same for every tenant.
    pub settings: Arc<Settings>,
    /// The topic its state is written to; none for a state that lives as long as the process.
    pub state: Option<Arc<str>>,
    /// Tenants at once, more are refused: default 10,000.
    pub tenants_max: usize,
    /// Threads, at least 1.
    pub threads: usize,
}

/// One shard's state and, while it is worked on, its inputs.
#[derive(Debug)]
pub struct Shard {
    number: i32,
    config: ShardConfig,
    /// Hash of the settings.
    config_hash: String,
    tenants: Tenants,
    /// As of the last commit.
    meta: Meta,
    /// As of the epoch that was applied and is not committed.
    pending: Option<Meta>,
    /// Where to read on in the state.
    next_state: i64,
    /// The last epoch whose alerts are remembered: what is read twice is taken in once.
    seen_epoch: u64,
    blocks: Blocks,
    start: Start,
    origin: Option<Origin>,
    quarantine: BTreeSet<(String, i32, i64)>,
    /// Records are applied one by one, so many more of them: starts did not get past one.
    cautious: usize,
    /// What this process noted last before it applied a record alone: it is alive, so that record did not end it.
    noted: Option<Suspect>,
    lanes: Option<Lanes>,
}

/// What applying records led to.
#[derive(Debug, Default)]
pub struct Applied {
    /// The records, in the order of application.
    pub fates: Vec<Fate>,
    /// What each tenant's state put out, by tenant.
    pub outputs: Vec<TenantOutput>,
    /// Number of the shard's epoch.
    pub epoch: u64,
    /// The shard.
    pub shard: i32,
    /// Generation of the group in which it was applied.
    pub writer: i64,
    /// The inputs that moved.
    pub offsets: Vec<Moved>,
    /// The records of the state topic.
    pub state: Vec<NewRecord>,
}

/// A record and what became of it.
#[derive(Debug)]
pub struct Fate {
    /// The record and what it says.
    pub decoded: Decoded,
    /// What became of each of its alerts, in their order; empty for a record without.
    pub placements: Vec<Placement>,
    /// The answer to its command; none for any other record.
    pub verdict: Option<Verdict>,
}

/// Returns whether a command was applied.
fn is_applied(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Applied { .. })
}

/// What one tenant's state put out.
#[derive(Debug)]
pub struct TenantOutput {
    /// The tenant.
    pub tenant: String,
    /// Its outputs, in order.
    pub outputs: Vec<Output>,
    /// Its incidents that changed, each at its newest revision.
    pub incidents: Vec<Arc<Incident>>,
}

impl Applied {
    /// Returns the incidents that changed, each at its newest revision.
    pub fn incidents(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.outputs.iter().flat_map(|output| &output.incidents)
    }
}

/// The reason of a record that the core cannot take.
pub const PANIC: &str = "engine_panic";

impl Shard {
    /// Creates a shard without any state.
    #[must_use]
    pub fn new(number: i32, config: ShardConfig) -> Self {
        Self {
            number,
            tenants: Tenants::default(),
            meta: Meta {
                generation: 1,
                ..Meta::default()
            },
            pending: None,
            next_state: 0,
            seen_epoch: 0,
            blocks: Blocks::default(),
            start: Start::default(),
            origin: None,
            quarantine: BTreeSet::new(),
            cautious: 0,
            noted: None,
            lanes: None,
            config_hash: config.settings.hash(),
            config,
        }
    }

    /// Returns the shard as it is before anything was read of it.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(self.number, self.config.clone())
    }

    /// Begins to work on the shard: its inputs are read from the returned offsets, those of its state.
    ///
    /// # Errors
    /// When the state is not whole, or is not there although the group has committed offsets.
    pub fn activate(
        &mut self,
        inputs: &[Input],
        sources: &Sources,
    ) -> Result<Vec<(Lane, Option<i64>)>, RestoreError> {
        if self.config.state.is_none() {
            self.meta.inputs = restore::positions_of(inputs);
        } else {
            self.whole(inputs)?;
        }
        let lanes = Lanes::new(
            inputs,
            &self.meta,
            sources,
            self.config.settings.lateness_ms,
        );
        let starts = lanes.starts();
        self.lanes = Some(lanes);
        Ok(starts)
    }

    /// Ends the work: what is not committed is undone, and what was read and not applied is let go.
    pub fn deactivate(&mut self) {
        if self.pending.take().is_some() && !failpoint::is_left_out(failpoint::Step::Undo) {
            self.tenants.undo();
            self.blocks.undo();
        }
        self.lanes = None;
    }

    /// Notes that everything applied was committed; the last record of its state went to offset `written`, where known.
    pub fn commit(&mut self, written: Option<i64>) {
        if let Some(meta) = self.pending.take() {
            self.seen_epoch = meta.epoch;
            self.meta = meta;
            self.tenants.commit();
            self.blocks.commit();
        }
        if let Some(offset) = written {
            self.next_state = offset + 1;
        }
    }

    /// Returns whether something was applied that is not known to be committed.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Returns whether the shard is worked on.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.lanes.is_some()
    }

    /// Returns its number, which is that of its partition of the state topic.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Returns its inputs as they were handed out; none where it is not worked on.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input> {
        self.lanes
            .as_ref()
            .map_or_else(Vec::new, |lanes| lanes.inputs.clone())
    }

    /// Returns how far the shard has come, as of the last commit.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns of which life its state is; none before that was read.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// Returns where its state is to be read on.
    #[must_use]
    pub fn next_state(&self) -> i64 {
        self.next_state
    }

    /// Returns the lanes it reads.
    pub fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.lanes.iter().flat_map(Lanes::all)
    }

    /// Returns the items and bytes of a lane that wait for their turn; none for a lane of another shard.
    #[must_use]
    pub fn buffered(&self, lane: Lane) -> Option<(usize, usize)> {
        let lanes = self.lanes.as_ref()?;
        Some(lanes.merge.buffered(lanes.index(lane)?))
    }

    /// Returns whether no record waits for its turn.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.lanes
            .as_ref()
            .is_none_or(|lanes| lanes.merge.is_empty())
    }

    /// Returns the event time up to which the shard's inputs have come, less the lateness.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.meta.watermark.map(Timestamp)
    }

    /// Returns the number of tenants, and what happened to their states and is held in them, summed up.
    #[must_use]
    pub fn stats(&self) -> (usize, Stats) {
        self.tenants.stats()
    }

    /// Returns every published incident that is held, by tenant and age.
    pub fn incidents(&self) -> impl Iterator<Item = Incident> {
        let generation = self.meta.generation;
        let incidents = self.tenants.incidents();
        incidents.map(move |incident| Incident {
            generation,
            ..incident
        })
    }

    /// Returns a digest of each tenant's state, by tenant: equal states have equal digests.
    pub fn digests(&self) -> BTreeMap<String, u128> {
        self.tenants.digests()
    }

    /// Returns the rows of a tenant's state by their names, for whoever looks for a difference.
    #[must_use]
    pub fn rows(&self, tenant: &str) -> BTreeMap<String, Vec<u8>> {
        self.tenants.rows(tenant)
    }

    /// Takes in a record of one of the shard's lanes.
    pub fn push(&mut self, lane: Lane, mut decoded: Decoded) {
        self.keep_out(&mut decoded);
        if let Some(lanes) = &mut self.lanes {
            lanes.push(lane, decoded);
        }
    }

    /// Tells whether a lane has been read to its end.
    pub fn set_at_end(&mut self, lane: Lane, at_end: bool) {
        if let Some(lanes) = &mut self.lanes
            && let Some(index) = lanes.index(lane)
        {
            lanes.merge.set_at_end(index, at_end);
        }
    }

    /// Applies up to `records_max` records, as far as their order is safe; the one that crosses `bytes_max` is the last.
    pub fn apply(&mut self, records_max: usize, bytes_max: usize, writer: i64) -> Applied {
        let records_max = if self.cautious > 0 { 1 } else { records_max };
        let Some(lanes) = &mut self.lanes else {
            return Applied::default();
        };
        let mut taken = Vec::new();
        let mut marks = Vec::new();
        let mut bytes = 0;
        while taken.len() < records_max
            && bytes < bytes_max
            && let Some(mut item) = lanes.merge.pop()
        {
            bytes += item.content.record.bytes();
            self.tenants.admit_all(&mut item.content, &self.config);
            marks.push(lanes.take(&item));
            taken.push(item.content);
        }
        self.calm_down(taken.len());
        if taken.is_empty() {
            return Applied::default();
        }
        self.finish(taken, &marks, writer)
    }

    /// Lets time pass up to `watermark` where nothing was read for long, as an epoch without records. Not before the first
    /// record: an epoch that moves no offset is fenced by nothing, and one that stood still could write it over another's.
    pub fn pass_time(&mut self, watermark: Timestamp, writer: i64) -> Applied {
        let begun = |lanes: &&mut Lanes| lanes.starts().iter().any(|(_, next)| next.is_some());
        let mark = self.lanes.as_mut().filter(begun);
        match mark.and_then(|lanes| lanes.clock.pass(watermark)) {
            Some(mark) => self.finish(Vec::new(), &[mark], writer),
            None => Applied::default(),
        }
    }

    /// Correlates what was taken and makes the records of its state. A record that makes the core panic is refused, and the
    /// others are applied without it.
    fn finish(&mut self, taken: Vec<Decoded>, marks: &[clock::Mark], writer: i64) -> Applied {
        let mut fates: Vec<Fate> = taken
            .into_iter()
            .map(|decoded| Fate {
                decoded,
                placements: Vec::new(),
                verdict: None,
            })
            .collect();
        let done = loop {
            match self.tenants.correlate(&mut fates, marks, &self.config) {
                Ok(done) => break done,
                Err(poisonous) => {
                    self.tenants.undo();
                    for number in poisonous {
                        if let Some(fate) = fates.get_mut(number) {
                            fate.decoded.content = Content::Broken(Broken {
                                reason: PANIC,
                                stage: Stage::Correlate,
                                message: "the core panicked".to_owned(),
                            });
                        }
                    }
                }
            }
        };
        self.write(fates, marks, done, writer)
    }
}

#[cfg(test)]
mod tests;
