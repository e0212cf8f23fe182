//! Entity identity: what makes two mentions the same thing.

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
}
