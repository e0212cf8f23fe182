//! From being handed a shard to working on it: claim it, read its state up to the claim, begin at its offsets.
//!
//! The claim is a record of the state topic, written by the producer whose start ended whatever its predecessor left
//! open. Whoever reads it back among committed records has read everything that was committed before it, and nothing
//! can be committed in between by one that has lost the shard: its generation of the group is over.

use std::sync::Arc;
use std::time::Duration;

use super::held::Phase;
use super::{Worker, WorkerError};
use crate::bus::{Bus, BusError, Change, CommitError, Epoch, Input, NewRecord, Polled, Written};
use crate::failpoint::{self, Point};
use crate::metrics;
use crate::shard::{RestoreError, Shard};

/// How long the state may be without progress while it is read to its end.
const STALL: Duration = Duration::from_secs(60);
/// Pause before a claim that failed is tried again.
const RETRY: Duration = Duration::from_millis(20);

impl<B: Bus> Worker<B> {
    /// Follows the group; returns whether a shard that was worked on was lost.
    pub(super) fn follow(&mut self, polled: &Polled) -> Result<bool, WorkerError> {
        let mut lost = false;
        for change in &polled.changes {
            match change {
                Change::Assigned { shard, inputs } => {
                    tracing::info!(shard, inputs = inputs.len(), "shard assigned");
                    self.assigned(*shard, inputs)?;
                }
                Change::Revoked { shard } => {
                    tracing::info!(shard, "shard revoked");
                    lost |= self.held.lose(*shard);
                    if self.config.shard.state.is_none() {
                        self.held.remove(*shard);
                    }
                }
            }
        }
        if lost {
            self.renew_view();
        }
        metrics::shards(self.held.active().count());
        Ok(lost)
    }

    fn assigned(&mut self, number: i32, inputs: &[Input]) -> Result<(), WorkerError> {
        let config = &self.config.shard;
        let new = || Shard::new(number, config.clone());
        let (_, phase) = self.held.get_or_insert(number, new);
        *phase = Phase::Assigned {
            inputs: inputs.to_vec(),
        };
        if self.config.shard.state.is_none() {
            self.activate(number, inputs)?;
        }
        Ok(())
    }

    /// Goes on with every shard that is not worked on yet.
    pub(super) fn take_over(&mut self) -> Result<(), WorkerError> {
        if self.config.shard.state.is_none() {
            return Ok(());
        }
        self.claim()?;
        if self.held.owns_some() {
            self.held.forget_followed();
        } else {
            for number in 0..self.config.followed {
                let config = &self.config.shard;
                self.held
                    .get_or_insert(number, || Shard::new(number, config.clone()));
            }
        }
        for number in self.held.numbers() {
            self.read_on(number)?;
        }
        if let Some(snapshots) = &self.config.snapshots {
            snapshots.keep(self.held.numbers().into_iter());
        }
        Ok(())
    }

    /// Writes down whose the shards are that were handed out.
    fn claim(&mut self) -> Result<(), WorkerError> {
        let generation = self.bus.generation();
        let mut records = Vec::new();
        for number in self.held.numbers() {
            if let Some((shard, Phase::Assigned { .. })) = self.held.get_mut(number) {
                records.extend(shard.claim(generation));
            }
        }
        let Some(written) = self.commit_alone(records)? else {
            return Ok(());
        };
        let now = self.bus.now();
        for (number, offset) in written {
            if let Some((_, phase)) = self.held.get_mut(number)
                && let Phase::Assigned { inputs } = phase
            {
                *phase = Phase::Restoring {
                    inputs: std::mem::take(inputs),
                    until: offset,
                    moved: now,
                };
            }
        }
        Ok(())
    }

    /// Writes records that belong to no epoch; none where it was not to be, and then it is tried again.
    pub(super) fn commit_alone(
        &mut self,
        records: Vec<NewRecord>,
    ) -> Result<Option<Written>, WorkerError> {
        if records.is_empty() {
            return Ok(None);
        }
        let epoch = Epoch {
            records,
            offsets: Vec::new(),
        };
        match self.bus.commit(&epoch) {
            Ok(written) => Ok(Some(written)),
            Err(CommitError::Aborted { problem }) => {
                tracing::warn!(problem, "cannot write to the state yet");
                metrics::commit_failed(metrics::CommitFailure::Aborted);
                let polled = self.bus.keep_alive(RETRY)?;
                self.follow(&polled)?;
                Ok(None)
            }
            Err(CommitError::Fenced { problem }) => {
                tracing::warn!(problem, "put out of the group: joining again");
                metrics::commit_failed(metrics::CommitFailure::Fenced);
                self.rejoin()?;
                Ok(None)
            }
        }
    }

