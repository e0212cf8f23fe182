//! Decayed counts, sealed by the hour: what an alert at time t sees ended before t's hour began.

use serde::{Deserialize, Serialize};

use crate::fixed::{ONE_Q16, Q16, decay};

const HOUR_MS: i64 = 3_600_000;

/// A count that loses half its weight every half-life. What happens within an hour counts only from the next hour
/// on; what comes late counts in the hour that is open, so a sealed hour never changes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Rate {
    /// Weight at the start of hour `at`.
    sealed: Q16,
    at: i32,
    /// Events of the open hour `open`, which is never before `at`.
    pending: u32,
    open: i32,
}

impl Rate {
    /// Returns the weight that an alert at `time` sees.
    pub(crate) fn value(&self, time: i64, half_life_ms: i64) -> Q16 {
        if self.pending > 0 && self.open < hour(time) {
            let end = start(self.open.saturating_add(1));
            return decay(
                self.sealed_after_open(half_life_ms),
                time - end,
                half_life_ms,
            );
        }
        decay(self.sealed, time - start(self.at), half_life_ms)
    }

    /// Counts one event at `time`; at most `hourly_max` count in one hour.
    pub(crate) fn add(&mut self, time: i64, half_life_ms: i64, hourly_max: u32) {
        let now = hour(time);
        if self.pending == 0 {
            if self.sealed == 0 {
                self.at = now;
            }
            self.open = now.max(self.at);
        } else if self.open < now {
            self.sealed = self.sealed_after_open(half_life_ms);
            self.at = self.open.saturating_add(1);
            self.pending = 0;
            self.open = now;
        }
        if self.pending < hourly_max {
            self.pending = self.pending.saturating_add(1);
        }
    }

    /// Adds what `other` counted: the two turned out to be one.
    pub(crate) fn merge(&mut self, other: &Self, half_life_ms: i64) {
        let at = self
            .open
            .max(other.open)
            .saturating_add(1)
            .max(self.at)
            .max(other.at);
        self.sealed = self.value(start(at), half_life_ms) + other.value(start(at), half_life_ms);
        *self = Self {
            sealed: self.sealed,
            at,
            pending: 0,
            open: at,
        };
    }

    /// Returns whether sums of it stay in range: a restored one may be anything.
    pub(crate) fn is_sound(&self) -> bool {
        self.sealed <= 1 << 48
    }

    fn sealed_after_open(&self, half_life_ms: i64) -> Q16 {
        let open = i64::from(self.open) + 1 - i64::from(self.at);
        decay(self.sealed, open * HOUR_MS, half_life_ms) + u64::from(self.pending) * ONE_Q16
    }
}

fn hour(time: i64) -> i32 {
    let hour = time.div_euclid(HOUR_MS);
    i32::try_from(hour).unwrap_or(if hour < 0 { i32::MIN } else { i32::MAX })
}

fn start(hour: i32) -> i64 {
    i64::from(hour) * HOUR_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: i64 = 24 * HOUR_MS;

    #[test]
    fn an_hour_counts_once_it_is_over() {
        let mut rate = Rate::default();
        rate.add(5, HALF, 4);
        assert_eq!(rate.value(HOUR_MS - 1, HALF), 0);
        assert_eq!(rate.value(HOUR_MS, HALF), ONE_Q16);
        assert_eq!(rate.value(HOUR_MS + HALF, HALF), ONE_Q16 / 2);
    }

    #[test]
    fn a_late_event_counts_in_the_open_hour() {
        let mut rate = Rate::default();
        rate.add(3 * HOUR_MS, HALF, 4);
        let before = rate.value(3 * HOUR_MS, HALF);
        rate.add(HOUR_MS, HALF, 4);
        assert_eq!(rate.value(3 * HOUR_MS, HALF), before);
        assert_eq!(rate.value(4 * HOUR_MS, HALF), 2 * ONE_Q16);
    }

    #[test]
    fn flooding_buys_no_more_than_the_hourly_bound() {
        let mut rate = Rate::default();
        for _ in 0..1_000 {
            rate.add(0, HALF, 4);
        }
        assert_eq!(rate.value(HOUR_MS, HALF), 4 * ONE_Q16);
    }

    #[test]
    fn merging_adds_the_weights() {
        let (mut a, mut b) = (Rate::default(), Rate::default());
        a.add(0, HALF, 4);
        b.add(0, HALF, 4);
        b.add(HOUR_MS, HALF, 4);
        let sum = a.value(9 * HOUR_MS, HALF) + b.value(9 * HOUR_MS, HALF);
        a.merge(&b, HALF);
        assert!(a.value(9 * HOUR_MS, HALF).abs_diff(sum) < 8);
    }
}
