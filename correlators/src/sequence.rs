//! Values by number: numbers rise from 0, are never reused, and old ones go first.

use std::collections::VecDeque;

/// A store that numbers what is pushed; finding a value costs one index.
#[derive(Debug)]
pub(crate) struct Sequence<T> {
    /// Number of the front slot.
    base: u64,
    slots: VecDeque<Option<Box<T>>>,
    live: usize,
}

impl<T> Sequence<T> {
    pub(crate) fn new() -> Self {
        Self {
            base: 0,
            slots: VecDeque::new(),
            live: 0,
        }
    }

    /// Returns the number that the next value will get.
    pub(crate) fn next(&self) -> u64 {
        self.base + u64::try_from(self.slots.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn push(&mut self, value: T) -> u64 {
        let number = self.next();
        self.slots.push_back(Some(Box::new(value)));
        self.live += 1;
        number
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Returns the values with their numbers, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let slots = self.slots.iter().zip(self.base..);
        slots.filter_map(|(slot, number)| Some((number, slot.as_deref()?)))
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.slots.get(self.slot(number)?)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let slot = self.slot(number)?;
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    /// Takes a value out. Slots at the front are given back once they are empty.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let slot = self.slot(number)?;
        let value = self.slots.get_mut(slot)?.take()?;
        self.live -= 1;
        while self.slots.front().is_some_and(Option::is_none) {
            self.slots.pop_front();
            self.base += 1;
        }
        Some(*value)
    }

    fn slot(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
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
}
