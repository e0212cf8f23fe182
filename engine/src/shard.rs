//! One shard: its inputs in order, and the tenants that live in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use correlators::{Fusion, Output, Placement, Settings, Stats};
use schemas::incident::Incident;
use schemas::time::Timestamp;

use crate::bus::{Input, Lane, Moved, Partition};
use crate::decode::{Broken, Content, Decoded, Stage};
use crate::order::{Merge, Taken};
use crate::source::{Source, Sources};

mod clock;
mod work;
use clock::Clock;
use work::{Job, Work, run_all};

/// How a shard applies its records.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// The constants of correlation, the same for every tenant.
    pub settings: Arc<Settings>,
    /// Tenants at once, more are refused: default 10,000.
    pub tenants_max: usize,
    /// Threads, at least 1.
    pub threads: usize,
}

/// One shard's inputs and state.
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    lanes: BTreeMap<Lane, usize>,
    partitions: Vec<Partition>,
    /// The next offset of each partition: behind what was applied, and behind what was committed.
    applied: Vec<Option<i64>>,
    committed: Vec<Option<i64>>,
    merge: Merge<Decoded>,
    clock: Clock,
    tenants: Tenants,
}

#[derive(Debug, Default)]
struct Tenants {
    /// In the order in which they first came.
    fusions: Vec<Fusion>,
    /// Looked up, never iterated.
    by_name: HashMap<String, usize>,
}

/// What applying records led to.
#[derive(Debug, Default)]
pub struct Applied {
    /// The records, in the order of application.
    pub fates: Vec<Fate>,
    /// What each tenant's state put out, by tenant in the order in which they first came.
    pub outputs: Vec<TenantOutput>,
    /// The inputs that moved.
    pub offsets: Vec<Moved>,
}

/// A record and what became of it.
#[derive(Debug)]
pub struct Fate {
    /// The record and what it says.
    pub decoded: Decoded,
    /// What became of each of its alerts, in their order; empty for a record without.
    pub placements: Vec<Placement>,
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

impl Shard {
    /// Creates a shard that has read nothing.
    #[must_use]
    pub fn new(inputs: &[Input], sources: &Sources, config: ShardConfig) -> Self {
        // Bindings tell who held an address; how far the alerts have come is told by the alerts alone.
        let counts =
            |input: &Input| !matches!(sources.get(&input.partition.topic), Some(Source::Bindings));
        Self {
            lanes: lanes(inputs),
            partitions: inputs.iter().map(|input| input.partition.clone()).collect(),
            applied: offsets(inputs),
            committed: offsets(inputs),
            merge: Merge::new(inputs.len()),
            clock: Clock::new(
                inputs.iter().map(counts).collect(),
                config.settings.lateness_ms,
            ),
            tenants: Tenants::default(),
            config,
        }
    }

    /// Takes the inputs of a shard that was lost and handed out again, and returns whether its state still holds.
    ///
    /// It does when the group's offsets are exactly those of this state: an epoch always moves one, so nobody has
    /// written since. They may be those before the last epoch or behind it, whose commit was then only not heard of.
    #[must_use]
    pub fn resume(&mut self, inputs: &[Input]) -> bool {
        let partitions = inputs.iter().map(|input| &input.partition);
        let found = offsets(inputs);
        if !partitions.eq(&self.partitions) || (found != self.committed && found != self.applied) {
            return false;
        }
        self.committed = found;
        self.lanes = lanes(inputs);
        self.merge = Merge::new(inputs.len());
        true
    }

    /// Notes that everything applied was committed.
    pub fn commit(&mut self) {
        self.committed.clone_from(&self.applied);
    }

    /// Returns whether something was applied that is not known to be committed.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.applied != self.committed
    }

