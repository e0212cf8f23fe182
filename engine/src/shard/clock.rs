//! The watermark: how far the shard's alerts have come.

use schemas::time::Timestamp;

use crate::decode::Decoded;
use crate::order::Merge;

/// Follows the watermark of a shard as its records are taken, so that it depends on their order alone.
#[derive(Debug)]
pub(super) struct Clock {
    lanes: Vec<Option<Seen>>,
    lateness_ms: i64,
    watermark: Option<Timestamp>,
}

/// A lane that counts, and the latest event time taken from it.
#[derive(Clone, Copy, Debug, Default)]
struct Seen(Option<Timestamp>);

/// The time at which one record is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    pub(super) watermark: Option<Timestamp>,
    /// Every tenant learns the time here, not only the record's own.
    pub(super) broadcast: bool,
}

/// How often, in event time, tenants without records learn the time and let go of what is out of reach.
const BROADCAST_MS: i64 = 10 * 60_000;

impl Clock {
    /// Makes the clock of lanes of which the latest event times are known, none for one that does not count.
    pub(super) fn new(
        seen: Vec<Option<Option<Timestamp>>>,
        lateness_ms: i64,
        watermark: Option<Timestamp>,
    ) -> Self {
        Self {
            lanes: seen.into_iter().map(|lane| lane.map(Seen)).collect(),
            lateness_ms,
            watermark,
        }
    }

    pub(super) fn watermark(&self) -> Option<Timestamp> {
        self.watermark
    }

    /// Returns the latest event time taken from a lane.
    pub(super) fn seen(&self, lane: usize) -> Option<Timestamp> {
        let Seen(time) = (*self.lanes.get(lane)?)?;
        time
    }

    /// Moves the watermark without a record, where that tells every tenant something.
    pub(super) fn pass(&mut self, watermark: Timestamp) -> Option<Mark> {
        let part = |time: Timestamp| time.0.div_euclid(BROADCAST_MS);
        if self
            .watermark
            .is_some_and(|before| part(watermark) <= part(before))
        {
            return None;
        }
        self.watermark = Some(watermark);
        Some(Mark {
            watermark: self.watermark,
            broadcast: true,
        })
    }

    /// Returns the time at which something is applied that did not wait for its turn: what waits tells nothing yet of how
    /// far the alerts have come.
    pub(super) fn still(&self) -> Mark {
        Mark {
            watermark: self.watermark,
            broadcast: false,
        }
    }

    /// Notes that a record of `lane` was taken and returns the time it is applied at.
    ///
    /// The watermark is the lowest of the lanes' latest event times, less the lateness. A lane at its end with
    /// nothing buffered is not waited for; a waiting head counts for its lane. The head behind the record just taken
    /// does not: whether it was read yet is an accident of the polls.
    pub(super) fn tick(
        &mut self,
        merge: &Merge<Decoded>,
        lane: usize,
        time: Option<Timestamp>,
    ) -> Mark {
        if let Some(Some(seen)) = self.lanes.get_mut(lane) {
            seen.0 = seen.0.max(time);
        }
        let lowest = self
            .lanes
            .iter()
            .enumerate()
            .filter_map(|(other, seen)| {
                let seen = (*seen)?.0;
                if other == lane {
                    seen
                } else {
                    merge.head(other).map(|head| seen.max(Some(head)))?
                }
            })
            .min();
        let before = self.watermark;
        self.watermark = before.max(lowest.map(|time| time.plus(-self.lateness_ms)));
        let part = |time: Option<Timestamp>| time.map(|time| time.0.div_euclid(BROADCAST_MS));
        Mark {
            watermark: self.watermark,
            broadcast: part(self.watermark) != part(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Partition, Record};
    use crate::decode::Content;

    fn decoded() -> Decoded {
        let partition = Partition {
            topic: "t".into(),
            number: 0,
        };
        Decoded {
            record: std::sync::Arc::new(Record {
                partition,
                offset: 0,
                timestamp: None,
                key: None,
                value: None,
                headers: Vec::new(),
            }),
            content: Content::Alerts(Vec::new()),
        }
    }

    /// Pushes (lane, minute) in order, then takes everything and returns the watermark in minutes after each.
    fn check(counts: &[bool], pushes: &[(usize, i64)], expected: &[i64]) {
        let mut merge = Merge::new(counts.len());
        let lane = |counts: &bool| counts.then_some(None);
        let mut clock = Clock::new(counts.iter().map(lane).collect(), 60_000, None);
        for (lane, minute) in pushes {
            merge.push(*lane, Some(Timestamp(minute * 60_000)), 1, decoded());
        }
        (0..counts.len()).for_each(|lane| merge.set_at_end(lane, true));
        let mut seen = Vec::new();
        while let Some(taken) = merge.pop() {
            let mark = clock.tick(&merge, taken.lane, Some(taken.time));
            seen.extend(mark.watermark.map(|time| time.0 / 60_000));
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn follows_the_latest_time_less_the_lateness() {
        check(&[true], &[(0, 5), (0, 9), (0, 7)], &[4, 8, 8]);
    }

    #[test]
    fn stays_with_the_lane_that_is_furthest_behind() {
        check(
            &[true, true],
            &[(0, 5), (0, 30), (1, 6), (1, 7)],
            &[4, 5, 6, 29],
        );
    }

    #[test]
    fn bindings_do_not_move_it() {
        check(&[true, false], &[(0, 5), (1, 90)], &[4, 4]);
    }
}
