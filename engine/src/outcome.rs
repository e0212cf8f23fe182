//! Outcomes: what became of commands, each with the place of its command.

use std::sync::Arc;

use schemas::command::Outcome;
use schemas::encode::outcome_json;

use crate::bus::{Header, NewRecord, Record};

/// Headers that name the record of the command.
pub const SOURCE: [&str; 3] = [
    "fusor.source.topic",
    "fusor.source.partition",
    "fusor.source.offset",
];

/// Makes the record of an outcome, keyed by the incident that the command named.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn outcome(
    topic: &Arc<str>,
    command: &Record,
    outcome: &Outcome,
) -> Result<NewRecord, serde_json::Error> {
    let partition = &command.partition;
    let source = [
        partition.topic.to_string(),
        partition.number.to_string(),
        command.offset.to_string(),
    ];
    let headers = SOURCE.into_iter().zip(source);
    Ok(NewRecord {
        topic: Arc::clone(topic),
        partition: None,
        timestamp: None,
        key: Some(outcome.incident.clone().into_bytes()),
        value: Some(outcome_json(outcome)?),
        headers: headers
            .map(|(name, value)| Header::text(name, value))
            .collect(),
    })
}
