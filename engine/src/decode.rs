//! Decoding an epoch's records, on several threads.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use schemas::alert::{Alert, TimeQuality};
use schemas::binding::Binding;
use schemas::command::Command;
use schemas::decode::{DecodeError, Envelope, Limits, Reason, canonical, decode};
use schemas::entity::Entity;
use schemas::time::Timestamp;

use crate::bus::Record;
use crate::config::TenantRule;
use crate::source::{Source, Sources, tenant};

/// How records are decoded.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The inputs.
    pub sources: Sources,
    /// Bounds on one record.
    pub limits: Limits,
    /// How far event times may lie from the broker's; none where there is no broker to compare with.
    pub clamp: Option<Clamp>,
    /// Threads, at least 1.
    pub threads: usize,
}

/// How far an event time may lie from the broker's time of the record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clamp {
    /// Milliseconds into the past; default 14 days.
    pub past_ms: i64,
    /// Milliseconds into the future; default 5 minutes.
    pub future_ms: i64,
}

impl Default for Clamp {
    fn default() -> Self {
        Self {
            past_ms: 14 * 86_400_000,
            future_ms: 5 * 60_000,
        }
    }
}

/// A record and what it says.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The record.
    pub record: Arc<Record>,
    /// What it says.
    pub content: Content,
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum Content {
    /// Alerts, in the record's order; may be empty.
    Alerts(Vec<Alert>),
    /// A lease.
    Binding(Binding),
    /// What an analyst did.
    Command(Box<Command>),
    /// Nothing that can be understood.
    Broken(Broken),
}

/// Why a record goes to the dead-letter topic.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// Fixed word for metrics and headers.
    pub reason: &'static str,
    /// The stage that refused it.
    pub stage: Stage,
    /// What is wrong, for people; never holds the value's text.
    pub message: String,
}

impl Broken {
    fn new(stage: Stage, error: &DecodeError) -> Self {
        Self {
            reason: error.reason.word(),
            stage,
            message: error.to_string(),
        }
    }
}

/// The stage that refused a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Finding out whose it is.
    Source,
    /// Reading it.
    Decode,
    /// Correlating it.
    Correlate,
}

impl Stage {
    /// Returns the word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Decode => "decode",
            Self::Correlate => "correlate",
        }
    }
}

/// The reason of a record whose decoding panicked.
pub const PANIC: &str = "panic";
/// The reason of a record without a value.
pub const NO_VALUE: &str = "no_value";
/// The reason of a record of a topic that is no input.
pub const UNKNOWN_TOPIC: &str = "unknown_topic";

/// Below this many records a thread costs more than it saves.
const RECORDS_PER_THREAD_MIN: usize = 64;

impl Decoded {
    /// Returns the alerts of the record; empty for any other.
    #[must_use]
    pub fn alerts(&self) -> &[Alert] {
        match &self.content {
            Content::Alerts(alerts) => alerts,
            Content::Binding(_) | Content::Command(_) | Content::Broken(_) => &[],
        }
    }

    /// Returns about how many bytes the record takes in memory: many short alerts take more than they are long.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let alert = |alert: &Alert| size_of::<Alert>() + alert.entities.len() * size_of::<Entity>();
        self.record.bytes() + self.alerts().iter().map(alert).sum::<usize>()
    }

    /// Returns the event time that orders the record: the earliest of its alerts, or the start of its lease.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        match &self.content {
            Content::Alerts(alerts) => alerts.iter().map(|alert| alert.start_time).min(),
            Content::Binding(binding) => Some(binding.from),
            Content::Command(_) | Content::Broken(_) => None,
        }
    }
}

