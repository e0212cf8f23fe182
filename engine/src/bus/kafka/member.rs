//! The handle that is a member of the group: it subscribes to the state topic alone and is handed shards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::context::{Context, GroupEvent};
use super::{client, properties, record};
use crate::bus::{BusError, Committed, Partition};
use crate::config::Config;
use crate::readiness::Readiness;

/// A member of the group.
pub(super) struct Member {
    consumer: BaseConsumer<Context>,
    context: Context,
    readiness: Arc<Readiness>,
    /// The generation that was lost: until the group has answered with another, this member is in none.
    lost: Option<i32>,
}

/// How long committed offsets are asked for: a dead predecessor's transaction may have to run out first.
const COMMITTED_WAIT: Duration = Duration::from_secs(60);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

impl Member {
    pub(super) fn join(config: &Config, readiness: Arc<Readiness>) -> Result<Self, BusError> {
        let context = Context::default();
        let consumer: BaseConsumer<Context> = properties::member(config)
            .create_with_context(context.clone())
            .map_err(|error| client("create a consumer", &error))?;
        consumer
            .subscribe(&[config.outputs.state.as_str()])
            .map_err(|error| client("subscribe to the state topic", &error))?;
        Ok(Self {
            consumer,
            context,
            readiness,
            lost: None,
        })
    }

    /// Serves the group for at most `wait` and returns what it did.
    ///
    /// # Errors
    /// When the client gave up being a member for good.
    pub(super) fn poll(&mut self, wait: Duration) -> Result<Vec<GroupEvent>, BusError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // The state topic is held, so what comes here is an error at most, and the context has logged it.
            if let Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) =
                self.consumer.poll(left)
            {
                return Err(client("stay in the group", &error));
            }
            let events = self.context.take_events();
            self.hold(&events);
            if events
                .iter()
                .any(|event| matches!(event, GroupEvent::Lost(_)))
            {
                self.lost = Some(generation(&self.consumer));
            }
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
        }
    }

    /// Keeps the state topic from being read through this handle: its records are not the worker's input.
    fn hold(&self, events: &[GroupEvent]) {
        if events.is_empty() {
            return;
        }
        let paused = self
            .consumer
            .assignment()
            .and_then(|all| self.consumer.pause(&all));
        if let Err(error) = paused {
            tracing::debug!(%error, "cannot pause the state topic");
        }
    }

    /// Returns whether the group has taken this member in.
    pub(super) fn is_joined(&self) -> bool {
        let generation = generation(&self.consumer);
        generation >= 0 && self.lost != Some(generation) && !self.consumer.assignment_lost()
    }

    /// Returns the generation of the group this member is in, below 0 for none.
    pub(super) fn generation(&self) -> i32 {
        generation(&self.consumer)
    }

    /// Returns the metadata that fences the offsets of a transaction, as the group sees this member now.
    /// None where the member is in no generation: the coordinator would not check those offsets at all.
    pub(super) fn fence(&self) -> Option<ConsumerGroupMetadata> {
        if self.consumer.assignment_lost() || generation(&self.consumer) < 0 {
            return None;
        }
        self.consumer.group_metadata()
    }

    /// Returns the group's committed offset of each partition, or none where there is none.
    pub(super) fn committed(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, Option<Committed>)>, BusError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&partition.topic, partition.number);
        }
        let deadline = Instant::now() + COMMITTED_WAIT;
        let answer = loop {
            match self.consumer.committed_offsets(list.clone(), REQUEST) {
                Ok(answer) => break answer,
                Err(error) if Instant::now() > deadline => {
                    return Err(client("read the committed offsets", &error));
                }
                Err(error) => tracing::warn!(%error, "cannot read the committed offsets yet"),
            }
            self.readiness.beat();
        };
        partitions
            .iter()
            .map(|partition| {
                let committed = record::committed(&answer, partition)?;
                Ok((partition.clone(), committed))
            })
            .collect()
    }
}

/// Returns the generation of the group this member is in, below 0 for none.
#[expect(
    unsafe_code,
    reason = "rdkafka keeps the pointer of its group metadata to itself, and a commit without a generation is not fenced"
)]
fn generation(consumer: &BaseConsumer<Context>) -> i32 {
    // SAFETY: the client outlives the call, the metadata is checked for null, read while it is ours and destroyed once.
    unsafe {
        let metadata =
            rdkafka::bindings::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return -1;
        }
        let generation =
            rdkafka::bindings::rd_kafka_consumer_group_metadata_generation_id(metadata);
        rdkafka::bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        generation
    }
}
