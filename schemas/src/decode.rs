//! Records in: any bytes to a canonical alert, or an error that names the field.

mod canonical;
mod command;
mod defender_cloud;
mod entities;
mod fusor;
mod json;
mod microsoft;
mod ocsf;
mod record;
mod sentinel;
mod sniff;
mod suricata;
mod wazuh;
mod words;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use self::canonical::{CANONICAL_BYTES_MAX, canonical};
pub use self::command::{
    COMMAND_ALERTS_MAX, COMMAND_BYTES_MAX, COMMAND_TAGS_MAX, COMMENT_CHARS_MAX, TAG_BYTES_MAX,
    command,
};
use self::json::{Document, Node, Value};
use self::record::Record;
use self::sniff::Wrapper;
use crate::alert::Alert;
use crate::tenant::tenant;

/// Every word that `provenance.warnings` of an alert can hold: what was odd about its record.
pub const WARNINGS: [&str; 12] = [
    "cyclic_reference",
    "dangling_reference",
    "deep_reference",
    "duplicate_id",
    "end_before_start",
    "entities_cut",
    "members_cut",
    "out_of_range",
    "unknown_tactic",
    "unknown_word",
    "unusable_entity",
    "values_cut",
];

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

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [
        Self::Fusor,
        Self::Sentinel,
        Self::DefenderCloud,
        Self::Ocsf,
        Self::Suricata,
        Self::Wazuh,
    ];

    /// Returns the word for the format in configuration, flags and provenance.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fusor => "fusor",
            Self::Sentinel => "sentinel",
            Self::DefenderCloud => "defender-cloud",
            Self::Ocsf => "ocsf",
            Self::Suricata => "suricata",
            Self::Wazuh => "wazuh",
        }
    }
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
    /// A field that names the tenant holds no name of one.
    InvalidTenant,
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
            Self::InvalidTenant => "invalid_tenant",
        }
    }
}

/// Decodes one record. A record may hold several alerts (a JSON array, or a wrapper with a list).
///
/// `format` pins the format; without it each alert's own marks decide.
///
/// # Errors
/// Returns the first thing wrong with the record; one bad alert refuses the whole record.
pub fn decode(
    bytes: &[u8],
    format: Option<Format>,
    envelope: &Envelope<'_>,
    limits: &Limits,
) -> Result<Vec<Alert>, DecodeError> {
    if bytes.len() > limits.record_bytes_max {
        return Err(whole(Reason::TooLarge, "larger than a record may be"));
    }
    if let Some(Err(problem)) = envelope.tenant.map(tenant) {
        return Err(whole(Reason::InvalidTenant, &problem.to_string()));
    }
    let document = Document::parse(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes))?;
    let mut reader = Reader {
        format,
        envelope,
        limits,
        alerts: Vec::new(),
    };
    reader.read(document.root(), WRAPPERS_MAX)?;
    Ok(reader.alerts)
}

/// How many wrappers may lie around an alert.
const WRAPPERS_MAX: usize = 4;

/// What some producers put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn whole(reason: Reason, problem: &str) -> DecodeError {
    DecodeError {
        reason,
        field: "/".into(),
        problem: problem.to_owned(),
    }
}

struct Reader<'a> {
    format: Option<Format>,
    envelope: &'a Envelope<'a>,
    limits: &'a Limits,
    alerts: Vec<Alert>,
}

impl Reader<'_> {
    /// Reads the alert or the wrapper at `node`; `wrappers` more may follow.
    fn read(&mut self, node: Node<'_>, wrappers: usize) -> Result<(), DecodeError> {
        let wrapper = match (node.object(), node.value()) {
            (Some(object), _) => {
                let format = match self.format {
                    Some(pinned) => Some(pinned).filter(|pinned| sniff::bears(*pinned, object)),
                    None => sniff::format(object),
                };
                match (format, sniff::wrapper(object)) {
                    (Some(format), _) => return self.alert(format, object),
                    (None, Some(wrapper)) => wrapper,
                    (None, None) => match self.format {
                        Some(pinned) => return self.alert(pinned, object),
                        None => {
                            return Err(node.refuse(Reason::UnknownFormat, "of no known format"));
                        }
                    },
                }
            }
            (None, Value::List(_)) => Wrapper::List(node),
            (None, _) => {
                return Err(node.refuse(Reason::UnknownFormat, "neither an object nor a list"));
            }
        };
        let Some(wrappers) = wrappers.checked_sub(1) else {
            return Err(node.invalid("wrapped too often"));
        };
        match wrapper {
            Wrapper::One(inner) => self.read(inner, wrappers),
            Wrapper::List(list) => list
                .items()
                .try_for_each(|inner| self.read(inner, wrappers)),
            Wrapper::Text(text) => self.read(text.unfolded()?.root(), wrappers),
        }
    }

    fn alert(&mut self, format: Format, fields: json::Object<'_>) -> Result<(), DecodeError> {
        let record = Record {
            fields,
            envelope: self.envelope,
            limits: self.limits,
        };
        let mut alert = match format {
            Format::Fusor => fusor::decode(&record),
            Format::Sentinel => sentinel::decode(&record),
            Format::DefenderCloud => defender_cloud::decode(&record),
            Format::Ocsf => ocsf::decode(&record),
            Format::Suricata => suricata::decode(&record),
            Format::Wazuh => wazuh::decode(&record),
        }?;
        record::bound(&mut alert, self.limits)?;
        self.alerts.push(alert);
        Ok(())
    }
}
