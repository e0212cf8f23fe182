//! Whether the process is alive and whether it is ready: what the worker tells and what HTTP answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What has to hold before the process is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The group has answered with the shards this member works on; a standby's answer is that it has none.
    Assigned,
    /// The state of every assigned shard is restored.
    Restored,
    /// The output can be written to.
    Output,
}

impl Condition {
    /// Every condition, in the order they come to hold.
    pub const ALL: [Self; 3] = [Self::Assigned, Self::Restored, Self::Output];

    /// Returns the word shown in the verbose answer.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Restored => "restored",
            Self::Output => "output",
        }
    }
}

/// One line of the verbose answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
}

/// Filled by the worker, read by HTTP; nothing holds at first.
#[derive(Debug)]
pub struct Readiness {
    start: Instant,
    conditions: [AtomicBool; 3],
    draining: AtomicBool,
    /// Milliseconds since `start`, plus one; 0 for never.
    last_beat: AtomicU64,
    /// When the epoch that is open was opened, as `last_beat`; 0 for none.
    epoch_opened: AtomicU64,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            conditions: Default::default(),
            draining: AtomicBool::new(false),
            last_beat: AtomicU64::new(0),
            epoch_opened: AtomicU64::new(0),
        }
    }
}

impl Readiness {
    /// Says whether a condition holds now.
    pub fn set(&self, condition: Condition, holds: bool) {
        self.flag(condition).store(holds, Ordering::Release);
    }

    /// Says that the worker is at work: to be called at least every [`BEAT_MAX`], also while restoring or idle.
    pub fn beat(&self) {
        self.last_beat
            .store(self.since(Instant::now()), Ordering::Release);
    }

    /// Says that an epoch holds records that are to be committed. Repeating it changes nothing.
    pub fn epoch_opened(&self) {
        // One writer: the worker.
        if self.epoch_opened.load(Ordering::Acquire) == 0 {
            self.epoch_opened
                .store(self.since(Instant::now()), Ordering::Release);
        }
    }

    /// Says that the epoch was committed, or that there is none any more.
    pub fn epoch_closed(&self) {
        self.epoch_opened.store(0, Ordering::Release);
    }

    /// Says that the process is stopping: not ready from now on, for good.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Returns whether the worker has given a sign of life lately, or not begun. Never depends on Kafka.
    #[must_use]
    pub fn live(&self) -> bool {
        self.live_at(Instant::now())
    }

    /// Returns every check; the process is ready when all hold.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        self.checks_at(Instant::now())
    }

    fn live_at(&self, now: Instant) -> bool {
        self.younger_than(&self.last_beat, BEAT_MAX, now)
    }

    fn checks_at(&self, now: Instant) -> Vec<Check> {
        let told = Condition::ALL.map(|condition| Check {
            name: condition.word(),
            holds: self.flag(condition).load(Ordering::Acquire),
        });
        let derived = [
            Check {
                name: "committing",
                holds: self.younger_than(&self.epoch_opened, EPOCH_MAX, now),
            },
            Check {
                name: "running",
                holds: !self.draining.load(Ordering::Acquire),
            },
        ];
        told.into_iter().chain(derived).collect()
    }

    fn flag(&self, condition: Condition) -> &AtomicBool {
        let [assigned, restored, output] = &self.conditions;
        match condition {
            Condition::Assigned => assigned,
            Condition::Restored => restored,
            Condition::Output => output,
        }
    }

    fn younger_than(&self, moment: &AtomicU64, age: Duration, now: Instant) -> bool {
        match moment.load(Ordering::Acquire) {
            0 => true,
            then => Duration::from_millis(self.since(now).saturating_sub(then)) <= age,
        }
    }

    fn since(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.start).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1
    }
}

/// Without a sign of life for this long the process is not live.
pub const BEAT_MAX: Duration = Duration::from_secs(60);

/// With an epoch uncommitted for this long the process is not ready.
pub const EPOCH_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(readiness: &Readiness, later: Duration) -> Vec<&'static str> {
        let checks = readiness.checks_at(Instant::now() + later);
        let failing = checks.iter().filter(|check| !check.holds);
        failing.map(|check| check.name).collect()
    }

    fn ready() -> Readiness {
        let readiness = Readiness::default();
        for condition in Condition::ALL {
            readiness.set(condition, true);
        }
        readiness
    }

    #[test]
    fn nothing_holds_at_first_and_everything_once_told() {
        assert_eq!(
            failing(&Readiness::default(), Duration::ZERO),
            ["assigned", "restored", "output"]
        );
        assert!(failing(&ready(), Duration::from_secs(3_600)).is_empty());
    }

    #[test]
    fn an_epoch_that_cannot_be_committed_ends_readiness() {
        let readiness = ready();
        readiness.epoch_opened();
        assert!(failing(&readiness, Duration::from_secs(29)).is_empty());
        assert_eq!(failing(&readiness, Duration::from_secs(31)), ["committing"]);
        readiness.epoch_closed();
        assert!(failing(&readiness, Duration::from_secs(31)).is_empty());
    }

    #[test]
    fn draining_ends_readiness_at_once() {
        let readiness = ready();
        readiness.drain();
        assert_eq!(failing(&readiness, Duration::ZERO), ["running"]);
        assert!(readiness.live());
    }

    #[test]
    fn a_worker_that_fell_silent_is_not_live() {
        let readiness = ready();
        assert!(readiness.live_at(Instant::now() + Duration::from_secs(3_600)));
        readiness.beat();
        assert!(readiness.live_at(Instant::now() + Duration::from_secs(59)));
        assert!(!readiness.live_at(Instant::now() + Duration::from_secs(61)));
    }
}
