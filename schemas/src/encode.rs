//! Canonical bytes: the one place that decides how what travels looks on the wire, out and in again.
//!
//! JSON has times as RFC 3339 text, Avro as `timestamp-millis`; both have the same fields and words. Commands and their
//! outcomes are JSON only. Avro is written
//! and read by the schemas in `avro/`, without frame: what a registry puts before the bytes is the engine's.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{AvroResult, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::alert::Alert;
use crate::command::{Command, Outcome};
use crate::incident::Incident;

/// The Avro schema of an alert.
pub const ALERT_SCHEMA: &str = include_str!("../avro/alert.avsc");
/// The Avro schema of an incident.
pub const INCIDENT_SCHEMA: &str = include_str!("../avro/incident.avsc");

/// Bound on what decoding one Avro value may allocate at a time, in bytes.
pub const AVRO_BYTES_MAX: usize = 4 << 20;
/// Bound on how deep an Avro value may nest; an incident nests 7 deep.
pub const AVRO_DEPTH_MAX: usize = 32;

/// Sets the process-wide limits on decoding Avro, of which the first that are set count.
///
/// Reading and writing here sets them too; a process that uses the Avro library in other ways calls this first.
/// Returns whether these limits hold.
pub fn init_limits() -> bool {
    let bytes = apache_avro::util::max_allocation_bytes(AVRO_BYTES_MAX);
    let depth = apache_avro::util::max_decode_recursion_depth(AVRO_DEPTH_MAX);
    bytes == AVRO_BYTES_MAX && depth == AVRO_DEPTH_MAX
}

/// A value could not be written as Avro: it does not have the shape of its schema.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot write avro: {0}")]
pub struct EncodeError(String);

/// Bytes are no Avro value of the schema.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// Cut short, or of another schema.
    #[error("not a value of the schema: {0}")]
    Invalid(String),
    /// Bytes are left after the value, so it is of another schema, or framed.
    #[error("{0} bytes after the value")]
    Trailing(usize),
    /// The value has no id: framed bytes can read as an empty value.
    #[error("the value has no id")]
    NoId,
}

/// Encodes an incident as one line of JSON, without the line's end.
///
/// # Errors
/// Never for an incident the engine made: every key is text and every number finite.
pub fn incident_json(incident: &Incident) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(incident)
}

/// Encodes an alert as one line of JSON, without the line's end.
///
/// # Errors
/// Never for an alert that was decoded: every key is text.
pub fn alert_json(alert: &Alert) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(alert)
}

/// Encodes a command as one line of JSON, without the line's end.
///
/// # Errors
/// Never: every key is text.
pub fn command_json(command: &Command) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(command)
}

/// Encodes the outcome of a command as one line of JSON, without the line's end.
///
/// # Errors
/// Never: every key is text.
pub fn outcome_json(outcome: &Outcome) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(outcome)
}

/// Encodes an incident as Avro.
///
/// # Errors
/// Never while type and schema agree, which a test holds.
pub fn incident_avro(incident: &Incident) -> Result<Vec<u8>, EncodeError> {
    write(&INCIDENT, incident)
}

/// Encodes an alert as Avro.
///
/// # Errors
/// Never while type and schema agree, which a test holds.
pub fn alert_avro(alert: &Alert) -> Result<Vec<u8>, EncodeError> {
    write(&ALERT, alert)
}

/// Decodes the incident that all of `bytes` hold.
///
/// # Errors
/// Returns what is wrong with the bytes, in at most 200 bytes.
pub fn read_incident_avro(bytes: &[u8]) -> Result<Incident, ReadError> {
    let incident: Incident = read(&INCIDENT, bytes)?;
    if incident.id.is_empty() {
        return Err(ReadError::NoId);
    }
    Ok(incident)
}

/// Decodes the alert that all of `bytes` hold.
///
/// # Errors
/// Returns what is wrong with the bytes, in at most 200 bytes.
pub fn read_alert_avro(bytes: &[u8]) -> Result<Alert, ReadError> {
    let alert: Alert = read(&ALERT, bytes)?;
    if alert.uid.is_empty() {
        return Err(ReadError::NoId);
    }
    Ok(alert)
}

/// One schema with its writer and reader, resolved once.
struct Codec {
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
}

type LazyCodec = LazyLock<Result<Codec, String>>;

static ALERT: LazyCodec = LazyLock::new(|| Codec::of(ALERT_SCHEMA));
static INCIDENT: LazyCodec = LazyLock::new(|| Codec::of(INCIDENT_SCHEMA));

impl Codec {
    /// The schema lives as long as the process: there are two.
    fn of(text: &str) -> Result<Self, String> {
        init_limits();
        let build = || -> AvroResult<Self> {
            let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(text)?));
            // Pinned, since the default is process-wide: times are numbers in Avro.
            let writer = GenericDatumWriter::builder(schema).human_readable(false);
            let reader = GenericDatumReader::builder(schema).human_readable(false);
            Ok(Self {
                writer: writer.build()?,
                reader: reader.build()?,
            })
        };
        build().map_err(|error| brief(&error))
    }
}

fn write<T: Serialize>(codec: &LazyCodec, value: &T) -> Result<Vec<u8>, EncodeError> {
    let codec = codec.as_ref().map_err(|error| EncodeError(error.clone()))?;
    codec
        .writer
        .write_ser_to_vec(value)
        .map_err(|error| EncodeError(brief(&error)))
}

fn read<T: DeserializeOwned>(codec: &LazyCodec, bytes: &[u8]) -> Result<T, ReadError> {
    let codec = codec
        .as_ref()
        .map_err(|error| ReadError::Invalid(error.clone()))?;
    let mut rest = bytes;
    let value = codec
        .reader
        .read_deser(&mut rest)
        .map_err(|error| ReadError::Invalid(brief(&error)))?;
    // The library stops at the end of the value and leaves what follows.
    if !rest.is_empty() {
        return Err(ReadError::Trailing(rest.len()));
    }
    Ok(value)
}

/// The library's errors hold the text of the whole schema.
fn brief(error: &apache_avro::Error) -> String {
    let text = error.to_string();
    let mut end = text.len().min(ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

const ERROR_BYTES_MAX: usize = 200;
