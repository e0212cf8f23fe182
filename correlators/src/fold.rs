//! Alerts to episodes: repeats fold, duplicates are told by uid, updates apply in place.

use schemas::alert::{Alert, AlertActivity, AlertDisposition, AlertKind};
use schemas::incident::Change;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::episode::{Episode, Tally};
use crate::fusion::{FoldKey, Fusion, Output, Placement};
use crate::identity::Named;
use crate::interner::{RuleId, Shape};
use crate::order::Tactics;
use crate::place::rate_in;
use crate::thread::Thread;
use crate::uids::Seen;

/// Namespace of the ids of episodes, threads and incidents.
pub(crate) const IDS: Uuid = Uuid::from_u128(0x6f1d_3a2e_58c4_4b0f_9d67_c2b1_90e4_7a35);

impl Fusion {
    /// Returns the episode that an alert of this key at `time` repeats.
    pub(crate) fn open_episode(&self, key: &FoldKey, time: i64) -> Option<u64> {
        let number = self.open.get(key)?;
        let episode = self.episodes.get(number)?;
        let fold = &self.settings.fold;
        let near = time - episode.end() <= fold.gap_ms && episode.start - time <= fold.gap_ms;
        let thread = self.threads.get(episode.thread)?;
        let recurs = thread.closed_at().is_some_and(|closed| time > closed);
        let folds = near && time - episode.start <= fold.span_ms;
        (folds && !(recurs && self.is_shut(thread, time))).then_some(number)
    }

    /// Folds a repeat into its episode.
    pub(crate) fn repeat(&mut self, number: u64, alert: &Alert) {
        let max = usize::try_from(self.settings.limits.repeat_uids).unwrap_or(usize::MAX);
        let Some(episode) = self.episodes.get_mut(number) else {
            return;
        };
        let before = episode.tally.count;
        episode.tally.count += i64::from(alert.count.max(1));
        episode.tally.end = episode
            .tally
            .end
            .max(alert.end_time.millis().max(alert.start_time.millis()));
        if episode.repeat_uids.len() < max {
            episode.repeat_uids.push(alert.uid.as_str().into());
            episode.tally.repeat_uids = episode.repeat_uids.len();
        }
        let raised = alert.severity > episode.severity;
        episode.severity = episode.severity.max(alert.severity);
        let thread = episode.thread;
        let doubled = before.checked_ilog2() < episode.tally.count.checked_ilog2();
        self.extend(number, raised, doubled);
        // What goes on after it was closed is not over; what was before only came late.
        let closed = self.threads.get(thread).and_then(Thread::closed_at);
        if closed.is_some_and(|closed| alert.start_time.millis() > closed) {
            self.reopen_by_alert(thread);
        }
    }

    /// Notes in the thread of an episode that it went on.
    fn extend(&mut self, number: u64, raised: bool, doubled: bool) {
        let Some(episode) = self.episodes.get(number) else {
            return;
        };
        let (thread, end) = (episode.thread, episode.end());
        let Some(state) = self.threads.get_mut(thread) else {
            return;
        };
        state.end = state.end.max(end);
        for mention in episode.mentions.iter().filter(|_| !episode.context) {
            if let Some(presence) = state.entities.get_mut(&mention.entity) {
                presence.active = presence.active.max(end);
            }
        }
        if let Some(incident) = &mut state.incident {
            incident.unshown.insert(number);
            if raised {
                self.touch(thread, Change::AlertUpdated);
            } else if doubled {
                self.touch(thread, Change::CountDoubled);
            }
        }
        self.requeue(thread);
    }

    /// Opens an episode and finds its place.
    pub(crate) fn begin(
        &mut self,
        alert: &Alert,
        named: Named,
        rule: RuleId,
        key: FoldKey,
        late: bool,
    ) -> u64 {
        self.make_room();
        let episode = self.episode(alert, named, rule, late);
        let id = episode.id;
        for mention in &episode.mentions {
            if let Some(state) = self.entities.get_mut(mention.entity) {
                state.live = state.live.saturating_add(1);
                state.episodes.push_back(self.episodes.next());
                state.prune(|number| {
                    number == self.episodes.next() || self.episodes.get(number).is_some()
                });
            }
        }
        let number = self.episodes.push(episode);
        let rates = self.rates_of(number);
        if let Some(episode) = self.episodes.get(number) {
            let thread = Thread::found(number, episode, |entity| rate_in(&rates, entity));
            self.threads.insert(number, thread);
        }
        self.open(key, number);
        self.outputs.push_back(Output::EpisodeOpened {
            episode: number,
            id,
        });
        self.requeue(number);
        let mut thread = self.place(number);
        if self
            .episodes
            .get(number)
            .is_some_and(|episode| !episode.context)
        {
            thread = self.stitch(number);
        }
        self.touch(thread, Change::AlertsAdded);
        self.count(number);
        number
    }

