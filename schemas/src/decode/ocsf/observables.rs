//! Observables: the flat summary of a record, read where the record holds nothing better.

use crate::decode::entities::Entities;
use crate::decode::json::{Node, Object};
use crate::entity::{
    AccountFields, Entity, EntityRole, FileFields, HostFields, ProcessFields, account,
    cloud_resource, container, file, filehash, host, ip, mailbox, process, registry_key, url,
};

/// Observables read from one record.
const OBSERVABLES_MAX: usize = 128;

/// Adds the entities that a record's observables name. They tell no role.
pub(super) fn add(entities: &mut Entities, record: Object<'_>) {
    let observables = record.items("observables").filter_map(Node::object);
    for observable in observables.take(OBSERVABLES_MAX) {
        let kind = observable.get("type_id").and_then(Node::integer);
        if let (Some(kind), Some(value)) = (kind, observable.text("value")) {
            entities.add_all(entity(kind, &value), EntityRole::Unknown);
        }
    }
}

/// Returns what the value of a `type_id` names; nothing for types that identify nothing by themselves.
fn entity(type_id: i64, value: &str) -> Vec<Entity> {
    let text = Some(value);
    let found = match type_id {
        // Host name: a name with a dot is a machine's all the same.
        1 => host(&HostFields {
            hostname: text,
            ..HostFields::default()
        }),
        2 => ip(value, None),
        3 => host(&HostFields {
            mac: text,
            ..HostFields::default()
        }),
        4 => account(&AccountFields {
            name: text,
            ..AccountFields::default()
        }),
        5 => mailbox(value),
        6 | 23 => url(value),
        7 | 24 => file(&FileFields {
            name: text,
            ..FileFields::default()
        }),
        8 | 30 => filehash(None, value),
        9 => process(&ProcessFields {
            image: text,
            ..ProcessFields::default()
        }),
        10 => return cloud_resource(value),
        27 => container(value, None),
        28 | 46 => registry_key(None, value, None),
        31 => account(&AccountFields {
            sid: text,
            object_guid: text,
            ..AccountFields::default()
        }),
        45 => file(&FileFields {
            path: text,
            ..FileFields::default()
        }),
        _ => None,
    };
    found.into_iter().collect()
}
