//! How a member commits: the requests of one transaction, each of which may fail, and what the client makes of it.

use super::{Fault, Fence, MemoryBus, Mistake, Point, Producer, Refusal};
use crate::bus::{BusError, CommitError, Committed, Epoch, Moved, Partition, Written};

/// The producer of a member, and what it knows of its last commit.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// With the shard that it is named after.
    producer: Option<(i32, Producer)>,
    /// The producer cannot be used any more.
    broken: bool,
    /// Its last transaction was slow to end: the next one needs a producer of a new epoch.
    slow: bool,
    /// The last commit was asked for and not answered.
    in_doubt: bool,
    /// The generation of the first commit, for the client that makes the mistake to keep it.
    cached: Option<i64>,
}

/// How an attempt ended that was not committed.
enum Attempt {
    /// Not committed, or not any more.
    Failed(CommitError),
    /// It may have been committed: the offsets tell, once a new producer has ended the transaction.
    InDoubt(String),
}

/// How long a request is waited for, in milliseconds.
const REQUEST_MS: i64 = 5_000;
/// How long an unanswered commit is repeated.
const COMMIT_MS: i64 = 20_000;
/// A transaction that took longer may still be ended by a request that was lost on the way: the producer is replaced.
const SLOW_MS: i64 = 1_000;

impl MemoryBus {
    /// Makes the producer whose name fits the shards: with it ends what others left open under that name.
    pub(super) fn name_producer(&mut self) {
        let lowest = self.owned.keys().next().copied();
        let named = self.client.producer.as_ref().map(|(shard, _)| *shard);
        let keeps = self.mistake == Some(Mistake::KeepProducer);
        let spent = self.client.broken || (self.client.slow && !keeps);
        if named == lowest && !spent {
            return;
        }
        self.client.producer = None;
        (self.client.broken, self.client.slow) = (false, false);
        if let Some(shard) = lowest {
            self.fault(Point::Init);
            let producer = Producer::init(&self.memory, &format!("fusor-{shard}"));
            self.client.producer = Some((shard, producer));
        }
    }

    pub(super) fn commit_epoch(&mut self, epoch: &Epoch) -> Result<Written, CommitError> {
        let fence = self.fence()?;
        let refusal = self.memory.lock().refusals.pop_front();
        refusal.map_or(Ok(()), Err)?;
        let aborted = |error: BusError| CommitError::Aborted {
            problem: error.to_string(),
        };
        self.name_producer();
        if self.client.in_doubt && self.is_committed(epoch).map_err(aborted)? {
            self.client.in_doubt = false;
            return Ok(Written::new());
        }
        self.client.in_doubt = false;
        let Some((shard, mut producer)) = self.client.producer.take() else {
            return Err(fenced("the member has no shard"));
        };
        let started = self.memory.lock().now();
        let attempt = self.attempt(&mut producer, epoch, fence);
        self.client.slow |= self.memory.lock().now() - started > SLOW_MS;
        self.client.producer = Some((shard, producer));
        match attempt {
            Ok(mut written) => {
                if self.mistake == Some(Mistake::StopAtStable) && epoch.offsets.is_empty() {
                    self.stop_at_stable(&mut written);
                }
                self.committed_epoch(written)
            }
            Err(Attempt::Failed(error)) => Err(error),
            Err(Attempt::InDoubt(problem)) => {
                (self.client.broken, self.client.in_doubt) = (true, true);
                Err(CommitError::Aborted { problem })
            }
        }
    }

    /// Moves what was written to the last record below the last stable offset.
    fn stop_at_stable(&self, written: &mut Written) {
        let Some(topic) = &self.state else {
            return;
        };
        for (shard, offset) in written {
            let last = self.memory.read(topic, *shard).pop();
            *offset = last.map_or(-1, |record| record.offset);
        }
    }

    fn committed_epoch(&self, written: Written) -> Result<Written, CommitError> {
        let mut cluster = self.memory.lock();
        cluster.commits += 1;
        let lost = cluster.answers_lost > 0;
        cluster.answers_lost = cluster.answers_lost.saturating_sub(1);
        drop(cluster);
        self.memory.compact_dirty();
        if lost {
            return Err(fenced("the answer was lost with the membership"));
        }
        Ok(written)
    }

    /// Returns what goes with the offsets, as the client sees the group now.
    fn fence(&mut self) -> Result<Fence, CommitError> {
        if let Some(heard) = self.memory.lock().group.heard(self.member) {
            self.generation = heard;
        }
        if self.generation < 0 {
            return Err(fenced("the member is in no generation"));
        }
        let now = self.generation;
        let generation = match self.mistake {
            Some(Mistake::CacheGeneration) => *self.client.cached.get_or_insert(now),
            Some(Mistake::OmitGeneration) => -1,
            Some(Mistake::OffsetsOutside | Mistake::KeepProducer | Mistake::StopAtStable)
            | None => now,
        };
        Ok(Fence {
            member: self.member,
            generation,
        })
    }

