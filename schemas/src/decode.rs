//! Records in: any bytes to a canonical alert, or an error that names the field.

use crate::alert::Alert;

/// The tenant of an alert that names none.
pub const DEFAULT_TENANT: &str = "default";

/// The formats a record can be in.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Format {
    /// The friendly canonical JSON.
    Fusor,
    /// Microsoft Sentinel `SecurityAlert`.
    Sentinel,
    /// Microsoft Defender for Cloud, in its three spellings.
    DefenderCloud,
    /// OCSF Detection Finding 1.1 to 1.8.
    Ocsf,
    /// Suricata EVE alerts.
    Suricata,
    /// Wazuh 4 alerts.
    Wazuh,
}

/// Bounds on what one record may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a record; default 256 KiB.
    pub record_bytes_max: usize,
    /// Entities of an alert; default 64. Those beyond are cut and a warning kept.
    pub entities_max: usize,
    /// Bytes of one value; default 1 KiB. Longer ones are cut at a character and a warning kept.
    pub value_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes_max: 256 << 10,
            entities_max: 64,
            value_bytes_max: 1 << 10,
        }
    }
}

/// What is known of a record besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Topic, or file name.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Offset, or line number from 0.
    pub offset: i64,
    /// The broker's time of the record in milliseconds, where there is a broker.
    pub timestamp: Option<i64>,
    /// Tenant decided by the input (topic, header or key), which wins over what the record says.
    pub tenant: Option<&'a str>,
}

/// Why a record was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct DecodeError {
    /// Fixed word for metrics, logs and dead-letter headers.
    pub reason: Reason,
    /// Path of the field, such as `/properties/startTimeUtc`; `/` for the whole record.
    pub field: String,
    /// What is wrong with it, lower case, never holding the value's text.
    pub problem: String,
}

/// Fixed words for why a record was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// Larger than the limit.
    TooLarge,
    /// Not JSON, or nested too deep.
    NotJson,
    /// Of no known format.
    UnknownFormat,
    /// Of a known format and a class that is not supported, such as OCSF 2001.
    UnsupportedClass,
    /// A required field is missing.
    MissingField,
    /// A field has the wrong shape.
    InvalidField,
}

impl Reason {
    /// Returns the word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::UnknownFormat => "unknown_format",
            Self::UnsupportedClass => "unsupported_class",
            Self::MissingField => "missing_field",
            Self::InvalidField => "invalid_field",
        }
    }
}

/// Decodes one record. A record may hold several alerts (a JSON array, or a wrapper with a list).
///
/// # Errors
/// Returns the first thing wrong with the record; one bad alert refuses the whole record.
pub fn decode(
    bytes: &[u8],
    format: Option<Format>,
    envelope: &Envelope<'_>,
    limits: &Limits,
) -> Result<Vec<Alert>, DecodeError> {
    let _ = (bytes, format, envelope, limits);
    Err(DecodeError {
        reason: Reason::UnknownFormat,
        field: "/".into(),
        problem: "no decoder yet".into(),
    })
}
