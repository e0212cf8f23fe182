//! The entities of a tenant: which keys name the same one, and what is known of each.
//!
//! Strong keys of one mention become aliases of one entity, but only one to one: an entity never gets two keys of the
//! same scheme (two SIDs, two DNS names), so a wrong record cannot pull a whole directory into one entity.

use std::collections::{BTreeSet, VecDeque};

use schemas::entity::Entity;

use crate::entity::{EntityId, EntityState};
use crate::interner::Lookup;
use crate::limits::Limits;
use crate::settings::Background;

/// Strong keys an entity can have; one a scheme.
const KEYS_MAX: usize = 8;
/// Weak keys bound to an entity.
const WEAK_KEYS_MAX: usize = 16;
const HOUR_MS: i64 = 3_600_000;

/// The strong entities a weak key was seen with; more than one makes it ambiguous.
#[derive(Debug, Default)]
struct WeakKey {
    owners: Vec<EntityId>,
    ambiguous: bool,
}

/// All entities of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    by_key: Lookup<Box<str>, EntityId>,
    by_weak_key: Lookup<Box<str>, WeakKey>,
    slots: Vec<Option<Box<EntityState>>>,
    free: Vec<EntityId>,
    /// Entities that no live episode names, by the hour they were last seen in.
    idle: BTreeSet<(i64, EntityId)>,
    live: usize,
}

/// Two ids that turned out to be one entity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Same {
    pub(crate) gone: EntityId,
    pub(crate) kept: EntityId,
}

impl Entities {
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn get(&self, id: EntityId) -> Option<&EntityState> {
        self.slots.get(index(id))?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: EntityId) -> Option<&mut EntityState> {
        self.slots.get_mut(index(id))?.as_deref_mut()
    }

    /// Returns whether any key of `mention` is known.
    pub(crate) fn knows(&self, mention: &Entity) -> bool {
        let mut keys = mention
            .key
            .iter()
            .chain(&mention.alt_keys)
            .chain(&mention.weak_keys);
        keys.any(|key| {
            self.by_key.contains_key(key.as_str()) || self.by_weak_key.contains_key(key.as_str())
        })
    }

    /// Returns the entity that the strong keys of `mention` name, new or known, and another that it turned out to be.
    /// The caller must rewrite what refers to the `gone` id, and then call [`Self::absorb`].
    pub(crate) fn strong(&mut self, mention: &Entity) -> (EntityId, Option<Same>) {
        let keys = || mention.key.iter().chain(&mention.alt_keys).take(KEYS_MAX);
        let id = self.known(mention).unwrap_or_else(|| self.create(mention));
        if let Some(entity) = self.get_mut(id) {
            entity.weak_only = false;
        }
        let mut merge = None;
        for key in keys() {
            match self.by_key.get(key.as_str()).copied() {
                None => self.add_key(id, key),
                Some(other) if other != id && merge.is_none() && self.compatible(id, other) => {
                    merge = Some(self.larger_survives(id, other));
                }
                Some(_) => {}
            }
        }
        for key in mention.weak_keys.iter().take(KEYS_MAX) {
            self.bind_weak(key, id);
        }
        (merge.map_or(id, |pair| pair.kept), merge)
    }

    /// Returns the entity of the first known key. One that has another key of the first key's scheme is someone else.
    fn known(&self, mention: &Entity) -> Option<EntityId> {
        let first = mention.key.as_deref()?;
        if let Some(id) = self.by_key.get(first) {
            return Some(*id);
        }
        let mut others = mention.alt_keys.iter().take(KEYS_MAX - 1);
        others.find_map(|key| {
            let id = self.by_key.get(key.as_str()).copied()?;
            let mut keys = self.get(id)?.keys();
            keys.all(|known| scheme(known) != scheme(first))
                .then_some(id)
        })
    }

