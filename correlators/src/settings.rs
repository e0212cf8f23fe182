//! Every constant of the correlation core that an operator may turn, with its default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The settings of one tenant's correlation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far behind the newest event time an alert may come without being flagged late, in milliseconds; default 10 min.
    pub lateness_ms: i64,
    /// Entities that are recorded and never evidence: kind word to values as people write them.
    pub never_link: BTreeMap<String, Vec<String>>,
    /// Our own egress and NAT addresses or networks in CIDR: recorded, never evidence.
    pub own_addresses: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lateness_ms: 10 * 60_000,
            never_link: BTreeMap::new(),
            own_addresses: Vec::new(),
        }
    }
}
