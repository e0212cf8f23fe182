//! The handle that reads the state of shards, each partition through a queue of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::Context;
use super::record::{fatal, record};
use super::{client, properties};
use crate::bus::{BusError, Partition, Request, StateRead};
use crate::config::Config;

/// Reads the state topic, what is committed of it.
pub(crate) struct States {
    /// Before the client, which must go last.
    lanes: BTreeMap<i32, Reader>,
    consumer: Arc<BaseConsumer<Context>>,
    topic: Arc<str>,
}

struct Reader {
    queue: PartitionQueue<Context>,
    next: i64,
}

/// Longest sleep between two looks at the queue; one that fills ends it at once.
const NAP: Duration = Duration::from_millis(50);

impl States {
    pub(crate) fn new(config: &Config, shards: i32) -> Result<Self, BusError> {
        let partitions = usize::try_from(shards).unwrap_or(1);
        let consumer: BaseConsumer<Context> = properties::inputs(config, partitions)
            .create_with_context(Context::default())
            .map_err(|error| client("create a consumer", &error))?;
        Ok(Self {
            lanes: BTreeMap::new(),
            consumer: Arc::new(consumer),
            topic: config.outputs.state.as_str().into(),
        })
    }

    /// Reads on in a partition from `from`, waiting at most the request's wait for a first record.
    pub(crate) fn read(
        &mut self,
        shard: i32,
        from: i64,
        request: &Request,
    ) -> Result<StateRead, BusError> {
        // Errors and statistics come this way, records do not.
        if let Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) =
            self.consumer.poll(Duration::ZERO)
        {
            return Err(client("read the state", &error));
        }
        if self
            .lanes
            .get(&shard)
            .is_none_or(|reader| reader.next != from)
        {
            self.seek(shard, from)?;
        }
        let partition = self.partition(shard);
        let Some(reader) = self.lanes.get_mut(&shard) else {
            return Ok(StateRead {
                next: from,
                ..StateRead::default()
            });
        };
        let mut read = StateRead {
            next: from,
            ..StateRead::default()
        };
        let mut bytes = 0;
        let deadline = Instant::now() + request.wait;
        while read.records.len() < request.records_max && bytes < request.bytes_max {
            match reader.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let record = record(&partition, &message);
                    bytes += record.bytes();
                    reader.next = record.offset + 1;
                    read.records.push(record);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => fatal(&partition, &error)?,
                None => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !read.records.is_empty() || left.is_zero() {
                        break;
                    }
                    thread::park_timeout(left.min(NAP));
                }
            }
        }
        read.next = reader.next;
        Ok(read)
    }

    fn seek(&mut self, shard: i32, from: i64) -> Result<(), BusError> {
        let failed = |error: KafkaError| client("assign the state", &error);
        if self.lanes.remove(&shard).is_some() {
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition(&self.topic, shard);
            self.consumer.incremental_unassign(&list).map_err(failed)?;
        }
        let queue = self.consumer.split_partition_queue(&self.topic, shard);
        let mut queue = queue.ok_or_else(|| BusError::Client {
            action: "assign the state",
            problem: format!("{} has no queue", self.partition(shard)),
        })?;
        let worker = thread::current();
        queue.set_nonempty_callback(move || worker.unpark());
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, shard, Offset::Offset(from))
            .map_err(failed)?;
        self.lanes.insert(shard, Reader { queue, next: from });
        self.consumer.incremental_assign(&list).map_err(failed)
    }

    fn partition(&self, shard: i32) -> Partition {
        Partition {
            topic: Arc::clone(&self.topic),
            number: shard,
        }
    }
}
