//! Topics read once, from somewhere to the end there was: for commands that look at what is written.

use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;

use super::context::Context;
use super::record::{self, fatal};
use super::{client, properties};
use crate::bus::{BusError, Committed, Partition, Record};
use crate::config::Config;

/// Reads what is committed of one partition, from an offset to the end.
pub(crate) struct Scan {
    /// Before the client, which must go last.
    queue: PartitionQueue<Context>,
    consumer: Arc<BaseConsumer<Context>>,
    partition: Partition,
}

/// How long a partition may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

impl Scan {
    /// Begins to read `partition` at `from`.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub(crate) fn new(config: &Config, partition: Partition, from: i64) -> Result<Self, BusError> {
        let failed = |error: KafkaError| client("read a topic", &error);
        let consumer: BaseConsumer<Context> = properties::inputs(config, 1)
            .create_with_context(Context::default())
            .map_err(failed)?;
        let consumer = Arc::new(consumer);
        let queue = consumer.split_partition_queue(&partition.topic, partition.number);
        let queue = queue.ok_or_else(|| BusError::Client {
            action: "read a topic",
            problem: format!("{partition} has no queue"),
        })?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(from))
            .map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        Ok(Self {
            queue,
            consumer,
            partition,
        })
    }

    /// Returns the next record; none at the end.
    ///
    /// # Errors
    /// When nothing is heard for 30 s, or the offset is not there any more.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, BusError> {
        let deadline = Instant::now() + ANSWER;
        loop {
            // Errors and statistics come this way, records do not.
            drop(self.consumer.poll(Duration::ZERO));
            match self.queue.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => return Ok(Some(record::record(&self.partition, &message))),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) => fatal(&self.partition, &error)?,
                None if Instant::now() > deadline => {
                    return Err(BusError::Client {
                        action: "read a topic",
                        problem: format!("{} does not answer", self.partition),
                    });
                }
                None => {}
            }
        }
    }
}

/// Returns what the group has committed for each of these partitions.
///
/// # Errors
/// When the group cannot be asked.
pub(crate) fn committed(
    config: &Config,
    partitions: &[Partition],
) -> Result<Vec<Option<Committed>>, BusError> {
    let failed = |error: KafkaError| client("read the committed offsets", &error);
    let consumer: BaseConsumer<Context> = properties::inputs(config, 1)
        .create_with_context(Context::default())
        .map_err(failed)?;
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    let found = consumer.committed_offsets(list, ANSWER).map_err(failed)?;
    let of = |partition| record::committed(&found, partition);
    partitions.iter().map(of).collect()
}
