//! Entity identity: what makes two mentions the same thing.
//!
//! One constructor a kind takes a record's own fields and gives an [`Entity`] with its keys, or none when nothing
//! usable is left. A decoder sets `role` and `parent` afterwards. Keys of one kind share one namespace: what a source
//! says strongly (`host:name:web01` as the tenant's own name) meets what another says weakly.

mod account;
mod aws;
mod cloud;
mod file;
mod host;
mod ip;
mod named;
mod registry;
mod text;
mod web;

#[cfg(test)]
mod tests;

pub use account::{AccountFields, account};
pub use aws::{AwsPrincipalFields, aws_principal};
pub use cloud::{
    CloudApplicationFields, K8sObjectFields, SecurityGroupFields, cloud_application,
    cloud_resource, container, iot_device, k8s_object, malware, security_group,
};
pub use file::{FileFields, ProcessFields, file, filehash, process};
pub use host::{HostFields, host};
pub use ip::{IpClass, ip, ip_class, parse_ip};
pub use named::{named, other};
pub use registry::{registry_key, registry_value};
pub use text::VALUE_BYTES_MAX;
pub use web::{MailMessageFields, dns, mail_message, mailbox, url};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::words;

/// One entity an alert names, with the keys it can be known by.
///
/// `key` and `alt_keys` identify it strongly inside the tenant; several strong keys of one mention name one
/// entity. `weak_keys` only count as hints (half evidence, never alone).
/// An entity without any key is recorded and never links.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entity {
    /// Kind word: one of [`EntityKind`]'s, or the source's own word kept as given.
    #[serde(rename = "type")]
    pub kind: String,
    /// Canonical strong key, or none where only weak identifiers are known.
    pub key: Option<String>,
    /// Further strong keys of the same entity.
    pub alt_keys: Vec<String>,
    /// Weak keys.
    pub weak_keys: Vec<String>,
    /// Normalised fields as found.
    pub identifiers: BTreeMap<String, String>,
    /// What to show people.
    pub display: String,
    /// Part the entity plays in the alert.
    pub role: EntityRole,
    /// Index in the alert's `entities` of the entity this one belongs to: host of a process, process of a file.
    pub parent: Option<i32>,
}

/// Bound on the keys of one mention, strong and weak apart.
const KEYS_MAX: usize = 8;

impl Entity {
    /// Returns the strong keys, the canonical one first.
    pub fn strong_keys(&self) -> impl Iterator<Item = &str> {
        self.key.iter().chain(&self.alt_keys).map(String::as_str)
    }

    /// Returns whether any strong key is known.
    #[must_use]
    pub const fn has_strong_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns whether any key, strong or weak, is known.
    #[must_use]
    pub const fn has_key(&self) -> bool {
        self.key.is_some() || !self.weak_keys.is_empty()
    }

    fn new(kind: EntityKind, display: &str) -> Self {
        Self {
            kind: kind.word().to_owned(),
            display: text::cut(display),
            ..Self::default()
        }
    }

    fn identified(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        self.identifiers.insert(name.to_owned(), value.to_owned());
    }

    fn add_key(&mut self, key: String) {
        self.weak_keys.retain(|known| *known != key);
        if self.key.is_none() {
            self.key = Some(key);
        } else if self.strong_keys().all(|known| known != key) && self.alt_keys.len() < KEYS_MAX {
            self.alt_keys.push(key);
        }
    }

    fn add_weak_key(&mut self, key: String) {
        let known = self.weak_keys.contains(&key) || self.strong_keys().any(|known| known == key);
        if !known && self.weak_keys.len() < KEYS_MAX {
            self.weak_keys.push(key);
        }
    }

    /// Makes the first weak key the strong one where there is no strong one.
    fn promote(&mut self) {
        if self.key.is_none() && !self.weak_keys.is_empty() {
            self.key = Some(self.weak_keys.remove(0));
        }
    }

    /// Takes over the keys and identifiers of another mention of the same thing; its own stay first.
    fn absorb(&mut self, other: Self) {
        for key in other.key.into_iter().chain(other.alt_keys) {
            self.add_key(key);
        }
        for key in other.weak_keys {
            self.add_weak_key(key);
        }
        for (name, value) in other.identifiers {
            self.identifiers.entry(name).or_insert(value);
        }
    }

    /// Returns what to show where a record gives no name.
    fn label(&self) -> String {
        let known = self.identifiers.values().next();
        let key = self
            .strong_keys()
            .next()
            .or_else(|| self.weak_keys.first().map(String::as_str));
        text::cut(known.map(String::as_str).or(key).unwrap_or_default())
    }
}

words! {
    /// The part an entity plays in an alert.
    EntityRole {
        /// Not said.
        Unknown = "unknown",
        /// Attacked.
        Target = "target",
        /// Acting.
        Actor = "actor",
        /// Where the activity comes from.
        Source = "source",
        /// Where the activity goes to.
        Destination = "destination",
        /// Taken over.
        Compromised = "compromised",
        /// Command and control.
        C2 = "c2",
        /// The sensor itself: recorded, never evidence.
        Observer = "observer",
        /// Mentioned.
        Context = "context",
    } default Unknown
}

words! {
    /// Kinds of entities. Anything else keeps the source's word and is treated as [`EntityKind::Other`].
    EntityKind {
        /// A user, service or cloud principal.
        Account = "account",
        /// A machine.
        Host = "host",
        /// An address.
        Ip = "ip",
        /// A file by path, on one host.
        File = "file",
        /// A file by content.
        FileHash = "filehash",
        /// A running process.
        Process = "process",
        /// A web address.
        Url = "url",
        /// A domain name.
        Dns = "dns",
        /// A mailbox.
        Mailbox = "mailbox",
        /// One message.
        MailMessage = "mail-message",
        /// A cloud resource by its provider's id.
        CloudResource = "cloud-resource",
        /// A cloud application.
        CloudApplication = "cloud-application",
        /// A group.
        SecurityGroup = "security-group",
        /// A registry key.
        RegistryKey = "registry-key",
        /// A registry value.
        RegistryValue = "registry-value",
        /// A malware family.
        Malware = "malware",
        /// An IoT device.
        IotDevice = "iot-device",
        /// A container.
        Container = "container",
        /// A Kubernetes object.
        K8sObject = "k8s-object",
        /// A network connection.
        NetworkConnection = "network-connection",
        /// A vulnerability.
        Vulnerability = "vulnerability",
        /// Anything else.
        Other = "other",
    } default Other
}

impl EntityKind {
    /// Returns the kind a word names; [`Self::Other`] for a word of none.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.word() == word)
            .unwrap_or(Self::Other)
    }

    /// Returns the kind a word names in any spelling: `mailMessage`, `Mail_Message`, `user`.
    fn of_any_spelling(word: &str) -> Self {
        let fold = |word: &str| -> String {
            let letters = word.chars().filter(char::is_ascii_alphanumeric).take(32);
            letters.map(|letter| letter.to_ascii_lowercase()).collect()
        };
        let word = fold(word);
        match word.as_str() {
            "user" => return Self::Account,
            "device" | "machine" | "computer" => return Self::Host,
            "ipaddress" | "address" => return Self::Ip,
            "hash" => return Self::FileHash,
            "domain" => return Self::Dns,
            "azureresource" => return Self::CloudResource,
            _ => {}
        }
        let named = |kind: &Self| fold(kind.word()) == word;
        Self::ALL.iter().copied().find(named).unwrap_or(Self::Other)
    }
}
