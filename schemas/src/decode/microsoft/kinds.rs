//! One kind of Microsoft's entities a function: its fields to the entity's own.

use crate::decode::json::Object;
use crate::decode::words::folded;
use crate::entity::{
    self, AccountFields, CloudApplicationFields, Entity, FileFields, HostFields, MailMessageFields,
    ProcessFields, SecurityGroupFields,
};

/// Fields kept of an entity of a kind that is not known.
const OTHER_FIELDS_MAX: usize = 16;

/// What of an entity's surroundings its keys need.
pub(super) struct Context<'a> {
    /// Azure ids of what the alert is about.
    pub(super) resources: &'a [&'a str],
    /// The host it is on.
    pub(super) host: Option<&'a Entity>,
    /// The image of a process.
    pub(super) image: Option<&'a Entity>,
    /// The key of a registry value.
    pub(super) key: Option<&'a Entity>,
}

/// Returns the entity an object stands for, then what that is a part of.
pub(super) fn entities(object: Object<'_>, context: &Context<'_>) -> Vec<Entity> {
    let Some(word) = object.str("Type") else {
        return Vec::new();
    };
    let entity = match folded(word).as_str() {
        "account" => account(object, context),
        "host" => host(object, context),
        "ip" => ip(object),
        "file" => file(object, context),
        "filehash" => hash(object),
        "process" => process(object, context),
        "url" => object.str("Url").and_then(entity::url),
        "dns" | "dnsresolution" => object.str("DomainName").and_then(entity::dns),
        "mailbox" => mailbox(object),
        "mailmessage" => mail_message(object),
        "cloudapplication" => cloud_application(object),
        "azureresource" => {
            let id = object
                .str("ResourceId")
                .or_else(|| object.str("AzureResourceId"));
            return id.map(entity::cloud_resource).unwrap_or_default();
        }
        "registrykey" => {
            let key = object.str("Key");
            key.and_then(|key| entity::registry_key(object.str("Hive"), key, context.host))
        }
        "registryvalue" => registry_value(object, context),
        "securitygroup" => security_group(object),
        "malware" => {
            let name = object.str("Name");
            name.and_then(|name| entity::malware(name, object.str("Category")))
        }
        "iotdevice" => iot_device(object),
        "cloudlogonsession" => identified("cloud-logon-session", object.str("SessionId"), object),
        "cloudlogonrequest" => identified("cloud-logon-request", object.str("RequestId"), object),
        // Its id (such as 0x3e7) is used again at every host and every start.
        _ => kept(word, object),
    };
    entity.into_iter().collect()
}

fn account(object: Object<'_>, context: &Context<'_>) -> Option<Entity> {
    let upn = object
        .str("UserPrincipalName")
        .or_else(|| object.str("Upn"));
    // Defender XDR writes the person's name here and the account's own beside it.
    let name = object.str("Name");
    let person = name.filter(|name| upn.is_some() && name.contains(' '));
    let name = name.filter(|_| person.is_none());
    let mut entity = entity::account(&AccountFields {
        name: object.str("AccountName").or(name),
        nt_domain: object.str("NTDomain").or_else(|| object.str("DomainName")),
        upn,
        upn_suffix: object.str("UPNSuffix"),
        dns_domain: object.str("DnsDomain"),
        sid: object.str("Sid"),
        aad_user_id: object.str("AadUserId"),
        aad_tenant_id: object.str("AadTenantId"),
        object_guid: object.str("ObjectGuid"),
        puid: object.str("PUID"),
        host: context.host,
    })?;
    keep(
        &mut entity,
        object,
        &[("display_name", "DisplayName"), ("logon_id", "LogonId")],
    );
    if let Some(person) = person {
        let shown = entity.identifiers.entry("display_name".to_owned());
        shown.or_insert_with(|| person.to_owned());
    }
    Some(entity)
}

