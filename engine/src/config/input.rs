//! How the records of one input are read, and whose they are.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use schemas::decode::Format;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::value::{Invalid, Name, Pointer, Scalar, text_value};

/// The format of an input's records.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum InputFormat {
    /// The friendly canonical JSON.
    Fusor,
    /// Microsoft Sentinel SecurityAlert.
    Sentinel,
    /// Microsoft Defender for Cloud.
    DefenderCloud,
    /// OCSF Detection Finding.
    Ocsf,
    /// Suricata EVE alerts.
    Suricata,
    /// Wazuh 4 alerts.
    Wazuh,
}

impl From<InputFormat> for Format {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Fusor => Self::Fusor,
            InputFormat::Sentinel => Self::Sentinel,
            InputFormat::DefenderCloud => Self::DefenderCloud,
            InputFormat::Ocsf => Self::Ocsf,
            InputFormat::Suricata => Self::Suricata,
            InputFormat::Wazuh => Self::Wazuh,
        }
    }
}

/// The name of a tenant.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tenant(String);

impl Tenant {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tenant {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match schemas::tenant::tenant(text) {
            Ok(name) => Ok(Self(name.to_owned())),
            Err(problem) => Err(Invalid(format!(
                "`{}` is no tenant: {problem}",
                text.escape_debug()
            ))),
        }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Tenant, "a tenant's name", {"type": "string", "pattern": "^[a-zA-Z0-9._-]{1,64}$"});

/// Where the tenant of an input's records comes from: a name for all of them, or
/// `{header: NAME}`, `{key: true}`, `{field: /POINTER}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TenantRule {
    /// One tenant.
    Fixed(Tenant),
    /// The text of a record header.
    Header(Name),
    /// The record's key.
    Key,
    /// A field of the record; producers must be trusted with it.
    Field(Pointer),
}

impl Serialize for TenantRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = match self {
            Self::Fixed(name) => return serializer.collect_str(name),
            Self::Header(_) | Self::Key | Self::Field(_) => serializer.serialize_map(Some(1))?,
        };
        match self {
            Self::Fixed(_) | Self::Key => map.serialize_entry("key", &true)?,
            Self::Header(name) => map.serialize_entry("header", name)?,
            Self::Field(pointer) => map.serialize_entry("field", pointer)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TenantRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TenantVisitor)
    }
}

struct TenantVisitor;

impl<'de> Visitor<'de> for TenantVisitor {
    type Value = TenantRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tenant's name, or one of {header: NAME}, {key: true}, {field: /POINTER}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TenantRule, E> {
        text.parse().map(TenantRule::Fixed).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TenantRule, A::Error> {
        let wrong =
            || de::Error::custom(format_args!("expected exactly one of header, key, field"));
        let key: String = map.next_key()?.ok_or_else(wrong)?;
        let rule = match key.as_str() {
            "header" => TenantRule::Header(map.next_value()?),
            "field" => TenantRule::Field(map.next_value()?),
            "key" => match map.next_value()? {
                true => TenantRule::Key,
                false => return Err(de::Error::custom("key can only be true")),
            },
            other => return Err(de::Error::unknown_field(other, &["header", "key", "field"])),
        };
        match map.next_key::<String>()? {
            None => Ok(rule),
            Some(_) => Err(wrong()),
        }
    }
}

impl JsonSchema for TenantRule {
    fn schema_name() -> Cow<'static, str> {
        "TenantRule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<Name>();
        let pointer = generator.subschema_for::<Pointer>();
        let tenant = generator.subschema_for::<Tenant>();
        let title = "a name, {header: NAME}, {key: true} or {field: /POINTER}";
        json_schema!({"title": title, "oneOf": [
            tenant,
            {"type": "object", "required": ["header"], "additionalProperties": false, "properties": {"header": name}},
            {"type": "object", "required": ["key"], "additionalProperties": false, "properties": {"key": {"const": true}}},
            {"type": "object", "required": ["field"], "additionalProperties": false, "properties": {"field": pointer}},
        ]})
    }
}