    /// Makes `number` the episode that repeats of `key` fold into, unless a later one is.
    pub(crate) fn open(&mut self, key: FoldKey, number: u64) {
        let known = self.open.get(&key);
        if known.is_some_and(|known| known >= number) {
            return;
        }
        if let Some(known) = known.and_then(|known| self.episodes.get_mut(known)) {
            known.open = false;
        }
        if let Some(episode) = self.episodes.get_mut(number) {
            episode.open = true;
        }
        self.open.insert(key, number);
    }

    fn episode(&mut self, alert: &Alert, named: Named, rule: RuleId, late: bool) -> Episode {
        let time = alert.start_time.millis();
        let rule_terms = named
            .evidence
            .iter()
            .map(|mention| self.rule_term(rule, mention.entity, time, None));
        let rule_term = rule_terms.min().unwrap_or(0);
        let (in_tenant, at_entity) = self.novelty(rule, &named.evidence, time);
        let background = &self.settings.background;
        let expected = self.is_expected(rule, &named.evidence, time);
        let pinned_context = expected
            || matches!(alert.kind, AlertKind::Vulnerability | AlertKind::Compliance)
            || alert.activity == AlertActivity::Close;
        let routine = in_tenant < background.routine_rule && at_entity < background.routine_pair;
        let shape = Shape {
            rule: alert.rule().to_owned(),
            title: alert.title.clone(),
            product: alert.product().to_owned(),
            tactics: Tactics::of(&alert.attacks),
            attacks: alert.attacks.clone(),
        };
        let tally = Tally {
            count: i64::from(alert.count.max(1)),
            end: alert.end_time.millis().max(time),
            repeat_uids: 0,
        };
        Episode {
            id: Uuid::new_v5(
                &IDS,
                format!("{}\n{}\n{time}", self.tenant, alert.uid).as_bytes(),
            ),
            uid: alert.uid.as_str().into(),
            native_uid: alert.source.native_uid.as_str().into(),
            rule,
            shape: self.rules.share(rule, shape),
            severity: alert.severity,
            confidence: self.trusted(rule, alert.confidence),
            mentions: named.evidence,
            roles: named.roles,
            recorded: named.recorded,
            source: named.source,
            target: named.target,
            rule_term,
            novelty: if expected {
                0
            } else {
                in_tenant.max(at_entity / 2)
            },
            context: routine || pinned_context,
            pinned_context,
            late,
            blocked: matches!(
                alert.disposition,
                AlertDisposition::Blocked | AlertDisposition::Quarantined
            ),
            vendor_incident: alert.kind == AlertKind::Incident,
            start: time,
            tally,
            shown: tally,
            repeat_uids: Vec::new(),
            open: false,
            thread: self.episodes.next(),
            links: Vec::new(),
        }
    }

    /// Handles an alert whose uid was seen: a duplicate, or with a higher revision an update in place.
    pub(crate) fn seen_again(&mut self, alert: &Alert, seen: Seen) -> Placement {
        let episode = seen.episode;
        if alert.revision <= seen.revision {
            return Placement::Duplicate { episode };
        }
        // An update never makes it forgotten sooner.
        let remembered = seen.time.max(alert.start_time.millis());
        self.remember(alert, remembered, episode);
        if let Some(state) = self.episodes.get_mut(episode) {
            let raised = alert.severity > state.severity;
            state.severity = state.severity.max(alert.severity);
            state.tally.end = state.tally.end.max(alert.end_time.millis());
            self.extend(episode, raised, false);
            self.settle(alert.start_time.millis());
        }
        Placement::Updated {
            episode,
            remembered: Timestamp(remembered),
        }
    }

    pub(crate) fn remember(&mut self, alert: &Alert, time: i64, episode: u64) {
        let max = usize::try_from(self.settings.limits.uids).unwrap_or(usize::MAX);
        let seen = Seen {
            episode,
            revision: alert.revision,
            time,
        };
        self.uids.remember(&alert.uid, seen, max);
    }
}
