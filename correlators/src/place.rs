//! Where a new episode belongs: the thread with the strongest evidence, linked by pairs or weighed as a whole.

use std::collections::{BTreeMap, BTreeSet};

use schemas::incident::{LinkKind, TermKind};

use crate::apart::Barrier;
use crate::entity::EntityId;
use crate::episode::{Evidence, Term, sum};
use crate::fixed::{Millibits, log2_ratio, scale};
use crate::fusion::Fusion;
use crate::link::{Pair, Sight};
use crate::thread::Thread;

/// Further pairs of a thread that add the entities the best pair does not share.
const FURTHER_PAIRS: usize = 5;
/// Further threads that a full episode may bridge to.
const BRIDGES: usize = 3;

/// A thread the episode may join.
#[derive(Debug)]
struct Target {
    /// Evidence above the bar.
    margin: Millibits,
    thread: u64,
    /// The link that would make it join.
    evidence: Evidence,
    /// Whether it rests on a pair, and the further pairs.
    pairs: Option<Vec<Evidence>>,
}

/// What a thread says to a newcomer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Admission {
    Granted,
    /// It is full, and the newcomer is the one that continues it.
    Continues,
    /// It is closed.
    Closed,
    /// It has no room for this one.
    Refused,
}

impl Fusion {
    /// Finds the thread that episode `number` belongs to, and joins it; a full episode may bring threads together.
    /// Returns the thread it ends in.
    pub(crate) fn place(&mut self, number: u64) -> u64 {
        let mut targets = self.targets(number);
        targets.sort_by_key(|target| (-target.margin, target.thread));
        let mut targets = targets.into_iter();
        let best = loop {
            let Some(best) = targets.next().filter(|best| best.margin >= 0) else {
                return number;
            };
            match self.admit(best.thread, number) {
                Admission::Granted => break best,
                Admission::Refused => {}
                Admission::Closed => {
                    let weight = best.evidence.weight;
                    self.relate(number, best.thread, Barrier::Closed, weight);
                }
                Admission::Continues => return number,
            }
        };
        self.awaken(number, &best.evidence);
        let joined = self.join(best.thread, number, best.evidence);
        self.reopen_by_alert(joined);
        self.strengthen(number, joined, best.pairs.unwrap_or_default());
        if self
            .episodes
            .get(number)
            .is_none_or(|episode| episode.context)
        {
            return joined;
        }
        for bridge in targets.take(BRIDGES) {
            self.bridge(number, bridge);
        }
        self.episodes
            .get(number)
            .map_or(joined, |episode| episode.thread)
    }

    fn targets(&mut self, number: u64) -> Vec<Target> {
        let by_thread = self.pairs_by_thread(number);
        let Some(episode) = self.episodes.get(number) else {
            return Vec::new();
        };
        let link = &self.settings.link;
        let bar = if episode.context {
            link.bar_routine
        } else {
            link.bar
        };
        let mut targets: BTreeMap<u64, Target> = BTreeMap::new();
        for (thread, pairs) in by_thread {
            let Some(state) = self.threads.get(thread) else {
                continue;
            };
            let entities = u64::try_from(state.entities.len()).unwrap_or(0);
            let bar = bar + scale(log2_ratio(4 + entities, 4), link.join_penalty);
            if let Some(target) = target(thread, pairs, bar) {
                targets.insert(thread, target);
            }
        }
        for thread in self.hot_threads(number) {
            let Some(state) = self.threads.get(thread) else {
                continue;
            };
            let Some(evidence) = self.weigh(number, episode, state, LinkKind::Attach) else {
                continue;
            };
            let margin = evidence.weight - evidence.bar;
            if margin >= 0
                && targets
                    .get(&thread)
                    .is_none_or(|known| known.margin < margin)
            {
                targets.insert(
                    thread,
                    Target {
                        margin,
                        thread,
                        evidence,
                        pairs: None,
                    },
                );
            }
        }
        targets.into_values().collect()
    }

