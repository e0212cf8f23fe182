//! Entities by the tenant's own names: what a person writes in the friendly canonical JSON.

use super::account::{AccountFields, account};
use super::cloud::{
    CloudApplicationFields, K8sObjectFields, SecurityGroupFields, cloud_application,
    cloud_resource, container, iot_device, k8s_object, malware, security_group,
};
use super::file::{FileFields, ProcessFields, file, filehash, process};
use super::host::{HostFields, host};
use super::ip::ip;
use super::registry::registry_key;
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
    match (known, name) {
        (EntityKind::Account, _) => account(&account_alt(name, text)?),
        (EntityKind::Host, _) => host(&host_alt(name, text)?),
        (EntityKind::File, "sha1" | "sha256" | "md5") => file(&FileFields {
            hash: value,
            ..FileFields::default()
        }),
        (EntityKind::File, "path") => file(&FileFields {
            path: value,
            ..FileFields::default()
        }),
        (EntityKind::FileHash, "sha1" | "sha256" | "sha512" | "md5") => filehash(None, text),
        (EntityKind::Mailbox, "mailbox" | "upn") => mailbox(text),
        (EntityKind::CloudApplication, "app" | "app_id") => {
            cloud_application(&CloudApplicationFields {
                app_id: value,
                ..CloudApplicationFields::default()
            })
        }
        (EntityKind::Process, "image") => process(&ProcessFields {
            image: value,
            ..ProcessFields::default()
        }),
        _ => None,
    }
}

fn account_alt<'a>(name: &str, text: &'a str) -> Option<AccountFields<'a>> {
    let value = Some(text);
    let mut fields = AccountFields::default();
    match name {
        "sid" => fields.sid = value,
        "aad" | "aad_user_id" | "oid" | "object_id" => fields.aad_user_id = value,
        "object_guid" => fields.object_guid = value,
        "puid" => fields.puid = value,
        "upn" | "upn2" | "nt" | "name" => fields.name = value,
        _ => return None,
    }
    Some(fields)
}

fn host_alt<'a>(name: &str, text: &'a str) -> Option<HostFields<'a>> {
    let value = Some(text);
    let mut fields = HostFields::default();
    match name {
        "fqdn" | "dns" => fields.fqdn = value,
        "hostname" | "name" | "nt" => fields.hostname = value,
        "azure_id" | "azure" | "arm" => fields.azure_id = value,
        "device_id" | "entra" => fields.device_id = value,
        "mde" | "mde_device_id" => fields.agent = Some(("mde", text)),
        "agent" | "agent_id" => fields.agent = Some(("agent", text)),
        "mac" => fields.mac = value,
        _ => return None,
    }
    Some(fields)
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
