//! Which entities an alert names: leases, stop-lists and aliases applied at its event time.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use schemas::alert::Alert;
use schemas::entity::{self, Entity, EntityKind, EntityRole};
use schemas::incident::Change;

use crate::entities::Same;
use crate::entity::EntityId;
use crate::fusion::Fusion;
use crate::leases::Holder;
use crate::settings::Settings;

/// One entity as one alert names it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
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

impl Fusion {
    /// Resolves the entities of `alert` at its event time; those that turn out to be one become one everywhere.
    ///
    /// Each stays known until whoever takes the result gives it back with [`Fusion::release`].
    pub(crate) fn name_entities(&mut self, alert: &Alert) -> Named {
        let mut named = Named::default();
        let time = alert.start_time.millis();
        for mention in &alert.entities {
            let Some(resolved) = self.resolve(mention, time) else {
                named.record(mention);
                continue;
            };
            if let Some(pair) = resolved.same {
                self.unite(pair);
                if named.follow(pair) {
                    self.entities.hold(pair.kept);
                }
            }
            self.entities.touch(resolved.mention.entity, time);
            if named.add(resolved.mention, mention.role) {
                self.entities.hold(resolved.mention.entity);
            }
        }
        named.settle();
        named
    }

    fn resolve(&mut self, mention: &Entity, time: i64) -> Option<Resolved> {
        if mention.role == EntityRole::Observer || self.stop.holds(mention) {
            return None;
        }
        let address = mention
            .identifiers
            .get("address")
            .and_then(|text| text.parse::<IpAddr>().ok());
        let (mut sure, mut renamed) = (true, None);
        if let (EntityKind::Ip, Some(address)) = (EntityKind::of(&mention.kind), address) {
            if self.stop.owns(address) {
                return None;
            }
            match self.leases.holder(address, time) {
                // A tenant that never told who holds an address has no better name for a machine: the address is one,
                // weaker only by its fading. Where leases are known, an address without one may be anybody's.
                Holder::Nobody if self.leases.is_empty() => renamed = as_strong(mention),
                Holder::Nobody => sure = mention.key.is_some(),
                Holder::Host(host) => renamed = entity::named(EntityKind::Host.word(), host, []),
                Holder::Ambiguous => sure = false,
            }
        }
        let mention = renamed.as_ref().unwrap_or(mention);
        if self.stop.holds(mention) || !self.has_room(mention) {
            return None;
        }
        // A malware family names a kind of thing, not a thing.
        sure &= EntityKind::of(&mention.kind) != EntityKind::Malware;
        if mention.key.is_some() && sure {
            let (entity, same) = self.entities.strong(mention);
            let mention = Mention {
                entity,
                weak: false,
            };
            return Some(Resolved { mention, same });
        }
        let weak_keys = mention
            .weak_keys
            .iter()
            .chain(&mention.key)
            .cloned()
            .collect();
        let (entity, known) = self.entities.weak(&Entity {
            weak_keys,
            ..mention.clone()
        })?;
        let mention = Mention {
            entity,
            weak: !(known && sure),
        };
        Some(Resolved {
            mention,
            same: None,
        })
    }

    /// Returns whether `mention` can be an entity of its own: it is known already, or there is room or room can be made.
    fn has_room(&mut self, mention: &Entity) -> bool {
        let max = usize::try_from(self.settings.limits.entities)
            .unwrap_or(usize::MAX)
            .max(1);
        self.entities.len() < max || self.entities.knows(mention) || self.entities.forget_one()
    }

    /// Makes two entities one everywhere.
    fn unite(&mut self, pair: Same) {
        let numbers: Vec<u64> = self
            .entities
            .get(pair.gone)
            .map(|state| state.episodes.iter().copied().collect())
            .unwrap_or_default();
        let mut threads = BTreeSet::new();
        let mut live = 0;
        for number in numbers {
            let Some(episode) = self.episodes.get_mut(number) else {
                continue;
            };
            let old = episode.fold_key();
            live += u32::from(episode.unite(pair));
            let new = episode.fold_key();
            threads.insert(episode.thread);
            if self.open.get(&old) == Some(&number) {
                self.open.remove(&old);
                let latest = self.open.entry(new).or_insert(number);
                *latest = number.max(*latest);
            }
        }
        for number in threads {
            self.unite_in(number, pair);
        }
        self.entities
            .absorb(pair, live, &self.settings.background, &self.settings.limits);
        self.stats.entities_merged += 1;
    }

    fn unite_in(&mut self, number: u64, pair: Same) {
        let Some(thread) = self.threads.get_mut(number) else {
            return;
        };
        thread.unite(pair, |episode| {
            self.episodes.get(episode).map(|episode| episode.rule)
        });
        // A link may rest on an entity that its own episode does not name: a stitch does on all that the threads share.
        for episode in &thread.episodes {
            if let Some(episode) = self.episodes.get_mut(*episode) {
                episode.unite_links(pair);
            }
        }
        if thread.incident.is_some() {
            self.touch(number, Change::AlertUpdated);
        }
    }
}

/// What one mention names.
#[derive(Clone, Copy, Debug)]
struct Resolved {
    mention: Mention,
    /// Two entities that it shows to be one; the mention is of the one kept.
    same: Option<Same>,
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

impl Named {
    fn record(&mut self, mention: &Entity) {
        if self.recorded.len() < RECORDED_MAX {
            self.recorded
                .push((mention.kind.clone(), mention.display.clone()));
        }
    }

    /// Adds a mention; returns whether it is the first of its entity.
    fn add(&mut self, mention: Mention, role: EntityRole) -> bool {
        let new = !self.names(mention.entity);
        self.evidence.push(mention);
        self.roles.push((mention.entity, role));
        new
    }

    fn names(&self, entity: EntityId) -> bool {
        self.evidence.iter().any(|known| known.entity == entity)
    }

    /// Two entities turned out to be one. Returns whether the survivor is new here.
    fn follow(&mut self, pair: Same) -> bool {
        let new = self.names(pair.gone) && !self.names(pair.kept);
        let renamed = self.evidence.iter_mut().map(|mention| &mut mention.entity);
        for id in renamed.chain(self.roles.iter_mut().map(|(id, _)| id)) {
            if *id == pair.gone {
                *id = pair.kept;
            }
        }
        new
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