fn host(object: Object<'_>, context: &Context<'_>) -> Option<Entity> {
    let name = object.str("HostName").or_else(|| object.str("NetBiosName"));
    let machine = name.and_then(|name| {
        let mut ids = context.resources.iter().copied();
        ids.find(|id| is_machine_named(id, name))
    });
    let mut entity = entity::host(&HostFields {
        hostname: object.str("HostName"),
        fqdn: object.str("FQDN"),
        dns_domain: object.str("DnsDomain"),
        nt_domain: object.str("NTDomain"),
        netbios_name: object.str("NetBiosName"),
        azure_id: object.str("AzureID").or(machine),
        agent: object.str("MdatpDeviceId").map(|id| ("mde", id)),
        oms_agent_id: object.str("OMSAgentID"),
        device_id: object.str("AadDeviceId"),
        ..HostFields::default()
    })?;
    let kept = [
        ("os", "OSFamily"),
        ("os_version", "OSVersion"),
        ("last_ip", "LastIpAddress"),
        ("last_external_ip", "LastExternalIpAddress"),
    ];
    keep(&mut entity, object, &kept);
    Some(entity)
}

/// Returns whether an Azure id is that of a machine of this name.
fn is_machine_named(id: &str, name: &str) -> bool {
    let mut steps = id.rsplit('/');
    let named = steps
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case(name));
    let kinds = ["virtualMachines", "machines"];
    let kind = steps.next().unwrap_or_default();
    named
        && kinds
            .iter()
            .any(|machine| machine.eq_ignore_ascii_case(kind))
}

fn ip(object: Object<'_>) -> Option<Entity> {
    let scope = object.str("AddressScope");
    let mut entity = entity::ip(object.str("Address")?, scope)?;
    if let Some(location) = object.object("Location") {
        let kept = [("country", "CountryCode"), ("city", "City"), ("asn", "Asn")];
        keep(&mut entity, location, &kept);
    }
    Some(entity)
}

fn file(object: Object<'_>, context: &Context<'_>) -> Option<Entity> {
    // Its own device wins over the host of its surroundings.
    let device = object.str("MdatpDeviceId").and_then(|id| {
        entity::host(&HostFields {
            agent: Some(("mde", id)),
            ..HostFields::default()
        })
    });
    entity::file(&FileFields {
        path: object.str("FullPath"),
        directory: object.str("Directory"),
        name: object.str("Name"),
        host: device.as_ref().or(context.host),
        ..FileFields::default()
    })
}

pub(super) fn hash(object: Object<'_>) -> Option<Entity> {
    entity::filehash(object.str("Algorithm"), object.str("Value")?)
}

/// Returns one entity of two hashes of the same content, known first by its SHA-256.
pub(super) fn same_content(a: Entity, b: Entity) -> Entity {
    let strongest = |entity: &Entity| entity.identifiers.contains_key("sha256");
    let (mut first, second) = if strongest(&b) && !strongest(&a) {
        (b, a)
    } else {
        (a, b)
    };
    for key in second.key.into_iter().chain(second.alt_keys) {
        match &first.key {
            None => first.key = Some(key),
            Some(known) if *known == key => {}
            Some(_) if first.alt_keys.contains(&key) => {}
            Some(_) => first.alt_keys.push(key),
        }
    }
    first.identifiers.extend(second.identifiers);
    first
}

fn process(object: Object<'_>, context: &Context<'_>) -> Option<Entity> {
    let pid = object.text("ProcessId");
    let parent = object.object("ParentProcess");
    let parent_pid = parent.and_then(|parent| parent.text("ProcessId"));
    // A start that cannot be read leaves the process without a strong key; it refuses nothing.
    let start = object
        .get("CreationTimeUtc")
        .and_then(|time| time.time().ok());
    entity::process(&ProcessFields {
        pid: pid.as_deref(),
        parent_pid: parent_pid.as_deref(),
        start,
        command_line: object.str("CommandLine"),
        image: context.image.map(|image| image.display.as_str()),
        host: context.host,
        ..ProcessFields::default()
    })
}

