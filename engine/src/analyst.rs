//! The analysts' end of Kafka: the incidents as they stand, commands out, their outcomes in.
//!
//! For tools that come and go: in no group, outside of transactions. A command is applied by whoever works on its tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use schemas::command::{Command, Outcome};
use schemas::encode::command_json;
use schemas::incident::Incident;

use crate::bus::kafka::properties;
use crate::config::{Config, Topic};

/// How long Kafka may take to answer, and a reader to get on.
const REQUEST: Duration = Duration::from_secs(10);
/// How long one look for a record takes.
const LOOK: Duration = Duration::from_millis(200);

/// A command could not be sent, or its outcome not be seen.
#[derive(Debug, thiserror::Error)]
pub enum AnalystError {
    /// The configuration names no topic for commands.
    #[error("no topic for commands is given: set commands, as in fusor.commands")]
    NoCommands,
    /// Kafka did not do what it was asked for.
    #[error("cannot {action}")]
    Kafka {
        /// What was asked for.
        action: String,
        /// What the client said.
        source: KafkaError,
    },
    /// A topic has no partitions.
    #[error("topic {0} does not exist")]
    NoTopic(String),
    /// The command is larger than a record may be, or not one that would be read back.
    #[error("the command would be refused: {0}")]
    Invalid(String),
    /// A topic does not come to its end.
    #[error("topic {topic} cannot be read to its end for {} s", .after.as_secs())]
    Stalled {
        /// The topic.
        topic: String,
        /// The bound.
        after: Duration,
    },
    /// Nobody answered in time.
    #[error(
        "the command {id} was sent and not answered within {} s: it may still be applied, and has the same outcome when \
         it is sent again with that id",
        .after.as_secs()
    )]
    Unanswered {
        /// Its id.
        id: String,
        /// The bound.
        after: Duration,
    },
}

/// Reads the incident topic to its end and returns the last revision of each incident whose id begins so, where `wanted`
/// accepts it, by id.
///
/// # Errors
/// When Kafka cannot be asked or the topic not be read to its end.
pub fn incidents(
    config: &Config,
    beginning: &str,
    wanted: impl Fn(&Incident) -> bool,
) -> Result<BTreeMap<String, Incident>, AnalystError> {
    let reader = Reader::at(config, &config.outputs.incidents, |_, _| Offset::Beginning)?;
    let mut last: BTreeMap<String, Incident> = BTreeMap::new();
    reader.to_end(|key, value| {
        let id = String::from_utf8_lossy(key);
        if !id.starts_with(beginning) {
            return;
        }
        let incident = value.and_then(|value| serde_json::from_slice::<Incident>(value).ok());
        match incident.filter(|incident| wanted(incident)) {
            Some(incident) => {
                let newer = last
                    .get(&incident.id)
                    .is_none_or(|known| version(known) <= version(&incident));
                if newer {
                    last.insert(incident.id.clone(), incident);
                }
            }
            // What is wanted no more, or gone, is none of them.
            None => {
                last.remove(&*id);
            }
        }
    })?;
    Ok(last)
}

fn version(incident: &Incident) -> (i32, i64) {
    (incident.generation, incident.revision)
}

/// Appends a command and waits for its outcome, up to `wait`.
///
/// # Errors
/// When it cannot be sent, or is not answered in time.
pub fn send(config: &Config, command: &Command, wait: Duration) -> Result<Outcome, AnalystError> {
    let topic = config.commands.as_ref().ok_or(AnalystError::NoCommands)?;
    let payload =
        command_json(command).map_err(|error| AnalystError::Invalid(error.to_string()))?;
    schemas::decode::command(&payload).map_err(|error| AnalystError::Invalid(error.to_string()))?;
    // From where the outcomes end now: the answer comes after it.
    let reader = Reader::at(config, &config.outputs.outcomes, |_, high| {
        Offset::Offset(high)
    })?;
    append(config, topic, command, &payload)?;
    let since = Instant::now();
    while since.elapsed() < wait {
        let outcome = reader.look(LOOK.min(wait))?;
        if let Some(outcome) = outcome.filter(|outcome| answers(outcome, command)) {
            return Ok(outcome);
        }
    }
    Err(AnalystError::Unanswered {
        id: command.id.clone(),
        after: wait,
    })
}

