//! An episode against a hot thread as a whole: evidence against the rest of the world.

use schemas::incident::{LinkKind, TermKind};

use crate::entity::EntityId;
use crate::episode::{Episode, Evidence, Term, sum};
use crate::fixed::Millibits;
use crate::fusion::Fusion;
use crate::identity::Mention;
use crate::link::{discounted, identifies};
use crate::thread::{Presence, Thread};

/// What one entity says for and against.
#[derive(Clone, Copy, Debug)]
struct Part {
    mention: Mention,
    surprise: Millibits,
    /// What is held against it because the thread has touched it with few rules; not positive.
    support: Millibits,
    nearest: Nearest,
}

/// The episode of a thread that lies nearest at an entity.
#[derive(Clone, Copy, Debug)]
struct Nearest {
    episode: u64,
    gap_ms: i64,
}

impl Fusion {
    /// Returns the evidence that episode `number` belongs to `thread`, whose own share of every rate is taken out.
    pub(crate) fn weigh(
        &self,
        number: u64,
        episode: &Episode,
        thread: &Thread,
        kind: LinkKind,
    ) -> Option<Evidence> {
        let attach = &self.settings.attach;
        let time = episode.start.max(thread.start);
        let part = |mention: &Mention| self.part(*mention, episode, thread, time);
        let mut parts: Vec<Part> = episode.mentions.iter().filter_map(part).collect();
        parts.sort_by_key(|part| (-(part.surprise + part.support), part.mention));
        let best = *parts.first()?;
        if best.surprise + best.support < attach.surprise_min
            || !identifies(parts.iter().map(|part| part.mention))
        {
            return None;
        }
        let of = |bits: fn(&Part) -> Millibits| {
            parts
                .iter()
                .map(move |part| (part.mention.entity, bits(part)))
        };
        let mut terms = discounted(TermKind::Surprise, of(|part| part.surprise));
        terms.extend(discounted(TermKind::Support, of(|part| part.support)));
        let rule = self.rule_term(episode.rule, best.mention.entity, time, Some(thread));
        terms.push(Term::at(
            TermKind::Rule,
            best.mention.entity,
            rule.clamp(attach.rule_min, attach.rule_max),
        ));
        terms.retain(|term| term.bits != 0);
        let weight = sum(&terms);
        let bar = if kind == LinkKind::LookBack {
            attach.bar_look_back
        } else {
            attach.bar
        };
        let Nearest {
            episode: from,
            gap_ms,
        } = best.nearest;
        Some(Evidence {
            from,
            to: number,
            kind,
            gap_ms,
            terms,
            weight,
            bar,
            joined: true,
        })
    }

    fn part(
        &self,
        mention: Mention,
        episode: &Episode,
        thread: &Thread,
        time: i64,
    ) -> Option<Part> {
        let attach = &self.settings.attach;
        let presence = thread.entities.get(&mention.entity)?;
        let nearest = self.nearest(episode, presence)?;
        if nearest.gap_ms > attach.window_ms {
            return None;
        }
        let rate = presence
            .rate_before
            .max(self.rate(mention.entity, time, true, presence.own()));
        let surprise = self.surprise(
            mention,
            rate,
            nearest.gap_ms.max(self.settings.link.gap_floor_ms),
        );
        let missing = attach
            .support
            .saturating_sub(presence.support(episode.rule));
        Some(Part {
            mention,
            surprise: self.damping(mention.entity, time).of(surprise),
            support: i32::try_from(missing)
                .unwrap_or(i32::MAX)
                .saturating_mul(-1_000),
            nearest,
        })
    }

    /// Returns the full episode at the entity that lies nearest in time; the latest placed where several do.
    fn nearest(&self, episode: &Episode, presence: &Presence) -> Option<Nearest> {
        let mut nearest: Option<Nearest> = None;
        for number in presence.episodes.iter().rev() {
            let Some(other) = self.episodes.get(*number) else {
                continue;
            };
            let gap_ms = episode.gap_to(other.start, other.end());
            if nearest.is_none_or(|known| gap_ms < known.gap_ms) {
                nearest = Some(Nearest {
                    episode: *number,
                    gap_ms,
                });
                if gap_ms == 0 {
                    break;
                }
            }
        }
        nearest
    }

    /// Pulls in earlier episodes at `entities` that cold, small threads hold: late sight of the beginning.
    pub(crate) fn look_back(&mut self, thread: u64, entities: &[EntityId], time: i64) -> u64 {
        let mut thread = thread;
        let mut seen: Vec<u64> = Vec::new();
        for entity in entities {
            let Some(state) = self.entities.get(*entity) else {
                continue;
            };
            let ring: Vec<u64> = state.ring.iter().copied().collect();
            for number in ring {
                if seen.contains(&number) {
                    continue;
                }
                let Some(evidence) = self.pulled(thread, *entity, number, time, &mut seen) else {
                    continue;
                };
                if let Some(other) = self.episodes.get(number).map(|episode| episode.thread) {
                    thread = self.join(thread, other, evidence);
                }
            }
        }
        thread
    }

    /// Returns the evidence that pulls episode `number` into `thread`, if there is enough.
    fn pulled(
        &self,
        thread: u64,
        entity: EntityId,
        number: u64,
        time: i64,
        seen: &mut Vec<u64>,
    ) -> Option<Evidence> {
        let hot = self.threads.get(thread)?;
        let episode = self.episodes.get(number)?;
        if episode.thread == thread || !hot.entities.contains_key(&entity) {
            return None;
        }
        seen.push(number);
        let other = self.threads.get(episode.thread)?;
        let small = other.episodes.len()
            <= usize::try_from(self.settings.attach.look_back_episodes).unwrap_or(0);
        if other.hot || !small || time - episode.end() > self.settings.link.window_ms {
            return None;
        }
        let evidence = self.weigh(number, episode, hot, LinkKind::LookBack)?;
        (evidence.weight >= evidence.bar && self.barrier(hot, other).is_none()).then_some(evidence)
    }
}
