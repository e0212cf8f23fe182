//! The life of an incident: promotion, revisions, merges, seals.
//!
//! A revision is decided by records alone: once an alert is applied, every incident whose published content it changed
//! rises by one. Repeats alone change nothing until a count doubles.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::alert::Severity;
use schemas::incident::Change;
use serde::{Deserialize, Serialize};

use crate::command::Desk;
use crate::entity::EntityId;
use crate::episode::Evidence;
use crate::fusion::{Fusion, Output};
use crate::order::Tactics;
use crate::score::Score;
use crate::thread::Thread;

/// Merged incidents an incident lists.
const MERGED_MAX: usize = 64;

/// What a promoted thread has besides its episodes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct IncidentState {
    pub(crate) revision: i64,
    pub(crate) created: i64,
    pub(crate) modified: i64,
    /// What the last revision changed.
    pub(crate) changes: BTreeSet<Change>,
    pub(crate) severity: Severity,
    pub(crate) risk_tenths: i32,
    pub(crate) tactics: Tactics,
    pub(crate) chain: Vec<u64>,
    pub(crate) title: String,
    pub(crate) learning: bool,
    pub(crate) merged_from: Vec<String>,
    /// What analysts made of it.
    pub(crate) desk: Desk,
    /// Episodes whose repeats are not published yet.
    pub(crate) unshown: BTreeSet<u64>,
}

impl Fusion {
    /// Notes what an alert changed in a thread; [`Self::settle`] makes revisions of it.
    pub(crate) fn touch(&mut self, thread: u64, change: Change) {
        self.touched.entry(thread).or_default().insert(change);
    }

    /// Makes two threads one, for `evidence`, which the episode it leads to keeps. Returns the survivor: published before
    /// not, then the one that analysts worked on, then the older, then the lower number.
    pub(crate) fn join(&mut self, a: u64, b: u64, evidence: Evidence) -> u64 {
        let rank = |number: u64| {
            self.threads.get(number).map(|thread| {
                let untouched = !thread.is_touched();
                (thread.incident.is_none(), untouched, thread.start, number)
            })
        };
        let (kept, gone) = if rank(a) <= rank(b) { (a, b) } else { (b, a) };
        self.join_into(kept, gone, evidence)
    }

    /// Makes `gone` a part of `kept`; see [`Self::join`].
    pub(crate) fn join_into(&mut self, kept: u64, gone: u64, evidence: Evidence) -> u64 {
        let both_published = self
            .threads
            .get(gone)
            .is_some_and(|thread| thread.incident.is_some());
        if both_published {
            self.publish_merged(gone, kept);
            self.touch(kept, Change::MergedFrom);
        }
        let Some(other) = self.threads.remove(gone) else {
            return kept;
        };
        self.expiry.remove(&(other.expires, gone));
        for number in &other.episodes {
            if let Some(episode) = self.episodes.get_mut(*number) {
                episode.thread = kept;
            }
        }
        for entity in other.entities.keys() {
            if let Some(state) = self.entities.get_mut(*entity) {
                state.threads.retain(|known| *known != gone);
            }
        }
        self.take_in(kept, other);
        if let Some(changes) = self.touched.remove(&gone) {
            self.touched.entry(kept).or_default().extend(changes);
        }
        self.touch(kept, Change::AlertsAdded);
        if let Some(episode) = self.episodes.get_mut(evidence.to) {
            let at = episode.links.iter().take_while(|link| link.joined).count();
            episode.links.insert(at, evidence);
            // What made threads one stays: a thread has one such link less than episodes.
            let max = usize::try_from(self.settings.limits.links).unwrap_or(usize::MAX);
            episode.links.truncate(max.max(at + 1));
        }
        self.outputs.push_back(Output::ThreadMerged {
            thread: gone,
            into: kept,
        });
        self.requeue(kept);
        kept
    }

    /// Adds what `other` held to `kept`, and keeps the index of warm threads right.
    fn take_in(&mut self, kept: u64, other: Thread) {
        let Some(thread) = self.threads.get_mut(kept) else {
            return;
        };
        let mut new: BTreeSet<EntityId> = other.entities.keys().copied().collect();
        if thread.warm {
            new.retain(|entity| !thread.entities.contains_key(entity));
        }
        let was_warm = thread.warm;
        thread.absorb(other);
        if thread.warm {
            let missing = if was_warm {
                new
            } else {
                self.entities_of(kept)
            };
            self.index(kept, &missing);
        }
    }

    /// Closes a full thread to newcomers; `successor` continues it.
    pub(crate) fn seal(&mut self, full: u64, successor: u64) {
        if let Some(thread) = self.threads.get_mut(full) {
            thread.successor = Some(successor);
            let (id, published) = (thread.id, thread.incident.is_some());
            if published {
                self.touch(full, Change::Sealed);
            }
            if let Some(thread) = self.threads.get_mut(successor) {
                thread.continues = published.then_some(id);
            }
        }
        self.stats.sealed += 1;
    }

