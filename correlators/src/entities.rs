//! The entities of a tenant: which keys name the same one, and what is known of each.
//!
//! Strong keys of one mention become aliases of one entity, but only one to one: an entity never gets two keys of the
//! same scheme (two SIDs, two DNS names), so a wrong record cannot pull a whole directory into one entity.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemas::entity::Entity;

use crate::entity::{EntityId, EntityState};
use crate::interner::Lookup;
use crate::settings::Settings;

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
    /// The lowest goes out first, whenever it came back.
    free: BTreeSet<EntityId>,
    /// Entities by the hour they were last seen in; an entry may be out of date.
    by_hour: BTreeMap<i64, Vec<EntityId>>,
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

    /// Returns the known entities, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntityId, &EntityState)> {
        let ids = (0..u32::MAX).map(EntityId);
        let slots = ids.zip(&self.slots);
        slots.filter_map(|(id, slot)| Some((id, slot.as_deref()?)))
    }

    /// Returns whether the keys of entity `id` lead to it.
    pub(crate) fn names(&self, id: EntityId) -> bool {
        let leads = |key| self.by_key.get(key) == Some(&id);
        self.get(id).is_some_and(|state| state.keys().all(leads))
    }

    pub(crate) fn get(&self, id: EntityId) -> Option<&EntityState> {
        self.slots.get(index(id))?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: EntityId) -> Option<&mut EntityState> {
        self.slots.get_mut(index(id))?.as_deref_mut()
    }

    /// Returns whether [`Self::strong`] finds an entity for `mention` and need not make one.
    pub(crate) fn knows_strong(&self, mention: &Entity) -> bool {
        self.known(mention).is_some()
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

    /// Returns whether [`Self::weak`] finds an entity for `key` and need not make one.
    pub(crate) fn knows_weak(&self, key: &str) -> bool {
        let owned = |weak: &WeakKey| !weak.ambiguous && !weak.owners.is_empty();
        self.by_key.contains_key(key) || self.by_weak_key.get(key).is_some_and(owned)
    }

    /// Returns the entity that the strong keys of `mention` name, new or known, and the pairs that turned out to be one.
    /// The caller must rewrite what refers to a `gone` id, and then call [`Self::absorb`]. Until then what is in `same` takes
    /// no further key and part in no further pair, since each was only compared with the other.
    pub(crate) fn strong(&mut self, mention: &Entity, same: &mut Vec<Same>) -> EntityId {
        let keys = || mention.key.iter().chain(&mention.alt_keys).take(KEYS_MAX);
        let paired = |id: EntityId| same.iter().any(|pair| pair.gone == id || pair.kept == id);
        let id = self.known(mention).unwrap_or_else(|| self.create(mention));
        if let Some(entity) = self.get_mut(id) {
            entity.weak_only = false;
        }
        let mut merge = None;
        for key in keys() {
            match self.by_key.get(key.as_str()).copied() {
                None if paired(id) || merge.is_some() => {}
                None => self.add_key(id, key),
                Some(other)
                    if other != id
                        && merge.is_none()
                        && !paired(id)
                        && !paired(other)
                        && self.compatible(id, other) =>
                {
                    merge = Some(self.larger_survives(id, other));
                }
                Some(_) => {}
            }
        }
        for key in mention.weak_keys.iter().take(KEYS_MAX) {
            self.bind_weak(key, id);
        }
        same.extend(merge);
        merge.map_or(id, |pair| pair.kept)
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

    /// Adds to `kept` what is known of `gone` and forgets `gone`.
    pub(crate) fn absorb(&mut self, pair: Same, settings: &Settings) {
        let background = &settings.background;
        let half_life_ms = background.half_life_ms;
        let Some(gone) = self.slots.get_mut(index(pair.gone)).and_then(Option::take) else {
            return;
        };
        self.free.insert(pair.gone);
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
        kept.weak_only &= gone.weak_only;
        kept.episodes_rate.merge(&gone.episodes_rate, half_life_ms);
        kept.novel_rate.merge(&gone.novel_rate, half_life_ms);
        kept.threads_rate
            .merge(&gone.threads_rate, background.thread_half_life_ms);
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
        kept.ring = merged(&kept.ring, &gone.ring);
        kept.episodes = merged(&kept.episodes, &gone.episodes);
        kept.threads.extend(gone.threads);
        kept.threads.sort_unstable();
        kept.threads.dedup();
        for (neighbour, time) in gone.fan {
            kept.meet(neighbour, time);
        }
        kept.bound(&settings.limits);
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
        if entity.last_hour < hour {
            entity.last_hour = hour;
            self.by_hour.entry(hour).or_default().push(id);
        }
    }

    /// Forgets entities that were last seen before `time` and that no live episode names.
    pub(crate) fn forget_before(&mut self, time: i64) {
        let limit = time.div_euclid(HOUR_MS);
        while let Some(entry) = self.by_hour.first_entry()
            && *entry.key() < limit
        {
            let hour = *entry.key();
            for id in entry.remove() {
                let Some(entity) = self.get(id) else { continue };
                if entity.last_hour != hour {
                    continue;
                }
                if entity.live > 0 {
                    self.by_hour.entry(limit).or_default().push(id);
                    if let Some(entity) = self.get_mut(id) {
                        entity.last_hour = limit;
                    }
                } else {
                    self.forget(id);
                }
            }
        }
    }

    /// Forgets the longest unseen entity that no live episode names and that is not `needed`; returns whether there was one.
    pub(crate) fn forget_one(&mut self, needed: impl Fn(EntityId) -> bool) -> bool {
        let hours: Vec<i64> = self.by_hour.keys().copied().take(64).collect();
        for hour in hours {
            let Some(ids) = self.by_hour.get(&hour) else {
                continue;
            };
            let idle = ids.iter().copied().filter(|id| {
                self.get(*id)
                    .is_some_and(|e| e.live == 0 && e.last_hour == hour && !needed(*id))
            });
            // The lowest: the order in the hour depends on how often time was told.
            if let Some(id) = idle.min() {
                self.forget(id);
                return true;
            }
        }
        false
    }

    fn forget(&mut self, id: EntityId) {
        let Some(entity) = self.slots.get_mut(index(id)).and_then(Option::take) else {
            return;
        };
        self.live -= 1;
        self.free.insert(id);
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
        let id = self.free.pop_first().unwrap_or_else(|| {
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
