//! The tenants that live in a shard.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use correlators::{Fusion, Placement, Stats, no_such_incident};
use schemas::incident::Incident;
use schemas::time::Timestamp;

use super::clock::Mark;
use super::work::{Done, Job, Work, run_all};
use super::{Fate, ShardConfig};
use crate::decode::{Broken, Content, Decoded, Stage};

/// The reason of a record that would need one tenant too many.
pub const TOO_MANY_TENANTS: &str = "too_many_tenants";

/// The state of each tenant.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    /// In the order in which they first came here, which no output depends on.
    fusions: Vec<Fusion>,
    /// Looked up, never iterated.
    by_name: HashMap<String, usize>,
    /// Those that the epoch at hand changes.
    touched: Vec<usize>,
}

impl Tenants {
    pub(super) fn stats(&self) -> (usize, Stats) {
        let stats = self.fusions.iter().map(Fusion::stats).sum();
        (self.fusions.len(), stats)
    }

    pub(super) fn digests(&self) -> BTreeMap<String, u128> {
        let digest = |fusion: &Fusion| (fusion.tenant().to_owned(), fusion.digest());
        self.fusions.iter().map(digest).collect()
    }

    /// Returns every row of a tenant, with its name.
    pub(super) fn rows(&self, tenant: &str) -> BTreeMap<String, Vec<u8>> {
        let fusion = self.fusions.iter().find(|f| f.tenant() == tenant);
        let rows = fusion.into_iter().flat_map(Fusion::rows);
        rows.map(|(key, value)| (key.to_string(), value)).collect()
    }

