//! The transactional producer: one epoch, one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::Context;
use super::{client, properties};
use crate::bus::{BusError, CommitError, Epoch, Moved, NewRecord, Written};
use crate::config::Config;
use crate::failpoint::{self, Point};
use crate::readiness::Readiness;

/// A producer of one transactional id.
pub(super) struct Writer {
    producer: BaseProducer<Context>,
    readiness: Arc<Readiness>,
    /// The transaction was asked to be committed: only an answer tells whether it was.
    asked: bool,
    /// The next transaction needs a producer of a new epoch.
    spent: bool,
}

/// How an attempt ended that was not committed.
pub(super) enum Attempt {
    /// Not committed, or not any more.
    Failed(CommitError),
    /// It may have been committed: the offsets tell, once a new producer has ended the transaction.
    InDoubt(String),
}

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long the producer waits for its id, a predecessor's transaction included.
const INIT: Duration = Duration::from_secs(60);
/// How long records may take to be acknowledged; past the producer's own bound for each.
const DRAIN: Duration = Duration::from_secs(15);
/// How long an unanswered commit is repeated.
const COMMIT: Duration = Duration::from_secs(20);
/// A transaction that took longer may still be ended by a request that was lost on the way, and the client cannot tell
/// such an end from that of the next transaction: the producer is replaced.
const SLOW: Duration = Duration::from_secs(1);
/// Too short for an answer: the request is on its way when a test's failpoint is met.
const INTERRUPTED: Duration = Duration::from_millis(1);

impl Writer {
    /// Creates the producer, which ends whatever transaction another of the same id left open.
    pub(super) fn new(
        config: &Config,
        transactional_id: &str,
        readiness: Arc<Readiness>,
    ) -> Result<Self, BusError> {
        let context = Context::of_writer(config.outputs.state.as_str());
        let producer: BaseProducer<Context> = properties::producer(config, transactional_id)
            .create_with_context(context)
            .map_err(|error| client("create a producer", &error))?;
        let deadline = Instant::now() + INIT;
        while let Err(error) = producer.init_transactions(REQUEST) {
            if !is_retriable(&error) || Instant::now() > deadline {
                return Err(client("initialise transactions", &error));
            }
            tracing::warn!(%error, "cannot initialise transactions yet");
            readiness.beat();
        }
        Ok(Self {
            producer,
            readiness,
            asked: false,
            spent: false,
        })
    }

    /// Returns whether this producer must not be used again.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Writes one epoch, its offsets only where there is a fence for them; after a failure nothing of it is visible, unless the end is in doubt.
    pub(super) fn commit(
        &mut self,
        epoch: &Epoch,
        fence: Option<&ConsumerGroupMetadata>,
    ) -> Result<Written, Attempt> {
        let started = Instant::now();
        self.producer.context().take_written();
        let result = self.try_commit(epoch, fence);
        self.spent |= started.elapsed() > SLOW;
        result.map(|()| self.producer.context().take_written())
    }

    fn try_commit(
        &mut self,
        epoch: &Epoch,
        fence: Option<&ConsumerGroupMetadata>,
    ) -> Result<(), Attempt> {
        self.asked = false;
        failpoint::hit(Point::BeforeBegin);
        if let Err(error) = self.producer.begin_transaction() {
            // There is nothing to abort, and what is in the way is gone with the producer.
            self.spent = true;
            return Err(self.fail(&error));
        }
        for record in &epoch.records {
            self.send(record).map_err(|error| self.fail(&error))?;
        }
        failpoint::hit(Point::AfterProduce);
        let deadline = Instant::now() + COMMIT;
        if let Some(fence) = fence
            && !epoch.offsets.is_empty()
        {
            self.send_offsets(epoch, fence, deadline)?;
        }
        if !self.drain() {
            let problem = "records were not acknowledged in time".to_owned();
            return Err(self.abort(CommitError::Aborted { problem }));
        }
        failpoint::hit(Point::AfterSendOffsets);
        self.asked = true;
        let mut answer = if failpoint::is_due(Point::MidCommit) {
            let answer = self.producer.commit_transaction(INTERRUPTED);
            failpoint::hit(Point::MidCommit);
            answer
        } else {
            self.producer.commit_transaction(REQUEST)
        };
        while let Err(error) = answer {
            if !is_retriable(&error) {
                return Err(self.fail(&error));
            }
            self.readiness.beat();
            if Instant::now() > deadline {
                self.spent = true;
                return Err(Attempt::InDoubt(error.to_string()));
            }
            answer = self.producer.commit_transaction(REQUEST);
        }
        Ok(())
    }