    /// Returns the lanes of the shard.
    pub fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.lanes.keys().copied()
    }

    /// Returns the items and bytes of a lane that wait for their turn; none for a lane of another shard.
    #[must_use]
    pub fn buffered(&self, lane: Lane) -> Option<(usize, usize)> {
        let index = self.lanes.get(&lane)?;
        Some(self.merge.buffered(*index))
    }

    /// Returns whether no record waits for its turn.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.merge.is_empty()
    }

    /// Returns the event time up to which the shard's inputs have come, less the lateness.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.clock.watermark()
    }

    /// Returns the number of tenants, and what happened to their states and is held in them, summed up.
    #[must_use]
    pub fn stats(&self) -> (usize, Stats) {
        let tenants = &self.tenants.fusions;
        (tenants.len(), tenants.iter().map(Fusion::stats).sum())
    }

    /// Takes in a record of one of the shard's lanes; one that was applied before is passed over.
    pub fn push(&mut self, lane: Lane, decoded: Decoded) {
        if let Some(index) = self.lanes.get(&lane) {
            let applied = self.applied.get(*index).copied().flatten();
            if applied.is_some_and(|next| decoded.record.offset < next) {
                return;
            }
            let (time, bytes) = (decoded.time(), decoded.bytes());
            self.merge.push(*index, time, bytes, decoded);
        }
    }

    /// Tells whether a lane has been read to its end.
    pub fn set_at_end(&mut self, lane: Lane, at_end: bool) {
        if let Some(index) = self.lanes.get(&lane) {
            self.merge.set_at_end(*index, at_end);
        }
    }

    /// Applies up to `records_max` records, as far as their order is safe; the one that crosses `bytes_max` is the last.
    pub fn apply(&mut self, records_max: usize, bytes_max: usize) -> Applied {
        let mut taken = Vec::new();
        let mut marks = Vec::new();
        let mut bytes = 0;
        let mut next: BTreeMap<usize, i64> = BTreeMap::new();
        while taken.len() < records_max
            && bytes < bytes_max
            && let Some(mut item) = self.merge.pop()
        {
            bytes += item.content.record.bytes();
            next.insert(item.lane, item.content.record.offset + 1);
            self.admit(&mut item);
            let told = item.content.time().is_some();
            marks.push(
                self.clock
                    .tick(&self.merge, item.lane, told.then_some(item.time)),
            );
            taken.push(item.content);
        }
        let mut fates: Vec<Fate> = taken
            .into_iter()
            .map(|decoded| Fate {
                decoded,
                placements: Vec::new(),
            })
            .collect();
        let outputs = self.correlate(&mut fates, &marks);
        let mut offsets = Vec::new();
        for (lane, offset) in next {
            if let (Some(partition), Some(applied)) =
                (self.partitions.get(lane), self.applied.get_mut(lane))
            {
                *applied = Some(offset);
                offsets.push(Moved {
                    partition: partition.clone(),
                    next: offset,
                    epoch: 0,
                });
            }
        }
        Applied {
            fates,
            outputs,
            offsets,
        }
    }

    /// Makes room for the tenants of a record, or refuses the record when there are too many.
    fn admit(&mut self, item: &mut Taken<Decoded>) {
        let names: Vec<&str> = match &item.content.content {
            Content::Alerts(alerts) => alerts.iter().map(|a| a.tenant.as_str()).collect(),
            Content::Binding(binding) => vec![&binding.tenant],
            Content::Broken(_) => Vec::new(),
        };
        let fits = names
            .into_iter()
            .all(|name| self.tenants.admit(name, &self.config));
        if !fits {
            item.content.content = Content::Broken(Broken {
                reason: TOO_MANY_TENANTS,
                stage: Stage::Correlate,
                message: format!("more than {} tenants", self.config.tenants_max),
            });
        }
    }

    fn correlate(&mut self, fates: &mut [Fate], marks: &[clock::Mark]) -> Vec<TenantOutput> {
        let jobs = self.tenants.jobs(fates, marks);
        let work: Vec<Work<'_>> = self
            .tenants
            .fusions
            .iter_mut()
            .zip(jobs)
            .enumerate()
            .filter(|(_, (_, jobs))| !jobs.is_empty())
            .map(|(number, (fusion, jobs))| Work {
                number,
                fusion,
                jobs,
            })
            .collect();
        let mut done = run_all(work, self.config.threads);
        done.sort_by_key(|done| done.number);
        let alerts = fates.iter().map(|fate| fate.decoded.alerts().len()).sum();
        let mut placements: Vec<Option<Placement>> = vec![None; alerts];
        for (slot, placement) in done.iter_mut().flat_map(|done| done.placements.drain(..)) {
            if let Some(place) = placements.get_mut(slot) {
                *place = Some(placement);
            }
        }
        let mut placements = placements.into_iter();
        for fate in fates {
            let count = fate.decoded.alerts().len();
            fate.placements = placements.by_ref().take(count).flatten().collect();
        }
        done.into_iter().map(|done| done.output).collect()
    }
}

/// Numbers the lanes in the order of their inputs.
fn lanes(inputs: &[Input]) -> BTreeMap<Lane, usize> {
    let numbered = inputs.iter().enumerate();
    numbered.map(|(index, input)| (input.lane, index)).collect()
}

fn offsets(inputs: &[Input]) -> Vec<Option<i64>> {
    let next = |input: &Input| input.committed.map(|committed| committed.next);
    inputs.iter().map(next).collect()
}

/// The reason of a record that would need one tenant too many.
pub const TOO_MANY_TENANTS: &str = "too_many_tenants";

impl Tenants {
    fn admit(&mut self, name: &str, config: &ShardConfig) -> bool {
        if self.by_name.contains_key(name) {
            return true;
        }
        if self.fusions.len() >= config.tenants_max {
            return false;
        }
        self.by_name.insert(name.to_owned(), self.fusions.len());
        self.fusions
            .push(Fusion::new(name, Arc::clone(&config.settings)));
        true
    }

    /// Deals the records out to their tenants, each with the time it is applied at.
    fn jobs<'a>(&self, fates: &'a [Fate], marks: &[clock::Mark]) -> Vec<Vec<Job<'a>>> {
        let mut jobs: Vec<Vec<Job<'a>>> = self.fusions.iter().map(|_| Vec::new()).collect();
        let mut slots = 0..;
        for (fate, mark) in fates.iter().zip(marks) {
            if mark.broadcast
                && let Some(watermark) = mark.watermark
            {
                for jobs in &mut jobs {
                    jobs.push(Job::Time(watermark));
                }
            }
            let mut give = |tenant: &str, job: Job<'a>| {
                let jobs = self.by_name.get(tenant).and_then(|i| jobs.get_mut(*i));
                if let Some(jobs) = jobs {
                    jobs.extend(mark.watermark.map(Job::Time));
                    jobs.push(job);
                }
            };
            match &fate.decoded.content {
                Content::Alerts(alerts) => {
                    for (alert, slot) in alerts.iter().zip(slots.by_ref()) {
                        give(&alert.tenant, Job::Alert(slot, alert));
                    }
                }
                Content::Binding(binding) => give(&binding.tenant, Job::Binding(binding)),
                Content::Broken(_) => {}
            }
        }
        jobs
    }
}
