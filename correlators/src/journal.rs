//! What was before: how changes since the last commit are told, and put back.
//!
//! Nothing is kept until a store is tracked. Then a value is copied before its first change, and what an index loses or
//! gains is noted step by step, so that putting back asks nothing of the state in between: it may be half changed.

use std::collections::BTreeMap;

/// Steps since the last commit, oldest first; none are kept until tracked.
#[derive(Debug)]
pub(crate) struct Log<T>(Option<Vec<T>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Log<T> {
    pub(crate) fn track(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(crate) fn note(&mut self, step: impl FnOnce() -> T) {
        if let Some(steps) = &mut self.0 {
            steps.push(step());
        }
    }

    pub(crate) fn steps(&self) -> &[T] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(crate) fn commit(&mut self) {
        if let Some(steps) = &mut self.0 {
            steps.clear();
        }
    }

    /// Returns the steps to put back, newest first.
    pub(crate) fn undo(&mut self) -> impl Iterator<Item = T> + use<T> {
        let steps = self.0.as_mut().map(std::mem::take);
        steps.unwrap_or_default().into_iter().rev()
    }
}

/// A value of a store, and the epoch it was last noted in.
#[derive(Debug)]
pub(crate) struct Tracked<T> {
    noted: u64,
    pub(crate) value: T,
}

impl<T> Tracked<T> {
    /// Wraps a value as committed.
    pub(crate) fn committed(value: T) -> Self {
        Self { noted: 0, value }
    }
}

/// What the values of a store were before they changed: none for those that were not there.
#[derive(Debug)]
pub(crate) struct Journal<K, T> {
    /// Rises with every commit; 0 until tracked, which is what every value is noted in from the start.
    epoch: u64,
    before: Vec<(K, Option<Box<T>>)>,
}

impl<K, T> Default for Journal<K, T> {
    fn default() -> Self {
        Self {
            epoch: 0,
            before: Vec::new(),
        }
    }
}

impl<K: Copy + Ord, T: Clone> Journal<K, T> {
    pub(crate) fn track(&mut self) {
        self.epoch = self.epoch.max(1);
    }

    /// Notes that `key` was not there.
    pub(crate) fn appears(&mut self, key: K, value: T) -> Box<Tracked<T>> {
        breaks_off();
        if self.epoch > 0 {
            self.before.push((key, None));
        }
        Box::new(Tracked {
            noted: self.epoch,
            value,
        })
    }

    /// Notes what `key` was, before its first change.
    pub(crate) fn changes<'a>(&mut self, key: K, tracked: &'a mut Tracked<T>) -> &'a mut T {
        breaks_off();
        if tracked.noted != self.epoch {
            tracked.noted = self.epoch;
            let before = Box::new(tracked.value.clone());
            self.before.push((key, Some(before)));
        }
        &mut tracked.value
    }

    /// Returns what was touched, with what it was at the last commit.
    pub(crate) fn touched(&self) -> BTreeMap<K, Option<&T>> {
        let mut touched = BTreeMap::new();
        for (key, before) in &self.before {
            touched.entry(*key).or_insert(before.as_deref());
        }
        touched
    }

    pub(crate) fn commit(&mut self) {
        self.before.clear();
        self.epoch += u64::from(self.epoch > 0);
    }

    /// Returns what to put back, newest first.
    pub(crate) fn undo(&mut self) -> impl Iterator<Item = (K, Option<Box<T>>)> + use<K, T> {
        self.epoch += u64::from(self.epoch > 0);
        std::mem::take(&mut self.before).into_iter().rev()
    }
}

/// Where tests break off what changes state: before every step of it.
#[inline]
pub(crate) fn breaks_off() {
    #[cfg(test)]
    crate::state::tests::step();
}
