//! Times of runs: medians of processor time, which says more than the clock on a machine that others use too.

use std::fs;
use std::time::{Duration, Instant};

/// Runs of one measurement, after one that is not counted.
const RUNS: usize = 5;

/// What one measurement gave: medians of five runs.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// By the clock.
    pub wall: Duration,
    /// Processor time of this thread; by the clock where the system does not tell.
    pub cpu: Duration,
}

impl Measured {
    /// Returns how many of `count` things fit into a second of processor time.
    #[must_use]
    pub fn per_second(&self, count: usize) -> u64 {
        rate(count, self.cpu)
    }

    /// Returns the same by the clock.
    #[must_use]
    pub fn per_second_of_wall(&self, count: usize) -> u64 {
        rate(count, self.wall)
    }
}

fn rate(count: usize, time: Duration) -> u64 {
    let count = u128::try_from(count).unwrap_or(0);
    u64::try_from(count * 1_000_000_000 / time.as_nanos().max(1)).unwrap_or(u64::MAX)
}

/// Measures `run`; what it returns is dropped out of the time.
///
/// # Errors
/// Returns the first error of `run`.
pub fn median<T>(mut run: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Measured> {
    std::hint::black_box(run()?);
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (started, before) = (Instant::now(), thread_time());
        let done = std::hint::black_box(run()?);
        let wall = started.elapsed();
        let cpu = thread_time()
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before));
        drop(done);
        walls.push(wall);
        cpus.push(cpu.unwrap_or(wall));
    }
    let middle = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    Ok(Measured {
        wall: middle(walls),
        cpu: middle(cpus),
    })
}

/// Processor time of this thread so far, where Linux tells.
fn thread_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos)).filter(|time| !time.is_zero())
}

/// Returns the peak of resident memory of this process and what is resident now, in MiB, where Linux tells.
#[must_use]
pub fn resident_mib() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let of = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib / 1_024)
    };
    Some((of("VmHWM:")?, of("VmRSS:")?))
}

/// Returns the load of the machine over the last minute, as the system writes it.
#[must_use]
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
