//! Entity lists: Json.NET references resolved, what is nested made entities of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::kinds;
use crate::decode::DecodeError;
use crate::decode::json::{Node, Object};
use crate::decode::words::{self, folded};
use crate::entity::{Entity, EntityKind, EntityRole};

/// How many references and nestings lead from a listed entity to another; real records need three.
const REFERENCES_MAX: usize = 16;

/// The entities of one list while it is read.
///
/// Hosts come first, for the keys of files and processes are scoped by them; then the list's order, the parts of an
/// entity before itself.
#[derive(Default)]
pub(super) struct Mentions<'a> {
    /// Entities by their `$id`.
    ids: BTreeMap<Cow<'a, str>, Object<'a>>,
    /// The objects that stand for hosts.
    hosts: Vec<Object<'a>>,
    /// What became of an object, by its place.
    seen: BTreeMap<usize, Seen>,
    /// The one host, where the list names only one: what the rest of the list is on unless it says otherwise.
    only_host: Option<usize>,
    resources: &'a [&'a str],
    pub(super) entities: Vec<Entity>,
    /// What was odd about the list, as closed words.
    pub(super) warnings: Vec<&'static str>,
    limit: usize,
}

#[derive(Clone, Copy)]
enum Seen {
    /// It is being read: meeting it again closes a cycle.
    Open,
    /// It gave the entity with this index, or none.
    Read(Option<usize>),
}

