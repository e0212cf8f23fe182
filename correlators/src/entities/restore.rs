//! Entities put back as they were, and their indexes found anew.

use std::collections::BTreeSet;

use super::{Entities, WeakKey};
use crate::entity::{EntityId, Hint};

impl Entities {
    /// Returns whether entity `id` is found by its keys and by when it was last seen.
    pub(crate) fn finds(&self, id: EntityId) -> bool {
        let leads = |key| self.by_key.get(key) == Some(id);
        let hints = |hint: &Hint| {
            let known = self.by_weak_key.get(&hint.key);
            known.is_some_and(|known| known.ambiguous == hint.shared)
        };
        self.get(id).is_some_and(|state| {
            state.keys().all(leads)
                && state.weak_keys.iter().all(hints)
                && self.by_hour.contains(&(state.last_hour, id))
        })
    }

    /// Returns whether nothing is in an index but what entities have.
    pub(crate) fn is_indexed(&self) -> bool {
        let hints = self.iter().flat_map(|(_, state)| &state.weak_keys);
        let hints: BTreeSet<&str> = hints.map(|hint| &*hint.key).collect();
        let keys: usize = self.iter().map(|(_, state)| state.keys().count()).sum();
        self.by_hour.len() == self.len()
            && self.by_key.len() == keys
            && self.by_weak_key.len() == hints.len()
    }

    pub(crate) fn track(&mut self) {
        self.slots.track();
        self.by_key.track();
        self.by_weak_key.track();
        self.by_hour.track();
    }

    pub(crate) fn commit(&mut self) {
        self.slots.commit();
        self.by_key.commit();
        self.by_weak_key.commit();
        self.by_hour.commit();
    }

    pub(crate) fn undo(&mut self) {
        self.slots.undo();
        self.by_key.undo();
        self.by_weak_key.undo();
        self.by_hour.undo();
    }

    /// Finds keys and hours anew, once everything restored is put; returns an entity that has a key of another as its own.
    pub(crate) fn derive(&mut self) -> Result<(), EntityId> {
        self.slots.derive_free();
        self.by_key.reset();
        self.by_weak_key.reset();
        self.by_hour.reset();
        for (id, state) in self.slots.iter().map(|(id, state)| (EntityId(id), state)) {
            self.by_hour.insert((state.last_hour, id));
            for key in state.keys() {
                if self.by_key.insert(key.into(), id).is_some() {
                    return Err(id);
                }
            }
            for hint in &state.weak_keys {
                let known = self.by_weak_key.get(&hint.key);
                if known.is_some_and(|known| !(known.ambiguous && hint.shared)) {
                    return Err(id);
                }
                let weak = WeakKey {
                    owner: id,
                    owners: known.map_or(1, |known| known.owners.saturating_add(1)),
                    ambiguous: hint.shared,
                };
                self.by_weak_key.insert(hint.key.clone(), weak);
            }
        }
        self.commit();
        Ok(())
    }
}
