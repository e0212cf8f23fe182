//! A thread: the episodes that were linked or stitched together.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::incident::RelatedIncident;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::apart::RELATED_MAX;
use crate::entities::Same;
use crate::entity::EntityId;
use crate::episode::Episode;
use crate::fixed::{Hourly, Millibits, ONE_Q16, Q16, log2_ratio, scale};
use crate::interner::RuleId;
use crate::lifecycle::IncidentState;
use crate::limits::Limits;
use crate::order::Tactics;

/// The episodes that were linked or stitched together; its number is that of its founder.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Thread {
    #[serde(skip)]
    pub(crate) founder: u64,
    /// Id of the founder, and of the incident it may become.
    pub(crate) id: Uuid,
    pub(crate) episodes: Vec<u64>,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Severity times novelty of its full episodes, thousandths.
    pub(crate) suspicion: i32,
    pub(crate) entities: BTreeMap<EntityId, Presence>,
    pub(crate) rules: Vec<RuleCount>,
    pub(crate) tactics: Tactics,
    /// Suspicious enough to take part in stitching.
    pub(crate) warm: bool,
    /// Strong enough that episodes are weighed against it as a whole.
    pub(crate) hot: bool,
    /// Holds something its vendor already correlated.
    pub(crate) vendor_incident: bool,
    pub(crate) incident: Option<Box<IncidentState>>,
    /// Id of the full incident this one continues, and the founder of the thread that continues this.
    pub(crate) continues: Option<Uuid>,
    pub(crate) successor: Option<u64>,
    /// Id of the incident this one was split from.
    pub(crate) split_from: Option<Uuid>,
    /// Episodes of its own, each with one that an analyst took away from it: the two are never in one thread again.
    pub(crate) apart: BTreeSet<(u64, u64)>,
    /// Incidents with evidence of belonging that stay apart.
    pub(crate) related: Vec<RelatedIncident>,
    /// When it is dropped unless something comes in: the key it is queued under.
    #[serde(skip)]
    pub(crate) expires: i64,
}

/// What a thread did at one entity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Presence {
    /// Starts of the first and the last full episode.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Last activity, repeats included.
    pub(crate) active: i64,
    /// The entity's rate when the thread first touched it.
    pub(crate) rate_before: Hourly,
    /// Its full episodes here, each once, and their rules.
    pub(crate) episodes: Vec<u64>,
    pub(crate) rules: Vec<RuleCount>,
    /// The entity's further keys when the incident was last revised.
    pub(crate) aliases: Arc<[String]>,
}

/// How often a rule fired.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct RuleCount {
    pub(crate) rule: RuleId,
    pub(crate) all: u32,
    /// A full episode was among them.
    pub(crate) full: bool,
}

impl Thread {
    /// Creates the thread that `founder` begins; `rate` gives an entity's rate at that time.
    pub(crate) fn found(
        number: u64,
        founder: &Episode,
        rate: impl FnMut(EntityId) -> Hourly,
    ) -> Self {
        let mut thread = Self {
            founder: number,
            id: founder.id,
            episodes: vec![number],
            start: founder.start,
            end: founder.end(),
            suspicion: 0,
            entities: BTreeMap::new(),
            rules: Vec::new(),
            tactics: Tactics::default(),
            warm: false,
            hot: false,
            vendor_incident: founder.vendor_incident,
            incident: None,
            continues: None,
            successor: None,
            split_from: None,
            apart: BTreeSet::new(),
            related: Vec::new(),
            expires: i64::MIN,
        };
        thread.count(number, founder, rate);
        thread
    }

    /// Takes the founder, which turned from routine to full, into account anew.
    pub(crate) fn recount(
        &mut self,
        number: u64,
        founder: &Episode,
        rate: impl FnMut(EntityId) -> Hourly,
    ) {
        self.entities.clear();
        self.rules.clear();
        self.count(number, founder, rate);
    }

