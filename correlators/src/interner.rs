//! Names to dense numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::attack::Attack;

use crate::order::Tactics;
use crate::rates::Rate;

/// A map that is looked up and never iterated; its hasher is keyed at random because attackers choose the keys.
pub(crate) type Lookup<K, V> = LookupBy<K, V, std::hash::RandomState>;

/// A map that is looked up and never iterated, with a hasher of its own.
#[expect(clippy::disallowed_types, reason = "looked up, never iterated")]
pub(crate) type LookupBy<K, V, S> = std::collections::HashMap<K, V, S>;

/// A dense number for a rule.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct RuleId(u32);

/// What alerts of one rule usually say alike; shared between episodes to save memory.
#[derive(Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) rule: String,
    pub(crate) title: String,
    pub(crate) product: String,
    pub(crate) attacks: Vec<Attack>,
    pub(crate) tactics: Tactics,
}

/// What is known of one rule.
#[derive(Debug, Default)]
pub(crate) struct RuleState {
    name: Box<str>,
    pub(crate) rate: Rate,
    shape: Option<Arc<Shape>>,
    last: i64,
}

/// The rules of a tenant. Number 0 stands for all rules beyond the bound.
#[derive(Debug)]
pub(crate) struct Rules {
    by_name: Lookup<Box<str>, RuleId>,
    slots: Vec<RuleState>,
    /// The lowest goes out first, whenever it came back.
    free: BTreeSet<RuleId>,
    max: usize,
}

impl Rules {
    pub(crate) fn new(max: u32) -> Self {
        Self {
            by_name: Lookup::default(),
            slots: vec![RuleState::default()],
            free: BTreeSet::new(),
            max: usize::try_from(max).unwrap_or(usize::MAX),
        }
    }

    /// Returns the number of `name`, new or known; 0 where there is no room.
    pub(crate) fn intern(&mut self, name: &str, time: i64) -> RuleId {
        if let Some(id) = self.by_name.get(name).copied() {
            if let Some(rule) = self.get_mut(id) {
                rule.last = rule.last.max(time);
            }
            return id;
        }
        if self.by_name.len() >= self.max {
            return RuleId(0);
        }
        let id = self.free.pop_first().unwrap_or_else(|| {
            self.slots.push(RuleState::default());
            RuleId(u32::try_from(self.slots.len() - 1).unwrap_or(0))
        });
        if let Some(rule) = self.get_mut(id) {
            *rule = RuleState {
                name: name.into(),
                last: time,
                ..RuleState::default()
            };
        }
        self.by_name.insert(name.into(), id);
        id
    }

    /// Returns the shared form of `shape`.
    pub(crate) fn share(&mut self, id: RuleId, shape: Shape) -> Arc<Shape> {
        let Some(rule) = self.get_mut(id) else {
            return Arc::new(shape);
        };
        match &rule.shape {
            Some(known) if **known == shape => Arc::clone(known),
            _ => {
                let shared = Arc::new(shape);
                rule.shape = Some(Arc::clone(&shared));
                shared
            }
        }
    }

    /// Forgets rules last seen before `time`; their numbers may be given out again.
    pub(crate) fn forget_before(&mut self, time: i64) {
        for at in 1..self.slots.len() {
            let Some(rule) = self.slots.get_mut(at) else {
                continue;
            };
            if !rule.name.is_empty() && rule.last < time {
                self.by_name.remove(&rule.name);
                *rule = RuleState::default();
                self.free.insert(RuleId(u32::try_from(at).unwrap_or(0)));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, id: RuleId) -> Option<&RuleState> {
        self.slots.get(usize::try_from(id.0).ok()?)
    }

    pub(crate) fn get_mut(&mut self, id: RuleId) -> Option<&mut RuleState> {
        self.slots.get_mut(usize::try_from(id.0).ok()?)
    }
}
