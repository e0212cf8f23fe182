//! The inputs: which topics are read, and how their records are.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::decode::{DecodeError, Format, Reason};
use schemas::tenant;

use crate::bus::Record;
use crate::config::TenantRule;

/// How the records of one topic are read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Alerts.
    Alerts {
        /// Their format; detected per record where none is given.
        format: Option<Format>,
        /// Who says which tenant an alert belongs to; the record itself where none is given.
        tenant: Option<TenantRule>,
    },
    /// Alerts that `fusor ingest` has decoded, keyed by tenant.
    Keyed,
    /// Bindings: who held an address when.
    Bindings,
    /// What analysts did.
    Commands,
}

/// Every input of the engine, by topic.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    by_topic: BTreeMap<Arc<str>, Source>,
}

impl Sources {
    /// Collects the inputs; of a topic given twice the last counts.
    #[must_use]
    pub fn new(sources: impl IntoIterator<Item = (String, Source)>) -> Self {
        let by_topic = sources
            .into_iter()
            .map(|(topic, source)| (Arc::from(topic), source))
            .collect();
        Self { by_topic }
    }

    /// Returns how the records of `topic` are read.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&Source> {
        self.by_topic.get(topic)
    }

    /// Returns every topic, sorted.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.by_topic.keys().cloned().collect()
    }
}

/// Returns the tenant the input decides for a record.
///
/// # Errors
/// When the place that decides holds no name of a tenant: falling back to what the record says would let its
/// writer choose the tenant.
pub fn tenant<'a>(rule: &'a TenantRule, record: &'a Record) -> Result<Cow<'a, str>, DecodeError> {
    let (place, found) = match rule {
        TenantRule::Fixed(tenant) => return Ok(Cow::Borrowed(tenant.as_str())),
        TenantRule::Header(name) => {
            let headers = &record.headers;
            let header = headers.iter().find(|header| header.name == name.as_str());
            (
                format!("header {name}"),
                header.and_then(|header| text(header.value.as_ref())),
            )
        }
        TenantRule::Key => ("key".to_owned(), text(record.key.as_ref())),
        TenantRule::Field(pointer) => (pointer.to_string(), field(record, pointer.as_str())),
    };
    let Some(found) = found else {
        return Err(DecodeError {
            reason: Reason::MissingField,
            field: place,
            problem: "the tenant is missing here".to_owned(),
        });
    };
    match tenant::tenant(&found) {
        Ok(_) => Ok(found),
        Err(problem) => Err(DecodeError {
            reason: Reason::InvalidTenant,
            field: place,
            problem: problem.to_string(),
        }),
    }
}

fn text(bytes: Option<&Vec<u8>>) -> Option<Cow<'_, str>> {
    std::str::from_utf8(bytes?).ok().map(Cow::Borrowed)
}

fn field<'a>(record: &Record, pointer: &str) -> Option<Cow<'a, str>> {
    let value: serde_json::Value = serde_json::from_slice(record.value.as_ref()?).ok()?;
    let found = value.pointer(pointer)?.as_str()?;
    Some(Cow::Owned(found.to_owned()))
}