    fn count(&mut self, number: u64, episode: &Episode, mut rate: impl FnMut(EntityId) -> Hourly) {
        add_rule(&mut self.rules, episode.rule, 1, !episode.context);
        if episode.context {
            return;
        }
        for mention in &episode.mentions {
            let presence = Presence {
                first: episode.start,
                last: episode.start,
                active: episode.end(),
                rate_before: rate(mention.entity),
                episodes: vec![number],
                rules: vec![RuleCount {
                    rule: episode.rule,
                    all: 1,
                    full: true,
                }],
                aliases: Arc::default(),
            };
            self.entities.insert(mention.entity, presence);
        }
        self.suspicion += episode.suspicion();
        self.tactics = self.tactics.union(episode.shape.tactics);
    }

    /// Returns the id as text.
    pub(crate) fn id(&self) -> String {
        self.id.to_string()
    }

    /// Returns when it is dropped unless something comes in.
    pub(crate) fn lives_until(&self, limits: &Limits) -> i64 {
        let idle = if self.warm || self.incident.is_some() {
            limits.warm_idle_ms
        } else {
            limits.cold_idle_ms
        };
        self.end.saturating_add(idle)
    }

    /// Returns the number of rules with full episodes.
    pub(crate) fn full_rules(&self) -> u32 {
        full_rules(&self.rules, None)
    }

    /// Returns the number of entities the two have between them.
    pub(crate) fn entities_with(&self, other: &Self) -> usize {
        let (small, large) = if self.entities.len() <= other.entities.len() {
            (self, other)
        } else {
            (other, self)
        };
        let new = small
            .entities
            .keys()
            .filter(|id| !large.entities.contains_key(id))
            .count();
        large.entities.len() + new
    }

    /// Takes in everything of `other`.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.suspicion = self.suspicion.saturating_add(other.suspicion);
        self.tactics = self.tactics.union(other.tactics);
        self.warm |= other.warm;
        self.hot |= other.hot;
        self.vendor_incident |= other.vendor_incident;
        self.continues = self.continues.or(other.continues);
        self.absorb_apart(&other);
        for count in other.rules {
            add_rule(&mut self.rules, count.rule, count.all, count.full);
        }
        if let Some(incident) = &mut self.incident {
            incident.unshown.extend(&other.episodes);
            if let Some(gone) = other.incident {
                if !incident.desk.severity_pinned {
                    incident.severity = incident.severity.max(gone.severity);
                }
                incident.desk.absorb(gone.desk);
            }
        }
        let (mut large, small) = if self.episodes.len() >= other.episodes.len() {
            (std::mem::take(&mut self.episodes), other.episodes)
        } else {
            (other.episodes, std::mem::take(&mut self.episodes))
        };
        large.extend(small);
        self.episodes = large;
        for (id, presence) in other.entities {
            match self.entities.entry(id) {
                Entry::Vacant(vacant) => {
                    vacant.insert(presence);
                }
                Entry::Occupied(mut occupied) => occupied.get_mut().absorb(presence),
            }
        }
    }

    /// Takes over what is to stay apart from `other`, whose episodes are its own from now on.
    fn absorb_apart(&mut self, other: &Self) {
        self.apart.extend(&other.apart);
        let ids = [self.id(), other.id()];
        self.related.retain(|known| !ids.contains(&known.id));
        for related in &other.related {
            let known = self.related.iter().any(|known| known.id == related.id);
            if !known && !ids.contains(&related.id) && self.related.len() < RELATED_MAX {
                self.related.push(related.clone());
            }
        }
    }

    /// Forgets that episodes are to be kept apart which are both its own.
    pub(crate) fn forget_apart(&mut self) {
        let members: BTreeSet<u64> = self.episodes.iter().copied().collect();
        self.apart.retain(|(_, other)| !members.contains(other));
    }

    /// Returns whether an analyst ever did anything with it.
    pub(crate) fn is_touched(&self) -> bool {
        let state = self.incident.as_deref();
        state.is_some_and(|state| state.desk.is_touched())
    }

    /// Two of its entities turned out to be one; `rule` gives an episode's rule.
    pub(crate) fn unite(&mut self, pair: Same, rule: impl Fn(u64) -> Option<RuleId>) {
        let Some(presence) = self.entities.remove(&pair.gone) else {
            return;
        };
        match self.entities.entry(pair.kept) {
            Entry::Vacant(vacant) => {
                vacant.insert(presence);
            }
            Entry::Occupied(mut occupied) => {
                occupied.get_mut().absorb(presence);
                occupied.get_mut().recount(rule);
            }
        }
    }

    /// Returns by how many bits the episodes at its busiest entity exceed what the entity's rate before it explains:
    /// the log-likelihood ratio of a Poisson count. The first episode only opens the window.
    pub(crate) fn burst(&self, window_floor_ms: i64) -> Millibits {
        self.entities
            .values()
            .map(|presence| presence.burst(window_floor_ms))
            .max()
            .unwrap_or(0)
    }
}