    /// Returns the entity a weak key names and whether it names it for sure: a known entity when only one was ever seen
    /// with it, else one of its own.
    pub(crate) fn weak(&mut self, mention: &Entity) -> Option<(EntityId, bool)> {
        let key = mention.weak_keys.first()?;
        if let Some(weak) = self.by_weak_key.get(key.as_str())
            && !weak.ambiguous
            && let Some(owner) = weak.owners.first()
        {
            return Some((*owner, true));
        }
        if let Some(id) = self.by_key.get(key.as_str()) {
            return Some((*id, self.get(*id).is_some_and(|entity| !entity.weak_only)));
        }
        let id = self.create(&Entity {
            key: Some(key.clone()),
            ..mention.clone()
        });
        if let Some(entity) = self.get_mut(id) {
            entity.weak_only = true;
        }
        Some((id, false))
    }

    /// Adds to `kept` what is known of `gone` and forgets `gone`; `live` episodes that named only `gone` name `kept` now.
    pub(crate) fn absorb(
        &mut self,
        pair: Same,
        live: u32,
        background: &Background,
        limits: &Limits,
    ) {
        let half_life_ms = background.half_life_ms;
        for _ in 0..live {
            self.hold(pair.kept);
        }
        let Some(gone) = self.slots.get_mut(index(pair.gone)).and_then(Option::take) else {
            return;
        };
        self.idle.remove(&(gone.last_hour, pair.gone));
        self.free.push(pair.gone);
        self.live -= 1;
        for key in std::iter::once(&gone.name.key).chain(&gone.name.aliases) {
            self.by_key.insert(key.as_str().into(), pair.kept);
        }
        for weak in &gone.weak_keys {
            if let Some(bound) = self.by_weak_key.get_mut(weak) {
                bound.owners.retain(|owner| *owner != pair.gone);
            }
        }
        let Some(kept) = self.get_mut(pair.kept) else {
            return;
        };
        let mut aliases = kept.name.aliases.clone();
        aliases.push(gone.name.key.clone());
        aliases.extend(gone.name.aliases.iter().cloned());
        kept.rename(aliases);
        kept.episodes_rate.merge(&gone.episodes_rate, half_life_ms);
        kept.novel_rate.merge(&gone.novel_rate, half_life_ms);
        kept.threads_rate
            .merge(&gone.threads_rate, background.thread_half_life_ms);
        kept.weak_only &= gone.weak_only;
        for (rule, rate) in gone.rules {
            match kept.rules.binary_search_by_key(&rule, |(known, _)| *known) {
                Ok(at) => {
                    if let Some((_, known)) = kept.rules.get_mut(at) {
                        known.merge(&rate, half_life_ms);
                    }
                }
                Err(at) => kept.rules.insert(at, (rule, rate)),
            }
        }
        kept.keep_rules(limits.rules_at_entity);
        kept.ring = merged(&kept.ring, &gone.ring);
        kept.keep_ring(limits.ring);
        kept.episodes = merged(&kept.episodes, &gone.episodes);
        kept.threads.extend(gone.threads);
        kept.threads.sort_unstable();
        kept.threads.dedup();
        let beyond = kept
            .threads
            .len()
            .saturating_sub(usize::try_from(limits.ring_threads).unwrap_or(usize::MAX));
        kept.threads.drain(..beyond);
        for (neighbour, time) in gone.fan {
            kept.meet(neighbour, time);
        }
        for weak in gone.weak_keys {
            self.bind_weak(&weak, pair.kept);
        }
    }

    /// Notes that `id` was seen in the hour of `time`.
    pub(crate) fn touch(&mut self, id: EntityId, time: i64) {
        let hour = time.div_euclid(HOUR_MS);
        let Some(entity) = self.get_mut(id) else {
            return;
        };
        let before = entity.last_hour;
        if before < hour {
            entity.last_hour = hour;
            if self.idle.remove(&(before, id)) {
                self.idle.insert((hour, id));
            }
        }
    }

    /// Notes that one more live episode names `id`: it is not forgotten until that is released.
    pub(crate) fn hold(&mut self, id: EntityId) {
        let Some(entity) = self.get_mut(id) else {
            return;
        };
        entity.live = entity.live.saturating_add(1);
        let seen = entity.last_hour;
        if entity.live == 1 {
            self.idle.remove(&(seen, id));
        }
    }

    /// Notes that one live episode less names `id`.
    pub(crate) fn release(&mut self, id: EntityId) {
        let Some(entity) = self.get_mut(id) else {
            return;
        };
        entity.live = entity.live.saturating_sub(1);
        let seen = entity.last_hour;
        if entity.live == 0 {
            self.idle.insert((seen, id));
        }
    }

