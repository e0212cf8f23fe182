//! Values under dense numbers: the lowest free one goes out first, whenever it came back.

use std::collections::BTreeMap;

use crate::index::Queue;
use crate::journal::{Journal, Tracked};

/// A store that gives the numbers of what is gone to what comes. Which number comes next follows from which are taken.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    values: Vec<Option<Box<Tracked<T>>>>,
    /// Every number up to the last taken that is not.
    free: Queue<u32>,
    journal: Journal<u32, T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            free: Queue::default(),
            journal: Journal::default(),
        }
    }
}

impl<T: Clone> Slots<T> {
    pub(crate) fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    /// Returns the values, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let numbered = (0..u32::MAX).zip(&self.values);
        numbered.filter_map(|(number, slot)| Some((number, &slot.as_deref()?.value)))
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let slot = self.values.get(index(number))?;
        slot.as_deref().map(|tracked| &tracked.value)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let tracked = self.values.get_mut(index(number))?.as_deref_mut()?;
        Some(self.journal.changes(number, tracked))
    }

    /// Returns the value to change what is derived in it, which is not remembered.
    pub(crate) fn derive(&mut self, number: u32) -> Option<&mut T> {
        let tracked = self.values.get_mut(index(number))?.as_deref_mut()?;
        Some(&mut tracked.value)
    }

    /// Stores a value and returns its number.
    pub(crate) fn create(&mut self, value: T) -> u32 {
        let number = self.free.pop_first().unwrap_or_else(|| {
            self.values.push(None);
            number_of(self.values.len() - 1)
        });
        let tracked = self.journal.appears(number, value);
        if let Some(slot) = self.values.get_mut(index(number)) {
            *slot = Some(tracked);
        }
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let slot = self.values.get_mut(index(number))?;
        self.journal.changes(number, slot.as_deref_mut()?);
        let tracked = slot.take()?;
        self.free.insert(number);
        Some(tracked.value)
    }

    pub(crate) fn track(&mut self) {
        self.journal.track();
        self.free.track();
    }

    pub(crate) fn touched(&self) -> BTreeMap<u32, Option<&T>> {
        self.journal.touched()
    }

    pub(crate) fn commit(&mut self) {
        self.journal.commit();
        self.free.commit();
    }

    pub(crate) fn undo(&mut self) {
        for (number, before) in self.journal.undo() {
            self.set(number, before);
        }
        self.free.undo();
        // What is neither taken nor free was not there.
        while matches!(self.values.last(), Some(None))
            && !self.free.contains(&number_of(self.values.len() - 1))
        {
            self.values.pop();
        }
    }

    /// Stores a restored value, or none, under a number of its own; [`Self::derive_free`] must follow.
    pub(crate) fn put(&mut self, number: u32, value: Option<T>) {
        self.set(number, value.map(Box::new));
    }

    /// Finds the free numbers anew, once everything restored is put.
    pub(crate) fn derive_free(&mut self) {
        while self.values.pop_if(|last| last.is_none()).is_some() {}
        self.free.reset();
        for (number, slot) in (0..u32::MAX).zip(&self.values) {
            if slot.is_none() {
                self.free.insert(number);
            }
        }
        self.free.commit();
    }

    fn set(&mut self, number: u32, value: Option<Box<T>>) {
        let at = index(number);
        if value.is_some() && self.values.len() <= at {
            self.values.resize_with(at + 1, || None);
        }
        let Some(slot) = self.values.get_mut(at) else {
            return;
        };
        *slot = value.map(|value| Box::new(Tracked::committed(*value)));
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn number_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