impl Presence {
    fn absorb(&mut self, other: Self) {
        if other.first < self.first {
            self.rate_before = other.rate_before;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.active = self.active.max(other.active);
        self.episodes.extend(other.episodes);
        for count in other.rules {
            add_rule(&mut self.rules, count.rule, count.all, count.full);
        }
    }

    /// Counts anew where the same episode came in twice.
    fn recount(&mut self, rule: impl Fn(u64) -> Option<RuleId>) {
        let mut seen = BTreeSet::new();
        self.episodes.retain(|episode| seen.insert(*episode));
        self.rules.clear();
        for rule in self.episodes.iter().filter_map(|episode| rule(*episode)) {
            add_rule(&mut self.rules, rule, 1, true);
        }
    }

    /// Returns the number of full episodes.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.episodes.len()).unwrap_or(u32::MAX)
    }

    fn burst(&self, window_floor_ms: i64) -> Millibits {
        let further = self.count().saturating_sub(1);
        let counted = u64::from(further) << 32;
        let expected = crate::fixed::expected(
            self.rate_before,
            (self.last - self.first).max(window_floor_ms),
        )
        .max(1);
        if counted <= expected {
            return 0;
        }
        let times = i32::try_from(further)
            .unwrap_or(i32::MAX)
            .saturating_mul(1_000);
        let excess = i32::try_from((counted - expected) / (1 << 22)).unwrap_or(i32::MAX);
        // 1,443 = 1000 * log2(e); `excess` is in 1/1,024.
        scale(log2_ratio(counted, expected), times)
            - scale(
                1_443,
                i32::try_from(i64::from(excess) * 1_000 / 1_024).unwrap_or(i32::MAX),
            )
    }

    /// Returns its episodes as a weight to take out of a decayed count.
    pub(crate) fn own(&self) -> Q16 {
        u64::from(self.count()) * ONE_Q16
    }

    /// Returns the number of rules with full episodes here besides `rule`.
    pub(crate) fn support(&self, rule: RuleId) -> u32 {
        full_rules(&self.rules, Some(rule))
    }
}

/// Returns how often `rule` fired, as a weight.
pub(crate) fn rule_weight(rules: &[RuleCount], rule: RuleId) -> u64 {
    let at = rules.binary_search_by_key(&rule, |count| count.rule).ok();
    at.and_then(|at| rules.get(at))
        .map_or(0, |count| u64::from(count.all) * ONE_Q16)
}

/// Notes that `rule` fired.
pub(crate) fn add_rule(rules: &mut Vec<RuleCount>, rule: RuleId, all: u32, full: bool) {
    match rules.binary_search_by_key(&rule, |count| count.rule) {
        Ok(at) => {
            if let Some(count) = rules.get_mut(at) {
                count.all += all;
                count.full |= full;
            }
        }
        Err(at) => rules.insert(at, RuleCount { rule, all, full }),
    }
}

fn full_rules(rules: &[RuleCount], besides: Option<RuleId>) -> u32 {
    let full = rules
        .iter()
        .filter(|count| count.full && Some(count.rule) != besides)
        .count();
    u32::try_from(full).unwrap_or(u32::MAX)
}
