//! The shards a worker holds: those it works on, those it is about to, and those it follows.

use std::collections::BTreeMap;

use schemas::time::Timestamp;

use crate::bus::Input;
use crate::shard::Shard;

/// The shards of a worker. One that is lost is followed from there on, so that what comes back begins where it was.
#[derive(Debug, Default)]
pub(super) struct Held {
    shards: BTreeMap<i32, (Shard, Phase)>,
    /// Turns taken so far.
    turns: usize,
}

/// What a worker does with a shard.
#[derive(Debug)]
pub(super) enum Phase {
    /// It is another's, or nobody's: its state is read as it is written.
    Followed {
        /// Everything there was has been read at least once.
        caught_up: bool,
    },
    /// It was handed out, and that is to be written down before its state is read to the end.
    Assigned {
        /// Its inputs.
        inputs: Vec<Input>,
    },
    /// Its state is read up to what this worker wrote there.
    Restoring {
        /// Its inputs.
        inputs: Vec<Input>,
        /// Offset of the claim.
        until: i64,
        /// When something last came.
        moved: Timestamp,
    },
    /// It is worked on.
    Active,
}

impl Held {
    pub(super) fn all(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values().map(|(shard, _)| shard)
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Shard> {
        self.all().filter(|shard| shard.is_active())
    }

    pub(super) fn active_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        let shards = self.shards.values_mut().map(|(shard, _)| shard);
        shards.filter(|shard| shard.is_active())
    }

    /// Returns the shards whose turn it is. One that is taken slowly has turns of its own: what ends the process in its
    /// epoch is then its own record, and nothing of another shard's.
    pub(super) fn turn(&mut self) -> Vec<i32> {
        let (slow, others): (Vec<&Shard>, Vec<&Shard>) =
            self.active().partition(|shard| shard.is_cautious());
        let mut turns: Vec<Vec<i32>> = slow.iter().map(|shard| vec![shard.number()]).collect();
        if !others.is_empty() || turns.is_empty() {
            turns.push(others.iter().map(|shard| shard.number()).collect());
        }
        let at = self.turns % turns.len();
        self.turns = self.turns.wrapping_add(1);
        turns.swap_remove(at)
    }

    /// Returns whether a shard that was handed out cannot be worked on yet.
    pub(super) fn is_restoring(&self) -> bool {
        let restoring = |phase: &Phase| match phase {
            Phase::Assigned { .. } | Phase::Restoring { .. } => true,
            Phase::Followed { .. } | Phase::Active => false,
        };
        self.shards.values().any(|(_, phase)| restoring(phase))
    }

    /// Returns whether every followed shard was read to its end once.
    pub(super) fn is_following(&self) -> bool {
        let caught_up = |phase: &Phase| match phase {
            Phase::Followed { caught_up } => *caught_up,
            Phase::Assigned { .. } | Phase::Restoring { .. } | Phase::Active => true,
        };
        self.shards.values().all(|(_, phase)| caught_up(phase))
    }

    /// Returns whether this worker was handed a shard.
    pub(super) fn owns_some(&self) -> bool {
        let owned = |phase: &Phase| !matches!(phase, Phase::Followed { .. });
        self.shards.values().any(|(_, phase)| owned(phase))
    }

    pub(super) fn numbers(&self) -> Vec<i32> {
        self.shards.keys().copied().collect()
    }

    pub(super) fn get_mut(&mut self, number: i32) -> Option<&mut (Shard, Phase)> {
        self.shards.get_mut(&number)
    }

    pub(super) fn get_or_insert(
        &mut self,
        number: i32,
        new: impl FnOnce() -> Shard,
    ) -> &mut (Shard, Phase) {
        let entry = self.shards.entry(number);
        entry.or_insert_with(|| (new(), Phase::Followed { caught_up: false }))
    }

    pub(super) fn remove(&mut self, number: i32) {
        self.shards.remove(&number);
    }

    /// Ends the work on a shard and follows it from here on; returns whether it was worked on.
    pub(super) fn lose(&mut self, number: i32) -> bool {
        let Some((shard, phase)) = self.shards.get_mut(&number) else {
            return false;
        };
        let was_active = shard.is_active();
        shard.deactivate();
        *phase = Phase::Followed { caught_up: false };
        was_active
    }

    /// Lets go of what is only followed.
    pub(super) fn forget_followed(&mut self) {
        self.shards
            .retain(|_, (_, phase)| !matches!(phase, Phase::Followed { .. }));
    }
}