fn append(
    config: &Config,
    topic: &Topic,
    command: &Command,
    payload: &[u8],
) -> Result<(), AnalystError> {
    let failed = |source| kafka(format!("append to topic {topic}"), source);
    let producer: BaseProducer<Delivery> = properties::sender(config)
        .create_with_context(Delivery::default())
        .map_err(|source| kafka("create a client", source))?;
    // The key tells the partition, which is that of the tenant's alerts.
    let record = BaseRecord::to(topic.as_str())
        .key(&command.tenant)
        .payload(payload);
    producer
        .send(record)
        .map_err(|(source, _)| failed(source))?;
    producer.flush(REQUEST).map_err(failed)?;
    let delivered = producer.context().0.lock().map(|result| result.clone());
    match delivered.ok().flatten() {
        Some(Ok(())) => Ok(()),
        Some(Err(source)) => Err(failed(source)),
        None => Err(failed(KafkaError::Flush(
            RDKafkaErrorCode::OperationTimedOut,
        ))),
    }
}

/// How the delivery of the one record ended: waiting for the queue to be empty does not tell.
#[derive(Default)]
struct Delivery(Mutex<Option<Result<(), KafkaError>>>);

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(mut told) = self.0.lock() {
            *told = Some(
                result
                    .as_ref()
                    .map(|_| ())
                    .map_err(|(error, _)| error.clone()),
            );
        }
    }
}

fn answers(outcome: &Outcome, command: &Command) -> bool {
    outcome.command == command.id && outcome.tenant == command.tenant
}

/// Reads all partitions of a topic.
struct Reader {
    consumer: BaseConsumer,
    topic: String,
    partitions: BTreeSet<i32>,
}

impl Reader {
    /// Begins at the offset that `start` makes of each partition's number and high watermark.
    fn at(
        config: &Config,
        topic: &Topic,
        start: impl Fn(i32, i64) -> Offset,
    ) -> Result<Self, AnalystError> {
        let topic = topic.as_str();
        let consumer: BaseConsumer = properties::reader(config, "read_committed")
            .create()
            .map_err(|source| kafka("create a client", source))?;
        let metadata = consumer
            .fetch_metadata(Some(topic), REQUEST)
            .map_err(|source| kafka(format!("ask for topic {topic}"), source))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions: BTreeSet<i32> = found
            .into_iter()
            .flat_map(|found| found.partitions())
            .map(rdkafka::metadata::MetadataPartition::id)
            .collect();
        if partitions.is_empty() {
            return Err(AnalystError::NoTopic(topic.to_owned()));
        }
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            let (_, high) = consumer
                .fetch_watermarks(topic, *partition, REQUEST)
                .map_err(|source| kafka(format!("ask for the end of topic {topic}"), source))?;
            list.add_partition_offset(topic, *partition, start(*partition, high))
                .map_err(|source| kafka(format!("read topic {topic}"), source))?;
        }
        consumer
            .assign(&list)
            .map_err(|source| kafka(format!("read topic {topic}"), source))?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            partitions,
        })
    }

    /// Hands every record on, with its key, until each partition was read to its end.
    fn to_end(&self, mut seen: impl FnMut(&[u8], Option<&[u8]>)) -> Result<(), AnalystError> {
        let mut behind = self.partitions.clone();
        let mut moved = Instant::now();
        while !behind.is_empty() {
            match self.consumer.poll(LOOK) {
                None if moved.elapsed() < REQUEST => continue,
                None => {
                    return Err(AnalystError::Stalled {
                        topic: self.topic.clone(),
                        after: REQUEST,
                    });
                }
                Some(Ok(message)) => seen(message.key().unwrap_or_default(), message.payload()),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    behind.remove(&partition);
                }
                Some(Err(source)) if is_passing(&source) => continue,
                Some(Err(source)) => {
                    return Err(kafka(format!("read topic {}", self.topic), source));
                }
            }
            moved = Instant::now();
        }
        Ok(())
    }

    /// Returns the next outcome, if one comes in time; what is none is passed over.
    fn look(&self, wait: Duration) -> Result<Option<Outcome>, AnalystError> {
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                let payload = message.payload().unwrap_or_default();
                Ok(serde_json::from_slice(payload).ok())
            }
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Err(source)) if is_passing(&source) => Ok(None),
            Some(Err(source)) => Err(kafka(format!("read topic {}", self.topic), source)),
        }
    }
}

/// Brokers come and go: the client connects again by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

fn kafka(action: impl Into<String>, source: KafkaError) -> AnalystError {
    let action = action.into();
    AnalystError::Kafka { action, source }
}
