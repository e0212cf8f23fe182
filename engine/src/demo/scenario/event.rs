//! One security event of the scenario, before a sensor writes it down in its own format.

use schemas::time::Timestamp;

/// Who raises an alert, and so how its record looks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Sensor {
    /// Endpoint agents and the directory, in Fusor's own JSON; the record names its tenant.
    Endpoint,
    /// Suricata at the edge and in the core; one topic a tenant, since EVE knows none.
    Network,
    /// Sign-in and mail alerts as Microsoft Sentinel writes them; one topic a tenant.
    Identity,
}

/// A detection rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) sensor: Sensor,
    /// Number in its sensor.
    pub(super) number: u32,
    pub(super) title: &'static str,
    pub(super) severity: Level,
    /// ATT&CK's short name of the tactic.
    pub(super) tactic: &'static str,
    pub(super) technique: &'static str,
}

/// How grave a rule says it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Level {
    Low,
    Medium,
    High,
    Critical,
}

/// An entity and the part it plays.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    pub(super) value: String,
    pub(super) part: Part,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Account,
    Host,
    Ip,
    FileHash,
    Url,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Context,
    Source,
    Target,
}

impl Thing {
    pub(super) fn new(kind: Kind, value: impl Into<String>) -> Self {
        Self {
            kind,
            value: value.into(),
            part: Part::Context,
        }
    }

    pub(super) fn source(self) -> Self {
        Self {
            part: Part::Source,
            ..self
        }
    }

    pub(super) fn target(self) -> Self {
        Self {
            part: Part::Target,
            ..self
        }
    }
}

/// One alert to be.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) tenant: &'static str,
    pub(super) time: Timestamp,
    pub(super) rule: Rule,
    pub(super) things: Vec<Thing>,
    /// The attack it belongs to; none for everyday noise.
    pub(super) attack: Option<&'static str>,
}
