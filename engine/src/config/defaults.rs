//! What holds where nothing is said.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::{
    Count, Group, Http, Interval, Limits, Listen, Loopback, Name, Ops, Outputs, Size, Snapshots,
    Topic, Topics, Version,
};

impl Default for Group {
    fn default() -> Self {
        Self(Name::known("fusor"))
    }
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            incidents: Topic::known("fusor.incidents"),
            dead_letters: Topic::known("fusor.dead-letters"),
            state: Topic::known("fusor.state"),
            outcomes: Topic::known("fusor.outcomes"),
            ocsf: None,
            audit: None,
            alerts: None,
        }
    }
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            directory: None,
            interval: Interval::clamped(600_000),
        }
    }
}

impl Default for Ops {
    fn default() -> Self {
        Self {
            listen: Listen::port(9464),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: Loopback::port(8464),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record: Size::clamped(256 << 10),
            entities: Count::clamped(64),
            value: Size::clamped(1 << 10),
            epoch_records: Count::clamped(5_000),
            epoch_size: Size::clamped(4 << 20),
            epoch_interval: Interval::clamped(100),
            buffered_records: Count::clamped(50_000),
            buffered_size: Size::clamped(64 << 20),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            partitions: Count::clamped(1),
            replication: None,
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(1)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format_args!(
                "version {other} is not known to this fusor, which reads version 1"
            ))),
        }
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"const": 1})
    }
}