    /// Returns the pair evidence of the episodes that share an entity, by thread. Rings lose what is gone or out of reach.
    fn pairs_by_thread(&mut self, number: u64) -> BTreeMap<u64, Vec<Pair>> {
        let Some(episode) = self.episodes.get(number) else {
            return BTreeMap::new();
        };
        let window = self.settings.link.window_ms;
        let oldest = episode.start - window;
        let sights = self.sights(episode);
        for sight in &sights {
            let Some(state) = self.entities.get_mut(sight.mention.entity) else {
                continue;
            };
            while state
                .ring
                .front()
                .is_some_and(|front| self.episodes.get(*front).is_none_or(|e| e.end() < oldest))
            {
                state.ring.pop_front();
            }
        }
        let Some(episode) = self.episodes.get(number) else {
            return BTreeMap::new();
        };
        let mut by_thread: BTreeMap<u64, Vec<Pair>> = BTreeMap::new();
        for candidate in self.candidates(&sights) {
            let Some(earlier) = self.episodes.get(candidate) else {
                continue;
            };
            if episode.gap_to(earlier.start, earlier.end()) > window {
                continue;
            }
            let shared: Vec<Sight> = sights
                .iter()
                .filter(|sight| self.in_ring(sight.mention.entity, candidate))
                .copied()
                .collect();
            if let Some(pair) = self.pair((candidate, earlier), (number, episode), &shared) {
                by_thread.entry(earlier.thread).or_default().push(pair);
            }
        }
        by_thread
    }

