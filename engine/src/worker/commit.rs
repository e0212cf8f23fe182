//! From what was applied to a transaction, and from a transaction to an answer.

use std::time::{Duration, Instant};

use schemas::command::Outcome;

use super::{Worker, WorkerError};
use crate::bus::{Bus, CommitError, Epoch, Header, Written};
use crate::dead_letter::dead_letter;
use crate::decode::Content;
use crate::failpoint::{self, Point};
use crate::metrics;
use crate::outcome::outcome;
use crate::shard::{Applied, Shard};

/// Shortest and longest wait between two tries of an epoch.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Header of an incident, and of an outcome, that tells the shard and the number of the epoch that wrote it.
pub const EPOCH: &str = "fusor.epoch";

impl<B: Bus> Worker<B> {
    /// Puts together what the epoch writes: the incidents that changed, the outcomes, the dead letters, the state, the offsets.
    pub(super) fn epoch(&self, applied: &[Applied]) -> Result<Epoch, WorkerError> {
        let mut epoch = Epoch::default();
        for applied in applied {
            let written = (!applied.state.is_empty())
                .then(|| Header::text(EPOCH, format!("{}:{}", applied.shard, applied.epoch)));
            for incident in applied.incidents() {
                let record = self.config.publisher.record(incident);
                let mut record = record.map_err(|source| WorkerError::Encode {
                    id: incident.id.clone(),
                    source,
                })?;
                record.headers.extend(written.clone());
                epoch.records.push(record);
            }
            for fate in &applied.fates {
                if let (Content::Command(command), Some(verdict)) =
                    (&fate.decoded.content, &fate.verdict)
                {
                    let answer = Outcome::of(command, verdict.clone());
                    let record = outcome(&self.config.outcomes, &fate.decoded.record, &answer);
                    let mut record = record.map_err(|source| WorkerError::Encode {
                        id: answer.incident,
                        source,
                    })?;
                    record.headers.extend(written.clone());
                    epoch.records.push(record);
                }
                if let Content::Broken(broken) = &fate.decoded.content {
                    let topic = &self.config.dead_letters;
                    let letter = dead_letter(topic, &fate.decoded.record, broken);
                    epoch.records.push(letter);
                }
            }
            epoch.records.extend(applied.state.iter().cloned());
            epoch.offsets.extend(applied.offsets.iter().cloned());
        }
        Ok(epoch)
    }

    /// Commits the epoch, trying the same one again for as long as its shards stay.
    ///
    /// Returns false when one of them went: what was applied is undone, and what is committed is read from the state.
    pub(super) fn commit(&mut self, epoch: &Epoch) -> Result<bool, WorkerError> {
        let (mut wait, longest) = BACKOFF;
        let mut stopping_since = None;
        loop {
            let started = Instant::now();
            let problem = match self.bus.commit(epoch) {
                Ok(written) => {
                    metrics::committed(started.elapsed());
                    self.committed(&written);
                    return Ok(true);
                }
                Err(CommitError::Aborted { problem }) => problem,
                Err(CommitError::Fenced { problem }) => {
                    metrics::commit_failed(metrics::CommitFailure::Fenced);
                    tracing::warn!(problem, "put out of the group: joining again");
                    self.rejoin()?;
                    return Ok(false);
                }
            };
            metrics::commit_failed(metrics::CommitFailure::Aborted);
            tracing::warn!(problem, "an epoch was aborted and is tried again");
            if self.stopping() {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                let after = self.config.drain;
                if since.elapsed() >= after {
                    return Err(WorkerError::Drain { after, problem });
                }
            }
            self.readiness.beat();
            let polled = self.bus.keep_alive(wait)?;
            if self.follow(&polled)? {
                tracing::warn!("a shard of the epoch went to another: it is undone");
                self.abandon()?;
                return Ok(false);
            }
            wait = (wait * 2).min(longest);
        }
    }

    fn committed(&mut self, written: &Written) {
        failpoint::hit(Point::AfterCommitBeforeClear);
        for shard in self.held.active_mut().filter(|shard| shard.is_pending()) {
            shard.commit(written.get(&shard.number()).copied());
        }
    }

    /// Writes down the record that a cautious shard is about to apply; false where that could not be done yet.
    pub(super) fn is_cleared(&mut self, turn: &[i32]) -> Result<bool, WorkerError> {
        let shards = self.held.active_mut();
        let records: Vec<_> = shards
            .filter(|shard| turn.contains(&shard.number()))
            .filter_map(Shard::precaution)
            .collect();
        Ok(records.is_empty() || self.commit_alone(records)?.is_some())
    }
}
