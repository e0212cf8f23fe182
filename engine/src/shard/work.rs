//! What the tenants of a shard do in one epoch, one tenant on one thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use correlators::{Fusion, Output, Placement, RowKey, Verdict};
use schemas::alert::Alert;
use schemas::binding::Binding;
use schemas::command::Command;
use schemas::time::Timestamp;

use super::TenantOutput;

/// One input of a tenant, in the order of application, with the number of its record in the epoch.
#[derive(Clone, Copy)]
pub(super) enum Job<'a> {
    Time(usize, Timestamp),
    /// With its number among all alerts of the epoch.
    Alert(usize, usize, &'a Alert),
    Binding(usize, &'a Binding),
    Command(usize, &'a Command),
}

/// What one tenant has to do in an epoch.
pub(super) struct Work<'a> {
    pub(super) number: usize,
    pub(super) fusion: &'a mut Fusion,
    pub(super) jobs: Vec<Job<'a>>,
    /// Whether a panic is told, so that what was changed can be undone; else it goes on.
    pub(super) catch: bool,
}

/// What one tenant did.
pub(super) struct Done {
    pub(super) placements: Vec<(usize, Placement)>,
    /// The answers to commands, each with the number of its record.
    pub(super) verdicts: Vec<(usize, Verdict)>,
    pub(super) output: TenantOutput,
    /// The rows that changed, each with its bytes, or none where it is gone.
    pub(super) rows: Vec<(RowKey, Option<Vec<u8>>)>,
}

impl Work<'_> {
    /// Does the work, or returns the number of the record that made the core panic.
    fn run(self) -> Result<Done, usize> {
        let fusion = self.fusion;
        let mut told = Told::default();
        for job in self.jobs {
            let mut step = || told.apply(fusion, job);
            if !self.catch {
                step();
            } else if catch_unwind(AssertUnwindSafe(step)).is_err() {
                return Err(job.record());
            }
        }
        let incidents = std::iter::from_fn(|| fusion.poll_incident());
        let incidents = incidents.map(Arc::new).collect();
        Ok(Done {
            placements: told.placements,
            verdicts: told.verdicts,
            output: TenantOutput {
                tenant: fusion.tenant().to_owned(),
                outputs: told.outputs,
                incidents,
            },
            rows: fusion.changes(),
        })
    }
}

impl Job<'_> {
    fn record(&self) -> usize {
        match self {
            Self::Time(number, _)
            | Self::Alert(number, ..)
            | Self::Binding(number, _)
            | Self::Command(number, _) => *number,
        }
    }
}

/// Title of an alert that makes the core panic, in tests.
#[cfg(test)]
pub(super) const PANICS: &str = "an alert that makes the core panic";

/// What the core tells of the jobs done so far.
#[derive(Default)]
struct Told {
    placements: Vec<(usize, Placement)>,
    verdicts: Vec<(usize, Verdict)>,
    outputs: Vec<Output>,
}

impl Told {
    fn apply(&mut self, fusion: &mut Fusion, job: Job<'_>) {
        #[cfg(test)]
        if let Job::Alert(_, _, alert) = job
            && alert.title == PANICS
        {
            panic!("as a test wants it");
        }
        match job {
            Job::Time(_, watermark) => fusion.handle_time(watermark),
            Job::Alert(_, slot, alert) => self.placements.push((slot, fusion.handle_alert(alert))),
            Job::Binding(_, binding) => fusion.handle_binding(binding),
            Job::Command(number, command) => {
                self.verdicts.push((number, fusion.handle_command(command)));
            }
        }
        self.outputs
            .extend(std::iter::from_fn(|| fusion.poll_output()));
    }
}

/// Below this many jobs a thread costs more than it saves.
const JOBS_PER_THREAD_MIN: usize = 256;

/// Runs every tenant's work, one tenant on one thread.
pub(super) fn run_all(work: Vec<Work<'_>>, threads: usize) -> Vec<Result<Done, usize>> {
    let jobs: usize = work.iter().map(|work| work.jobs.len()).sum();
    let threads = threads.min(work.len()).min(jobs / JOBS_PER_THREAD_MIN);
    if threads <= 1 {
        return work.into_iter().map(Work::run).collect();
    }
    let queue = Mutex::new(work.into_iter());
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.next()
    };
    let run = || std::iter::from_fn(next).map(Work::run).collect::<Vec<_>>();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut done = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(part) => done.extend(part),
                // Not caught where nothing can be undone: the process ends.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}
