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
}

/// The uids of a tenant.
#[derive(Debug)]
pub(crate) struct Uids {
    by_uid: Lookup<Arc<str>, Seen>,
    /// By the hour of their alert, each in order of arrival.
    by_hour: BTreeMap<i64, VecDeque<Arc<str>>>,
    /// The hour of the watermark when they were last swept.
    swept: i64,
    log: Log<Step>,
}

/// What changed.
#[derive(Debug)]
enum Step {
    /// The last of that hour came.
    Came(i64),
    /// The first of that hour went.
    Went(i64, Arc<str>, Seen),
    /// It had that revision.
    Revised(Arc<str>, i64),
    /// They were swept at that hour.
    Swept(i64),
}

impl Uids {
    pub(crate) fn new() -> Self {
        Self {
            by_uid: Lookup::default(),
            by_hour: BTreeMap::new(),
            swept: i64::MIN,
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
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &str, Seen)> {
        let hours = self.by_hour.iter();
        let queued = hours.flat_map(|(hour, uids)| uids.iter().map(|uid| (*hour, uid)));
        let own = queued.filter(|(_, uid)| is_queued(&self.by_uid, uid));
        own.filter_map(|(hour, uid)| Some((hour, &**uid, self.get(uid)?)))
    }

    /// Remembers a new uid; beyond `max` the oldest goes.
    pub(crate) fn remember(&mut self, uid: &str, time: i64, seen: Seen, max: usize) {
        breaks_off();
        let uid: Arc<str> = uid.into();
        let hour = time.div_euclid(HOUR_MS);
        self.by_uid.insert(Arc::clone(&uid), seen);
        self.by_hour.entry(hour).or_default().push_back(uid);
        self.log.note(|| Step::Came(hour));
        while self.by_uid.len() > max.max(1)
            && let Some(oldest) = self.oldest_hour()
        {
            self.forget_first(oldest);
        }
    }

    /// Notes that a known uid was seen at a higher revision.
    pub(crate) fn revise(&mut self, uid: &str, revision: i64) {
        if let Some((uid, _)) = self.by_uid.get_key_value(uid) {
            let uid = Arc::clone(uid);
            if let Some(seen) = self.by_uid.get_mut(&uid) {
                let before = std::mem::replace(&mut seen.revision, revision);
                self.log.note(|| Step::Revised(uid, before));
            }
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

    /// Remembers, restoring, what came once before: a uid that comes as new was forgotten, whether or not what made it go
    /// is still told.
    pub(crate) fn put(&mut self, uid: &str, time: i64, seen: Seen, max: usize) {
        // Its place in the queue stays, and is not its own any more: see `is_queued`.
        self.by_uid.remove(uid);
        self.remember(uid, time, seen, max);
        self.log.commit();
    }

    /// Drops places in the queue that are not their uid's own any more.
    pub(crate) fn settle(&mut self) {
        let Self {
            by_uid, by_hour, ..
        } = self;
        by_hour.retain(|_, uids| {
            uids.retain(|uid| is_queued(by_uid, uid));
            !uids.is_empty()
        });
        self.log.commit();
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
                Step::Came(hour) => {
                    let Some(uids) = self.by_hour.get_mut(&hour) else {
                        continue;
                    };
                    if let Some(uid) = uids.pop_back() {
                        self.by_uid.remove(&uid);
                    }
                    if uids.is_empty() {
                        self.by_hour.remove(&hour);
                    }
                }
                Step::Went(hour, uid, seen) => {
                    self.by_uid.insert(Arc::clone(&uid), seen);
                    self.by_hour.entry(hour).or_default().push_front(uid);
                }
                Step::Revised(uid, revision) => {
                    if let Some(seen) = self.by_uid.get_mut(&uid) {
                        seen.revision = revision;
                    }
                }
                Step::Swept(hour) => self.swept = hour,
            }
        }
    }

    fn forget_first(&mut self, hour: i64) {
        breaks_off();
        let Some(uids) = self.by_hour.get_mut(&hour) else {
            return;
        };
        if let Some(uid) = uids.pop_front()
            && is_queued(&self.by_uid, &uid)
            && let Some(seen) = self.by_uid.remove(&uid)
        {
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
