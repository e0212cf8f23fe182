//! Two threads, hours to days apart: the same surprise, at the rate of threads.

use std::collections::BTreeSet;

use schemas::incident::{LinkKind, TermKind};

use crate::entity::EntityId;
use crate::episode::{Evidence, Term, sum};
use crate::fixed::{self, Millibits, log2_ratio, scale};
use crate::fusion::Fusion;
use crate::identity::Mention;
use crate::link::discounted;
use crate::order::mean_order;
use crate::thread::Thread;

/// Other threads that one step may stitch to.
const STITCHES: usize = 2;

impl Fusion {
    /// Lets the thread that full episode `number` ended in take part in stitching: warms it up, turns it hot, stitches it to
    /// others and looks back. Returns the thread the episode ends in.
    pub(crate) fn stitch(&mut self, number: u64) -> u64 {
        let Some((thread, time)) = self
            .episodes
            .get(number)
            .map(|episode| (episode.thread, episode.start))
        else {
            return number;
        };
        let Some(mut entities) = self.warm_up(thread, number, time) else {
            return thread;
        };
        if self.turn_hot(thread, time) {
            entities = self.entities_of(thread);
        }
        let mut thread = thread;
        for (other, evidence) in self.stitches(thread, &entities, time) {
            if let Some((joined, gained)) = self.try_stitch(thread, other, evidence) {
                thread = joined;
                entities.extend(gained);
            }
        }
        if self.threads.get(thread).is_some_and(|state| state.hot) {
            let entities: Vec<EntityId> = entities.into_iter().collect();
            thread = self.look_back(thread, &entities, time);
        }
        thread
    }

    /// Indexes the thread once it is suspicious enough; returns the entities that are new to the index, none for a cold one.
    fn warm_up(&mut self, number: u64, episode: u64, time: i64) -> Option<BTreeSet<EntityId>> {
        let warm_from = self.settings.stitch.warm_suspicion;
        let (half_life, hourly_max) = (
            self.settings.background.thread_half_life_ms,
            self.settings.background.hourly_max,
        );
        let thread = self.threads.get_mut(number)?;
        if thread.warm {
            let new = self
                .episodes
                .get(episode)?
                .mentions
                .iter()
                .map(|mention| mention.entity)
                .collect();
            self.index(number, &new);
            return Some(new);
        }
        if thread.suspicion < warm_from {
            return None;
        }
        thread.warm = true;
        self.requeue(number);
        let new = self.entities_of(number);
        for entity in &new {
            if let Some(state) = self.entities.get_mut(*entity) {
                state.threads_rate.add(time, half_life, hourly_max);
            }
        }
        self.index(number, &new);
        Some(new)
    }

    /// Notes at each of `entities` that warm thread `number` touches it; the oldest cold one makes room.
    pub(crate) fn index(&mut self, number: u64, entities: &BTreeSet<EntityId>) {
        let max = usize::try_from(self.settings.limits.ring_threads)
            .unwrap_or(usize::MAX)
            .max(1);
        for entity in entities {
            let Some(state) = self.entities.get_mut(*entity) else {
                continue;
            };
            if state.threads.contains(&number) {
                continue;
            }
            if state.threads.len() >= max {
                let cold = state
                    .threads
                    .iter()
                    .position(|known| self.threads.get(*known).is_none_or(|thread| !thread.hot));
                state.threads.remove(cold.unwrap_or(0));
            }
            state.threads.push(number);
        }
    }

    /// Turns a thread hot that is suspicious, varied and a burst over what was before. Returns whether it just did.
    fn turn_hot(&mut self, number: u64, time: i64) -> bool {
        let attach = &self.settings.attach;
        let mature = self
            .started
            .is_some_and(|started| time - started >= attach.mature_ms);
        let Some(thread) = self.threads.get_mut(number) else {
            return false;
        };
        let hot = !thread.hot
            && mature
            && thread.full_rules() >= attach.hot_rules
            && thread.suspicion >= attach.hot_suspicion
            && thread.burst(self.settings.stitch.gap_floor_ms) >= attach.hot_burst;
        thread.hot |= hot;
        hot
    }

    /// Returns the warm threads at `entities` that `thread` could be stitched to, the strongest first.
    fn stitches(
        &self,
        thread: u64,
        entities: &BTreeSet<EntityId>,
        time: i64,
    ) -> Vec<(u64, Evidence)> {
        let Some(own) = self.threads.get(thread) else {
            return Vec::new();
        };
        let states = entities
            .iter()
            .filter_map(|entity| self.entities.get(*entity));
        let candidates: BTreeSet<u64> = states
            .flat_map(|state| state.threads.iter().copied())
            .filter(|other| *other != thread)
            .collect();
        let suspicious = |thread: &Thread| {
            thread.suspicion >= self.settings.attach.hot_suspicion
                && thread.full_rules() >= self.settings.attach.hot_rules
        };
        let mut found: Vec<(u64, Evidence)> = candidates
            .into_iter()
            .filter_map(|other| self.threads.get(other).map(|state| (other, state)))
            .filter(|(_, state)| suspicious(own) || suspicious(state))
            .filter_map(|(other, state)| {
                self.seam(own, state, time)
                    .map(|evidence| (other, evidence))
            })
            .collect();
        found.sort_by_key(|(other, evidence)| (-evidence.weight, *other));
        found.truncate(STITCHES);
        found
    }

