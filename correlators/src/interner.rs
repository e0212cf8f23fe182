//! Names to dense numbers.

use std::sync::Arc;

use schemas::attack::Attack;
use serde::{Deserialize, Serialize};

use crate::index::Index;
use crate::order::Tactics;
use crate::rates::Rate;
use crate::slots::Slots;

/// A map that is looked up and never iterated; its hasher is keyed at random because attackers choose the keys.
pub(crate) type Lookup<K, V> = LookupBy<K, V, std::hash::RandomState>;

/// A map that is looked up and never iterated, with a hasher of its own.
#[expect(clippy::disallowed_types, reason = "looked up, never iterated")]
pub(crate) type LookupBy<K, V, S> = std::collections::HashMap<K, V, S>;

/// A dense number for a rule.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct RuleId(pub(crate) u32);

/// What alerts of one rule usually say alike; shared between episodes to save memory.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Shape {
    pub(crate) rule: String,
    pub(crate) title: String,
    pub(crate) product: String,
    pub(crate) attacks: Vec<Attack>,
    pub(crate) tactics: Tactics,
}

/// What is known of one rule.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct RuleState {
    pub(crate) name: Box<str>,
    pub(crate) rate: Rate,
    pub(crate) last: i64,
    /// Analysts' verdicts on what it raised.
    pub(crate) confirmed: u32,
    pub(crate) refuted: u32,
    /// What its latest episode is like: derived.
    #[serde(skip)]
    shape: Option<Arc<Shape>>,
}

/// The rules of a tenant. Number 0 stands for all rules beyond the bound.
#[derive(Debug)]
pub(crate) struct Rules {
    by_name: Index<Box<str>, RuleId>,
    pub(crate) slots: Slots<RuleState>,
    max: usize,
}

/// All rules beyond the bound.
pub(crate) const FURTHER: RuleId = RuleId(0);

impl Rules {
    pub(crate) fn new(max: u32) -> Self {
        let mut slots = Slots::default();
        slots.create(RuleState::default());
        Self {
            by_name: Index::default(),
            slots,
            max: usize::try_from(max).unwrap_or(usize::MAX),
        }
    }

    /// Returns the number of `name`, new or known; 0 where there is no room.
    pub(crate) fn intern(&mut self, name: &str, time: i64) -> RuleId {
        if let Some(id) = self.by_name.get(name) {
            if self.get(id).is_some_and(|rule| rule.last < time)
                && let Some(rule) = self.get_mut(id)
            {
                rule.last = time;
            }
            return id;
        }
        if self.by_name.len() >= self.max {
            return FURTHER;
        }
        let id = RuleId(self.slots.create(RuleState {
            name: name.into(),
            last: time,
            ..RuleState::default()
        }));
        self.by_name.insert(name.into(), id);
        id
    }

    /// Returns the shared form of `shape`.
    pub(crate) fn share(&mut self, id: RuleId, shape: Shape) -> Arc<Shape> {
        let Some(rule) = self.slots.derive(id.0) else {
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
        let idle = |(id, rule): &(u32, &RuleState)| *id != FURTHER.0 && rule.last < time;
        let idle: Vec<u32> = self.slots.iter().filter(idle).map(|(id, _)| id).collect();
        for id in idle {
            if let Some(rule) = self.slots.remove(id) {
                self.by_name.remove(&rule.name);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, id: RuleId) -> Option<&RuleState> {
        self.slots.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: RuleId) -> Option<&mut RuleState> {
        self.slots.get_mut(id.0)
    }

    pub(crate) fn track(&mut self) {
        self.by_name.track();
        self.slots.track();
    }

    pub(crate) fn commit(&mut self) {
        self.by_name.commit();
        self.slots.commit();
    }

    pub(crate) fn undo(&mut self) {
        self.by_name.undo();
        self.slots.undo();
    }

    /// Finds the names anew, once everything restored is put; returns the number of a rule whose name another has.
    pub(crate) fn derive(&mut self) -> Result<(), RuleId> {
        if self.slots.get(FURTHER.0).is_none() {
            self.slots.put(FURTHER.0, Some(RuleState::default()));
        }
        self.slots.derive_free();
        self.by_name.reset();
        for (id, rule) in self.slots.iter().filter(|(id, _)| *id != FURTHER.0) {
            if self.by_name.insert(rule.name.clone(), RuleId(id)).is_some() {
                return Err(RuleId(id));
            }
        }
        self.commit();
        Ok(())
    }
}
