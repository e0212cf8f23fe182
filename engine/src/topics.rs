//! The topics: which there should be, which there are, and how to make those that are missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Serialize;

use crate::bus::kafka::properties;
use crate::bus::{Share, dealt_to, inputs_of};
use crate::config::Config;

mod wanted;
pub use wanted::{Role, Wanted, wanted};

/// A topic of the configuration and how Kafka has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Row {
    /// What it should be.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// How it is.
    pub status: Status,
    /// What is otherwise than it should be, each as `name: is, should be`.
    pub differences: Vec<String>,
}

/// How a topic is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is not there.
    Missing,
    /// It was just made.
    Created,
    /// It is there.
    Exists,
}

impl Status {
    /// Returns the word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Created => "created",
            Self::Exists => "exists",
        }
    }
}

/// Kafka could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// No broker answered.
    #[error("no answer from the brokers {brokers}")]
    Unreachable {
        /// Those that were asked.
        brokers: String,
        /// What the client said.
        source: KafkaError,
    },
    /// A request failed.
    #[error("cannot {action}")]
    Request {
        /// What was asked for.
        action: String,
        /// What the client said.
        source: KafkaError,
    },
    /// A topic was refused.
    #[error("cannot create topic {topic}: {problem}")]
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        problem: RDKafkaErrorCode,
    },
    /// The system gives no event queue.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// What a member of the group needs to know of the topics.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The inputs and their partition counts.
    pub inputs: Vec<(Arc<str>, i32)>,
    /// The partition count of the topic that the group shares out: of the state or, to ingest, of the alerts written.
    pub shards: i32,
    /// How the inputs are shared out.
    pub share: Share,
}

/// How long Kafka may take to answer.
const REQUEST: Duration = Duration::from_secs(10);

/// Compares the configuration with Kafka.
///
/// # Errors
/// When Kafka cannot be asked.
pub fn plan(config: &Config) -> Result<Vec<Row>, TopicsError> {
    Kafka::connect(config)?.plan(config)
}

/// Creates the topics that are missing and returns all; those that are there stay as they are.
///
/// # Errors
/// When Kafka cannot be asked or refuses a topic.
pub fn create(config: &Config) -> Result<Vec<Row>, TopicsError> {
    let kafka = Kafka::connect(config)?;
    let mut rows = kafka.plan(config)?;
    let missing = |row: &&mut Row| row.status == Status::Missing;
    for row in rows.iter_mut().filter(missing) {
        row.status = kafka.create(&row.wanted)?;
    }
    Ok(rows)
}

/// Returns what an operator should look at, one line each; nothing where all is as it should be.
///
/// # Errors
/// When Kafka cannot be asked.
pub fn findings(config: &Config) -> Result<Vec<String>, TopicsError> {
    let rows = plan(config)?;
    let mut findings: Vec<String> = Vec::new();
    for row in &rows {
        let name = &row.wanted.topic;
        match row.status {
            Status::Missing => findings.push(format!("topic {name} does not exist")),
            Status::Created | Status::Exists => {
                let differs = |difference: &String| format!("topic {name}: {difference}");
                findings.extend(row.differences.iter().map(differs));
            }
        }
    }
    if let Err(problems) = shape(&rows) {
        let missing = |problem: &String| problem.ends_with("does not exist");
        findings.extend(problems.into_iter().filter(|problem| !missing(problem)));
    }
    Ok(findings)
}

/// Says whether records may be gone from the midst of a topic.
///
/// # Errors
/// When Kafka cannot be asked.
pub fn is_compacted(config: &Config, topic: &str) -> Result<bool, TopicsError> {
    let settings = Kafka::connect(config)?.settings(topic)?;
    let policy = settings.get("cleanup.policy");
    Ok(policy.is_some_and(|policy| policy.contains("compact")))
}