impl Decoder {
    /// Decodes records, each on its own: the result is in their order and does not depend on the threads.
    #[must_use]
    pub fn decode_all(&self, records: Vec<Arc<Record>>) -> Vec<Decoded> {
        let threads = self
            .threads
            .min(records.len() / RECORDS_PER_THREAD_MIN)
            .max(1);
        if threads == 1 {
            return records.into_iter().map(|r| self.decode(r)).collect();
        }
        let chunk = records.len().div_ceil(threads);
        thread::scope(|scope| {
            let workers: Vec<_> = records
                .chunks(chunk)
                .map(|chunk| {
                    scope.spawn(|| {
                        let all = chunk.iter().map(|r| self.decode(Arc::clone(r)));
                        all.collect::<Vec<_>>()
                    })
                })
                .collect();
            workers
                .into_iter()
                .zip(records.chunks(chunk))
                .flat_map(|(worker, chunk)| {
                    // Panics are caught per record, so a thread that still died is out of memory or worse:
                    // its records are decoded here, where the same end would end the process.
                    worker.join().unwrap_or_else(|_| {
                        chunk.iter().map(|r| self.decode(Arc::clone(r))).collect()
                    })
                })
                .collect()
        })
    }

    /// Decodes one record; a panic is one more way of being broken.
    #[must_use]
    pub fn decode(&self, record: Arc<Record>) -> Decoded {
        let content = catch_unwind(AssertUnwindSafe(|| self.content(&record)));
        let content = match content {
            Ok(Ok(content)) => content,
            Ok(Err(broken)) => Content::Broken(broken),
            Err(_) => Content::Broken(Broken {
                reason: PANIC,
                stage: Stage::Decode,
                message: "the decoder panicked".to_owned(),
            }),
        };
        Decoded { record, content }
    }

    fn content(&self, record: &Record) -> Result<Content, Broken> {
        match self.sources.get(&record.partition.topic) {
            Some(Source::Alerts { format, tenant }) => {
                let mut alerts = self.alerts(record, *format, tenant.as_ref())?;
                if let (Some(clamp), Some(appended)) = (self.clamp, record.timestamp) {
                    for alert in &mut alerts {
                        clamp.alert(alert, appended);
                    }
                }
                Ok(Content::Alerts(alerts))
            }
            Some(Source::Keyed) => {
                let mut alert = keyed(record, &self.limits)?;
                if let (Some(clamp), Some(written)) = (self.clamp, record.timestamp) {
                    // The broker's time of the record it was decoded from: what was moved next to it stays where it is.
                    let appended = alert.ingest_time.millis();
                    clamp.alert(
                        &mut alert,
                        appended.min(written.saturating_add(clamp.future_ms)),
                    );
                }
                Ok(Content::Alerts(vec![alert]))
            }
            Some(Source::Commands) => {
                let value = value(record, &self.limits)?;
                let command = schemas::decode::command(value).map_err(|error| Broken {
                    reason: error.reason.word(),
                    stage: Stage::Decode,
                    message: error.to_string(),
                })?;
                Ok(Content::Command(Box::new(command)))
            }
            Some(Source::Bindings) => {
                let mut binding = binding(record, &self.limits)?;
                if let (Some(clamp), Some(appended)) = (self.clamp, record.timestamp) {
                    binding.from = clamp.time(binding.from, appended);
                }
                Ok(Content::Binding(binding))
            }
            None => Err(Broken {
                reason: UNKNOWN_TOPIC,
                stage: Stage::Source,
                message: "the topic is no input".to_owned(),
            }),
        }
    }

    fn alerts(
        &self,
        record: &Record,
        format: Option<schemas::decode::Format>,
        rule: Option<&TenantRule>,
    ) -> Result<Vec<Alert>, Broken> {
        let value = value(record, &self.limits)?;
        let tenant = rule.map(|rule| tenant(rule, record));
        let tenant = tenant
            .transpose()
            .map_err(|error| Broken::new(Stage::Source, &error))?;
        let envelope = Envelope {
            topic: &record.partition.topic,
            partition: record.partition.number,
            offset: record.offset,
            timestamp: record.timestamp,
            tenant: tenant.as_deref(),
        };
        decode(value, format, &envelope, &self.limits)
            .map_err(|error| Broken::new(Stage::Decode, &error))
    }
}

