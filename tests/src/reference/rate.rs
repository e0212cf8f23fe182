//! Decayed counts by the book: an hour counts once it is over, what comes late counts in the hour that is open.

const HOUR: i64 = 3_600_000;

/// The hours in which something was counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    hours: Vec<i64>,
}

impl Rate {
    pub(super) fn add(&mut self, time: i64, hourly_max: usize) {
        let hour = time
            .div_euclid(HOUR)
            .max(self.hours.last().copied().unwrap_or(i64::MIN));
        let counted = self.hours.iter().filter(|known| **known == hour).count();
        if counted < hourly_max {
            self.hours.push(hour);
        }
    }

    /// Returns the weight of what is over at `time`, each event counted from the end of its hour.
    pub(super) fn value(&self, time: i64, half_life: f64) -> f64 {
        let now = time.div_euclid(HOUR);
        let open = self.hours.last().copied().unwrap_or(i64::MIN);
        let over = |hour: &&i64| **hour < open || open < now;
        // What was sealed stays as it was at its end for whoever looks back from before.
        let sealed = self.hours.iter().filter(over).map(|hour| (hour + 1) * HOUR);
        let Some(last) = sealed.clone().max() else {
            return 0.0;
        };
        let at = time.max(last);
        sealed.map(|end| (-ms(at - end) / half_life).exp2()).sum()
    }
}

/// Milliseconds as a float; they are far below 2^53.
pub(super) fn ms(millis: i64) -> f64 {
    let seconds = i32::try_from(millis.div_euclid(1_000)).unwrap();
    let rest = i32::try_from(millis.rem_euclid(1_000)).unwrap();
    f64::from(seconds) * 1_000.0 + f64::from(rest)
}
