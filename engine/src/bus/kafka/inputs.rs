//! The handle that reads the shards' inputs, assigned by hand, each partition through a queue of its own.
//!
//! A queue of its own tells apart whose end was reached, and a partition that runs ahead is held back by
//! leaving its queue alone: the client stops fetching when the queue is full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::{Context, Ends};
use super::record::{fatal, record};
use super::{client, properties};
use crate::bus::{BusError, Lane, Partition, Reading, Record, Request};
use crate::config::Config;
use crate::metrics;

/// The inputs this member reads.
pub(super) struct Inputs {
    /// Before the client, which must go last.
    lanes: BTreeMap<Lane, Reader>,
    consumer: Arc<BaseConsumer<Context>>,
    /// Partitions of each topic at the start.
    counts: BTreeMap<String, i32>,
}

/// From where an input is read.
pub(super) struct Start {
    pub(super) lane: Lane,
    pub(super) partition: Partition,
    /// The first offset; none for the start of the log.
    pub(super) next: Option<i64>,
}

struct Reader {
    partition: Partition,
    queue: PartitionQueue<Context>,
    at_end: bool,
    /// A partition without a leader gives no records and no error.
    has_leader: bool,
    /// Nothing behind the first open transaction is handed out.
    stuck: Option<Stuck>,
    /// The next offset to be handed out; none where it began at the start and nothing came yet.
    next: Option<i64>,
}

/// An open transaction that others wait for.
#[derive(Clone, Copy)]
struct Stuck {
    /// Where it begins.
    offset: i64,
    since: Instant,
    told: bool,
}

/// How long a transaction may be open before that is worth a line in the log: longer than most are allowed to.
const STUCK: Duration = Duration::from_secs(60);
/// Longest sleep between two looks at the queues; a queue that fills ends it at once.
const NAP: Duration = Duration::from_millis(50);

impl Inputs {
    pub(super) fn new(config: &Config, topics: &[(Arc<str>, i32)]) -> Result<Self, BusError> {
        let counts: BTreeMap<String, i32> = topics
            .iter()
            .map(|(topic, count)| (topic.to_string(), *count))
            .collect();
        let partitions = counts
            .values()
            .filter_map(|count| usize::try_from(*count).ok());
        let partitions = partitions.sum();
        let consumer: BaseConsumer<Context> = properties::inputs(config, partitions)
            .create_with_context(Context::default())
            .map_err(|error| client("create a consumer", &error))?;
        Ok(Self {
            consumer: Arc::new(consumer),
            lanes: BTreeMap::new(),
            counts,
        })
    }