impl Clamp {
    fn time(self, time: Timestamp, appended: i64) -> Timestamp {
        let earliest = Timestamp(appended.saturating_sub(self.past_ms));
        let latest = Timestamp(appended.saturating_add(self.future_ms));
        time.max(earliest).min(latest)
    }

    /// Moves the alert's times next to the broker's; the start as it was written is kept as a label.
    fn alert(self, alert: &mut Alert, appended: i64) {
        let start = self.time(alert.start_time, appended);
        if start != alert.start_time {
            let written = alert.start_time.to_string();
            alert.labels.insert(START_TIME_WRITTEN.to_owned(), written);
            alert.start_time = start;
            alert.time_quality = TimeQuality::Clamped;
        }
        alert.end_time = self.time(alert.end_time, appended).max(start);
        alert.detected_time = self.time(alert.detected_time, appended);
    }
}

/// Label that keeps the start time of a clamped alert as its record has it.
pub const START_TIME_WRITTEN: &str = "fusor.start_time_written";

fn value<'a>(record: &'a Record, limits: &Limits) -> Result<&'a [u8], Broken> {
    let value = record.value.as_deref().ok_or_else(no_value)?;
    if value.len() > limits.record_bytes_max {
        return Err(Broken {
            reason: Reason::TooLarge.word(),
            stage: Stage::Decode,
            message: format!("larger than {} bytes", limits.record_bytes_max),
        });
    }
    Ok(value)
}

fn no_value() -> Broken {
    Broken {
        reason: NO_VALUE,
        stage: Stage::Decode,
        message: "the record has no value".to_owned(),
    }
}

/// Reads an alert that was decoded before; it is the tenant's whose key it has.
fn keyed(record: &Record, limits: &Limits) -> Result<Alert, Broken> {
    let value = record.value.as_deref().ok_or_else(no_value)?;
    let alert = canonical(value, limits).map_err(|error| Broken::new(Stage::Decode, &error))?;
    if record.key.as_deref() == Some(alert.tenant.as_bytes()) {
        return Ok(alert);
    }
    Err(Broken {
        reason: Reason::InvalidTenant.word(),
        stage: Stage::Source,
        message: "/tenant: not the one the record is keyed by".to_owned(),
    })
}

fn binding(record: &Record, limits: &Limits) -> Result<Binding, Broken> {
    let value = value(record, limits)?;
    let mut binding: Binding = serde_json::from_slice(value).map_err(|error| {
        let reason = match error.classify() {
            serde_json::error::Category::Data => Reason::InvalidField,
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => Reason::NotJson,
        };
        Broken {
            reason: reason.word(),
            stage: Stage::Decode,
            message: format!(
                "line {} column {}: no binding",
                error.line(),
                error.column()
            ),
        }
    })?;
    let address: IpAddr = binding
        .ip
        .parse()
        .map_err(|_| invalid("/ip: not an address".to_owned()))?;
    binding.ip = address.to_canonical().to_string();
    let long = limits.value_bytes_max;
    if binding.host.is_empty() || binding.host.len() > long {
        return Err(invalid(format!("/host: not 1 to {long} bytes")));
    }
    if let Err(problem) = schemas::tenant::tenant(&binding.tenant) {
        return Err(Broken {
            reason: Reason::InvalidTenant.word(),
            ..invalid(format!("/tenant: {problem}"))
        });
    }
    if binding.to <= binding.from {
        return Err(invalid("/to: not after /from".to_owned()));
    }
    Ok(binding)
}

fn invalid(message: String) -> Broken {
    Broken {
        reason: Reason::InvalidField.word(),
        stage: Stage::Decode,
        message,
    }
}

#[cfg(test)]
mod tests;