    /// Turns what the alert at `time` changed into promotions and revisions.
    pub(crate) fn settle(&mut self, time: i64) {
        for (number, mut changes) in std::mem::take(&mut self.touched) {
            let Some(thread) = self.threads.get(number) else {
                continue;
            };
            let enough = thread.incident.is_some()
                || thread.vendor_incident
                || thread.full_rules() >= self.settings.promote.rules.min(2);
            if !enough {
                continue;
            }
            let score = self.score(thread);
            if thread.incident.is_none() {
                if !self.promotes(thread, &score) {
                    continue;
                }
                self.promote(number, time);
                changes = BTreeSet::from([Change::Created]);
            }
            self.revise(number, time, score, changes);
        }
    }

    pub(crate) fn promote(&mut self, number: u64, time: i64) {
        let learning_until = self.started.map_or(i64::MAX, |started| {
            started + self.settings.background.learning_ms
        });
        let Some(thread) = self.threads.get_mut(number) else {
            return;
        };
        let state = IncidentState {
            revision: 0,
            created: time,
            modified: time,
            changes: BTreeSet::new(),
            severity: Severity::Unknown,
            risk_tenths: 0,
            tactics: Tactics::default(),
            chain: Vec::new(),
            title: String::new(),
            learning: thread.start < learning_until,
            merged_from: Vec::new(),
            desk: Desk::default(),
            unshown: thread.episodes.iter().copied().collect(),
        };
        thread.incident = Some(Box::new(state));
        self.index_incident(number);
        self.requeue(number);
        self.stats.promoted += 1;
        self.outputs
            .push_back(Output::ThreadPromoted { thread: number });
    }

    fn revise(&mut self, number: u64, time: i64, score: Score, mut changes: BTreeSet<Change>) {
        let Some(thread) = self.threads.get(number) else {
            return;
        };
        let Some(before) = thread.incident.as_deref() else {
            return;
        };
        let title = self.title(thread, &score);
        // Severity is never lowered while the incident is open, and what an analyst set stays.
        let severity = if before.desk.severity_pinned {
            before.severity
        } else {
            self.severity(score.risk_tenths).max(before.severity)
        };
        if before.revision > 0 {
            if severity > before.severity && !changes.contains(&Change::SeveritySet) {
                changes.insert(Change::SeverityRaised);
            }
            if title != before.title {
                changes.insert(Change::TitleChanged);
            }
            if score.tactics.without(before.tactics).len() > 0 {
                changes.insert(Change::StageAdded);
            }
        }
        let Some(thread) = self.threads.get_mut(number) else {
            return;
        };
        let Some(incident) = thread.incident.as_deref_mut() else {
            return;
        };
        incident.revision += 1;
        incident.modified = incident.modified.max(time);
        incident.changes = changes;
        incident.severity = severity;
        incident.risk_tenths = score.risk_tenths;
        incident.tactics = score.tactics;
        incident.chain = score.chain;
        incident.title = title;
        let unshown = std::mem::take(&mut incident.unshown);
        for (entity, presence) in &mut thread.entities {
            presence.aliases = self
                .entities
                .get(*entity)
                .map(|state| Arc::clone(&state.name.aliases))
                .unwrap_or_default();
        }
        for episode in thread
            .episodes
            .iter()
            .filter(|episode| unshown.contains(episode))
        {
            if let Some(episode) = self.episodes.get_mut(*episode) {
                episode.shown = episode.tally;
            }
        }
        self.changed.insert(number);
    }

    /// Publishes the last revision of an incident that goes into another.
    fn publish_merged(&mut self, gone: u64, kept: u64) {
        let (Some(id), Some(kept_id)) = (self.thread_id(gone), self.thread_id(kept)) else {
            return;
        };
        let now = self.now;
        if let Some(incident) = self
            .threads
            .get_mut(gone)
            .and_then(|thread| thread.incident.as_mut())
        {
            incident.revision += 1;
            incident.modified = incident.modified.max(now);
            incident.changes = BTreeSet::from([Change::MergedInto]);
        }
        let taken = self
            .threads
            .get(gone)
            .and_then(|thread| thread.incident.as_ref())
            .map(|incident| incident.merged_from.clone());
        if let Some(record) = self
            .threads
            .get(gone)
            .and_then(|thread| self.render_merged(thread, &kept_id))
        {
            self.finished.push_back(record);
        }
        self.changed.remove(&gone);
        self.stats.merged += 1;
        self.unindex_incident(gone);
        if let Some(incident) = self
            .threads
            .get_mut(kept)
            .and_then(|thread| thread.incident.as_mut())
        {
            incident.merged_from.push(id);
            incident.merged_from.extend(taken.unwrap_or_default());
            incident.merged_from.truncate(MERGED_MAX);
        }
        self.index_incident(kept);
    }

    /// Returns the id of a thread.
    pub(crate) fn thread_id(&self, number: u64) -> Option<String> {
        self.threads.get(number).map(Thread::id)
    }
}