    /// Returns the evidence that two threads belong together.
    fn seam(&self, a: &Thread, b: &Thread, time: i64) -> Option<Evidence> {
        let stitch = &self.settings.stitch;
        let (small, large) = if a.entities.len() < b.entities.len() {
            (a, b)
        } else {
            (b, a)
        };
        let mut shared: Vec<(EntityId, Millibits)> = Vec::new();
        for (entity, here) in &small.entities {
            let Some(there) = large.entities.get(entity) else {
                continue;
            };
            let gap = (here.first - there.active)
                .max(there.first - here.active)
                .max(0);
            if gap <= stitch.window_ms && self.stitchable(*entity, time) {
                let expected = fixed::expected(
                    self.thread_rate(*entity, time),
                    gap.max(stitch.gap_floor_ms),
                );
                let bits = fixed::surprise(expected, self.settings.link.surprise_cap);
                let bits = self.weighed(*entity, bits) - self.distrust(*entity, time);
                shared.push((*entity, bits.max(0)));
            }
        }
        shared.sort_by_key(|(entity, bits)| (-bits, *entity));
        let (best, _) = *shared.first()?;
        let mut terms = discounted(TermKind::Surprise, shared.iter().copied());
        let (first, second) = if (a.start, a.founder) <= (b.start, b.founder) {
            (a, b)
        } else {
            (b, a)
        };
        terms.push(Term::of(
            TermKind::Order,
            scale(
                mean_order(first.tactics, second.tactics),
                stitch.order_milli,
            ),
        ));
        let new = i32::try_from(second.tactics.without(first.tactics).len()).unwrap_or(0);
        terms.push(Term::of(
            TermKind::NewTactics,
            (new * stitch.new_tactic).min(stitch.new_tactics_max),
        ));
        terms.retain(|term| term.bits != 0);
        let (from, to, gap_ms) = self.closest(first, second, best)?;
        let weight = sum(&terms);
        Some(Evidence {
            from,
            to,
            kind: LinkKind::Stitch,
            gap_ms,
            terms,
            weight,
            bar: stitch.bar,
            joined: true,
        })
    }

    /// Returns whether an entity can stitch: one that is busy, or that many threads touch, says nothing over days.
    fn stitchable(&self, entity: EntityId, time: i64) -> bool {
        let stitch = &self.settings.stitch;
        let hub = fixed::hourly(fixed::ONE_Q16 * stitch.hub_hourly_milli / 1_000, 3_600_000);
        let threads = self
            .entities
            .get(entity)
            .map_or(0, |state| state.threads.len());
        self.rate(entity, time, true, 0) <= hub
            && u32::try_from(threads).is_ok_and(|threads| threads <= stitch.threads_max)
    }

    /// Weighs bits by the entity's kind; an entity that was only ever named weakly counts as weak.
    fn weighed(&self, entity: EntityId, bits: Millibits) -> Millibits {
        let weak = self
            .entities
            .get(entity)
            .is_some_and(|state| state.weak_only);
        scale(bits, self.weight_milli(Mention { entity, weak }))
    }

    /// Returns the two full episodes of the threads that lie nearest at `entity`, the later one second, and their gap.
    fn closest(
        &self,
        first: &Thread,
        second: &Thread,
        entity: EntityId,
    ) -> Option<(u64, u64, i64)> {
        let numbers = |thread: &Thread| {
            thread
                .entities
                .get(&entity)
                .map(|presence| presence.episodes.clone())
        };
        let mut best: Option<(i64, u64, u64)> = None;
        let first = numbers(first)?;
        // Threads can be long: the newest of each are enough to name a pair, and bound the work.
        for b in numbers(second)?.into_iter().take(32) {
            for a in first.iter().rev().take(32) {
                let (Some(x), Some(y)) = (self.episodes.get(*a), self.episodes.get(b)) else {
                    continue;
                };
                let gap = y.gap_to(x.start, x.end());
                if best.is_none_or(|known| (gap, *a, b) < known) {
                    best = Some((gap, *a, b));
                }
            }
        }
        best.map(|(gap, a, b)| (a, b, gap))
    }

    /// Stitches two threads if the evidence overcomes the chance of a match between threads of that size. Returns the thread
    /// that results and the entities the other one had.
    fn try_stitch(
        &mut self,
        thread: u64,
        other: u64,
        evidence: Evidence,
    ) -> Option<(u64, BTreeSet<EntityId>)> {
        let (a, b) = (self.threads.get(thread)?, self.threads.get(other)?);
        let smaller = u64::try_from(a.episodes.len().min(b.episodes.len())).unwrap_or(0);
        let stitch = &self.settings.stitch;
        let bar = stitch.bar + scale(log2_ratio(4 + smaller, 4), stitch.merge_penalty);
        if evidence.weight < bar {
            return None;
        }
        if let Some(barrier) = self.barrier(a, b) {
            self.relate(thread, other, barrier, evidence.weight);
            return None;
        }
        let gained = self.entities_of(other);
        Some((
            self.join(thread, other, Evidence { bar, ..evidence }),
            gained,
        ))
    }

    pub(crate) fn entities_of(&self, thread: u64) -> BTreeSet<EntityId> {
        self.threads
            .get(thread)
            .map(|state| state.entities.keys().copied().collect())
            .unwrap_or_default()
    }
}