    /// Returns the episodes that share an entity it is surprising enough to share; those of a hub alone are no pair.
    fn candidates(&self, sights: &[Sight]) -> Vec<u64> {
        let telling = sights.iter().filter(|sight| sight.telling);
        let mut candidates: Vec<u64> = telling
            .filter_map(|sight| self.entities.get(sight.mention.entity))
            .flat_map(|state| state.ring.iter().copied())
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// Returns whether an entity's ring holds an episode; rings are sorted, since numbers rise.
    fn in_ring(&self, entity: EntityId, episode: u64) -> bool {
        let state = self.entities.get(entity);
        state.is_some_and(|state| state.ring.binary_search(&episode).is_ok())
    }

    fn hot_threads(&self, number: u64) -> BTreeSet<u64> {
        let mentions = self
            .episodes
            .get(number)
            .map_or(&[][..], |episode| &episode.mentions);
        let threads = mentions
            .iter()
            .filter_map(|mention| self.entities.get(mention.entity))
            .flat_map(|state| &state.threads);
        threads
            .copied()
            .filter(|thread| self.threads.get(*thread).is_some_and(|state| state.hot))
            .collect()
    }

    /// Returns whether the thread of `number` may join `thread`. The first that finds it full continues it; those after it
    /// belong to that one where they have evidence of their own with it.
    fn admit(&mut self, thread: u64, number: u64) -> Admission {
        let (Some(full), Some(own)) = (self.threads.get(thread), self.threads.get(number)) else {
            return Admission::Refused;
        };
        if self.is_shut(full, own.start) {
            return Admission::Closed;
        }
        if self.fits(full, own) {
            return Admission::Granted;
        }
        // The founder of the one that continues it lives as long as the thread it is in, whatever that merged with.
        let founder = full
            .successor
            .and_then(|founder| self.episodes.get(founder));
        let continued = founder.is_some_and(|founder| founder.thread != thread);
        if continued || !self.is_full(full, own) {
            return Admission::Refused;
        }
        self.seal(thread, number);
        Admission::Continues
    }

    /// Returns whether two threads may become one within the bounds of an incident.
    pub(crate) fn fits(&self, a: &Thread, b: &Thread) -> bool {
        !self.is_full(a, b)
            && a.end.max(b.end) - a.start.min(b.start) < self.settings.limits.incident_life_ms
    }

    /// Returns whether `thread` is full for what comes after it, such as `next`: by episodes, entities or age. An episode
    /// that only lasts too long, or comes too late, fills nothing.
    fn is_full(&self, thread: &Thread, next: &Thread) -> bool {
        let limits = &self.settings.limits;
        let beyond = |count: usize, max: u32| u32::try_from(count).is_ok_and(|count| count > max);
        beyond(
            thread.episodes.len() + next.episodes.len(),
            limits.incident_episodes,
        ) || beyond(thread.entities_with(next), limits.incident_entities)
            || next.start - thread.start >= limits.incident_life_ms
    }

    /// A routine episode whose rule is not expected at the hot thread's entity counts in full.
    fn awaken(&mut self, number: u64, evidence: &Evidence) {
        let attach = &self.settings.attach;
        if evidence.kind != LinkKind::Attach {
            return;
        }
        let rule = evidence
            .terms
            .iter()
            .find(|term| term.kind == TermKind::Rule)
            .map_or(0, |term| term.bits);
        let Some(episode) = self.episodes.get_mut(number) else {
            return;
        };
        if !episode.context || episode.pinned_context || rule <= attach.routine_rule {
            return;
        }
        episode.context = false;
        episode.novelty = episode.novelty.max(attach.routine_novelty);
        let rates = self.rates_of(number);
        if let (Some(thread), Some(episode)) =
            (self.threads.get_mut(number), self.episodes.get(number))
        {
            thread.recount(number, episode, |entity| rate_in(&rates, entity));
        }
    }

    /// Keeps the best further links of the episode into the thread it joined.
    fn strengthen(&mut self, number: u64, thread: u64, pairs: Vec<Evidence>) {
        let max = usize::try_from(self.settings.limits.links).unwrap_or(usize::MAX);
        let bar = self.settings.link.bar;
        let in_thread = |pair: &Evidence| {
            self.episodes
                .get(pair.from)
                .is_some_and(|episode| episode.thread == thread)
        };
        let kept: Vec<Evidence> = pairs
            .into_iter()
            .filter(|pair| pair.weight >= bar && in_thread(pair))
            .collect();
        if let Some(episode) = self.episodes.get_mut(number) {
            let room = max.saturating_sub(episode.links.len());
            episode.links.extend(kept.into_iter().take(room));
        }
    }

    /// Merges the thread of a further target, if the evidence overcomes the chance of a match between threads of that size.
    fn bridge(&mut self, number: u64, target: Target) {
        let (Some(pairs), Some(current)) = (
            target.pairs,
            self.episodes.get(number).map(|episode| episode.thread),
        ) else {
            return;
        };
        let Some(other) = self
            .episodes
            .get(target.evidence.from)
            .map(|episode| episode.thread)
        else {
            return;
        };
        if other == current {
            return;
        }
        let (Some(a), Some(b)) = (self.threads.get(current), self.threads.get(other)) else {
            return;
        };
        let smaller = u64::try_from(a.episodes.len().min(b.episodes.len())).unwrap_or(0);
        let bar = self.settings.link.bar
            + scale(log2_ratio(smaller + 1, 1), self.settings.link.merge_penalty);
        if target.evidence.weight < bar {
            return;
        }
        let evidence = Evidence {
            kind: LinkKind::Bridge,
            bar,
            ..target.evidence
        };
        if let Some(barrier) = self.barrier(a, b) {
            self.relate(current, other, barrier, evidence.weight);
            return;
        }
        let joined = self.join(current, other, evidence);
        self.strengthen(number, joined, pairs);
    }

    /// Returns the rate of novel episodes at each entity of `number`, at its start.
    pub(crate) fn rates_of(&self, number: u64) -> Vec<(EntityId, u64)> {
        let Some(episode) = self.episodes.get(number) else {
            return Vec::new();
        };
        let rate = |entity| self.rate(entity, episode.start, true, 0);
        episode
            .mentions
            .iter()
            .map(|mention| (mention.entity, rate(mention.entity)))
            .collect()
    }
}

/// Returns the rate that `rates` give `entity`.
pub(crate) fn rate_in(rates: &[(EntityId, u64)], entity: EntityId) -> u64 {
    rates
        .iter()
        .find(|(known, _)| *known == entity)
        .map_or(0, |(_, rate)| *rate)
}

/// Sums up the pairs with one thread: the best, and half of what further pairs share beyond it.
fn target(thread: u64, mut pairs: Vec<Pair>, bar: Millibits) -> Option<Target> {
    pairs.sort_by_key(|pair| (-pair.evidence.weight, -pair.end, pair.evidence.from));
    let mut pairs = pairs.into_iter();
    let best = pairs.next()?;
    let mut seen: BTreeSet<EntityId> = best.shared.iter().map(|(entity, _)| *entity).collect();
    let mut evidence = best.evidence;
    let mut others = Vec::new();
    for (at, pair) in pairs.enumerate() {
        if at < FURTHER_PAIRS {
            let further = pair
                .shared
                .iter()
                .find(|(entity, _)| !seen.contains(entity));
            if let Some((entity, bits)) = further.filter(|(_, bits)| *bits > 0) {
                evidence
                    .terms
                    .push(Term::at(TermKind::Further, *entity, bits.div_euclid(2)));
            }
            seen.extend(pair.shared.iter().map(|(entity, _)| *entity));
        }
        others.push(pair.evidence);
    }
    evidence.weight = sum(&evidence.terms);
    evidence.bar = bar;
    evidence.joined = true;
    Some(Target {
        margin: evidence.weight - bar,
        thread,
        evidence,
        pairs: Some(others),
    })
}
