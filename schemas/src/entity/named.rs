//! Entities by the tenant's own names: what a person writes in the friendly canonical JSON.

use crate::time::Timestamp;

use super::account::{AccountFields, account};
use super::cloud::{
    CloudApplicationFields, K8sObjectFields, SecurityGroupFields, cloud_application,
    cloud_resource, container, iot_device, k8s_object, malware, security_group,
};
use super::file::{FileFields, ProcessFields, file, filehash, process, registry_key};
use super::host::{HostFields, host};
use super::ip::ip;
use super::text::{clean, lower, part, usable};
use super::web::{MailMessageFields, dns, mail_message, mailbox, url};
use super::{Entity, EntityKind};

/// Makes the entity of any other kind, under the source's own word for the kind; none when nothing is left. Strong.
#[must_use]
pub fn other(kind: &str, value: &str) -> Option<Entity> {
    let value = clean(Some(value))?;
    let kind = clean(Some(kind)).unwrap_or_else(|| EntityKind::Other.word().to_owned());
    let folded = lower(&value);
    let mut entity = Entity::new(EntityKind::Other, &value).identified("value", &folded);
    if usable(Some(&value)).is_some() {
        entity.add_key(format!("other:{}:{}", part(&lower(&kind)), part(&folded)));
    }
    entity.kind = kind;
    Some(entity)
}

/// Makes the entity that `value` is the tenant's canonical name of; none when nothing is left.
///
/// `kind` is a word of [`EntityKind`] in any spelling (`mailMessage`), or the source's own. The name identifies
/// strongly, except a private address and an account that every machine has. `alts` are further names, such as
/// (`sid`, `S-1-5-21-…`): each gives the keys that it gives by itself, and those of no known meaning are kept to look at.
#[must_use]
pub fn named<'a>(
    kind: &str,
    value: &str,
    alts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<Entity> {
    let known = EntityKind::of_any_spelling(kind);
    let mut entity = by_value(known, kind, value)?;
    if entity.kind != EntityKind::Ip.word() {
        entity.promote();
    }
    for (name, text) in alts.into_iter().take(ALTS_MAX) {
        if let Some(alt) = by_alt(known, &lower(name.trim()), text) {
            entity.absorb(alt);
        }
        if let (Some(name), Some(text)) = (clean(Some(name)), clean(Some(text))) {
            entity.identifiers.entry(name).or_insert(text);
        }
    }
    Some(entity)
}

/// Bound on further names of one entity.
const ALTS_MAX: usize = 16;

fn by_value(known: EntityKind, kind: &str, value: &str) -> Option<Entity> {
    let text = Some(value);
    let found = match known {
        EntityKind::Account => account(&account_fields(value)),
        EntityKind::Host => host(&HostFields {
            hostname: text,
            ..HostFields::default()
        }),
        EntityKind::Ip => ip(value, None),
        EntityKind::File => filehash(None, value)
            .map(|mut hash| {
                EntityKind::File.word().clone_into(&mut hash.kind);
                hash
            })
            .or_else(|| {
                file(&FileFields {
                    path: text,
                    name: text,
                    ..FileFields::default()
                })
            }),
        EntityKind::FileHash => filehash(None, value),
        EntityKind::Url => url(value),
        EntityKind::Dns => dns(value),
        EntityKind::Mailbox => mailbox(value),
        EntityKind::MailMessage => mail_message(&MailMessageFields {
            network_message_id: text,
            ..MailMessageFields::default()
        }),
        EntityKind::CloudResource => cloud_resource(value).into_iter().next(),
        EntityKind::CloudApplication => cloud_application(&CloudApplicationFields {
            name: text,
            ..CloudApplicationFields::default()
        }),
        EntityKind::SecurityGroup => security_group(&SecurityGroupFields {
            name: text,
            ..SecurityGroupFields::default()
        }),
        EntityKind::RegistryKey => registry_key(None, value, None),
        EntityKind::Malware => malware(value, None),
        EntityKind::IotDevice => iot_device(None, value),
        EntityKind::Container => container(value, None),
        EntityKind::K8sObject => k8s_object(&K8sObjectFields {
            name: text,
            ..K8sObjectFields::default()
        }),
        EntityKind::Process
        | EntityKind::RegistryValue
        | EntityKind::NetworkConnection
        | EntityKind::Vulnerability
        | EntityKind::Other => None,
    };
    // A name that its kind makes nothing of is still the tenant's name for it.
    found.or_else(|| {
        let mut entity = other(
            if known == EntityKind::Other {
                kind
            } else {
                known.word()
            },
            value,
        )?;
        if matches!(known, EntityKind::Ip | EntityKind::Host | EntityKind::Dns) {
            entity.key = None;
        }
        Some(entity)
    })
}