    /// Returns whether the group's offsets are those of an epoch, and so the epoch was committed.
    fn is_committed(&self, epoch: &Epoch) -> Result<bool, BusError> {
        let partitions: Vec<Partition> = epoch
            .offsets
            .iter()
            .map(|moved| moved.partition.clone())
            .collect();
        let found = self.committed(&partitions)?;
        let attempted = offsets(epoch).map(|(_, committed)| Some(committed));
        Ok(!partitions.is_empty() && found.into_iter().eq(attempted))
    }

    fn attempt(
        &self,
        producer: &mut Producer,
        epoch: &Epoch,
        fence: Fence,
    ) -> Result<Written, Attempt> {
        self.request(producer, Point::Begin)?;
        let mut written = Written::new();
        for (number, record) in epoch.records.iter().enumerate() {
            self.request(producer, Point::Send(number))?;
            let (partition, offset) = producer
                .send(record)
                .map_err(|refusal| fail(producer, refusal))?;
            if self.state.as_ref() == Some(&partition.topic) {
                written.insert(partition.number, offset);
            }
        }
        self.request(producer, Point::Offsets)?;
        let outside = self.mistake == Some(Mistake::OffsetsOutside);
        if !epoch.offsets.is_empty() && !outside {
            let sent = producer.send_offsets(fence, offsets(epoch));
            sent.map_err(|refusal| fail(producer, refusal))?;
        }
        self.end(producer)?;
        if outside {
            self.fault(Point::Offsets);
            let mut cluster = self.memory.lock();
            for (partition, committed) in offsets(epoch) {
                cluster.commit_offset(partition, committed);
            }
        }
        Ok(written)
    }

    /// Puts a request before the end of the transaction on its way. One that is lost, or its answer, is repeated by the client,
    /// and the broker knows it again: only time passes.
    fn request(&self, producer: &mut Producer, point: Point) -> Result<(), Attempt> {
        match self.fault(point) {
            Some(Fault::Refuse) => {
                let problem = format!("refused at {point:?}");
                Err(abort(producer, CommitError::Aborted { problem }))
            }
            Some(Fault::LoseRequest | Fault::LoseAnswer) => {
                self.memory.advance(REQUEST_MS);
                Ok(())
            }
            Some(Fault::Delay(millis)) => {
                self.memory.advance(millis);
                Ok(())
            }
            Some(Fault::Crash) | None => Ok(()),
        }
    }

    /// Asks for the end of the transaction until it is answered, or for so long that the answer has to be looked up.
    fn end(&self, producer: &mut Producer) -> Result<(), Attempt> {
        let deadline = self.memory.lock().now() + COMMIT_MS;
        while self.memory.lock().now() < deadline {
            match self.fault(Point::End) {
                Some(Fault::Refuse) => {
                    let problem = "refused at the end".to_owned();
                    return Err(abort(producer, CommitError::Aborted { problem }));
                }
                Some(Fault::LoseRequest) => self.memory.advance(REQUEST_MS),
                Some(Fault::Delay(millis)) => {
                    producer.end_later(true, millis);
                    self.memory.advance(millis.min(REQUEST_MS));
                }
                lost @ (Some(Fault::LoseAnswer | Fault::Crash) | None) => {
                    let ended = producer.end(true);
                    self.fault(Point::Answer);
                    if lost.is_none() {
                        // How an end that was asked for came out, a refusal does not say.
                        return ended.map_err(|refusal| Attempt::InDoubt(refusal.to_string()));
                    }
                    self.memory.advance(REQUEST_MS);
                }
            }
        }
        Err(Attempt::InDoubt("the commit was not answered".to_owned()))
    }
}

fn offsets(epoch: &Epoch) -> impl Iterator<Item = (Partition, Committed)> {
    epoch.offsets.iter().map(|moved: &Moved| {
        let committed = Committed {
            next: moved.next,
            epoch: Some(moved.epoch),
            writer: moved.writer,
        };
        (moved.partition.clone(), committed)
    })
}

/// Turns the refusal of a request before the end into what the client makes of it.
fn fail(producer: &mut Producer, refusal: Refusal) -> Attempt {
    let problem = refusal.to_string();
    match refusal {
        // Another took this producer's name, or the broker ended the transaction after its time. Neither says that the
        // shards are gone.
        Refusal::ProducerFenced => Attempt::InDoubt(problem),
        Refusal::UnknownMember => abort(producer, fenced(&problem)),
        Refusal::InvalidState
        | Refusal::IllegalGeneration
        | Refusal::NoKey
        | Refusal::NoPartition(_) => abort(producer, CommitError::Aborted { problem }),
    }
}

/// Aborts the transaction. Where that is refused it has ended, one way or the other.
fn abort(producer: &mut Producer, reason: CommitError) -> Attempt {
    match producer.end(false) {
        Ok(()) => Attempt::Failed(reason),
        Err(refusal) => Attempt::InDoubt(format!("{reason}; {refusal}")),
    }
}

fn fenced(problem: &str) -> CommitError {
    CommitError::Fenced {
        problem: problem.to_owned(),
    }
}