    /// Reads on in the state of a shard, and begins to work on it when it was read up to the claim.
    fn read_on(&mut self, number: i32) -> Result<(), WorkerError> {
        let now = self.bus.now();
        let mut request = self.config.epoch;
        let Some((shard, phase)) = self.held.get_mut(number) else {
            return Ok(());
        };
        request.wait = match phase {
            Phase::Active | Phase::Assigned { .. } => return Ok(()),
            Phase::Followed { .. } => Duration::ZERO,
            Phase::Restoring { .. } => request.wait,
        };
        let from = shard.next_state();
        let was_blank = shard.origin().is_none();
        let read = self.bus.read_state(number, from, &request);
        let mut read = read.map_err(|error| {
            if let (BusError::OffsetOutOfRange { .. }, Some(snapshots)) =
                (&error, &self.config.snapshots)
            {
                // A snapshot that reaches beyond the log's end says nothing of the log: the next start goes without.
                snapshots.forget(number);
            }
            unreadable(number, from, error)
        })?;
        let mut passed = false;
        if let Phase::Restoring { until, .. } = phase {
            failpoint::hit(Point::InRestore);
            // What follows the claim is another's, who took the shard meanwhile, and may be half an epoch.
            let found = read.records.len();
            read.records.retain(|record| record.offset <= *until);
            passed = read.records.len() < found;
        }
        let count = read.records.len();
        shard
            .restore(&read.records)
            .map_err(|source| WorkerError::State { source })?;
        if was_blank && let Some(snapshots) = &self.config.snapshots {
            let until = match phase {
                Phase::Restoring { until, .. } => Some(*until),
                Phase::Followed { .. } | Phase::Assigned { .. } | Phase::Active => None,
            };
            if let Some(loaded) = snapshots.load(shard, until, now) {
                *shard = loaded;
            }
        }
        match phase {
            Phase::Active | Phase::Assigned { .. } => {}
            Phase::Followed { caught_up } => *caught_up |= count == 0,
            Phase::Restoring { moved, .. } if count > 0 => *moved = now,
            Phase::Restoring { moved, .. } => {
                let still = Duration::from_millis(
                    u64::try_from(now.millis() - moved.millis()).unwrap_or(0),
                );
                if still > STALL {
                    return Err(WorkerError::Stalled {
                        shard: number,
                        offset: shard.next_state(),
                        after: STALL,
                    });
                }
            }
        }
        let done = match phase {
            Phase::Restoring { inputs, until, .. } if passed || shard.next_state() > *until => {
                Some(std::mem::take(inputs))
            }
            Phase::Restoring { .. }
            | Phase::Followed { .. }
            | Phase::Assigned { .. }
            | Phase::Active => None,
        };
        done.map_or(Ok(()), |inputs| self.activate(number, &inputs))
    }

    fn activate(&mut self, number: i32, inputs: &[Input]) -> Result<(), WorkerError> {
        let sources = &self.config.decoder.sources;
        let Some((shard, phase)) = self.held.get_mut(number) else {
            return Ok(());
        };
        for torn in shard.torn(inputs) {
            metrics::torn();
            tracing::error!(
                shard = number,
                input = torn.partition,
                state = torn.state,
                group = torn.group,
                "a transaction was torn: the group's offset is not the state's, which counts"
            );
        }
        let starts = shard
            .activate(inputs, sources)
            .map_err(|source| WorkerError::State { source })?;
        *phase = Phase::Active;
        let now = self.bus.now();
        let records = shard.begin(now);
        if !records.is_empty() && self.commit_alone(records)?.is_none() {
            // Back to where it was handed out, unless it is gone meanwhile.
            let is_active = |(shard, _): &mut (Shard, Phase)| shard.is_active();
            if self.held.get_mut(number).is_some_and(is_active) {
                self.held.lose(number);
                self.assigned(number, inputs)?;
            }
            return Ok(());
        }
        if let Some((shard, _)) = self.held.get_mut(number) {
            shard.begun(now);
        }
        self.bus.begin(number, &starts)?;
        self.renew_view();
        metrics::shards(self.held.active().count());
        Ok(())
    }

    /// Leaves the group and joins it again: every shard is another's until it is handed out anew.
    pub(super) fn rejoin(&mut self) -> Result<(), WorkerError> {
        for number in self.held.numbers() {
            self.held.lose(number);
            if self.config.shard.state.is_none() {
                self.held.remove(number);
            }
        }
        self.renew_view();
        metrics::shards(0);
        Ok(self.bus.rejoin()?)
    }

    /// Drops what was applied and not committed; what is still ours of it is read again from its state.
    pub(super) fn abandon(&mut self) -> Result<(), WorkerError> {
        if self.config.shard.state.is_none() {
            return self.rejoin();
        }
        let pending = |shard: &&Shard| shard.is_pending();
        let numbers: Vec<i32> = self
            .held
            .active()
            .filter(pending)
            .map(Shard::number)
            .collect();
        for number in numbers {
            let inputs = self.held.get_mut(number).map(|(shard, _)| shard.inputs());
            let mut inputs = inputs.unwrap_or_default();
            // What the group told when it handed the shard out is behind the state by now, and no sign of a torn transaction.
            for input in &mut inputs {
                input
                    .committed
                    .take_if(|committed| committed.epoch.is_some());
            }
            self.held.lose(number);
            self.assigned(number, &inputs)?;
        }
        self.renew_view();
        Ok(())
    }

    /// Shows the incidents of the shards that are worked on, and no others.
    fn renew_view(&self) {
        self.view.clear();
        metrics::incidents_forgotten();
        for incident in self.held.active().flat_map(Shard::incidents) {
            let incident = Arc::new(incident);
            metrics::incident_shown(&incident, None);
            self.view.publish(incident);
        }
    }
}

/// What is not in the log any more was a part of the state.
fn unreadable(shard: i32, offset: i64, error: BusError) -> WorkerError {
    match error {
        BusError::OffsetOutOfRange { .. } => WorkerError::State {
            source: RestoreError::Cut { shard, offset },
        },
        error @ (BusError::Topics { .. } | BusError::Client { .. }) => error.into(),
    }
}