fn registry_value(object: Object<'_>, context: &Context<'_>) -> Option<Entity> {
    let key = context.key.map(|key| key.display.as_str());
    let mut entity = entity::registry_value(None, key?, object.str("Name")?, context.host)?;
    keep(
        &mut entity,
        object,
        &[("value", "Value"), ("value_type", "ValueType")],
    );
    Some(entity)
}

fn mailbox(object: Object<'_>) -> Option<Entity> {
    let address = object
        .str("MailboxPrimaryAddress")
        .or_else(|| object.str("Upn"));
    let mut entity = entity::mailbox(address?)?;
    keep(
        &mut entity,
        object,
        &[("display_name", "DisplayName"), ("aad_user_id", "AadId")],
    );
    Some(entity)
}

fn mail_message(object: Object<'_>) -> Option<Entity> {
    let senders = ["Sender", "P2Sender", "P1Sender"];
    let mut entity = entity::mail_message(&MailMessageFields {
        network_message_id: object.str("NetworkMessageId"),
        internet_message_id: object.str("InternetMessageId"),
        recipient: object.str("Recipient"),
        sender: senders.iter().find_map(|name| object.str(name)),
        subject: object.str("Subject"),
    })?;
    keep(&mut entity, object, &[("sender_ip", "SenderIP")]);
    Some(entity)
}

fn cloud_application(object: Object<'_>) -> Option<Entity> {
    let id = object.text("AppId").or_else(|| object.text("SaasId"));
    entity::cloud_application(&CloudApplicationFields {
        app_id: id.as_deref(),
        name: object.str("Name"),
        instance: object.str("InstanceName"),
    })
}

fn security_group(object: Object<'_>) -> Option<Entity> {
    entity::security_group(&SecurityGroupFields {
        distinguished_name: object.str("DistinguishedName"),
        sid: object.str("SID"),
        object_guid: object.str("ObjectGuid"),
        name: object.str("Name").or_else(|| object.str("FriendlyName")),
    })
}

fn iot_device(object: Object<'_>) -> Option<Entity> {
    let hub = object.object("IoTHub");
    let hub = hub.and_then(|hub| hub.str("ResourceId").or_else(|| hub.str("AzureResourceId")));
    let hub = hub.or_else(|| object.str("IoTHub"));
    let mut entity = entity::iot_device(hub, object.str("DeviceId")?)?;
    keep(
        &mut entity,
        object,
        &[("name", "DeviceName"), ("mac", "MacAddress")],
    );
    Some(entity)
}

fn identified(kind: &str, id: Option<&str>, object: Object<'_>) -> Option<Entity> {
    let mut entity = entity::other(kind, id?)?;
    let kept = [("user_agent", "UserAgent"), ("start_time", "StartTimeUtc")];
    keep(&mut entity, object, &kept);
    Some(entity)
}

/// Keeps an entity of a kind without keys as its source gave it.
fn kept(word: &str, object: Object<'_>) -> Option<Entity> {
    let mut entity = Entity {
        kind: word.to_owned(),
        ..Entity::default()
    };
    for (name, value) in object.fields() {
        let about = name.starts_with('$') || name.eq_ignore_ascii_case("Type");
        if !about && let Some(value) = value.text() {
            entity
                .identifiers
                .insert(name.to_owned(), value.into_owned());
        }
        if entity.identifiers.len() >= OTHER_FIELDS_MAX {
            break;
        }
    }
    let names = ["Name", "DisplayName", "FriendlyName", "SessionId", "Id"];
    let display = names.iter().find_map(|name| object.str(name));
    display.unwrap_or(word).clone_into(&mut entity.display);
    (!entity.identifiers.is_empty()).then_some(entity)
}

/// Keeps fields that identify nothing but are worth looking at.
fn keep(entity: &mut Entity, object: Object<'_>, names: &[(&str, &str)]) {
    for (own, theirs) in names {
        if let Some(value) = object.text(theirs) {
            let kept = entity.identifiers.entry((*own).to_owned());
            kept.or_insert_with(|| value.into_owned());
        }
    }
}
