//! Alerts seen before, by uid, until the watermark is far beyond them or there are too many.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::interner::Lookup;
use crate::journal::{Log, breaks_off};

const HOUR_MS: i64 = 3_600_000;

/// An alert seen before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) episode: u64,
    pub(crate) revision: i64,
    /// What it is remembered by: start of its alert, or of a later update.
    pub(crate) time: i64,
}

impl Seen {
    fn hour(&self) -> i64 {
        self.time.div_euclid(HOUR_MS)
    }
}

/// Places in the queue that may be nobody's any more, beside as many as there are uids.
const STALE_MAX: usize = 1_024;

/// Uids by the hour of their alert, each in order of arrival.
type Hours = BTreeMap<i64, VecDeque<Arc<str>>>;

/// The uids of a tenant.
///
/// What is remembered in the end can be told without what is forgotten: neither swept, nor below the floor, nor among the
/// first of the floor's own hour. So it can be restored though nothing tells any more of what is forgotten.
#[derive(Debug)]
pub(crate) struct Uids {
    by_uid: Lookup<Arc<str>, Seen>,
    /// A uid that came again has a new place, and its old one is nobody's: see [`is_queued`].
    by_hour: Hours,
    /// Number of places in `by_hour`.
    places: usize,
    /// The hour of the watermark when they were last swept.
    swept: i64,
    /// The latest hour that lost one because there were too many: nothing before it is remembered, nor ever again.
    floor: Option<i64>,
    /// Number of those of the floor's hour.
    at_floor: usize,
    log: Log<Step>,
}

/// What changed.
#[derive(Debug)]
enum Step {
    /// The last of that hour came, and what it was known as before.
    Came(i64, Option<(Arc<str>, Seen)>),
    /// The first of that hour went, and what it was known as if its place was its own.
    Went(i64, Arc<str>, Option<Seen>),
    /// Places that were nobody's were dropped from these.
    Settled(Hours, usize),
    /// They were swept at that hour.
    Swept(i64),
    /// The floor was there.
    Rose(Option<i64>),
}

impl Uids {
    pub(crate) fn new() -> Self {
        Self {
            by_uid: Lookup::default(),
            by_hour: BTreeMap::new(),
            places: 0,
            swept: i64::MIN,
            floor: None,
            at_floor: 0,
            log: Log::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_uid.len()
    }

    pub(crate) fn get(&self, uid: &str) -> Option<Seen> {
        self.by_uid.get(uid).copied()
    }

    /// Returns the hour of the oldest alert that is remembered.
    pub(crate) fn oldest_hour(&self) -> Option<i64> {
        self.by_hour.first_key_value().map(|(hour, _)| *hour)
    }

    /// Returns what is remembered, by hour and in order of arrival.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Seen)> {
        let places = self.by_hour.values().flatten();
        let own = places.filter(|uid| is_queued(&self.by_uid, uid));
        own.filter_map(|uid| Some((&**uid, self.get(uid)?)))
    }

    /// Remembers a uid, new or at a higher revision; beyond `max` the oldest goes.
    pub(crate) fn remember(&mut self, uid: &str, seen: Seen, max: usize) {
        breaks_off();
        let hour = seen.hour();
        if self.floor.is_some_and(|floor| hour < floor) {
            return;
        }
        let before = self.by_uid.remove_entry(uid);
        if let Some((_, before)) = &before {
            self.at_floor -= usize::from(self.floor == Some(before.hour()));
        }
        self.at_floor += usize::from(self.floor == Some(hour));
        let uid: Arc<str> = uid.into();
        self.by_uid.insert(Arc::clone(&uid), seen);
        self.by_hour.entry(hour).or_default().push_back(uid);
        self.places += 1;
        self.log.note(|| Step::Came(hour, before));
        while self.by_uid.len() > max.max(1)
            && let Some(oldest) = self.oldest_hour()
        {
            self.raise(Some(oldest));
            self.forget_first(oldest);
        }
        if self.places > self.by_uid.len() * 2 + STALE_MAX {
            self.settle();
        }
    }

    /// Forgets the uids of alerts that lie more than `life_ms` before the watermark's `hour`, once an hour.
    pub(crate) fn sweep(&mut self, hour: i64, life_ms: i64) {
        if hour <= self.swept {
            return;
        }
        let before = std::mem::replace(&mut self.swept, hour);
        self.log.note(|| Step::Swept(before));
        let limit = hour
            .saturating_mul(HOUR_MS)
            .saturating_sub(life_ms)
            .div_euclid(HOUR_MS);
        while let Some(oldest) = self.oldest_hour()
            && oldest < limit
        {
            self.forget_first(oldest);
        }
    }

