//! What the tenants of a shard do in one epoch, one tenant on one thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use correlators::{Fusion, Placement};
use schemas::alert::Alert;
use schemas::binding::Binding;
use schemas::time::Timestamp;

use super::TenantOutput;

/// One input of a tenant, in the order of application.
pub(super) enum Job<'a> {
    Time(Timestamp),
    /// With its number among all alerts of the epoch.
    Alert(usize, &'a Alert),
    Binding(&'a Binding),
}

/// What one tenant has to do in an epoch.
pub(super) struct Work<'a> {
    pub(super) number: usize,
    pub(super) fusion: &'a mut Fusion,
    pub(super) jobs: Vec<Job<'a>>,
}

pub(super) struct Done {
    pub(super) number: usize,
    pub(super) placements: Vec<(usize, Placement)>,
    pub(super) output: TenantOutput,
}

impl Work<'_> {
    fn run(self) -> Done {
        let fusion = self.fusion;
        let mut placements = Vec::new();
        let mut outputs = Vec::new();
        for job in self.jobs {
            match job {
                Job::Time(watermark) => fusion.handle_time(watermark),
                Job::Alert(slot, alert) => placements.push((slot, fusion.handle_alert(alert))),
                Job::Binding(binding) => fusion.handle_binding(binding),
            }
            outputs.extend(std::iter::from_fn(|| fusion.poll_output()));
        }
        let incidents = std::iter::from_fn(|| fusion.poll_incident());
        let incidents = incidents.map(Arc::new).collect();
        Done {
            number: self.number,
            placements,
            output: TenantOutput {
                tenant: fusion.tenant().to_owned(),
                outputs,
                incidents,
            },
        }
    }
}

/// Below this many jobs a thread costs more than it saves.
const JOBS_PER_THREAD_MIN: usize = 256;

/// Runs every tenant's work, one tenant on one thread.
pub(super) fn run_all(work: Vec<Work<'_>>, threads: usize) -> Vec<Done> {
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
                // State that a panic left half changed must not be committed: the process ends and the group replays.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}
