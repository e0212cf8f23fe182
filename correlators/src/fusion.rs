//! The one public mutable type: all state of one tenant, and the path of an alert through the stages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use schemas::alert::Alert;
use schemas::binding::Binding;
use schemas::incident::{Change, Incident};
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::command::Answers;
use crate::entities::{Entities, Same};
use crate::entity::EntityId;
use crate::episode::Episode;
use crate::identity::{Named, StopList, resolve};
use crate::index::{Index, Queue};
use crate::interner::{RuleId, Rules};
use crate::invariants::check_placed;
use crate::leases::Leases;
use crate::rates::Rate;
use crate::sequence::Sequence;
use crate::settings::Settings;
use crate::state::Scalars;
use crate::thread::Thread;
use crate::uids::Uids;

/// One tenant's correlation state.
#[derive(Debug)]
pub struct Fusion {
    pub(crate) tenant: String,
    pub(crate) settings: Arc<Settings>,
    pub(crate) config_hash: String,
    stop: StopList,
    pub(crate) leases: Leases,
    pub(crate) entities: Entities,
    pub(crate) rules: Rules,
    pub(crate) all_rate: Rate,
    pub(crate) episodes: Sequence<Episode>,
    /// By the number of the founding episode.
    pub(crate) threads: Sequence<Thread>,
    /// The latest episode of each rule at the same entities.
    pub(crate) open: Index<FoldKey, u64>,
    pub(crate) uids: Uids,
    /// Event time of the first alert.
    pub(crate) started: Option<i64>,
    /// Event time of the alert at hand.
    pub(crate) now: i64,
    /// Event time that is over: what comes before it is late.
    pub(crate) watermark: i64,
    pub(crate) swept_hour: i64,
    /// Where each incident is to be found, and each that went into another: by id.
    pub(crate) incidents: Index<Uuid, u64>,
    /// Commands that were answered.
    pub(crate) answers: Answers,
    /// Threads by when they are dropped.
    pub(crate) expiry: Queue<(i64, u64)>,
    /// What the alert at hand changed, by thread.
    pub(crate) touched: BTreeMap<u64, BTreeSet<Change>>,
    /// Incidents changed since they were last polled, and the last records of those that are gone.
    pub(crate) changed: BTreeSet<u64>,
    pub(crate) finished: VecDeque<Incident>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) stats: Stats,
    /// What there is one of, at the last commit.
    pub(crate) committed: Scalars,
}

/// What makes an alert a repeat: its rule and what it names.
pub(crate) type FoldKey = (RuleId, Vec<EntityId>);

/// What became of one accepted alert when it was applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placement {
    /// A new alert: it opened or joined an episode.
    Placed {
        /// Number of the episode in its tenant, from 0; never reused.
        episode: u64,
        /// Came after the watermark had passed it by more than the lateness.
        late: bool,
    },
    /// The same alert was seen before: nothing changed.
    Duplicate {
        /// The episode that holds it.
        episode: u64,
    },
    /// A higher revision of an alert seen before: its episode was updated in place.
    Updated {
        /// The episode that holds it.
        episode: u64,
        /// What its uid is remembered by from now on: its start time, or that of a revision before where that is later.
        remembered: Timestamp,
    },
}

/// What applying inputs led to, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// A new episode began, alone in a new thread that carries its number.
    EpisodeOpened {
        /// Number of the episode, which is also the number of its first thread.
        episode: u64,
        /// UUIDv5 of (tenant, founder alert uid, founder event time): the id of the episode, and of the thread (and
        /// incident) it founds.
        id: Uuid,
    },
    /// Every episode of `thread` now belongs to `into`; `thread` is gone.
    ThreadMerged {
        /// The thread that went away.
        thread: u64,
        /// The survivor.
        into: u64,
    },
    /// A thread that was an incident fell into parts.
    ThreadSplit {
        /// The thread, which is gone, or its number that of one of the parts.
        thread: u64,
        /// All parts.
        parts: Vec<Part>,
    },
    /// A thread was promoted: it is an incident from here on.
    ThreadPromoted {
        /// The thread.
        thread: u64,
    },
}

/// A part of a thread that was split: a thread from here on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Its number, which is that of its first episode, or of the founder where it has it.
    pub thread: u64,
    /// Its id.
    pub id: Uuid,
    /// It is the incident that was split, and kept its id; another part is promoted where it is one.
    pub incident: bool,
    /// Its episodes.
    pub episodes: Vec<u64>,
}

/// Counts of what happened, and sizes of what is held.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stats {
    /// Threads promoted to incidents.
    pub promoted: u64,
    /// Incidents merged into others.
    pub merged: u64,
    /// Merges that a bound or an analyst's word forbade.
    pub merges_refused: u64,
    /// Incidents split by analysts.
    pub split: u64,
    /// Closed incidents that an alert opened again.
    pub reopened: u64,
    /// Commands applied.
    pub commands_applied: u64,
    /// Commands refused; one that is sent again counts once.
    pub commands_refused: u64,
    /// Threads sealed because they were full.
    pub sealed: u64,
    /// Threads dropped when idle or to keep a bound.
    pub threads_dropped: u64,
    /// Of these, dropped early to keep the bound on episodes.
    pub evicted_by_bound: u64,
    /// Entities that turned out to be one.
    pub entities_merged: u64,
    /// Live episodes.
    pub episodes: u64,
    /// Live threads.
    pub threads: u64,
    /// Known entities.
    pub entities: u64,
}