    /// Returns the floor, and how many are remembered of its hour.
    pub(crate) fn floor(&self) -> Option<(i64, u64)> {
        let count = u64::try_from(self.at_floor).unwrap_or(u64::MAX);
        self.floor.map(|floor| (floor, count))
    }

    /// Restores the floor that was told last, and forgets what is below it.
    pub(crate) fn put_floor(&mut self, floor: Option<(i64, u64)>) {
        self.settle();
        self.raise(floor.map(|(hour, _)| hour));
        let Some((floor, left)) = floor else {
            return;
        };
        while let Some(oldest) = self.oldest_hour()
            && oldest < floor
        {
            self.forget_first(oldest);
        }
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        while self
            .by_hour
            .get(&floor)
            .is_some_and(|uids| uids.len() > left)
        {
            self.forget_first(floor);
        }
    }

    fn raise(&mut self, floor: Option<i64>) {
        if self.floor != floor {
            let before = std::mem::replace(&mut self.floor, floor);
            self.log.note(|| Step::Rose(before));
            self.at_floor = self.count_at_floor();
        }
    }

    fn count_at_floor(&self) -> usize {
        let uids = self.floor.and_then(|floor| self.by_hour.get(&floor));
        let uids = uids.into_iter().flatten();
        uids.filter(|uid| is_queued(&self.by_uid, uid)).count()
    }

    /// Drops the places in the queue that are nobody's.
    pub(crate) fn settle(&mut self) {
        let own = |uids: &VecDeque<Arc<str>>| -> VecDeque<Arc<str>> {
            let own = uids.iter().filter(|uid| is_queued(&self.by_uid, uid));
            own.cloned().collect()
        };
        let hours = self.by_hour.iter().map(|(hour, uids)| (*hour, own(uids)));
        let settled: Hours = hours.filter(|(_, uids)| !uids.is_empty()).collect();
        let places = settled.values().map(VecDeque::len).sum();
        let before = std::mem::replace(&mut self.by_hour, settled);
        let placed = std::mem::replace(&mut self.places, places);
        self.log.note(|| Step::Settled(before, placed));
    }

    pub(crate) fn track(&mut self) {
        self.log.track();
    }

    pub(crate) fn commit(&mut self) {
        self.log.commit();
    }

    pub(crate) fn undo(&mut self) {
        for step in self.log.undo() {
            match step {
                Step::Came(hour, before) => {
                    let Some(uids) = self.by_hour.get_mut(&hour) else {
                        continue;
                    };
                    if let Some(uid) = uids.pop_back() {
                        self.by_uid.remove(&uid);
                        self.places -= 1;
                    }
                    if uids.is_empty() {
                        self.by_hour.remove(&hour);
                    }
                    self.by_uid.extend(before);
                }
                Step::Went(hour, uid, seen) => {
                    let place = Arc::clone(&uid);
                    self.by_hour.entry(hour).or_default().push_front(place);
                    self.places += 1;
                    self.by_uid.extend(seen.map(|seen| (uid, seen)));
                }
                Step::Settled(hours, places) => (self.by_hour, self.places) = (hours, places),
                Step::Swept(hour) => self.swept = hour,
                Step::Rose(floor) => self.floor = floor,
            }
        }
        self.at_floor = self.count_at_floor();
    }

    fn forget_first(&mut self, hour: i64) {
        breaks_off();
        let Some(uids) = self.by_hour.get_mut(&hour) else {
            return;
        };
        if let Some(uid) = uids.pop_front() {
            self.places -= 1;
            let own = is_queued(&self.by_uid, &uid);
            let seen = self.by_uid.get(&uid).copied().filter(|_| own);
            if own {
                self.by_uid.remove(&uid);
                self.at_floor -= usize::from(self.floor == Some(hour));
            }
            self.log.note(|| Step::Went(hour, uid, seen));
        }
        if uids.is_empty() {
            self.by_hour.remove(&hour);
        }
    }
}

/// Returns whether a place in the queue is that of the uid as it is remembered, and not of one forgotten before.
fn is_queued(by_uid: &Lookup<Arc<str>, Seen>, uid: &Arc<str>) -> bool {
    let known = by_uid.get_key_value(uid);
    known.is_some_and(|(known, _)| Arc::ptr_eq(known, uid))
}

#[cfg(test)]
mod tests;
