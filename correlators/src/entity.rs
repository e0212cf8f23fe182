//! What is known of one entity.

use std::collections::VecDeque;
use std::sync::Arc;

use schemas::entity::{Entity, EntityKind};
use serde::{Deserialize, Serialize};

use crate::fixed::Millibits;
use crate::interner::RuleId;
use crate::limits::Limits;
use crate::rates::Rate;

/// Neighbours remembered at an entity: far above the point where a hub is no evidence any more.
const FAN_MAX: usize = 256;
/// Episodes that are gone and still listed at an entity, beside as many as there are live ones.
pub(crate) const GONE_MAX: usize = 16;
const DAY_MS: i64 = 86_400_000;

/// A dense number for an entity; reused once the entity is forgotten.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct EntityId(pub(crate) u32);

/// What an entity is called.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct EntityName {
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) display: String,
    pub(crate) aliases: Arc<[String]>,
}

/// A weak key bound to an entity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Hint {
    pub(crate) key: Box<str>,
    /// Another entity was seen with it too: it names none of them for sure.
    pub(crate) shared: bool,
}

/// What is known of one entity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EntityState {
    pub(crate) name: Arc<EntityName>,
    /// By the word in its name.
    #[serde(skip, default = "other")]
    pub(crate) kind: EntityKind,
    /// Every episode, novel ones, and warm threads.
    pub(crate) episodes_rate: Rate,
    pub(crate) novel_rate: Rate,
    pub(crate) threads_rate: Rate,
    /// Episodes of each rule here, by rule.
    pub(crate) rules: Vec<(RuleId, Rate)>,
    /// Latest novel episodes, oldest first.
    pub(crate) ring: VecDeque<u64>,
    /// Warm threads that touch it, oldest first.
    pub(crate) threads: Vec<u64>,
    /// Hosts and accounts met together with it, by id, with the time last met.
    pub(crate) fan: Vec<(EntityId, i64)>,
    /// Live episodes that name it, oldest first; some may be gone already.
    #[serde(skip)]
    pub(crate) episodes: VecDeque<u64>,
    /// Number of live episodes that name it.
    #[serde(skip)]
    pub(crate) live: u32,
    pub(crate) weak_keys: Vec<Hint>,
    /// Only ever named by a weak key.
    pub(crate) weak_only: bool,
    /// Rules that analysts expect here, and until when.
    pub(crate) expected: Vec<(RuleId, i64)>,
    /// How much less its evidence counts since analysts unlinked alerts that shared it, and as of when.
    pub(crate) distrust: (Millibits, i64),
    pub(crate) last_hour: i64,
}

impl EntityState {
    pub(crate) fn new(key: String, mention: &Entity) -> Self {
        Self {
            name: Arc::new(EntityName {
                key,
                kind: mention.kind.clone(),
                display: mention.display.clone(),
                aliases: Arc::default(),
            }),
            kind: EntityKind::of(&mention.kind),
            episodes_rate: Rate::default(),
            novel_rate: Rate::default(),
            threads_rate: Rate::default(),
            rules: Vec::new(),
            ring: VecDeque::new(),
            threads: Vec::new(),
            fan: Vec::new(),
            episodes: VecDeque::new(),
            live: 0,
            weak_keys: Vec::new(),
            weak_only: false,
            expected: Vec::new(),
            distrust: (0, 0),
            last_hour: i64::MIN,
        }
    }

    /// Drops what is gone from its list of episodes: from the front at once, further back when there is much of it.
    pub(crate) fn prune(&mut self, lives: impl Fn(u64) -> bool) {
        while self.episodes.front().is_some_and(|front| !lives(*front)) {
            self.episodes.pop_front();
        }
        let live = usize::try_from(self.live).unwrap_or(usize::MAX);
        if self.episodes.len() > live.saturating_mul(2).saturating_add(GONE_MAX) {
            self.episodes.retain(|number| lives(*number));
        }
    }

    /// Returns whether it names a machine or a person: what a hub is counted by.
    pub(crate) fn is_party(&self) -> bool {
        matches!(self.kind, EntityKind::Host | EntityKind::Account)
    }

