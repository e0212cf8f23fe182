//! What the clients call back: assignments, statistics, logs, errors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::bus::Written;

/// What the group did to the subscribed topic's partitions, in order; filled inside `poll`, on the polling thread.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum GroupEvent {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
    /// Taken away before it could be given back: the group has not heard of this member for too long.
    Lost(Vec<i32>),
}

/// Callbacks of every handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    events: Arc<Mutex<Vec<GroupEvent>>>,
    ends: Arc<Mutex<Ends>>,
    /// The state topic, and the last offset written to each of its partitions.
    state: Arc<str>,
    written: Arc<Mutex<Written>>,
}

/// By topic and partition, those nobody reads here included: the first offset there is, and the one behind the last that
/// a reader of committed records sees; below 0 where they are not known yet.
pub(super) type Ends = BTreeMap<(String, i32), End>;

/// What a client told of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) first: i64,
    pub(super) end: i64,
    /// Behind the last record there is, whether committed or not.
    pub(super) last: i64,
    pub(super) has_leader: bool,
}

impl Context {
    /// Makes the context of a producer that is to tell where its records of `state` went.
    pub(super) fn of_writer(state: &str) -> Self {
        Self {
            state: state.into(),
            ..Self::default()
        }
    }

    /// Returns the last offset acknowledged in each partition of the state topic since they were last taken.
    pub(super) fn take_written(&self) -> Written {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut written)
    }

    pub(super) fn take_events(&self) -> Vec<GroupEvent> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut events)
    }

    /// Returns the ends of the partitions, if the client told of them since they were last taken.
    pub(super) fn take_ends(&self) -> Ends {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut ends)
    }

    fn note(&self, event: GroupEvent) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "kafka client"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, message, "kafka client");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition comes this way too.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "kafka client");
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            return;
        };
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in statistics.topics.values() {
            // Partition -1 is the client's own.
            for partition in topic.partitions.values().filter(|p| p.partition >= 0) {
                let key = (topic.topic.clone(), partition.partition);
                let end = End {
                    first: partition.lo_offset,
                    end: partition.ls_offset,
                    last: partition.hi_offset,
                    has_leader: partition.leader >= 0,
                };
                ends.insert(key, end);
            }
        }
    }
}

impl ConsumerContext for Context {
    /// Before what follows: once the assignment is given back it no longer counts as lost.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.note(GroupEvent::Assigned(numbers(list))),
            Rebalance::Revoke(list) if consumer.assignment_lost() => {
                self.note(GroupEvent::Lost(numbers(list)));
            }
            Rebalance::Revoke(list) => self.note(GroupEvent::Revoked(numbers(list))),
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance failed"),
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    /// A record that failed makes its transaction fail: there the error is handled.
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result
            && message.topic() == &*self.state
        {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let last = written.entry(message.partition()).or_insert(-1);
            *last = message.offset().max(*last);
        }
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    let elements = list.elements();
    elements.iter().map(|element| element.partition()).collect()
}
