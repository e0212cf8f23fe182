//! Values that are numbered as they come, from 0, and never get the number of another.

use std::hash::{BuildHasherDefault, Hasher};

use crate::interner::LookupBy;

/// A store that numbers what is pushed. It takes room for what it holds, however far apart the numbers lie: one value
/// that stays for weeks keeps no room for those that came and went since.
#[derive(Debug)]
pub(crate) struct Sequence<T> {
    next: u64,
    values: LookupBy<u64, Box<T>, BuildHasherDefault<Spread>>,
}

impl<T> Sequence<T> {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            values: LookupBy::default(),
        }
    }

    /// Returns the number that the next value will get.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn push(&mut self, value: T) -> u64 {
        let number = self.next;
        self.values.insert(number, Box::new(value));
        self.next += 1;
        number
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the values with their numbers, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let mut numbers: Vec<u64> = self.values.keys().copied().collect();
        numbers.sort_unstable();
        numbers
            .into_iter()
            .filter_map(|number| Some((number, self.get(number)?)))
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.values.get(&number).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        self.values.get_mut(&number).map(Box::as_mut)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        self.values.remove(&number).map(|value| *value)
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