    /// Begins to read partitions, each from its offset or from the start.
    pub(super) fn assign(&mut self, starts: &[Start]) -> Result<(), BusError> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for Start {
            lane,
            partition,
            next,
        } in starts
        {
            let start = next.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&partition.topic, partition.number, start)
                .map_err(|error| client("assign the inputs", &error))?;
            // Before the assignment, so that no record can take the way of all the others.
            let mut queue = self
                .consumer
                .split_partition_queue(&partition.topic, partition.number)
                .ok_or_else(|| BusError::Client {
                    action: "assign the inputs",
                    problem: format!("{partition} has no queue"),
                })?;
            let worker = thread::current();
            queue.set_nonempty_callback(move || worker.unpark());
            metrics::stuck(&partition.topic, partition.number, Duration::ZERO);
            let reader = Reader {
                partition: partition.clone(),
                queue,
                at_end: false,
                has_leader: true,
                stuck: None,
                next: *next,
            };
            self.lanes.insert(*lane, reader);
        }
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| client("assign the inputs", &error))
    }

    /// Stops reading lanes.
    pub(super) fn unassign(&mut self, lanes: &[Lane]) -> Result<(), BusError> {
        let mut list = TopicPartitionList::with_capacity(lanes.len());
        for lane in lanes {
            if let Some(input) = self.lanes.remove(lane) {
                metrics::lag(&input.partition.topic, input.partition.number, 0);
                metrics::leaderless(&input.partition.topic, input.partition.number, false);
                metrics::stuck(
                    &input.partition.topic,
                    input.partition.number,
                    Duration::ZERO,
                );
                list.add_partition(&input.partition.topic, input.partition.number);
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer
            .incremental_unassign(&list)
            .map_err(|error| client("give the inputs back", &error))
    }

    pub(super) fn reading(&self, lane: Lane) -> Reading {
        match self.lanes.get(&lane) {
            Some(input) if input.at_end => Reading::AtEnd,
            Some(_) => Reading::Behind,
            None => Reading::Closed,
        }
    }

    /// Reads the wanted lanes: waits for something to come, then goes on until a bound is reached or they run dry.
    pub(super) fn read(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Vec<(Lane, Arc<Record>)>, BusError> {
        self.serve()?;
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut deadline = Instant::now() + request.wait;
        let mut moved = false;
        loop {
            let before = records.len();
            moved |= self.sweep(request, wanted, &mut records, &mut bytes)?;
            if before == 0 && !records.is_empty() {
                deadline = Instant::now() + request.collect;
            }
            let full = records.len() >= request.records_max || bytes >= request.bytes_max;
            let dry = records.len() == before;
            let left = deadline.saturating_duration_since(Instant::now());
            if full || left.is_zero() || (dry && moved) {
                return Ok(records);
            }
            if dry {
                thread::park_timeout(left.min(NAP));
            }
        }
    }

    /// Takes what lies in each wanted queue, up to its even part of what is asked for.
    fn sweep(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
        records: &mut Vec<(Lane, Arc<Record>)>,
        bytes: &mut usize,
    ) -> Result<bool, BusError> {
        let open = self.lanes.keys().filter(|lane| wanted(**lane)).count();
        let part = (request.records_max / open.max(1)).max(1);
        let mut moved = false;
        for (lane, input) in self.lanes.iter_mut().filter(|(lane, _)| wanted(**lane)) {
            for _ in 0..part {
                if records.len() >= request.records_max || *bytes >= request.bytes_max {
                    return Ok(moved);
                }
                match input.queue.poll(Duration::ZERO) {
                    None => break,
                    Some(Ok(message)) => {
                        let record = record(&input.partition, &message);
                        (input.at_end, input.next) = (false, Some(record.offset + 1));
                        *bytes += record.bytes();
                        records.push((*lane, Arc::new(record)));
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => input.at_end = true,
                    Some(Err(error)) => fatal(&input.partition, &error)?,
                }
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Serves statistics and errors.
    fn serve(&mut self) -> Result<(), BusError> {
        let ends = self.consumer.context().take_ends();
        self.measure(&ends);
        self.compare(&ends)?;
        match self.consumer.poll(Duration::ZERO) {
            None | Some(Err(_)) => Ok(()),
            // Every partition has a queue of its own before it is assigned; reading on without this record would lose it.
            Some(Ok(message)) => Err(BusError::Client {
                action: "read the inputs",
                problem: format!(
                    "{}/{} came outside of its queue",
                    message.topic(),
                    message.partition()
                ),
            }),
        }
    }

    /// Refuses to go on beside partitions that came after the start: nobody would read them.
    fn compare(&self, ends: &Ends) -> Result<(), BusError> {
        let is_new = |(topic, number): &&(String, i32)| {
            self.counts.get(topic).is_some_and(|count| number >= count)
        };
        match ends.keys().find(is_new) {
            None => Ok(()),
            Some((topic, number)) => Err(BusError::Topics {
                problem: format!(
                    "topic {topic} has a partition {number} that was not there at the start: start again to read it"
                ),
            }),
        }
    }

    /// Measures how far each partition is behind its end, whatever of it is held back included.
    fn measure(&mut self, ends: &Ends) {
        if ends.is_empty() {
            return;
        }
        for Reader {
            partition,
            at_end,
            next,
            has_leader,
            stuck,
            ..
        } in self.lanes.values_mut()
        {
            let key = (partition.topic.to_string(), partition.number);
            let Some(told) = ends.get(&key) else { continue };
            if *has_leader != told.has_leader {
                *has_leader = told.has_leader;
                lead(partition, told.has_leader);
            }
            if told.end >= 0 {
                let behind = told.end.saturating_sub(next.unwrap_or(told.first)).max(0);
                // What lies behind the last record may be a transaction's marker, which is nobody's to read.
                let behind = if *at_end { 0 } else { behind };
                metrics::lag(&partition.topic, partition.number, behind);
                *stuck = stand_still(partition, *stuck, told.end, told.last);
            }
        }
    }
}

/// Tells how long the first open transaction of a partition has been the same, from where it begins and where the log ends.
fn stand_still(
    partition: &Partition,
    before: Option<Stuck>,
    offset: i64,
    end: i64,
) -> Option<Stuck> {
    let first = Stuck {
        offset,
        since: Instant::now(),
        told: false,
    };
    let same = before.filter(|before| before.offset == offset);
    let mut stuck = (end > offset).then(|| same.unwrap_or(first));
    let time = stuck.map_or(Duration::ZERO, |stuck| stuck.since.elapsed());
    metrics::stuck(&partition.topic, partition.number, time);
    if let Some(stuck) = &mut stuck
        && time > STUCK
        && !stuck.told
    {
        stuck.told = true;
        tracing::warn!(
            %partition,
            offset,
            "a transaction of another program stays open in an input: nothing behind its offset can be read"
        );
    }
    stuck
}

/// Tells that a partition lost its leader or has one again.
fn lead(partition: &Partition, has_leader: bool) {
    metrics::leaderless(&partition.topic, partition.number, !has_leader);
    if has_leader {
        tracing::info!(%partition, "an input partition has a leader again");
    } else {
        tracing::warn!(%partition, "an input partition has no leader: nothing of it can be read, and its shard waits for it");
    }
}