/// Returns how long a topic keeps the tombstones that compaction has met, in milliseconds.
///
/// # Errors
/// When Kafka cannot be asked.
pub fn tombstones_ms(config: &Config, topic: &str) -> Result<i64, TopicsError> {
    let settings = Kafka::connect(config)?.settings(topic)?;
    let retention = settings.get("delete.retention.ms");
    // A topic that does not say has no snapshots.
    Ok(retention.and_then(|ms| ms.parse().ok()).unwrap_or(0))
}

/// Returns the shape of the topics that are there for the worker, or everything that keeps it from starting. Where alerts
/// come keyed by tenant, it does not read what they are made of.
///
/// # Errors
/// One line for each topic that is missing, and one for inputs that do not fit the shards.
pub fn shape(rows: &[Row]) -> Result<Shape, Vec<String>> {
    let is_keyed = rows.iter().any(|row| row.wanted.role == Role::Alerts);
    let needed = |role| !(is_keyed && role == Role::Input);
    shape_of(rows, &needed, || Shape {
        inputs: counts(rows, if is_keyed { Role::Alerts } else { Role::Input })
            .chain(counts(rows, Role::Bindings))
            .chain(counts(rows, Role::Commands))
            .collect(),
        shards: counts(rows, Role::State).map(|(_, count)| count).sum(),
        share: inputs_of,
    })
}

/// Returns the shape of the topics that are there for `fusor ingest`, or everything that keeps it from starting.
///
/// # Errors
/// One line for each topic that is missing.
pub fn ingest_shape(rows: &[Row]) -> Result<Shape, Vec<String>> {
    let needed = |role| matches!(role, Role::Input | Role::Alerts | Role::DeadLetters);
    shape_of(rows, &needed, || Shape {
        inputs: counts(rows, Role::Input).collect(),
        shards: counts(rows, Role::Alerts).map(|(_, count)| count).sum(),
        share: dealt_to,
    })
}

fn counts(rows: &[Row], role: Role) -> impl Iterator<Item = (Arc<str>, i32)> {
    let rows = rows.iter().filter(move |row| row.wanted.role == role);
    rows.map(|row| (row.wanted.topic.as_str().into(), row.wanted.partitions))
}

fn shape_of(
    rows: &[Row],
    needed: &dyn Fn(Role) -> bool,
    shape: impl FnOnce() -> Shape,
) -> Result<Shape, Vec<String>> {
    let mut problems: Vec<String> = rows
        .iter()
        .filter(|row| row.status == Status::Missing && needed(row.wanted.role))
        .map(|row| format!("topic {} does not exist", row.wanted.topic))
        .collect();
    let shape = shape();
    if problems.is_empty()
        && let Err(error) = (shape.share)(0, shape.shards, &shape.inputs)
    {
        problems.push(error.to_string());
    }
    if problems.is_empty() {
        Ok(shape)
    } else {
        Err(problems)
    }
}

struct Kafka {
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
    brokers: String,
}

impl Kafka {
    fn connect(config: &Config) -> Result<Self, TopicsError> {
        let admin = properties::admin(config)
            .create()
            .map_err(|source| request("create a client", source))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(TopicsError::Runtime)?;
        let brokers: Vec<String> = config
            .kafka
            .brokers
            .iter()
            .map(ToString::to_string)
            .collect();
        Ok(Self {
            admin,
            runtime,
            brokers: brokers.join(", "),
        })
    }

    fn plan(&self, config: &Config) -> Result<Vec<Row>, TopicsError> {
        let counts = self.partitions()?;
        wanted(config)
            .into_iter()
            .map(|wanted| self.row(wanted, &counts))
            .collect()
    }

