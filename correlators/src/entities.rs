//! The entities of a tenant: which keys name the same one, and what is known of each.
//!
//! Strong keys of one mention become aliases of one entity, but only one to one: an entity never gets two keys of the
//! same scheme (two SIDs, two DNS names), so a wrong record cannot pull a whole directory into one entity.

use std::collections::VecDeque;

use schemas::entity::Entity;

use crate::entity::{EntityId, EntityState, Hint};
use crate::index::{Index, Queue};
use crate::settings::Settings;
use crate::slots::Slots;

mod restore;

/// Strong keys an entity can have; one a scheme.
const KEYS_MAX: usize = 8;
/// Weak keys bound to an entity.
const WEAK_KEYS_MAX: usize = 16;
const HOUR_MS: i64 = 3_600_000;
/// Hours of the longest unseen that are searched for one to forget.
const HOURS_SEARCHED: i32 = 64;

/// The entities a weak key was seen with; once there were two it is ambiguous, until all of them are forgotten.
#[derive(Clone, Copy, Debug)]
struct WeakKey {
    /// The one entity, where it is not ambiguous.
    owner: EntityId,
    owners: u32,
    ambiguous: bool,
}

/// All entities of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    pub(crate) slots: Slots<EntityState>,
    by_key: Index<Box<str>, EntityId>,
    by_weak_key: Index<Box<str>, WeakKey>,
    /// By the hour they were last seen in.
    by_hour: Queue<(i64, EntityId)>,
}

/// Two ids that turned out to be one entity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Same {
    pub(crate) gone: EntityId,
    pub(crate) kept: EntityId,
}

