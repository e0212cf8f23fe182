//! The keys of the state topic: text, so that any consumer can show them.

use std::fmt;
use std::str::FromStr;

use super::StateError;

/// What a record of the state topic is about. Tenants and topics are of letters, digits, `.`, `_` and `-`, so no name can
/// forge the key of another.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// How far the shard has come: `meta`.
    Meta,
    /// The starts since the shard last moved: `start`.
    Start,
    /// Who works on the shard: `claim`. Whoever reads back its own has read all that was written before.
    Claim,
    /// Since when there has been a state: `origin`. It is written once in the life of the topic, so it tells one from another.
    Origin,
    /// Part of the digests of an epoch's records: `block/<epoch>/<part>`.
    Block {
        /// The epoch.
        epoch: u64,
        /// Its part, from 0.
        part: u32,
    },
    /// A row of a tenant's state: `row/<tenant>/<row>`.
    Row {
        /// The tenant.
        tenant: String,
        /// The row, as correlation names it.
        row: String,
    },
    /// A record that is kept from being correlated: `quarantine/<topic>/<partition>/<offset>`.
    Quarantine {
        /// Topic of the record.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
}

impl Key {
    /// Returns the key's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When it is none of ours.
    pub fn read(bytes: &[u8]) -> Result<Self, StateError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StateError::Key)?;
        text.parse()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Start => f.write_str("start"),
            Self::Claim => f.write_str("claim"),
            Self::Origin => f.write_str("origin"),
            Self::Block { epoch, part } => write!(f, "block/{epoch:020}/{part}"),
            Self::Row { tenant, row } => write!(f, "row/{tenant}/{row}"),
            Self::Quarantine {
                topic,
                partition,
                offset,
            } => write!(f, "quarantine/{topic}/{partition}/{offset}"),
        }
    }
}

impl FromStr for Key {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let (kind, rest) = text.split_once('/').unwrap_or((text, ""));
        match kind {
            "meta" if rest.is_empty() => Ok(Self::Meta),
            "start" if rest.is_empty() => Ok(Self::Start),
            "claim" if rest.is_empty() => Ok(Self::Claim),
            "origin" if rest.is_empty() => Ok(Self::Origin),
            "block" => {
                let (epoch, part) = rest.split_once('/').ok_or(StateError::Key)?;
                Ok(Self::Block {
                    epoch: number(epoch)?,
                    part: number(part)?,
                })
            }
            "row" => {
                let (tenant, row) = rest.split_once('/').ok_or(StateError::Key)?;
                Ok(Self::Row {
                    tenant: tenant.to_owned(),
                    row: row.to_owned(),
                })
            }
            "quarantine" => {
                let mut parts = rest.splitn(3, '/');
                let mut next = || parts.next().ok_or(StateError::Key);
                Ok(Self::Quarantine {
                    topic: next()?.to_owned(),
                    partition: number(next()?)?,
                    offset: number(next()?)?,
                })
            }
            _ => Err(StateError::Key),
        }
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, StateError> {
    text.parse().map_err(|_| StateError::Key)
}