impl<'a> Mentions<'a> {
    /// Reads a list; at most `limit` entities are kept.
    ///
    /// An entity with a field given twice is refused: two readers must not see two entities.
    pub(super) fn of(
        list: Node<'a>,
        resources: &'a [&'a str],
        limit: usize,
    ) -> Result<Self, DecodeError> {
        let mut mentions = Self {
            resources,
            limit,
            ..Self::default()
        };
        mentions.index(list)?;
        mentions.read(list);
        Ok(mentions)
    }

    fn read(&mut self, list: Node<'a>) {
        for host in std::mem::take(&mut self.hosts) {
            self.mention(host, None, REFERENCES_MAX);
        }
        self.only_host = match self.entities.as_slice() {
            [only] if only.kind == EntityKind::Host.word() => Some(0),
            _ => None,
        };
        for item in list.items().filter_map(Node::object) {
            self.mention(item, self.only_host, REFERENCES_MAX);
        }
        for index in 0..self.entities.len() {
            self.settle(index);
        }
    }

    /// Notes every object's `$id`, and the hosts; the document's depth bounds the recursion.
    fn index(&mut self, node: Node<'a>) -> Result<(), DecodeError> {
        let Some(object) = node.object() else {
            if node.is_list() {
                node.items().try_for_each(|item| self.index(item))?;
            }
            return Ok(());
        };
        if let Some(twice) = object.repeated() {
            return Err(twice.invalid("given twice"));
        }
        if let Some(id) = object.text("$id") {
            match self.ids.entry(id) {
                Entry::Vacant(entry) => {
                    entry.insert(object);
                }
                Entry::Occupied(_) => self.note("duplicate_id"),
            }
        }
        let kind = object.str("Type");
        if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("host")) {
            self.hosts.push(object);
        }
        object.fields().try_for_each(|(_, field)| self.index(field))
    }

    /// Reads the entity an object stands for, once; returns its index.
    fn mention(&mut self, object: Object<'a>, host: Option<usize>, depth: usize) -> Option<usize> {
        let object = self.resolve(object)?;
        let place = object.node().place();
        match self.seen.get(&place) {
            Some(Seen::Read(index)) => return *index,
            Some(Seen::Open) => return self.warn("cyclic_reference"),
            None => {}
        }
        let Some(depth) = depth.checked_sub(1) else {
            return self.warn("deep_reference");
        };
        self.seen.insert(place, Seen::Open);
        let own_host = object
            .object("Host")
            .and_then(|own| self.mention(own, None, depth));
        let host = own_host.or(host);
        let parts = self.parts(object, host, depth);
        let index = self.add(object, host, own_host, &parts);
        self.seen.insert(place, Seen::Read(index));
        index
    }

    fn resolve(&mut self, object: Object<'a>) -> Option<Object<'a>> {
        let Some(id) = object.text("$ref") else {
            return Some(object);
        };
        match self.ids.get(&id).copied() {
            Some(target) if target.has("$ref") => self.warn("cyclic_reference"),
            Some(target) => Some(target),
            None => self.warn("dangling_reference"),
        }
    }

    /// Reads the entities inside an entity; returns them with the names of their fields.
    fn parts(
        &mut self,
        object: Object<'a>,
        host: Option<usize>,
        depth: usize,
    ) -> Vec<(&'a str, usize)> {
        let mut parts = Vec::new();
        for (name, field) in object.fields() {
            if name.eq_ignore_ascii_case("FileHashes") {
                parts.extend(self.hashes(field).map(|hash| (name, hash)));
                continue;
            }
            for part in field.items().filter_map(Node::object) {
                if part.has("$ref") || part.has("Type") {
                    let index = self.mention(part, host, depth);
                    parts.extend(index.map(|index| (name, index)));
                }
            }
        }
        parts
    }

    /// Reads the hashes of one file: several keys of one content.
    fn hashes(&mut self, list: Node<'a>) -> Option<usize> {
        let mut read = Vec::new();
        let mut content: Option<Entity> = None;
        for hash in list.items().filter_map(Node::object) {
            let Some(hash) = self.resolve(hash) else {
                continue;
            };
            let kind = hash.str("Type").map(folded);
            if kind.is_some_and(|kind| kind != "filehash") {
                continue;
            }
            match self.seen.get(&hash.node().place()) {
                Some(Seen::Read(Some(index))) => return Some(*index),
                Some(Seen::Read(None) | Seen::Open) => continue,
                None => read.push(hash.node().place()),
            }
            if let Some(entity) = kinds::hash(hash) {
                content = Some(match content {
                    Some(content) => kinds::same_content(content, entity),
                    None => entity,
                });
            }
        }
        let index = content.and_then(|content| self.push(content));
        for place in read {
            self.seen.insert(place, Seen::Read(index));
        }
        index
    }

    /// Makes the entity of an object and ties its parts to it.
    fn add(
        &mut self,
        object: Object<'a>,
        host: Option<usize>,
        own_host: Option<usize>,
        parts: &[(&'a str, usize)],
    ) -> Option<usize> {
        let on = host.and_then(|host| self.entities.get(host));
        let part = |wanted: &str| {
            let named = |(name, _): &&(&str, usize)| name.eq_ignore_ascii_case(wanted);
            parts.iter().find(named).map(|(_, index)| *index)
        };
        let key = part("Key");
        let context = kinds::Context {
            resources: self.resources,
            host: on,
            image: part("ImageFile").and_then(|image| self.entities.get(image)),
            key: key.and_then(|key| self.entities.get(key)),
        };
        let mut made = kinds::entities(object, &context).into_iter();
        let Some(mut entity) = made.next() else {
            return self.warn("unusable_entity");
        };
        entity.role = role(object);
        let own_host = own_host.filter(|_| entity.kind != EntityKind::Host.word());
        entity.parent = own_host
            .or(key)
            .and_then(|parent| i32::try_from(parent).ok());
        let index = self.push(entity)?;
        for entity in made {
            self.push(entity);
        }
        let own = i32::try_from(index).ok();
        let belongs = ["ImageFile", "FileHashes", "Files", "Processes"];
        for (name, part) in parts {
            if belongs
                .iter()
                .any(|belongs| belongs.eq_ignore_ascii_case(name))
                && *part != index
                && let Some(part) = self.entities.get_mut(*part)
            {
                part.parent = part.parent.or(own);
            }
        }
        Some(index)
    }

    /// Keeps an entity unless an equal one is there; none where the limit is reached.
    fn push(&mut self, entity: Entity) -> Option<usize> {
        let same = |known: &Entity| {
            known.kind == entity.kind
                && known.key == entity.key
                && known.display == entity.display
                && known.alt_keys == entity.alt_keys
                && known.weak_keys == entity.weak_keys
                && known.identifiers == entity.identifiers
        };
        if let Some(known) = self.entities.iter().position(same) {
            return Some(known);
        }
        if self.entities.len() >= self.limit {
            return self.warn("entities_cut");
        }
        self.entities.push(entity);
        Some(self.entities.len() - 1)
    }

    /// Gives what lies or runs on a host, and has no closer parent, the one host.
    fn settle(&mut self, index: usize) {
        let (Some(host), Some(entity)) = (self.only_host, self.entities.get_mut(index)) else {
            return;
        };
        if entity.parent.is_some() {
            return;
        }
        let on_host = match EntityKind::of(&entity.kind) {
            EntityKind::File
            | EntityKind::Process
            | EntityKind::RegistryKey
            | EntityKind::RegistryValue => true,
            EntityKind::Account
            | EntityKind::Host
            | EntityKind::Ip
            | EntityKind::FileHash
            | EntityKind::Url
            | EntityKind::Dns
            | EntityKind::Mailbox
            | EntityKind::MailMessage
            | EntityKind::CloudResource
            | EntityKind::CloudApplication
            | EntityKind::SecurityGroup
            | EntityKind::Malware
            | EntityKind::IotDevice
            | EntityKind::Container
            | EntityKind::K8sObject
            | EntityKind::NetworkConnection
            | EntityKind::Vulnerability
            | EntityKind::Other => false,
        };
        if on_host {
            entity.parent = i32::try_from(host).ok();
        }
    }

    /// Notes a warning; returns none, for the place where something is cut.
    fn warn<T>(&mut self, word: &'static str) -> Option<T> {
        self.note(word);
        None
    }

    fn note(&mut self, word: &'static str) {
        if !self.warnings.contains(&word) {
            self.warnings.push(word);
        }
    }
}

/// Returns the first role of an entity that says something.
fn role(object: Object<'_>) -> EntityRole {
    let mut roles = object.texts("Roles").chain(object.texts("Role"));
    roles
        .find_map(|word| words::role(&word))
        .unwrap_or_default()
}