impl Entities {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the known entities, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntityId, &EntityState)> {
        self.slots.iter().map(|(id, state)| (EntityId(id), state))
    }

    pub(crate) fn get(&self, id: EntityId) -> Option<&EntityState> {
        self.slots.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: EntityId) -> Option<&mut EntityState> {
        self.slots.get_mut(id.0)
    }

    /// Returns whether [`Self::strong`] finds an entity for `mention` and need not make one.
    pub(crate) fn knows_strong(&self, mention: &Entity) -> bool {
        self.known(mention).is_some()
    }

    /// Returns the entity of the first known key. One that has another key of the first key's scheme is someone else.
    fn known(&self, mention: &Entity) -> Option<EntityId> {
        let first = mention.key.as_deref()?;
        if let Some(id) = self.by_key.get(first) {
            return Some(id);
        }
        let mut others = mention.alt_keys.iter().take(KEYS_MAX - 1);
        others.find_map(|key| {
            let id = self.by_key.get(key.as_str())?;
            let mut keys = self.get(id)?.keys();
            keys.all(|known| scheme(known) != scheme(first))
                .then_some(id)
        })
    }

    /// Returns whether [`Self::weak`] finds an entity for `key` and need not make one.
    pub(crate) fn knows_weak(&self, key: &str) -> bool {
        let sure = self
            .by_weak_key
            .get(key)
            .is_some_and(|weak| !weak.ambiguous);
        sure || self.by_key.get(key).is_some()
    }

    /// Returns the entity that the strong keys of `mention` name, new or known, and the pairs that turned out to be one.
    /// The caller must rewrite what refers to a `gone` id, and then call [`Self::absorb`]. Until then what is in `same` takes
    /// no further key and part in no further pair, since each was only compared with the other.
    pub(crate) fn strong(&mut self, mention: &Entity, same: &mut Vec<Same>) -> EntityId {
        let keys = || mention.key.iter().chain(&mention.alt_keys).take(KEYS_MAX);
        let paired = |id: EntityId| same.iter().any(|pair| pair.gone == id || pair.kept == id);
        let id = self.known(mention).unwrap_or_else(|| self.create(mention));
        if self.get(id).is_some_and(|entity| entity.weak_only)
            && let Some(entity) = self.get_mut(id)
        {
            entity.weak_only = false;
        }
        let mut merge = None;
        for key in keys() {
            match self.by_key.get(key.as_str()) {
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
            self.bind_weak(key, id, false);
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
        {
            return Some((weak.owner, true));
        }
        if let Some(id) = self.by_key.get(key.as_str()) {
            return Some((id, self.get(id).is_some_and(|entity| !entity.weak_only)));
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
        let Some(gone) = self.slots.remove(pair.gone.0) else {
            return;
        };
        self.by_hour.remove(&(gone.last_hour, pair.gone));
        for key in gone.keys() {
            self.by_key.insert(key.into(), pair.kept);
        }
        for hint in &gone.weak_keys {
            self.unbind_weak(&hint.key);
        }
        let Some(kept) = self.get_mut(pair.kept) else {
            return;
        };
        let mut aliases = kept.name.aliases.to_vec();
        aliases.push(gone.name.key.clone());
        aliases.extend(gone.name.aliases.iter().cloned());
        kept.rename(aliases);
        kept.weak_only &= gone.weak_only;
        kept.distrust = kept.distrust.max(gone.distrust);
        for (rule, until) in gone.expected {
            kept.expect(rule, until, settings.limits.expected);
        }
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
        for hint in gone.weak_keys {
            self.bind_weak(&hint.key, pair.kept, hint.shared);
        }
    }

    /// Notes that `id` was seen in the hour of `time`.
    pub(crate) fn touch(&mut self, id: EntityId, time: i64) {
        let hour = time.div_euclid(HOUR_MS);
        if self.get(id).is_some_and(|entity| entity.last_hour < hour) {
            self.seen(id, hour);
        }
    }

    fn seen(&mut self, id: EntityId, hour: i64) {
        if let Some(entity) = self.slots.get_mut(id.0) {
            self.by_hour.remove(&(entity.last_hour, id));
            entity.last_hour = hour;
            self.by_hour.insert((hour, id));
        }
    }

    /// Forgets entities that were last seen before `time` and that no live episode names.
    pub(crate) fn forget_before(&mut self, time: i64) {
        let limit = time.div_euclid(HOUR_MS);
        while let Some((hour, id)) = self.by_hour.first()
            && hour < limit
        {
            if self.get(id).is_some_and(|entity| entity.live > 0) {
                self.seen(id, limit);
            } else {
                self.forget(id);
            }
        }
    }

    /// Forgets the longest unseen entity that no live episode names and that is not `needed`; returns whether there was one.
    pub(crate) fn forget_one(&mut self, needed: impl Fn(EntityId) -> bool) -> bool {
        let idle = self.longest_idle(needed);
        if let Some(id) = idle {
            self.forget(id);
        }
        idle.is_some()
    }

    /// Returns the longest unseen of them, the lowest where there are several: the order in an hour depends on how often
    /// time was told.
    fn longest_idle(&self, needed: impl Fn(EntityId) -> bool) -> Option<EntityId> {
        let (mut hours, mut last) = (0, None);
        let searched = self.by_hour.iter().take_while(|(hour, _)| {
            hours += i32::from(last.replace(*hour) != Some(*hour));
            hours <= HOURS_SEARCHED
        });
        let mut ids = searched.map(|(_, id)| id);
        ids.find(|id| self.get(*id).is_some_and(|entity| entity.live == 0) && !needed(*id))
    }

    fn forget(&mut self, id: EntityId) {
        let Some(entity) = self.slots.remove(id.0) else {
            return;
        };
        self.by_hour.remove(&(entity.last_hour, id));
        for key in entity.keys() {
            self.by_key.remove(key);
        }
        for hint in &entity.weak_keys {
            self.unbind_weak(&hint.key);
        }
    }

    fn create(&mut self, mention: &Entity) -> EntityId {
        let key = mention.key.clone().unwrap_or_default();
        let state = EntityState::new(key.clone(), mention);
        let hour = state.last_hour;
        let id = EntityId(self.slots.create(state));
        self.by_key.insert(key.into(), id);
        self.by_hour.insert((hour, id));
        id
    }

    fn add_key(&mut self, id: EntityId, key: &str) {
        let taken = |entity: &EntityState| {
            let mut keys = entity.keys();
            keys.any(|known| scheme(known) == scheme(key))
                || entity.name.aliases.len() + 1 >= KEYS_MAX
        };
        if self.get(id).is_none_or(taken) {
            return;
        }
        let Some(entity) = self.get_mut(id) else {
            return;
        };
        let mut aliases = entity.name.aliases.to_vec();
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

    /// Binds a weak key to an entity; `shared` where it is known that it names another too.
    fn bind_weak(&mut self, key: &str, id: EntityId, shared: bool) {
        let full = |entity: &EntityState| {
            entity.weak_keys.len() >= WEAK_KEYS_MAX
                || entity.weak_keys.iter().any(|known| *known.key == *key)
        };
        if self.get(id).is_none_or(full) {
            return;
        }
        let known = self.by_weak_key.get(key);
        let shared = shared || known.is_some();
        if let Some(known) = known.filter(|known| !known.ambiguous)
            && let Some(owner) = self.get_mut(known.owner)
        {
            let bound = owner.weak_keys.iter_mut().filter(|hint| *hint.key == *key);
            bound.for_each(|hint| hint.shared = true);
        }
        if let Some(entity) = self.get_mut(id) {
            entity.weak_keys.push(Hint {
                key: key.into(),
                shared,
            });
        }
        let weak = WeakKey {
            owner: id,
            owners: known.map_or(1, |known| known.owners.saturating_add(1)),
            ambiguous: shared,
        };
        self.by_weak_key.insert(key.into(), weak);
    }

    /// Takes into account that one entity less has a weak key.
    fn unbind_weak(&mut self, key: &str) {
        let Some(weak) = self.by_weak_key.get(key) else {
            return;
        };
        match weak.owners.saturating_sub(1) {
            0 => {
                self.by_weak_key.remove(key);
            }
            owners => {
                self.by_weak_key
                    .insert(key.into(), WeakKey { owners, ..weak });
            }
        }
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
