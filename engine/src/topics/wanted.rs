//! What the configuration asks of Kafka.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Config;

/// A topic as it should be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Wanted {
    /// Its name.
    pub topic: String,
    /// What it is for.
    pub role: Role,
    /// Its partitions.
    pub partitions: i32,
    /// Copies of each partition; none for the brokers' own default.
    pub replication: Option<i32>,
    /// Its settings, by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Alerts.
    Input,
    /// Alerts keyed by tenant, one partition a shard.
    Alerts,
    /// Who held an address when.
    Bindings,
    /// Revisions of incidents.
    Incidents,
    /// Refused records.
    DeadLetters,
    /// State, one partition a shard.
    State,
    /// What analysts did.
    Commands,
    /// What became of it.
    Outcomes,
}

impl Role {
    /// Returns the word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Alerts => "alerts",
            Self::Bindings => "bindings",
            Self::Incidents => "incidents",
            Self::DeadLetters => "dead_letters",
            Self::State => "state",
            Self::Commands => "commands",
            Self::Outcomes => "outcomes",
        }
    }
}

/// Largest record of a topic Fusor writes: above what it ever writes, with its key and headers.
const MESSAGE_BYTES_MAX: &str = "2097152";
/// How long dead letters, commands and their outcomes are kept: 14 days.
const KEPT_MS: &str = "1209600000";
/// How long alerts keyed by tenant are kept: 7 days, which is how long the worker may be away.
const ALERTS_MS: &str = "604800000";
/// How long a compacted topic keeps its tombstones: 7 days, for readers that were away.
const TOMBSTONES_MS: &str = "604800000";

/// How long every revision of an incident is kept, for readers that want more than the last: 1 day.
const REVISIONS_MS: &str = "86400000";
/// When a segment of the state is closed, by size (64 MiB) or age (6 hours): only what is closed is compacted, and a
/// restore reads all that is not.
const SEGMENT: [(&str, &str); 2] = [("segment.bytes", "67108864"), ("segment.ms", "21600000")];

/// Returns every topic the configuration names, inputs first. Inputs belong to their producers: nothing is asked of
/// their settings.
#[must_use]
pub fn wanted(config: &Config) -> Vec<Wanted> {
    let mut topics: Vec<Wanted> = config
        .inputs
        .iter()
        .map(|input| topic(config, input.topic.as_str(), Role::Input, &[]))
        .collect();
    let alerts = config.outputs.alerts.iter();
    let keyed = [
        ("cleanup.policy", "delete"),
        ("retention.ms", ALERTS_MS),
        ("max.message.bytes", MESSAGE_BYTES_MAX),
    ];
    topics.extend(alerts.map(|name| topic(config, name.as_str(), Role::Alerts, &keyed)));
    let bindings = config.bindings.iter();
    topics.extend(bindings.map(|name| topic(config, name.as_str(), Role::Bindings, &[])));
    let compacted = [
        ("cleanup.policy", "compact"),
        ("delete.retention.ms", TOMBSTONES_MS),
        ("max.message.bytes", MESSAGE_BYTES_MAX),
    ];
    let kept = [
        ("cleanup.policy", "delete"),
        ("retention.ms", KEPT_MS),
        ("max.message.bytes", MESSAGE_BYTES_MAX),
    ];
    let incidents = [&compacted[..], &[("min.compaction.lag.ms", REVISIONS_MS)]].concat();
    let state = [&compacted[..], &SEGMENT].concat();
    let outputs = &config.outputs;
    topics.extend([
        topic(
            config,
            outputs.incidents.as_str(),
            Role::Incidents,
            &incidents,
        ),
        topic(
            config,
            outputs.dead_letters.as_str(),
            Role::DeadLetters,
            &kept,
        ),
        topic(config, outputs.state.as_str(), Role::State, &state),
    ]);
    // What analysts do is written by Fusor's own tools, and is no more than a request until it was answered.
    if let Some(commands) = &config.commands {
        topics.extend([
            topic(config, commands.as_str(), Role::Commands, &kept),
            topic(config, outputs.outcomes.as_str(), Role::Outcomes, &kept),
        ]);
    }
    topics
}

fn topic(config: &Config, name: &str, role: Role, settings: &[(&str, &str)]) -> Wanted {
    let replication = config
        .topics
        .replication
        .and_then(|copies| i32::try_from(copies.as_usize()).ok());
    let mut settings: BTreeMap<String, String> = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    // With three copies a record is acknowledged by two: one broker may be away, and none of what it alone had is lost.
    if !settings.is_empty() && replication.is_some_and(|copies| copies >= 3) {
        settings.insert("min.insync.replicas".to_owned(), "2".to_owned());
    }
    Wanted {
        topic: name.to_owned(),
        role,
        partitions: i32::try_from(config.topics.partitions.as_usize()).unwrap_or(1),
        replication,
        settings,
    }
}
