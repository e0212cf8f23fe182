//! Texts with a rule: each parses once and is valid from there on.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Why a text is no value of its kind, saying what would be one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(crate) String);

/// Reads a value from its text; a number counts as its digits.
pub(crate) struct Scalar<T> {
    expected: &'static str,
    value: PhantomData<T>,
}

impl<T> Scalar<T> {
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self {
            expected,
            value: PhantomData,
        }
    }
}

impl<T: FromStr<Err = Invalid>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// Serde and schema of a type whose text form is its `FromStr` and `Display`.
macro_rules! text_value {
    ($name:ident, $expected:literal, $schema:tt) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Scalar::new($expected))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("title".to_owned(), $expected.into());
                schema
            }
        }
    };
}

pub(super) use text_value;

/// The name of a Kafka topic.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(String);

impl Topic {
    /// Holds a name known to be valid.
    pub(crate) fn known(name: &'static str) -> Self {
        debug_assert!(name.parse() == Ok(Self(name.to_owned())), "{name}");
        Self(name.to_owned())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Topic {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if matches!(text, "" | "." | "..") || text.len() > 249 || !text.bytes().all(legal) {
            return Err(Invalid(format!(
                "`{}` is no topic name: 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen",
                text.escape_debug()
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Topic, "a topic name", {"type": "string", "pattern": "^[a-zA-Z0-9._-]{1,249}$"});

/// A name without control characters: a consumer group, a header.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

impl Name {
    /// Holds a name known to be valid.
    pub(crate) fn known(name: &'static str) -> Self {
        debug_assert!(name.parse() == Ok(Self(name.to_owned())), "{name}");
        Self(name.to_owned())
    }

    /// Returns the name with an ending of ours.
    pub(super) fn with(&self, ending: &'static str) -> Self {
        Self(format!("{self}{ending}"))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 249 || text.chars().any(char::is_control) {
            return Err(Invalid(format!(
                "`{}` is no name: 1 to 249 bytes without control characters",
                text.escape_debug()
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Name, "a name", {"type": "string", "minLength": 1, "maxLength": 249});

/// A broker to ask first: `host:port`; IPv6 hosts in brackets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broker {
    host: String,
    port: u16,
}

impl Broker {
    /// Says whether the broker is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl FromStr for Broker {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid(format!(
                "`{}` is no broker: host:port, as in localhost:9092",
                text.escape_debug()
            ))
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let named = !host.is_empty() && host.bytes().all(legal);
        let ip: Result<std::net::Ipv6Addr, _> =
            host.trim_start_matches('[').trim_end_matches(']').parse();
        match port.parse() {
            Ok(port) if port > 0 && (named || bracketed && ip.is_ok()) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

text_value!(Broker, "a broker as host:port", {"type": "string", "pattern": "^.+:[0-9]+$"});

/// An address or a network in CIDR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network(IpNet);

impl Network {
    /// Returns the network; a single address is a network of itself.
    #[must_use]
    pub const fn get(self) -> IpNet {
        self.0
    }
}

impl FromStr for Network {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let address = text.parse().map(|ip: IpAddr| IpNet::from(ip));
        let network: IpNet = address.or_else(|_| text.parse()).map_err(|_| {
            Invalid(format!(
                "`{}` is no address or network: as in 203.0.113.10 or 198.51.100.0/28",
                text.escape_debug()
            ))
        })?;
        if network.trunc() != network {
            let meant = network.trunc();
            return Err(Invalid(format!(
                "`{text}` has bits beyond its prefix: {meant} or {}?",
                network.addr()
            )));
        }
        Ok(Self(network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

text_value!(Network, "an address or network", {"type": "string", "examples": ["203.0.113.10", "198.51.100.0/28"]});

/// A JSON pointer to one field (RFC 6901).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pointer(String);

impl Pointer {
    /// Returns the pointer as `serde_json::Value::pointer` takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pointer {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let escapes = text.split('~').skip(1);
        let escaped = escapes.into_iter().all(|rest| rest.starts_with(['0', '1']));
        if !text.starts_with('/') || !escaped || text.len() > 1024 {
            return Err(Invalid(format!(
                "`{}` is no JSON pointer: it starts with a slash, as in /properties/tenantId",
                text.escape_debug()
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Pointer, "a JSON pointer", {"type": "string", "pattern": "^/"});

/// An address to listen on that only this machine can reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Loopback(SocketAddr);

impl Loopback {
    /// Holds a port on 127.0.0.1.
    #[must_use]
    pub const fn port(port: u16) -> Self {
        Self(SocketAddr::new(
            IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            port,
        ))
    }

    /// Returns the address.
    #[must_use]
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Loopback {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Listen(address) = text.parse()?;
        if !address.ip().is_loopback() {
            return Err(Invalid(format!(
                "`{text}` is not loopback: what listens here has no authentication"
            )));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

text_value!(Loopback, "an address as ip:port", {"type": "string", "pattern": "^(127\\.|\\[::1\\]:)"});

/// An address to listen on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listen(SocketAddr);

impl Listen {
    /// Holds a port on 127.0.0.1.
    #[must_use]
    pub const fn port(port: u16) -> Self {
        Self(Loopback::port(port).get())
    }

    /// Returns the address.
    #[must_use]
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Listen {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| {
            Invalid(format!(
                "`{}` is no address to listen on: ip:port, as in 127.0.0.1:9464",
                text.escape_debug()
            ))
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

text_value!(Listen, "an address as ip:port", {"type": "string", "examples": ["127.0.0.1:9464", "[::]:9464"]});
