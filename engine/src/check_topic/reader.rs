//! Reading topics from outside of the group: each from its start to an end that was looked up before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::bus::kafka::properties;
use crate::bus::kafka::record::record;
use crate::bus::{BusError, Partition, Record};
use crate::config::Config;

/// A topic could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A request failed.
    #[error("cannot {action}")]
    Request {
        /// What was asked for.
        action: String,
        /// What the client said.
        source: KafkaError,
    },
    /// The group's offsets could not be read.
    #[error(transparent)]
    Group(#[from] BusError),
    /// Nothing came for long.
    #[error("{topic} gave nothing for {} s and is not at its end", .after.as_secs())]
    Stalled {
        /// The topic.
        topic: String,
        /// The bound.
        after: Duration,
    },
}

/// Which records are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Isolation {
    Committed,
    Uncommitted,
}

/// Part of a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stretch {
    pub(super) partition: Partition,
    /// The first offset.
    pub(super) start: i64,
    /// The offset behind the last.
    pub(super) end: i64,
}

/// Two handles that belong to no group's assignment and commit nothing.
pub(super) struct Reader {
    committed: BaseConsumer,
    uncommitted: BaseConsumer,
    counts: BTreeMap<String, i32>,
}

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long nothing may come: a transaction that nobody ends is aborted by the brokers in less.
const STALL: Duration = Duration::from_secs(60);
/// Pause between two looks at an end that a transaction holds back.
const PAUSE: Duration = Duration::from_millis(100);

impl Reader {
    pub(super) fn new(config: &Config) -> Result<Self, ReadError> {
        let create = |isolation: &str| {
            let client = properties::reader(config, isolation);
            client.create().map_err(failed("create a consumer"))
        };
        let committed: BaseConsumer = create("read_committed")?;
        let metadata = committed
            .fetch_metadata(None, REQUEST)
            .map_err(failed("list the topics"))?;
        let counts = metadata.topics().iter().map(|topic| {
            let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            (topic.name().to_owned(), count)
        });
        Ok(Self {
            counts: counts.collect(),
            uncommitted: create("read_uncommitted")?,
            committed,
        })
    }

    /// Returns the partitions of a topic; none where it does not exist.
    pub(super) fn partitions(&self, topic: &str) -> Vec<Partition> {
        let count = self.counts.get(topic).copied().unwrap_or(0);
        let topic: Arc<str> = topic.into();
        let partition = |number| Partition {
            topic: Arc::clone(&topic),
            number,
        };
        (0..count).map(partition).collect()
    }

    /// Returns what there is of a topic now, open and aborted transactions included.
    pub(super) fn stretches(&self, topic: &str) -> Result<Vec<Stretch>, ReadError> {
        let stretch = |partition: Partition| {
            let (start, end) = ends(&self.uncommitted, &partition)?;
            Ok(Stretch {
                partition,
                start,
                end,
            })
        };
        self.partitions(topic).into_iter().map(stretch).collect()
    }

    /// Waits until no transaction is open below the ends, and brings down those where one stays open. Returns the partitions
    /// where one does.
    pub(super) fn settle(&self, stretches: &mut [Stretch]) -> Result<Vec<Partition>, ReadError> {
        let deadline = Instant::now() + STALL;
        let mut held = Vec::new();
        for stretch in stretches {
            loop {
                let (_, stable) = ends(&self.committed, &stretch.partition)?;
                if stable >= stretch.end {
                    break;
                }
                if Instant::now() >= deadline {
                    stretch.end = stable;
                    held.push(stretch.partition.clone());
                    break;
                }
                // Serves the client's callbacks meanwhile; nothing is assigned.
                drop(self.committed.poll(PAUSE));
            }
        }
        Ok(held)
    }

    /// Reads the stretches of one topic; the records of one partition come in their order. Returns how many there were.
    pub(super) fn read(
        &self,
        isolation: Isolation,
        stretches: &[Stretch],
        each: &mut dyn FnMut(Record),
    ) -> Result<u64, ReadError> {
        let consumer = match isolation {
            Isolation::Committed => &self.committed,
            Isolation::Uncommitted => &self.uncommitted,
        };
        let mut open: BTreeMap<i32, &Stretch> = stretches
            .iter()
            .filter(|stretch| stretch.start < stretch.end)
            .map(|stretch| (stretch.partition.number, stretch))
            .collect();
        let mut list = TopicPartitionList::with_capacity(open.len());
        for stretch in open.values() {
            let Partition { topic, number } = &stretch.partition;
            list.add_partition_offset(topic, *number, Offset::Offset(stretch.start))
                .map_err(failed("assign partitions"))?;
        }
        consumer
            .assign(&list)
            .map_err(failed("assign partitions"))?;
        let mut count = 0;
        while let Some(stretch) = open.values().next() {
            let topic = &stretch.partition.topic;
            match consumer.poll(STALL) {
                None => {
                    return Err(ReadError::Stalled {
                        topic: topic.to_string(),
                        after: STALL,
                    });
                }
                Some(Err(KafkaError::PartitionEOF(number))) => drop(open.remove(&number)),
                Some(Err(source @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(failed(format!("read {topic}"))(source));
                }
                // The client goes on by itself, or there is nothing for long.
                Some(Err(error)) => tracing::warn!(%error, %topic, "cannot read yet"),
                Some(Ok(message)) => {
                    let number = message.partition();
                    let Some(stretch) = open.get(&number) else {
                        continue;
                    };
                    if message.offset() < stretch.end {
                        count += 1;
                        each(record(&stretch.partition, &message));
                    }
                    if message.offset() + 1 >= stretch.end {
                        open.remove(&number);
                    }
                }
            }
        }
        consumer
            .unassign()
            .map_err(failed("give partitions back"))?;
        Ok(count)
    }
}

fn ends(consumer: &BaseConsumer, partition: &Partition) -> Result<(i64, i64), ReadError> {
    consumer
        .fetch_watermarks(&partition.topic, partition.number, REQUEST)
        .map_err(failed(format!("look up the ends of {partition}")))
}

fn failed(action: impl Into<String>) -> impl FnOnce(KafkaError) -> ReadError {
    let action = action.into();
    move |source| ReadError::Request { action, source }
}
