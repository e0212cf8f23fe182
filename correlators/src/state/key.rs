//! What a row is called.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::leases::Start;

/// The key of a row inside its tenant; as text `tenant`, `rule/2`, `entity/3`, `lease/10.0.0.1/1767571200000`, `episode/17`,
/// `thread/17` or `command/5`, and in no other way of writing it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RowKey {
    /// What there is one of: clocks, counts, the next number.
    Tenant,
    /// A rule, by its number; 0 for all beyond the bound.
    Rule(u32),
    /// An entity, by its number.
    Entity(u32),
    /// The leases of an address that begin in one moment, in milliseconds.
    Lease(IpAddr, i64),
    /// An episode, by its number.
    Episode(u64),
    /// A thread, by the number of its founder.
    Thread(u64),
    /// The outcome of a command, by the number it was answered under.
    Command(u64),
}

impl RowKey {
    pub(super) fn lease((ip, from): Start) -> Self {
        Self::Lease(ip, from)
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::Rule(id) => write!(f, "rule/{id}"),
            Self::Entity(id) => write!(f, "entity/{id}"),
            Self::Lease(ip, from) => write!(f, "lease/{ip}/{from}"),
            Self::Episode(number) => write!(f, "episode/{number}"),
            Self::Thread(number) => write!(f, "thread/{number}"),
            Self::Command(number) => write!(f, "command/{number}"),
        }
    }
}

/// The text is no key of a row.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the key of a row")]
pub struct NotAKey;

impl FromStr for RowKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let key = parse(text).ok_or(NotAKey)?;
        // Numbers and addresses can be written in several ways, of which one is the key.
        (key.to_string() == text).then_some(key).ok_or(NotAKey)
    }
}

fn parse(text: &str) -> Option<RowKey> {
    let (kind, rest) = text.split_once('/').unwrap_or((text, ""));
    match kind {
        "tenant" => Some(RowKey::Tenant),
        "rule" => rest.parse().ok().map(RowKey::Rule),
        "entity" => rest.parse().ok().map(RowKey::Entity),
        "lease" => {
            let (ip, from) = rest.split_once('/')?;
            Some(RowKey::Lease(ip.parse().ok()?, from.parse().ok()?))
        }
        "episode" => rest.parse().ok().map(RowKey::Episode),
        "thread" => rest.parse().ok().map(RowKey::Thread),
        "command" => rest.parse().ok().map(RowKey::Command),
        _ => None,
    }
}
