//! The shards a worker has, and those it had a moment ago.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::bus::{Change, Input, Polled};
use crate::shard::Shard;

/// The shards of a worker. A member that the group has not heard of for too long, as in an outage, loses its shards and
/// mostly gets them back: their state is set aside, and taken up again if nobody has written since.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Those it works on.
    pub(super) own: BTreeMap<i32, Shard>,
    lost: BTreeMap<i32, Shard>,
    /// Since when the group answers and does not hand the lost ones back.
    unanswered: Option<Instant>,
}

/// How long a lost shard is waited for once the group answers: well above what handing out takes.
const LOST_MAX: Duration = Duration::from_secs(10);

impl Held {
    /// Follows the group, making a new state for a shard without one. Returns whether state was forgotten.
    pub(super) fn follow(&mut self, polled: &Polled, new: impl Fn(&[Input]) -> Shard) -> bool {
        let mut forgotten = false;
        for change in &polled.changes {
            match change {
                Change::Assigned { shard, inputs } => {
                    let lost = self.lost.remove(shard);
                    let was_lost = lost.is_some();
                    let kept = lost.and_then(|mut state| state.resume(inputs).then_some(state));
                    let is_kept = kept.is_some();
                    forgotten |= was_lost && !is_kept;
                    tracing::info!(shard, inputs = inputs.len(), is_kept, "shard assigned");
                    self.own.insert(*shard, kept.unwrap_or_else(|| new(inputs)));
                }
                Change::Revoked { shard } => {
                    tracing::info!(shard, "shard revoked");
                    let state = self.own.remove(shard);
                    self.lost.extend(state.map(|state| (*shard, state)));
                    self.unanswered = None;
                }
            }
        }
        if self.lost.is_empty() || !polled.joined {
            self.unanswered = None;
        } else if self.unanswered.get_or_insert_with(Instant::now).elapsed() > LOST_MAX {
            self.lost.clear();
            forgotten = true;
        }
        forgotten
    }

    /// Sets everything aside: the bus is about to join the group again.
    pub(super) fn lose_all(&mut self) {
        self.lost.append(&mut self.own);
        self.unanswered = None;
    }

    /// Notes that everything applied was committed.
    pub(super) fn commit(&mut self) {
        self.own.values_mut().for_each(Shard::commit);
    }

    /// Returns whether a shard that is worked on has something to commit.
    pub(super) fn is_pending(&self) -> bool {
        self.own.values().any(Shard::is_pending)
    }

    /// Returns whether a shard that is to be committed is not there at the moment.
    pub(super) fn is_waiting(&self) -> bool {
        self.lost.values().any(Shard::is_pending)
    }

    /// Returns whether an epoch can no longer be committed whole: one of its shards is there and one is not.
    pub(super) fn is_torn(&self) -> bool {
        self.is_pending() && self.is_waiting()
    }
}