    /// Forgets entities that were last seen before `time` and that no live episode names.
    pub(crate) fn forget_before(&mut self, time: i64) {
        let limit = time.div_euclid(HOUR_MS);
        while self.idle.first().is_some_and(|(hour, _)| *hour < limit) {
            self.forget_one();
        }
    }

    /// Forgets the longest unseen entity that no live episode names; returns whether there was one.
    pub(crate) fn forget_one(&mut self) -> bool {
        let Some((_, id)) = self.idle.pop_first() else {
            return false;
        };
        self.forget(id);
        true
    }

    fn forget(&mut self, id: EntityId) {
        let Some(entity) = self.slots.get_mut(index(id)).and_then(Option::take) else {
            return;
        };
        self.live -= 1;
        self.free.push(id);
        for key in std::iter::once(&entity.name.key).chain(&entity.name.aliases) {
            self.by_key.remove(key.as_str());
        }
        for key in &entity.weak_keys {
            let emptied = self.by_weak_key.get_mut(key).is_some_and(|weak| {
                weak.owners.retain(|owner| *owner != id);
                weak.owners.is_empty()
            });
            if emptied {
                self.by_weak_key.remove(key);
            }
        }
    }

    fn create(&mut self, mention: &Entity) -> EntityId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            EntityId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
        });
        let key = mention.key.clone().unwrap_or_default();
        self.by_key.insert(key.as_str().into(), id);
        let state = EntityState::new(key, mention);
        if let Some(slot) = self.slots.get_mut(index(id)) {
            *slot = Some(Box::new(state));
        }
        self.live += 1;
        id
    }

    fn add_key(&mut self, id: EntityId, key: &str) {
        let Some(entity) = self.get_mut(id) else {
            return;
        };
        if entity.keys().any(|known| scheme(known) == scheme(key))
            || entity.name.aliases.len() + 1 >= KEYS_MAX
        {
            return;
        }
        let mut aliases = entity.name.aliases.clone();
        aliases.push(key.to_owned());
        entity.rename(aliases);
        self.by_key.insert(key.into(), id);
    }

    /// Returns whether two entities have no key of the same scheme.
    fn compatible(&self, a: EntityId, b: EntityId) -> bool {
        let (Some(a), Some(b)) = (self.get(a), self.get(b)) else {
            return false;
        };
        a.name.aliases.len() + b.name.aliases.len() + 2 <= KEYS_MAX
            && !a
                .keys()
                .any(|key| b.keys().any(|other| scheme(key) == scheme(other)))
    }

    /// The entity with more live episodes survives, so that little is rewritten; the lower id when equal.
    fn larger_survives(&self, a: EntityId, b: EntityId) -> Same {
        let live = |id| self.get(id).map_or(0, |entity| entity.live);
        if (live(a), b) >= (live(b), a) {
            Same { gone: b, kept: a }
        } else {
            Same { gone: a, kept: b }
        }
    }

    fn bind_weak(&mut self, key: &str, id: EntityId) {
        let Some(entity) = self.slots.get_mut(index(id)).and_then(Option::as_deref_mut) else {
            return;
        };
        if entity.weak_keys.iter().any(|known| **known == *key) {
            return;
        }
        if entity.weak_keys.len() >= WEAK_KEYS_MAX {
            return;
        }
        entity.weak_keys.push(key.into());
        let weak = self.by_weak_key.entry(key.into()).or_default();
        if weak.owners.len() < 2 {
            weak.owners.push(id);
        }
        weak.ambiguous |= weak.owners.first().is_some_and(|owner| *owner != id);
    }
}

fn merged(a: &VecDeque<u64>, b: &VecDeque<u64>) -> VecDeque<u64> {
    let mut all: Vec<u64> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}

/// Returns the kind and scheme of a key: `account:sid` of `account:sid:S-1-…`.
fn scheme(key: &str) -> &str {
    let mut colons = key.match_indices(':').map(|(at, _)| at);
    colons.next();
    colons.next().and_then(|at| key.get(..at)).unwrap_or(key)
}

fn index(id: EntityId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
