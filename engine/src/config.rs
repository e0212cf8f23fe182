//! The configuration: one YAML file, environment and flags over it; a parsed [`Config`] is valid.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod correlation;
mod defaults;
pub mod input;
pub mod kafka;
mod load;
mod mistake;
mod rules;
mod schema;
mod show;
mod tree;
pub mod units;
pub mod value;

pub use correlation::{
    Attach, Correlation, Fold, IncidentLimits, Link, Memory, Promote, Severity, Stitch,
};
pub use input::{InputFormat, Tenant, TenantRule};
pub use kafka::Properties;
pub use load::{Layers, Loaded, Needs};
pub use mistake::{Mistake, Mistakes};
pub use schema::schema;
pub use show::Leaf;
pub use units::{Count, Decimal, Interval, Size};
pub use value::{Broker, Invalid, Listen, Loopback, Name, Network, Pointer, Topic};

/// Everything an operator sets. The default needs no broker and reads nothing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Version of this format; default 1.
    pub version: Version,
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Consumer group, and prefix of the transactional ids; default `fusor`.
    pub group: Group,
    /// Topics with alerts; at least one to run.
    pub inputs: Vec<Input>,
    /// Topic that says who held an address when (DHCP and VPN leases); default none.
    pub bindings: Option<Topic>,
    /// Topic with what analysts did; default none.
    pub commands: Option<Topic>,
    /// Topics Fusor writes.
    pub outputs: Outputs,
    /// Local copies of the state, so that starts are quicker.
    pub snapshots: Snapshots,
    /// What is known of the entities.
    pub entities: Entities,
    /// How alerts become incidents.
    pub correlation: Correlation,
    /// Health and metrics: no alert content, no login, may listen anywhere.
    pub ops: Ops,
    /// Read-only API: loopback only, as it has no authentication.
    pub http: Http,
    /// Bounds on what is accepted and held.
    pub limits: Limits,
    /// What `fusor topics create` makes.
    pub topics: Topics,
}

/// Version of the configuration format.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Version;

/// How to reach Kafka.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to ask first, each `host:port`; at least one to run.
    pub brokers: Vec<Broker>,
    /// Whether an unencrypted link to brokers beyond loopback is accepted; default `refuse`.
    pub insecure: Insecure,
    /// Any librdkafka property that Fusor does not set itself. A password comes from the environment, or from a
    /// file named by the property with `_file` behind it.
    pub properties: Properties,
}

/// Whether an unencrypted link to brokers beyond loopback is accepted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Insecure {
    /// Refused.
    #[default]
    Refuse,
    /// Accepted.
    Allow,
}

/// The consumer group's name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(transparent)]
pub struct Group(Name);

/// One topic with alerts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The topic.
    pub topic: Topic,
    /// Format of the records; default: detected per record.
    #[serde(default)]
    pub format: Option<InputFormat>,
    /// The tenant of the records; default: the record's own, else `default`.
    #[serde(default)]
    pub tenant: Option<TenantRule>,
}

/// Topics Fusor writes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outputs {
    /// Revisions of incidents; default `fusor.incidents`.
    pub incidents: Topic,
    /// Records that were refused, as they came; default `fusor.dead-letters`.
    pub dead_letters: Topic,
    /// State by shard; default `fusor.state`.
    pub state: Topic,
    /// What became of analysts' commands; default `fusor.outcomes`.
    pub outcomes: Topic,
    /// Incidents as OCSF findings. Reserved: accepted, not written yet.
    pub ocsf: Option<Topic>,
    /// What was done by whom. Reserved: accepted, not written yet.
    pub audit: Option<Topic>,
    /// Alerts keyed by tenant, which `fusor ingest` writes and `fusor run` then reads instead of the inputs; default none.
    pub alerts: Option<Topic>,
}

/// Local copies of the state, so that starts are quicker. The state topic stays the truth.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshots {
    /// Directory of this process alone, on a local disk; default none, and then none are taken.
    pub directory: Option<PathBuf>,
    /// How long after one the next is taken; default `10m`.
    pub interval: Interval<1_000, 86_400_000>,
}

/// What is known of the entities.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entities {
    /// Our own egress and NAT addresses or networks: recorded, never evidence; default none.
    pub own_addresses: Vec<Network>,
    /// Entities that are recorded and never evidence: kind to values; default none.
    pub never_link: BTreeMap<String, Vec<String>>,
}

/// Health and metrics.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ops {
    /// Address of `/livez`, `/readyz` and `/metrics`; default `127.0.0.1:9464`.
    pub listen: Listen,
}

/// Read-only API.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address of the API, on loopback; default `127.0.0.1:8464`.
    pub listen: Loopback,
}

/// Bounds on what is accepted and held.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Size of one record; larger ones are dead-lettered; default `256KiB`.
    pub record: Size<1_024, 16_777_216>,
    /// Entities of one alert; those beyond are cut; default 64.
    pub entities: Count<1, 1_024>,
    /// Size of one value in an alert; longer ones are cut; default `1KiB`.
    pub value: Size<64, 65_536>,
    /// Records of one epoch, which is one transaction; default 5000.
    pub epoch_records: Count<1, 100_000>,
    /// Size of the records of one epoch; default `4MiB`.
    pub epoch_size: Size<65_536, 268_435_456>,
    /// How long an epoch may gather records; default `100ms`.
    pub epoch_interval: Interval<1, 10_000>,
    /// Records held back while they wait for their order, over all partitions; default 50000.
    pub buffered_records: Count<100, 10_000_000>,
    /// Size of the records held back; default `64MiB`.
    pub buffered_size: Size<1_048_576, 17_179_869_184>,
}

/// What `fusor topics create` makes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// Shards: partitions of the state topic and, where there are several, of every input; default 1.
    pub partitions: Count<1, 1_024>,
    /// Copies of each partition; default: the brokers' own.
    pub replication: Option<Count<1, 9>>,
}

impl Config {
    /// Returns the configuration by which `fusor ingest` is on the bus, writing to `alerts`: in a group of its own, which
    /// shares out the partitions of that topic.
    #[must_use]
    pub fn for_ingest(&self, alerts: &Topic) -> Self {
        let mut config = self.clone();
        config.group = Group(self.group.0.with("-ingest"));
        config.outputs.state = alerts.clone();
        config
    }

    /// Returns the settings of the correlation core, which are the same for every tenant.
    #[must_use]
    pub fn settings(&self) -> correlators::Settings {
        correlators::Settings {
            never_link: self.entities.never_link.clone(),
            own_addresses: self
                .entities
                .own_addresses
                .iter()
                .map(ToString::to_string)
                .collect(),
            ..self.correlation.settings()
        }
    }
}

impl Group {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Limits {
    /// Returns what a decoder holds a record to.
    #[must_use]
    pub fn decode(&self) -> schemas::decode::Limits {
        schemas::decode::Limits {
            record_bytes_max: self.record.as_usize(),
            entities_max: self.entities.as_usize(),
            value_bytes_max: self.value.as_usize(),
        }
    }
}

#[cfg(test)]
mod tests;