/// Makes an entity of one further name alone, for its keys.
fn by_alt(known: EntityKind, name: &str, text: &str) -> Option<Entity> {
    let value = Some(text);
    match known {
        EntityKind::Account => account(&match name {
            "sid" => AccountFields {
                sid: value,
                ..AccountFields::default()
            },
            "aad" | "aad_user_id" | "oid" | "object_id" => AccountFields {
                aad_user_id: value,
                ..AccountFields::default()
            },
            "object_guid" => AccountFields {
                object_guid: value,
                ..AccountFields::default()
            },
            "puid" => AccountFields {
                puid: value,
                ..AccountFields::default()
            },
            "upn" | "upn2" | "nt" | "name" => account_fields(text),
            _ => return None,
        }),
        EntityKind::Host => host(&match name {
            "fqdn" | "dns" => HostFields {
                fqdn: value,
                ..HostFields::default()
            },
            "hostname" | "name" | "nt" => HostFields {
                hostname: value,
                ..HostFields::default()
            },
            "azure_id" | "azure" | "arm" => HostFields {
                azure_id: value,
                ..HostFields::default()
            },
            "device_id" | "entra" => HostFields {
                device_id: value,
                ..HostFields::default()
            },
            "mde" | "mde_device_id" => HostFields {
                agent: Some(("mde", text)),
                ..HostFields::default()
            },
            "agent" | "agent_id" => HostFields {
                agent: Some(("agent", text)),
                ..HostFields::default()
            },
            "mac" => HostFields {
                mac: value,
                ..HostFields::default()
            },
            _ => return None,
        }),
        EntityKind::File => match name {
            "sha1" | "sha256" | "md5" => file(&FileFields {
                hash: value,
                ..FileFields::default()
            }),
            "path" => file(&FileFields {
                path: value,
                ..FileFields::default()
            }),
            _ => None,
        },
        EntityKind::FileHash => filehash(Some(name), text),
        EntityKind::Mailbox if matches!(name, "mailbox" | "upn") => mailbox(text),
        EntityKind::CloudApplication if matches!(name, "app" | "app_id") => {
            cloud_application(&CloudApplicationFields {
                app_id: value,
                ..CloudApplicationFields::default()
            })
        }
        EntityKind::Process => match name {
            "image" => process(&ProcessFields {
                image: value,
                start: None::<Timestamp>,
                ..ProcessFields::default()
            }),
            _ => None,
        },
        EntityKind::Mailbox
        | EntityKind::Ip
        | EntityKind::Url
        | EntityKind::Dns
        | EntityKind::MailMessage
        | EntityKind::CloudResource
        | EntityKind::CloudApplication
        | EntityKind::SecurityGroup
        | EntityKind::RegistryKey
        | EntityKind::RegistryValue
        | EntityKind::Malware
        | EntityKind::IotDevice
        | EntityKind::Container
        | EntityKind::K8sObject
        | EntityKind::NetworkConnection
        | EntityKind::Vulnerability
        | EntityKind::Other => None,
    }
}

fn account_fields(value: &str) -> AccountFields<'_> {
    if value
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("S-1-"))
    {
        AccountFields {
            sid: Some(value),
            ..AccountFields::default()
        }
    } else {
        AccountFields {
            name: Some(value),
            ..AccountFields::default()
        }
    }
}
