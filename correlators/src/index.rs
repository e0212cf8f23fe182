//! Indexes over values that are stored elsewhere, which undo puts back.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::hash::Hash;

use crate::interner::Lookup;
use crate::journal::{Log, breaks_off};

/// A map that is looked up and never iterated.
#[derive(Debug)]
pub(crate) struct Index<K, V> {
    map: Lookup<K, V>,
    log: Log<(K, Option<V>)>,
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self {
            map: Lookup::default(),
            log: Log::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, V: Copy> Index<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.get(key).copied()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        breaks_off();
        let before = self.map.insert(key.clone(), value);
        self.log.note(|| (key, before));
        before
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        breaks_off();
        let (key, before) = self.map.remove_entry(key)?;
        self.log.note(|| (key, Some(before)));
        Some(before)
    }

    /// Forgets everything, to be filled anew from what is committed.
    pub(crate) fn reset(&mut self) {
        self.map.clear();
        self.log.commit();
    }

    pub(crate) fn track(&mut self) {
        self.log.track();
    }

    pub(crate) fn commit(&mut self) {
        self.log.commit();
    }

    pub(crate) fn undo(&mut self) {
        for (key, before) in self.log.undo() {
            match before {
                Some(before) => self.map.insert(key, before),
                None => self.map.remove(&key),
            };
        }
    }
}

/// A sorted set.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    set: BTreeSet<T>,
    /// What came or went, and whether it was there before.
    log: Log<(T, bool)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            set: BTreeSet::new(),
            log: Log::default(),
        }
    }
}

impl<T: Copy + Ord> Queue<T> {
    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    pub(crate) fn contains(&self, item: &T) -> bool {
        self.set.contains(item)
    }

    pub(crate) fn first(&self) -> Option<T> {
        self.set.first().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.set.iter().copied()
    }

    pub(crate) fn insert(&mut self, item: T) {
        breaks_off();
        if self.set.insert(item) {
            self.log.note(|| (item, false));
        }
    }

    pub(crate) fn remove(&mut self, item: &T) {
        breaks_off();
        if self.set.remove(item) {
            self.log.note(|| (*item, true));
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        let item = self.first()?;
        self.remove(&item);
        Some(item)
    }

    /// Forgets everything, to be filled anew from what is committed.
    pub(crate) fn reset(&mut self) {
        self.set.clear();
        self.log.commit();
    }

    pub(crate) fn track(&mut self) {
        self.log.track();
    }

    pub(crate) fn commit(&mut self) {
        self.log.commit();
    }

    pub(crate) fn undo(&mut self) {
        for (item, there) in self.log.undo() {
            if there {
                self.set.insert(item);
            } else {
                self.set.remove(&item);
            }
        }
    }
}