    fn send_offsets(
        &mut self,
        epoch: &Epoch,
        fence: &ConsumerGroupMetadata,
        deadline: Instant,
    ) -> Result<(), Attempt> {
        let offsets = offsets(epoch).map_err(|error| self.fail(&error))?;
        while let Err(error) = self
            .producer
            .send_offsets_to_transaction(&offsets, fence, REQUEST)
        {
            if !is_retriable(&error) || Instant::now() > deadline {
                return Err(self.fail(&error));
            }
            self.readiness.beat();
        }
        Ok(())
    }

    fn send(&self, record: &NewRecord) -> Result<(), KafkaError> {
        let headers = record.headers.iter().fold(
            OwnedHeaders::new_with_capacity(record.headers.len()),
            |all, header| {
                all.insert(KafkaHeader {
                    key: &header.name,
                    value: header.value.as_deref(),
                })
            },
        );
        let mut message: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&record.topic).headers(headers);
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.partition = record.partition;
        message.timestamp = record.timestamp;
        let deadline = Instant::now() + DRAIN;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((error, back)) => {
                    let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                    if !full || Instant::now() > deadline {
                        return Err(error);
                    }
                    self.producer.poll(Duration::from_millis(1));
                    message = back;
                }
            }
        }
    }

    /// Waits until every record is acknowledged or has failed. `commit_transaction` would do it in steps of 100 ms, and
    /// an abort with reports still unread fails.
    fn drain(&self) -> bool {
        let deadline = Instant::now() + DRAIN;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > deadline {
                return false;
            }
            self.producer.poll(Duration::from_millis(1));
        }
        true
    }

    fn fail(&mut self, error: &KafkaError) -> Attempt {
        let problem = error.to_string();
        if is_fatal(error) {
            // Another took this producer's name, or the broker ended the transaction after its time. Neither says that the
            // shards are gone, nor how a commit that was under way ended: what the broker holds is looked up.
            self.spent = true;
            return Attempt::InDoubt(problem);
        }
        self.abort(if is_put_out(error) {
            CommitError::Fenced { problem }
        } else {
            CommitError::Aborted { problem }
        })
    }

    /// Aborts the transaction; where that cannot be done, the next producer of this id does it.
    fn abort(&mut self, reason: CommitError) -> Attempt {
        let drained = self.drain();
        self.readiness.beat();
        match self.producer.abort_transaction(REQUEST) {
            Ok(()) => {
                self.spent |= !drained;
                Attempt::Failed(reason)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot abort");
                self.spent = true;
                if self.asked {
                    Attempt::InDoubt(reason.to_string())
                } else {
                    Attempt::Failed(reason)
                }
            }
        }
    }
}

fn offsets(epoch: &Epoch) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(epoch.offsets.len());
    for Moved {
        partition,
        next,
        epoch,
        writer,
    } in &epoch.offsets
    {
        let mut moved = list.add_partition(&partition.topic, partition.number);
        moved.set_offset(Offset::Offset(*next))?;
        moved.set_metadata(format!("{epoch}/{writer}"));
    }
    Ok(list)
}

fn is_retriable(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_retriable() && !error.is_fatal())
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_fatal())
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::Fatal
                    | RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            )
        )
}

/// Whether the group put this member out.
///
/// A generation that is not the group's any more is no such sign: a member that joined raises it, and this one
/// follows at its next poll. If its shards are gone by then the poll says so, and while it still has them nobody else
/// commits for them: an assignment is handed on only after it was given back.
fn is_put_out(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::FencedInstanceId)
    )
}

#[cfg(test)]
mod tests;