    /// Returns how many hosts and accounts were met together with it in the day before `time`.
    pub(crate) fn fan(&self, time: i64) -> u32 {
        let recent = self
            .fan
            .iter()
            .filter(|(_, met)| time - met <= DAY_MS)
            .count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }

    /// Notes that `neighbour` was met together with it.
    pub(crate) fn meet(&mut self, neighbour: EntityId, time: i64) {
        match self
            .fan
            .binary_search_by_key(&neighbour, |(known, _)| *known)
        {
            Ok(at) => {
                if let Some((_, met)) = self.fan.get_mut(at) {
                    *met = time.max(*met);
                }
            }
            Err(mut at) => {
                if self.fan.len() >= FAN_MAX {
                    self.fan.retain(|(_, met)| time - met <= DAY_MS);
                    at = self.fan.partition_point(|(known, _)| *known < neighbour);
                }
                if self.fan.len() < FAN_MAX {
                    self.fan.insert(at, (neighbour, time));
                }
            }
        }
    }

    /// Counts an episode of `rule` here.
    pub(crate) fn count_rule(&mut self, rule: RuleId, time: i64, half_life_ms: i64, max: usize) {
        let at = match self.rules.binary_search_by_key(&rule, |(known, _)| *known) {
            Ok(at) => at,
            Err(_) if self.rules.len() >= max.max(1) => {
                let rarest = self
                    .rules
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, (_, rate))| rate.value(time, half_life_ms));
                if let Some((rarest, _)) = rarest {
                    self.rules.remove(rarest);
                }
                self.insert_rule(rule)
            }
            Err(_) => self.insert_rule(rule),
        };
        if let Some((_, rate)) = self.rules.get_mut(at) {
            rate.add(time, half_life_ms, u32::MAX);
        }
    }

    /// Notes that analysts expect `rule` here until then; beyond `max` the one that ends first is forgotten.
    pub(crate) fn expect(&mut self, rule: RuleId, until: i64, max: u32) {
        match self.expected.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, known)) => *known = until.max(*known),
            None => self.expected.push((rule, until)),
        }
        self.expected
            .sort_unstable_by_key(|(rule, until)| (*until, *rule));
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        let excess = self.expected.len().saturating_sub(max);
        self.expected.drain(..excess);
    }

    /// Returns whether analysts expect `rule` here at `time`.
    pub(crate) fn expects(&self, rule: RuleId, time: i64) -> bool {
        let mut known = self.expected.iter();
        known.any(|(known, until)| *known == rule && time < *until)
    }

    /// Holds what was joined from two entities inside the bounds of one.
    pub(crate) fn bound(&mut self, limits: &Limits) {
        let size = |max: u32| usize::try_from(max).unwrap_or(usize::MAX);
        let excess = self.ring.len().saturating_sub(size(limits.ring));
        self.ring.drain(..excess);
        let max = size(limits.ring_threads.max(1));
        let excess = self.threads.len().saturating_sub(max);
        self.threads.drain(..excess);
        while self.rules.len() > size(limits.rules_at_entity.max(1)) {
            self.rules.pop();
        }
    }

    /// Returns the count of `rule` here.
    pub(crate) fn rule_value(&self, rule: RuleId, time: i64, half_life_ms: i64) -> u64 {
        let at = self
            .rules
            .binary_search_by_key(&rule, |(known, _)| *known)
            .ok();
        at.and_then(|at| self.rules.get(at))
            .map_or(0, |(_, rate)| rate.value(time, half_life_ms))
    }

    fn insert_rule(&mut self, rule: RuleId) -> usize {
        let at = self.rules.partition_point(|(known, _)| *known < rule);
        self.rules.insert(at, (rule, Rate::default()));
        at
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.key.as_str()).chain(self.name.aliases.iter().map(String::as_str))
    }

    pub(crate) fn rename(&mut self, aliases: Vec<String>) {
        let name = &self.name;
        self.name = Arc::new(EntityName {
            key: name.key.clone(),
            kind: name.kind.clone(),
            display: name.display.clone(),
            aliases: aliases.into(),
        });
    }
}

fn other() -> EntityKind {
    EntityKind::Other
}
