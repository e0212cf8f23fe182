//! What there is one of in a tenant.

use serde::{Deserialize, Serialize};

use crate::fusion::{Fusion, Stats};
use crate::rates::Rate;

/// The row of the tenant itself.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Scalars {
    pub(super) started: Option<i64>,
    pub(super) now: i64,
    pub(super) watermark: i64,
    pub(super) swept_hour: i64,
    pub(super) all_rate: Rate,
    /// Number of the next episode.
    pub(super) next: u64,
    pub(super) longest_lease_ms: i64,
    stats: Stats,
    pub(super) counts: Counts,
    /// The hour below which no uid is remembered, and how many are of that hour.
    pub(super) uids_floor: Option<(i64, u64)>,
}

/// How many rows there are of each kind, so that none is lost unnoticed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    pub(super) rules: u64,
    pub(super) entities: u64,
    pub(super) leases: u64,
    pub(super) episodes: u64,
    pub(super) threads: u64,
    pub(super) commands: u64,
}

impl Default for Scalars {
    fn default() -> Self {
        Self {
            started: None,
            now: i64::MIN,
            watermark: i64::MIN,
            swept_hour: i64::MIN,
            all_rate: Rate::default(),
            next: 0,
            longest_lease_ms: 0,
            stats: Stats::default(),
            counts: Counts::default(),
            uids_floor: None,
        }
    }
}

impl Fusion {
    pub(super) fn scalars(&self) -> Scalars {
        Scalars {
            started: self.started,
            now: self.now,
            watermark: self.watermark,
            swept_hour: self.swept_hour,
            all_rate: self.all_rate,
            next: self.episodes.next(),
            longest_lease_ms: self.leases.longest_ms(),
            stats: self.stats,
            counts: self.counts(),
            uids_floor: self.uids.floor(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        Counts {
            rules: count(self.rules.len()),
            entities: count(self.entities.len()),
            leases: count(self.leases.starts()),
            episodes: count(self.episodes.len()),
            threads: count(self.threads.len()),
            commands: count(self.answers.answers.len()),
        }
    }

    pub(super) fn put_scalars(&mut self, scalars: Scalars) {
        self.started = scalars.started;
        self.now = scalars.now;
        self.watermark = scalars.watermark;
        self.swept_hour = scalars.swept_hour;
        self.all_rate = scalars.all_rate;
        self.episodes.put_next(scalars.next);
        self.leases.put_longest_ms(scalars.longest_lease_ms);
        self.stats = scalars.stats;
    }
}
