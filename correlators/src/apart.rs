//! What keeps incidents apart that evidence would bring together: bounds, and what analysts said.

use schemas::incident::{Change, Classification, RelatedIncident};
use uuid::Uuid;

use crate::command::Desk;
use crate::fusion::Fusion;
use crate::thread::Thread;

/// Related incidents an incident lists.
pub(crate) const RELATED_MAX: usize = 16;

/// Why two threads are not made one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Barrier {
    /// Together they would exceed the bounds of an incident.
    Full,
    /// One of them is closed.
    Closed,
    /// Different people work on them.
    Owners,
    /// Analysts classified them differently.
    Classifications,
    /// An analyst took alerts of one away from alerts of the other.
    Unlinked,
}

impl Barrier {
    /// Returns the word for it in `related_incidents`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Full => "size_cap",
            Self::Closed => "closed",
            Self::Owners => "owner",
            Self::Classifications => "classification",
            Self::Unlinked => "unlinked",
        }
    }
}

impl Fusion {
    /// Returns what forbids to make two threads one, however strong the evidence.
    pub(crate) fn barrier(&self, a: &Thread, b: &Thread) -> Option<Barrier> {
        if !self.fits(a, b) || self.excess(a, b).is_some() {
            return Some(Barrier::Full);
        }
        if self.unlinked(a, b) {
            return Some(Barrier::Unlinked);
        }
        let desks = [a, b].map(|thread| thread.incident.as_deref().map(|state| &state.desk));
        let mut present = desks.into_iter().flatten();
        if present.any(|desk| desk.closed.is_some()) {
            return Some(Barrier::Closed);
        }
        let [Some(a), Some(b)] = desks else {
            return None;
        };
        let differ = |a: Option<&str>, b: Option<&str>| a.is_some() && b.is_some() && a != b;
        if differ(a.owner.as_deref(), b.owner.as_deref()) {
            return Some(Barrier::Owners);
        }
        let unset = Classification::Unset;
        let classified = a.classification != unset && b.classification != unset;
        if classified && (a.classification, a.reason) != (b.classification, b.reason) {
            return Some(Barrier::Classifications);
        }
        None
    }

    /// Says what two threads would have too much of together; what analysts wrote is never cut.
    pub(crate) fn excess(&self, a: &Thread, b: &Thread) -> Option<String> {
        let limits = &self.settings.limits;
        let desks = [a, b].map(|thread| thread.incident.as_deref().map(|state| &state.desk));
        let sum = |size: fn(&Desk) -> usize| desks.into_iter().flatten().map(size).sum();
        let (episodes, entities) = (limits.incident_episodes, limits.incident_entities);
        let counts = [
            ("episodes", a.episodes.len() + b.episodes.len(), episodes),
            ("entities", a.entities_with(b), entities),
            ("comments", sum(|desk| desk.comments.len()), limits.comments),
            (
                "bytes of comments",
                sum(Desk::comment_bytes),
                limits.comment_bytes,
            ),
            ("tags", sum(|desk| desk.tags.len()), limits.tags),
            (
                "unlinked pairs",
                (a.apart.len() + b.apart.len()) / 2,
                limits.unlinked,
            ),
        ];
        let beyond = |count: usize, max: u32| u32::try_from(count).is_ok_and(|count| count > max);
        let mut excess = counts
            .into_iter()
            .filter(|(_, count, max)| beyond(*count, *max));
        let (what, count, max) = excess.next()?;
        Some(format!(
            "together they would have {count} {what}, more than {max}"
        ))
    }

    /// Returns whether an analyst took an episode of one thread away from one of the other.
    fn unlinked(&self, a: &Thread, b: &Thread) -> bool {
        let in_b = |number: u64| {
            self.episodes
                .get(number)
                .is_some_and(|episode| episode.thread == b.founder)
        };
        a.apart.iter().any(|(_, other)| in_b(*other))
    }

    /// Notes two threads that only `barrier` keeps apart, at each where the other is an incident.
    pub(crate) fn relate(&mut self, a: u64, b: u64, barrier: Barrier, weight: i32) {
        self.stats.merges_refused += 1;
        for (own, other) in [(a, b), (b, a)] {
            let Some(id) = self
                .threads
                .get(other)
                .filter(|thread| thread.incident.is_some())
                .map(Thread::id)
            else {
                continue;
            };
            let Some(thread) = self.threads.get(own) else {
                continue;
            };
            let known = thread.related.iter().any(|known| known.id == id);
            if known || thread.related.len() >= RELATED_MAX {
                continue;
            }
            let published = thread.incident.is_some();
            // What continues a full one says so.
            if barrier == Barrier::Full && !published {
                continue;
            }
            if let Some(thread) = self.threads.get_mut(own) {
                thread.related.push(RelatedIncident {
                    id,
                    reason: barrier.word().to_owned(),
                    weight,
                });
            }
            if published {
                self.touch(own, Change::RelatedAdded);
            }
        }
    }

    /// Returns whether an alert at `time` must not go into `thread`: it is closed, and the alert is none that was before, nor
    /// one that opens it again.
    pub(crate) fn is_shut(&self, thread: &Thread, time: i64) -> bool {
        thread.closed_at().is_some() && !self.reopens(thread, time)
    }

    /// Returns whether an alert at `time` that belongs to `thread` opens it again.
    pub(crate) fn reopens(&self, thread: &Thread, time: i64) -> bool {
        let Some(desk) = thread.incident.as_deref().map(|state| &state.desk) else {
            return false;
        };
        let until = |closed: i64| closed.saturating_add(self.settings.analyst.reopen_ms);
        desk.closed.is_some_and(|closed| time <= until(closed)) && desk.may_reopen()
    }

    /// Opens a closed incident again that an alert came to.
    pub(crate) fn reopen_by_alert(&mut self, number: u64) {
        let Some(thread) = self.threads.get(number) else {
            return;
        };
        if thread.closed_at().is_none() {
            return;
        }
        if let Some(incident) = self
            .threads
            .get_mut(number)
            .and_then(|thread| thread.incident.as_deref_mut())
        {
            incident.desk.reopen();
        }
        self.stats.reopened += 1;
        self.touch(number, Change::Reopened);
    }

    /// Notes where an incident, and those that went into it, are to be found.
    pub(crate) fn index_incident(&mut self, number: u64) {
        for id in self.incident_ids(number) {
            self.incidents.insert(id, number);
        }
    }

    /// Forgets where an incident, and those that went into it, are to be found.
    pub(crate) fn unindex_incident(&mut self, number: u64) {
        for id in self.incident_ids(number) {
            self.incidents.remove(&id);
        }
    }

    /// Returns the id of an incident, and those of the incidents that went into it; none of a thread that is none.
    fn incident_ids(&self, number: u64) -> Vec<Uuid> {
        let Some(thread) = self.threads.get(number) else {
            return Vec::new();
        };
        thread.incident_ids()
    }
}

impl Thread {
    /// Returns when it was closed, if it is.
    pub(crate) fn closed_at(&self) -> Option<i64> {
        self.incident.as_deref()?.desk.closed
    }

    /// Returns the id of the incident it is, and of those that went into it.
    pub(crate) fn incident_ids(&self) -> Vec<Uuid> {
        let Some(state) = self.incident.as_deref() else {
            return Vec::new();
        };
        let merged = state.merged_from.iter();
        let merged = merged.filter_map(|id| Uuid::parse_str(id).ok());
        std::iter::once(self.id).chain(merged).collect()
    }
}