    /// Returns the partitions of each topic, and the fewest copies one of them has.
    fn partitions(&self) -> Result<BTreeMap<String, (i32, usize)>, TopicsError> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(None, REQUEST)
            .map_err(|source| TopicsError::Unreachable {
                brokers: self.brokers.clone(),
                source,
            })?;
        let count = |topic: &rdkafka::metadata::MetadataTopic| {
            let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            let copies = topic.partitions().iter().map(|p| p.replicas().len());
            (topic.name().to_owned(), (count, copies.min().unwrap_or(0)))
        };
        Ok(metadata.topics().iter().map(count).collect())
    }

    fn row(
        &self,
        mut wanted: Wanted,
        counts: &BTreeMap<String, (i32, usize)>,
    ) -> Result<Row, TopicsError> {
        let Some((count, copies)) = counts.get(&wanted.topic).copied() else {
            return Ok(Row {
                wanted,
                status: Status::Missing,
                differences: Vec::new(),
            });
        };
        let mut differences = Vec::new();
        if wanted.partitions != count && matches!(wanted.role, Role::State | Role::Alerts) {
            let expected = wanted.partitions;
            differences.push(format!("partitions: {count}, should be {expected}"));
        }
        wanted.partitions = count;
        let settings = self.settings(&wanted.topic)?;
        for (name, expected) in &wanted.settings {
            match settings.get(name) {
                Some(found) if found == expected => {}
                Some(found) => differences.push(format!("{name}: {found}, should be {expected}")),
                None => differences.push(format!("{name}: not set, should be {expected}")),
            }
        }
        differences.extend(too_few_in_sync(&wanted, copies, &settings));
        Ok(Row {
            wanted,
            status: Status::Exists,
            differences,
        })
    }

    fn settings(&self, topic: &str) -> Result<BTreeMap<String, String>, TopicsError> {
        let action = || format!("read the settings of topic {topic}");
        let specifier = [ResourceSpecifier::Topic(topic)];
        let ask = || {
            let asked = self.admin.describe_configs(&specifier, &options());
            self.runtime.block_on(asked)
        };
        // It goes to any broker, and the first that is asked may be the one that is away.
        let answer = ask().or_else(|_| ask());
        let answer = answer.map_err(|source| request(action(), source))?;
        let mut settings = BTreeMap::new();
        for resource in answer {
            let resource = resource.map_err(|code| request(action(), KafkaError::AdminOp(code)))?;
            for entry in resource.entries {
                settings.extend(entry.value.map(|value| (entry.name, value)));
            }
        }
        Ok(settings)
    }

    fn create(&self, wanted: &Wanted) -> Result<Status, TopicsError> {
        let replication = TopicReplication::Fixed(wanted.replication.unwrap_or(-1));
        let settings = wanted.settings.iter();
        let topic = settings.fold(
            NewTopic::new(&wanted.topic, wanted.partitions, replication),
            |topic, (name, value)| topic.set(name, value),
        );
        let answer = self
            .runtime
            .block_on(self.admin.create_topics(&[topic], &options()))
            .map_err(|source| request(format!("create topic {}", wanted.topic), source))?;
        for result in answer {
            match result {
                Ok(_) => {}
                // Another was faster.
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(Status::Exists),
                Err((topic, problem)) => return Err(TopicsError::Refused { topic, problem }),
            }
        }
        Ok(Status::Created)
    }
}

/// Advises on a topic of ours with three copies of which one alone may acknowledge: what that one had is lost with it.
fn too_few_in_sync(
    wanted: &Wanted,
    copies: usize,
    settings: &BTreeMap<String, String>,
) -> Option<String> {
    let is_ours = !wanted.settings.is_empty() && !wanted.settings.contains_key(IN_SYNC);
    let alone = settings.get(IN_SYNC).is_some_and(|found| found == "1");
    (is_ours && copies >= 3 && alone).then(|| format!("{IN_SYNC}: 1, should be 2"))
}

const IN_SYNC: &str = "min.insync.replicas";

fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(REQUEST))
        .request_timeout(Some(REQUEST))
}

fn request(action: impl Into<String>, source: KafkaError) -> TopicsError {
    let action = action.into();
    TopicsError::Request { action, source }
}

#[cfg(test)]
mod tests;