    pub(super) fn incidents(&self) -> impl Iterator<Item = Incident> {
        let mut fusions: Vec<&Fusion> = self.fusions.iter().collect();
        fusions.sort_by_key(|fusion| fusion.tenant());
        fusions.into_iter().flat_map(Fusion::incidents)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Fusion> {
        self.fusions.iter_mut()
    }

    /// Returns the state of a tenant, a new one where there is none yet.
    pub(super) fn state(&mut self, name: &str, config: &ShardConfig) -> Option<&mut Fusion> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                let fusion = Fusion::new(name, Arc::clone(&config.settings));
                self.fusions.push(match config.state {
                    Some(_) => fusion.track(),
                    None => fusion,
                });
                self.by_name.insert(name.to_owned(), self.fusions.len() - 1);
                self.fusions.len() - 1
            }
        };
        self.fusions.get_mut(index)
    }

    /// Makes room for the tenants of a record, or refuses the record when there are too many.
    pub(super) fn admit_all(&mut self, decoded: &mut Decoded, config: &ShardConfig) {
        let names: Vec<&str> = match &decoded.content {
            Content::Alerts(alerts) => alerts.iter().map(|alert| alert.tenant.as_str()).collect(),
            Content::Binding(binding) => vec![&binding.tenant],
            // A command makes no tenant: where there is none there is no incident.
            Content::Command(_) | Content::Broken(_) => Vec::new(),
        };
        let mut fits = true;
        for name in names {
            fits &= self.by_name.contains_key(name) || self.fusions.len() < config.tenants_max;
            if fits {
                self.state(name, config);
            }
        }
        if !fits {
            decoded.content = Content::Broken(Broken {
                reason: TOO_MANY_TENANTS,
                stage: Stage::Correlate,
                message: format!("more than {} tenants", config.tenants_max),
            });
        }
    }

    /// Applies records, each at its mark, and returns what the tenants did, by tenant.
    ///
    /// # Errors
    /// The numbers of the records that made the core panic: everything applied is to be undone.
    pub(super) fn correlate(
        &mut self,
        fates: &mut [Fate],
        marks: &[Mark],
        config: &ShardConfig,
    ) -> Result<Vec<Done>, Vec<usize>> {
        let jobs = self.jobs(fates, marks);
        let catch = config.state.is_some();
        let work: Vec<Work<'_>> = self
            .fusions
            .iter_mut()
            .zip(jobs)
            .enumerate()
            .filter(|(_, (_, jobs))| !jobs.is_empty())
            .map(|(number, (fusion, jobs))| Work {
                number,
                fusion,
                jobs,
                catch,
            })
            .collect();
        self.touched = work.iter().map(|work| work.number).collect();
        let mut all = Vec::new();
        let mut poisonous = Vec::new();
        for done in run_all(work, config.threads) {
            match done {
                Ok(done) => all.push(done),
                Err(number) => poisonous.push(number),
            }
        }
        if !poisonous.is_empty() {
            return Err(poisonous);
        }
        all.sort_by(|a, b| a.output.tenant.cmp(&b.output.tenant));
        place(fates, &mut all);
        Ok(all)
    }

    /// Makes what the epoch changed final.
    pub(super) fn commit(&mut self) {
        self.each_touched(Fusion::commit);
    }

    /// Puts back what the epoch changed.
    pub(super) fn undo(&mut self) {
        self.each_touched(Fusion::undo);
    }

    fn each_touched(&mut self, act: fn(&mut Fusion)) {
        for number in std::mem::take(&mut self.touched) {
            if let Some(fusion) = self.fusions.get_mut(number) {
                act(fusion);
            }
        }
    }

    /// Deals the records out to their tenants, each with the time it is applied at. A mark without a record is time alone.
    fn jobs<'a>(&self, fates: &'a [Fate], marks: &[Mark]) -> Vec<Vec<Job<'a>>> {
        let mut jobs: Vec<Vec<Job<'a>>> = self.fusions.iter().map(|_| Vec::new()).collect();
        let mut slots = 0..;
        for (number, mark) in marks.iter().enumerate() {
            if mark.broadcast
                && let Some(watermark) = mark.watermark
            {
                for jobs in &mut jobs {
                    jobs.push(Job::Time(number, watermark));
                }
            }
            let Some(fate) = fates.get(number) else {
                continue;
            };
            let mut give = |tenant: &str, time: Option<Timestamp>, job: Job<'a>| {
                let jobs = self.by_name.get(tenant).and_then(|i| jobs.get_mut(*i));
                if let Some(jobs) = jobs {
                    jobs.extend(time.map(|time| Job::Time(number, time)));
                    jobs.push(job);
                }
            };
            let time = mark.watermark;
            match &fate.decoded.content {
                Content::Alerts(alerts) => {
                    for (alert, slot) in alerts.iter().zip(slots.by_ref()) {
                        give(&alert.tenant, time, Job::Alert(number, slot, alert));
                    }
                }
                Content::Binding(binding) => {
                    give(&binding.tenant, time, Job::Binding(number, binding));
                }
                // It tells no time: a tenant that is there by an accident alone stays as it is.
                Content::Command(command) => {
                    give(&command.tenant, None, Job::Command(number, command));
                }
                Content::Broken(_) => {}
            }
        }
        jobs
    }
}

/// Tells every record what became of its alerts, or of its command.
fn place(fates: &mut [Fate], all: &mut [Done]) {
    let alerts = fates.iter().map(|fate| fate.decoded.alerts().len()).sum();
    let mut placements: Vec<Option<Placement>> = vec![None; alerts];
    for (slot, placement) in all.iter_mut().flat_map(|done| done.placements.drain(..)) {
        if let Some(place) = placements.get_mut(slot) {
            *place = Some(placement);
        }
    }
    for (number, verdict) in all.iter_mut().flat_map(|done| done.verdicts.drain(..)) {
        if let Some(fate) = fates.get_mut(number) {
            fate.verdict = Some(verdict);
        }
    }
    let mut placements = placements.into_iter();
    for fate in fates {
        if matches!(fate.decoded.content, Content::Command(_)) {
            fate.verdict.get_or_insert_with(no_such_incident);
        }
        let count = fate.decoded.alerts().len();
        fate.placements = placements.by_ref().take(count).flatten().collect();
    }
}