impl std::iter::Sum for Stats {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            promoted: a.promoted + b.promoted,
            merged: a.merged + b.merged,
            merges_refused: a.merges_refused + b.merges_refused,
            split: a.split + b.split,
            reopened: a.reopened + b.reopened,
            commands_applied: a.commands_applied + b.commands_applied,
            commands_refused: a.commands_refused + b.commands_refused,
            sealed: a.sealed + b.sealed,
            threads_dropped: a.threads_dropped + b.threads_dropped,
            evicted_by_bound: a.evicted_by_bound + b.evicted_by_bound,
            entities_merged: a.entities_merged + b.entities_merged,
            episodes: a.episodes + b.episodes,
            threads: a.threads + b.threads,
            entities: a.entities + b.entities,
        })
    }
}

impl Fusion {
    /// Creates the empty state of `tenant`.
    #[must_use]
    pub fn new(tenant: &str, settings: Arc<Settings>) -> Self {
        Self {
            tenant: tenant.to_owned(),
            config_hash: settings.hash(),
            stop: StopList::new(&settings),
            leases: Leases::default(),
            entities: Entities::default(),
            rules: Rules::new(settings.limits.rules),
            all_rate: Rate::default(),
            episodes: Sequence::new(),
            threads: Sequence::new(),
            open: Index::default(),
            uids: Uids::new(),
            started: None,
            now: i64::MIN,
            watermark: i64::MIN,
            swept_hour: i64::MIN,
            incidents: Index::default(),
            answers: Answers::new(),
            expiry: Queue::default(),
            touched: BTreeMap::new(),
            changed: BTreeSet::new(),
            finished: VecDeque::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
            committed: Scalars::default(),
            settings,
        }
    }

    /// Returns the tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Returns what happened so far and what is held.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        Stats {
            episodes: count(self.episodes.len()),
            threads: count(self.threads.len()),
            entities: count(self.entities.len()),
            ..self.stats
        }
    }

    /// Learns who held an address when.
    pub fn handle_binding(&mut self, binding: &Binding) {
        self.leases.learn(
            binding,
            usize::try_from(self.settings.limits.leases).unwrap_or(usize::MAX),
        );
    }

    /// Moves the watermark forward: what comes before it is late from now on, and state that nothing can reach any more is
    /// dropped. It never goes back.
    pub fn handle_time(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark.millis());
        self.sweep();
    }

    /// Applies one alert at its own event time. Never fails: bad input is refused before it comes here.
    pub fn handle_alert(&mut self, alert: &Alert) -> Placement {
        let time = alert.start_time.millis();
        if let Some(seen) = self.uids.get(&alert.uid) {
            return self.seen_again(alert, seen);
        }
        self.started.get_or_insert(time);
        self.now = time;
        let named = self.name_entities(alert);
        let rule = self.rules.intern(alert.rule(), time);
        let key = (
            rule,
            named
                .evidence
                .iter()
                .map(|mention| mention.entity)
                .collect(),
        );
        let late = time < self.watermark;
        let episode = match self.open_episode(&key, time) {
            Some(episode) => {
                self.repeat(episode, alert);
                episode
            }
            None => self.begin(alert, named, rule, key, late),
        };
        self.remember(alert, time, episode);
        self.settle(time);
        debug_assert_eq!(check_placed(self, episode), Ok(()));
        Placement::Placed { episode, late }
    }

    /// Returns the next output, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the next incident that changed since it was last polled, at its newest revision: first those that are gone,
    /// then by age.
    pub fn poll_incident(&mut self) -> Option<Incident> {
        if let Some(finished) = self.finished.pop_front() {
            return Some(finished);
        }
        let thread = self.changed.pop_first()?;
        self.threads
            .get(thread)
            .and_then(|thread| self.render(thread))
    }

    /// Returns every incident that is held, by age, as it was last published.
    pub fn incidents(&self) -> impl Iterator<Item = Incident> {
        let threads = self.threads.iter();
        threads.filter_map(|(_, thread)| self.render(thread))
    }

    /// Resolves the alert's entities and rewrites what refers to entities that turned out to be the same.
    fn name_entities(&mut self, alert: &Alert) -> Named {
        let max = usize::try_from(self.settings.limits.entities)
            .unwrap_or(usize::MAX)
            .max(1);
        let mut same = Vec::new();
        let named = resolve(
            alert,
            &self.leases,
            &self.stop,
            &mut self.entities,
            max,
            &mut same,
        );
        for pair in same {
            self.unite(pair);
        }
        for mention in &named.evidence {
            self.entities
                .touch(mention.entity, alert.start_time.millis());
        }
        named
    }

    /// Makes two entities one everywhere.
    fn unite(&mut self, pair: Same) {
        let numbers: Vec<u64> = self
            .entities
            .get(pair.gone)
            .map(|state| state.episodes.iter().copied().collect())
            .unwrap_or_default();
        let mut threads = BTreeSet::new();
        let mut live = 0;
        for number in numbers {
            let Some(episode) = self.episodes.get_mut(number) else {
                continue;
            };
            let old = episode.fold_key();
            live += u32::from(episode.unite(pair));
            let new = episode.fold_key();
            threads.insert(episode.thread);
            let was_open = std::mem::take(&mut episode.open);
            if was_open {
                self.open.remove(&old);
                self.open(new, number);
            }
        }
        for number in threads {
            let Some(thread) = self.threads.get_mut(number) else {
                continue;
            };
            thread.unite(pair, |number| {
                self.episodes.get(number).map(|episode| episode.rule)
            });
            for member in &thread.episodes {
                if let Some(episode) = self.episodes.get_mut(*member) {
                    episode.unite_links(pair);
                }
            }
            if thread.incident.is_some() {
                self.touch(number, Change::AlertUpdated);
            }
        }
        self.entities.absorb(pair, &self.settings);
        if let Some(kept) = self.entities.get_mut(pair.kept) {
            kept.live = kept.live.saturating_add(live);
        }
        self.stats.entities_merged += 1;
    }
}

#[cfg(test)]
pub(crate) mod tests;
