//! Values that are numbered as they come, from 0, and never get the number of another.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::interner::LookupBy;
use crate::journal::{Journal, Tracked};

/// A store that numbers what is pushed. It takes room for what it holds, however far apart the numbers lie: one value
/// that stays for weeks keeps no room for those that came and went since.
#[derive(Debug)]
pub(crate) struct Sequence<T> {
    next: u64,
    /// [`Self::next`] at the last commit.
    committed: u64,
    values: LookupBy<u64, Box<Tracked<T>>, BuildHasherDefault<Spread>>,
    journal: Journal<u64, T>,
}

impl<T: Clone> Sequence<T> {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            committed: 0,
            values: LookupBy::default(),
            journal: Journal::default(),
        }
    }

    /// Returns the number that the next value will get.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn push(&mut self, value: T) -> u64 {
        let number = self.next;
        self.insert(number, value);
        number
    }

    /// Stores a value under the number that it got elsewhere; numbers up to it are not given out any more.
    pub(crate) fn insert(&mut self, number: u64, value: T) {
        let tracked = self.journal.appears(number, value);
        self.values.insert(number, tracked);
        self.next = self.next.max(number.saturating_add(1));
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the values with their numbers, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let numbers = self.numbers().into_iter();
        numbers.filter_map(|number| Some((number, self.get(number)?)))
    }

    /// Returns the numbers of the values, ascending.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.values.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.values.get(&number).map(|tracked| &tracked.value)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let tracked = self.values.get_mut(&number)?;
        Some(self.journal.changes(number, tracked))
    }

    /// Returns the value to change what is derived in it, which is not remembered.
    pub(crate) fn derive(&mut self, number: u64) -> Option<&mut T> {
        let tracked = self.values.get_mut(&number)?;
        Some(&mut tracked.value)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let tracked = self.values.get_mut(&number)?;
        self.journal.changes(number, tracked);
        let tracked = self.values.remove(&number)?;
        Some(tracked.value)
    }

    pub(crate) fn track(&mut self) {
        self.journal.track();
    }

    pub(crate) fn touched(&self) -> BTreeMap<u64, Option<&T>> {
        self.journal.touched()
    }

    pub(crate) fn commit(&mut self) {
        self.journal.commit();
        self.committed = self.next;
    }

    pub(crate) fn undo(&mut self) {
        for (number, before) in self.journal.undo() {
            self.put(number, before.map(|value| *value));
        }
        self.next = self.committed;
    }

    /// Stores a restored value, or none.
    pub(crate) fn put(&mut self, number: u64, value: Option<T>) {
        match value {
            Some(value) => {
                let tracked = Box::new(Tracked::committed(value));
                self.values.insert(number, tracked);
            }
            None => {
                self.values.remove(&number);
            }
        }
    }

    /// Restores the number that the next value will get.
    pub(crate) fn put_next(&mut self, next: u64) {
        (self.next, self.committed) = (next, next);
    }
}

/// Spreads numbers that count up. They are not chosen by whoever sends alerts, so nothing need be secret.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 over the golden ratio; the upper half is folded in because tables look at both ends.
        let wide = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = wide ^ (wide >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_reused() {
        let mut sequence = Sequence::new();
        let (a, b) = (sequence.push('a'), sequence.push('b'));
        assert_eq!(sequence.remove(a), Some('a'));
        assert_eq!(sequence.remove(a), None);
        assert_eq!(sequence.get(b), Some(&'b'));
        assert_eq!(sequence.push('c'), 2);
        assert_eq!(
            (sequence.get(0), sequence.get(7), sequence.len()),
            (None, None, 2)
        );
    }

    #[test]
    fn one_value_that_stays_keeps_no_room_for_those_that_went() {
        let mut sequence = Sequence::new();
        sequence.push(0);
        for n in 1..100_000 {
            let number = sequence.push(n);
            sequence.remove(number);
        }
        assert_eq!((sequence.len(), sequence.get(0)), (1, Some(&0)));
        assert!(sequence.values.capacity() < 64);
    }
}
