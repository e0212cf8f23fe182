//! Records in and out of the brokers under test.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::Headers,
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::Cluster;
use crate::eventually;

/// A record to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The partition, always chosen by the test; the key names a tenant of its own.
    pub partition: i32,
    /// The bytes.
    pub value: Vec<u8>,
    /// Milliseconds since 1970, as the producer claims them.
    pub timestamp: i64,
}

/// A record as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition it lies in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The bytes; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers by name, the last of equal names.
    pub headers: BTreeMap<String, Vec<u8>>,
}

/// What a reader sees of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Only what is committed.
    Committed,
    /// All of it, aborted records too.
    Uncommitted,
}

impl Cluster {
    /// Creates a topic of `num_partitions`, on as many brokers as there are.
    pub fn create_topic(&self, name: &str, num_partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let replicas = i32::try_from(self.nodes.len()).unwrap();
        let topic = NewTopic::new(name, num_partitions, TopicReplication::Fixed(replicas));
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let created = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(admin.create_topics([&topic], &options));
        for result in created.unwrap() {
            result.unwrap();
        }
    }

    /// Deletes the records of a partition before an offset. Brokers refuse that for a topic that is only compacted.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        eventually("the end of the records", LIMIT, || {
            let deleted = runtime.block_on(admin.delete_records(&list, &AdminOptions::new()));
            let elements = deleted.unwrap();
            let first = elements.elements().remove(0);
            first.error().ok()
        });
    }

    /// Appends the records in their order and blocks until the brokers have all of them.
    pub fn produce(&self, records: impl IntoIterator<Item = Outgoing>) {
        produce(&self.client(), records);
    }

    /// Returns all records of a topic from its start to the end as it is now, by partition and offset.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Vec<Record> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reader-of-the-tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation.as_str())
            .create()
            .unwrap();
        let mut open: Vec<i32> = (0..self.num_partitions(&consumer, topic)).collect();
        let mut assignment = TopicPartitionList::new();
        for &partition in &open {
            assignment
                .add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut records = vec![];
        while !open.is_empty() {
            match consumer.poll(LIMIT) {
                None => panic!("{topic} cannot be read to its end"),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.retain(|&other| other != partition);
                }
                Some(result) => records.push(Record::new(&result.unwrap())),
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Returns the offset a group has committed in each partition of a topic; `None` where it has none.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..self.num_partitions(&consumer, topic) {
            partitions.add_partition(topic, partition);
        }
        let committed = patiently("the group's offsets", || {
            consumer.committed_offsets(partitions.clone(), LIMIT)
        });
        committed
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().filter(|&offset| offset >= 0))
            .collect()
    }

    /// Returns the offset of the next record of each partition of a topic.
    pub fn ends(&self, topic: &str) -> Vec<i64> {
        self.ends_for(topic, Isolation::Uncommitted)
    }

    /// Returns, for each partition of a topic, where the first open transaction begins; its end where there is none.
    pub fn stable_ends(&self, topic: &str) -> Vec<i64> {
        self.ends_for(topic, Isolation::Committed)
    }

    fn ends_for(&self, topic: &str, isolation: Isolation) -> Vec<i64> {
        let consumer: BaseConsumer = self
            .client()
            .set("isolation.level", isolation.as_str())
            .create()
            .unwrap();
        (0..self.num_partitions(&consumer, topic))
            .map(|partition| {
                let watermarks = patiently("the watermarks", || {
                    consumer.fetch_watermarks(topic, partition, LIMIT)
                });
                watermarks.1
            })
            .collect()
    }

    fn num_partitions(&self, consumer: &BaseConsumer, topic: &str) -> i32 {
        let num = patiently("the metadata", || {
            let metadata = consumer.fetch_metadata(Some(topic), LIMIT)?;
            Ok(metadata.topics()[0].partitions().len())
        });
        assert!(num > 0, "there is no topic {topic} at {}", self.brokers());
        i32::try_from(num).unwrap()
    }

    /// Returns a client of the tests, which reaches the brokers past the proxies.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.inside());
        config
    }
}

impl Record {
    fn new(message: &impl Message) -> Self {
        let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
            headers
                .iter()
                .map(|header| {
                    (
                        header.key.to_owned(),
                        header.value.unwrap_or_default().to_vec(),
                    )
                })
                .collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        }
    }

    /// Returns the value as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.value.as_deref().unwrap()).unwrap()
    }

    /// Returns a header as text, empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| str::from_utf8(value).unwrap())
    }
}

impl Isolation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

/// Appends the records in their order and blocks until the brokers have all of them.
pub fn produce(client: &ClientConfig, records: impl IntoIterator<Item = Outgoing>) {
    let producer: BaseProducer = client
        .clone()
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .create()
        .unwrap();
    for record in records {
        let tenant = format!("tenant{}", record.partition);
        let mut next = BaseRecord::<str, [u8]>::to(&record.topic)
            .key(&tenant)
            .partition(record.partition)
            .timestamp(record.timestamp)
            .payload(&record.value);
        while let Err((error, back)) = producer.send(next) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            assert!(full, "{error}");
            producer.poll(Duration::from_millis(100));
            next = back;
        }
    }
    producer.flush(LIMIT).unwrap();
}

/// Asks again when it is refused, as brokers and coordinators do that come or go.
fn patiently<T>(what: &str, mut ask: impl FnMut() -> KafkaResult<T>) -> T {
    eventually(what, LIMIT, || ask().ok())
}

/// Far above what any one request takes on a loaded machine.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
