//! Properties handed to librdkafka: what Fusor owns is refused, what is secret is never shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::load::bounded;
use super::value::Invalid;

/// librdkafka properties by name, secrets included; neither `Debug` nor serde shows those.
#[derive(Clone, Default, PartialEq)]
pub struct Properties(BTreeMap<String, String>);

/// What stands for a secret wherever properties are shown.
pub const REDACTED: &str = "[redacted]";

impl Properties {
    /// Returns name and value of every property, secrets in the clear.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the value of one property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Says whether the link to the brokers is encrypted.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.get("security.protocol")
            .is_some_and(|protocol| protocol.to_ascii_lowercase().ends_with("ssl"))
    }

    /// Puts the content of the files that `<property>_file` names in place of the names.
    /// Returns the properties whose file could not be read, and why.
    pub(super) fn read_files(&mut self) -> Vec<(String, String)> {
        let mut unread = Vec::new();
        let mut read = BTreeMap::new();
        for (name, value) in std::mem::take(&mut self.0) {
            let Some(property) = name.strip_suffix(FILE) else {
                read.insert(name, value);
                continue;
            };
            match bounded(Path::new(&value), SECRET_BYTES_MAX) {
                Ok(content) => {
                    let content = content.trim_end_matches(['\n', '\r']);
                    read.insert(property.to_owned(), content.to_owned());
                }
                Err(error) => unread.push((name, format!("cannot read {value}: {error}"))),
            }
        }
        self.0 = read;
        unread
    }

    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .map(|(name, value)| (name, if is_secret(name) { REDACTED } else { value }))
    }
}

/// Says whether the property of this name holds a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    ["password", "passphrase", "secret", "key.pem"]
        .iter()
        .any(|part| name.contains(part) && !name.ends_with(FILE))
        || name == "sasl.oauthbearer.config"
}

/// A key with its certificates is a few KiB.
const SECRET_BYTES_MAX: u64 = 1 << 20;
const FILE: &str = "_file";

/// Properties that delivery rests on, so that Fusor alone sets them.
const OWNED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "message.send.max.retries",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "retries",
    "statistics.interval.ms",
    "transactional.id",
];

/// Refuses a name that is no property an operator may set.
fn check_name(name: &str) -> Result<(), Invalid> {
    let property = name.strip_suffix(FILE).unwrap_or(name);
    if OWNED.contains(&property) {
        let instead = match property {
            "bootstrap.servers" | "metadata.broker.list" => "; use kafka.brokers",
            "group.id" => "; use group",
            _ => "",
        };
        return Err(Invalid(format!("`{property}` is set by fusor{instead}")));
    }
    if property == "plugin.library.paths" {
        return Err(Invalid(format!("`{property}` would load foreign code")));
    }
    if property != name && !is_secret(property) {
        return Err(Invalid(format!(
            "`{name}`: only a secret is read from a file"
        )));
    }
    let shown = name.escape_debug();
    match ClientConfig::new().set(property, "").create_native_config() {
        Err(KafkaError::ClientConfig(_, problem, _, _)) if problem.contains("No such") => {
            Err(Invalid(format!("`{shown}` is no librdkafka property")))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Refuses a value that librdkafka would.
fn check_value(name: &str, value: &str) -> Result<(), Invalid> {
    if name.ends_with(FILE) || is_secret(name) {
        return Ok(());
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, problem, _, _)) => {
            Err(Invalid(problem.replacen("Invalid", "invalid", 1)))
        }
        Err(error) => Err(Invalid(error.to_string())),
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PropertiesVisitor)
    }
}

struct PropertiesVisitor;

impl<'de> Visitor<'de> for PropertiesVisitor {
    type Value = Properties;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of librdkafka properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
        let mut properties = BTreeMap::new();
        while let Some(PropertyName(name)) = map.next_key()? {
            let value = map.next_value_seed(ValueOf(&name))?;
            properties.insert(name, value);
        }
        Ok(Properties(properties))
    }
}

struct PropertyName(String);

impl FromStr for PropertyName {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        check_name(name)?;
        Ok(Self(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for PropertyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

/// The value of the named property: librdkafka takes all of them as text.
struct ValueOf<'a>(&'a str);

impl<'de> de::DeserializeSeed<'de> for ValueOf<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for ValueOf<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, number or boolean")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        check_value(self.0, text).map_err(E::custom)?;
        Ok(text.to_owned())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<String, E> {
        self.visit_str(if yes { "true" } else { "false" })
    }
}

impl JsonSchema for Properties {
    fn schema_name() -> Cow<'static, str> {
        "Properties".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let not_ours: Vec<_> = OWNED.iter().chain(&["plugin.library.paths"]).collect();
        json_schema!({
            "type": "object",
            "propertyNames": {"not": {"enum": not_ours}},
            "additionalProperties": {"type": ["string", "integer", "boolean"]},
        })
    }
}
