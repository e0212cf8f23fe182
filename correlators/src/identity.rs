//! Which entities an alert names: leases, stop-lists and aliases applied at its event time.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use schemas::alert::Alert;
use schemas::entity::{self, Entity, EntityKind, EntityRole};
use serde::{Deserialize, Serialize};

use crate::entities::{Entities, Same};
use crate::entity::EntityId;
use crate::leases::{Holder, Leases};
use crate::settings::Settings;

/// One entity as one alert names it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Mention {
    pub(crate) entity: EntityId,
    /// Named by weak identifiers only.
    pub(crate) weak: bool,
}

/// The entities of one alert.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// What can be evidence, each once, by id.
    pub(crate) evidence: Vec<Mention>,
    /// What is recorded and never evidence: kind and display.
    pub(crate) recorded: Vec<(String, String)>,
    /// Role of each evidence entity, by id.
    pub(crate) roles: Vec<(EntityId, EntityRole)>,
    /// Where the activity comes from and goes to.
    pub(crate) source: Option<EntityId>,
    pub(crate) target: Option<EntityId>,
}

/// Recorded entities kept with an episode.
const RECORDED_MAX: usize = 8;

/// What never is evidence in a tenant.
#[derive(Debug)]
pub(crate) struct StopList {
    keys: BTreeSet<String>,
    networks: Vec<IpNet>,
}

impl StopList {
    pub(crate) fn new(settings: &Settings) -> Self {
        let keys = settings
            .never_link
            .iter()
            .flat_map(|(kind, values)| {
                values
                    .iter()
                    .filter_map(move |value| entity::named(kind, value, []))
            })
            .flat_map(|named| named.key.into_iter().chain(named.weak_keys))
            .collect();
        let networks = settings
            .own_addresses
            .iter()
            .filter_map(|text| {
                text.parse()
                    .ok()
                    .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
            })
            .collect();
        Self { keys, networks }
    }

    fn holds(&self, mention: &Entity) -> bool {
        let mut keys = mention
            .key
            .iter()
            .chain(&mention.alt_keys)
            .chain(&mention.weak_keys);
        keys.any(|key| self.keys.contains(key))
    }

    fn owns(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Resolves the entities of `alert` at its event time. Pairs of ids that turned out to be one go to `same`.
pub(crate) fn resolve(
    alert: &Alert,
    leases: &Leases,
    stop: &StopList,
    entities: &mut Entities,
    entities_max: usize,
    same: &mut Vec<Same>,
) -> Named {
    let mut named = Named::default();
    let time = alert.start_time.millis();
    for mention in &alert.entities {
        let needed: Vec<EntityId> = named.evidence.iter().map(|known| known.entity).collect();
        let room = Room {
            max: entities_max,
            needed: &needed,
        };
        let resolved = resolve_one(mention, time, leases, stop, entities, room, same);
        let Some((id, weak)) = resolved else {
            if named.recorded.len() < RECORDED_MAX {
                named
                    .recorded
                    .push((mention.kind.clone(), mention.display.clone()));
            }
            continue;
        };
        named.evidence.push(Mention { entity: id, weak });
        named.roles.push((id, mention.role));
    }
    for pair in &*same {
        named.follow(*pair);
    }
    named.settle();
    named
}

fn resolve_one(
    mention: &Entity,
    time: i64,
    leases: &Leases,
    stop: &StopList,
    entities: &mut Entities,
    room: Room<'_>,
    same: &mut Vec<Same>,
) -> Option<(EntityId, bool)> {
    if mention.role == EntityRole::Observer || stop.holds(mention) {
        return None;
    }
    let address = mention
        .identifiers
        .get("address")
        .and_then(|text| text.parse::<IpAddr>().ok());
    let (mut sure, mut renamed) = (true, None);
    if let (EntityKind::Ip, Some(address)) = (EntityKind::of(&mention.kind), address) {
        if stop.owns(address) {
            return None;
        }
        match leases.holder(address, time) {
            // A tenant that never told who holds an address has no better name for a machine: the address is one, weaker
            // only by its fading. Where leases are known, an address without one may be anybody's.
            Holder::Nobody if leases.is_empty() => renamed = as_strong(mention),
            Holder::Nobody => sure = mention.key.is_some(),
            Holder::Host(host) => renamed = entity::named(EntityKind::Host.word(), host, []),
            Holder::Ambiguous => sure = false,
        }
    }
    let mention = renamed.as_ref().unwrap_or(mention);
    if stop.holds(mention) {
        return None;
    }
    // A malware family names a kind of thing, not a thing.
    sure &= EntityKind::of(&mention.kind) != EntityKind::Malware;
    if mention.key.is_some() && sure {
        let known = entities.knows_strong(mention);
        return (known || room.is_made(entities, same))
            .then(|| (entities.strong(mention, same), false));
    }
    let weak_keys: Vec<String> = mention
        .weak_keys
        .iter()
        .chain(&mention.key)
        .cloned()
        .collect();
    if !entities.knows_weak(weak_keys.first()?) && !room.is_made(entities, same) {
        return None;
    }
    let (id, known) = entities.weak(&Entity {
        weak_keys,
        ..mention.clone()
    })?;
    Some((id, !(known && sure)))
}

/// Returns a mention without a strong key with its weak key as one.
fn as_strong(mention: &Entity) -> Option<Entity> {
    let key = mention
        .weak_keys
        .first()
        .filter(|_| mention.key.is_none())?;
    Some(Entity {
        key: Some(key.clone()),
        weak_keys: Vec::new(),
        ..mention.clone()
    })
}

/// The bound on entities, and those the alert at hand has named so far.
#[derive(Clone, Copy, Debug)]
struct Room<'a> {
    max: usize,
    needed: &'a [EntityId],
}

impl Room<'_> {
    /// Returns whether there is room for one more entity, or room can be made.
    fn is_made(self, entities: &mut Entities, same: &[Same]) -> bool {
        let needed = |id: EntityId| {
            let mut paired = same.iter().flat_map(|pair| [pair.gone, pair.kept]);
            self.needed.contains(&id) || paired.any(|known| known == id)
        };
        entities.len() < self.max || entities.forget_one(needed)
    }
}

impl Named {
    fn follow(&mut self, pair: Same) {
        let renamed = self.evidence.iter_mut().map(|mention| &mut mention.entity);
        for id in renamed.chain(self.roles.iter_mut().map(|(id, _)| id)) {
            if *id == pair.gone {
                *id = pair.kept;
            }
        }
    }

    /// Sorts, keeps each entity once (strong where any mention is strong) and finds source and target.
    fn settle(&mut self) {
        let first = |roles: &[EntityRole]| {
            self.roles
                .iter()
                .find(|(_, role)| roles.contains(role))
                .map(|(id, _)| *id)
        };
        self.source = first(&[EntityRole::Source]);
        self.target = first(&[EntityRole::Target, EntityRole::Destination]);
        self.evidence.sort_unstable();
        self.evidence.dedup_by_key(|mention| mention.entity);
        self.roles.sort_unstable();
        self.roles.dedup();
    }
}
