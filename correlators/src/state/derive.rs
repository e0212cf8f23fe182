//! Every index, found anew from the rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::entity::EntityKind;
use schemas::time::Timestamp;

use super::{HOUR_MS, Problem, RowKey, StateError};
use crate::entity::EntityId;
use crate::episode::Episode;
use crate::fusion::Fusion;
use crate::interner::{LookupBy, RuleId, Shape};
use crate::sequence::Spread;
use crate::thread::Thread;

impl Fusion {
    pub(super) fn derive(&mut self) -> Result<(), StateError> {
        self.forget_unpolled();
        self.derive_scalars()?;
        self.rules
            .derive()
            .map_err(|RuleId(id)| error(RowKey::Rule(id), Problem::Taken("name")))?;
        self.answers
            .derive()
            .map_err(|number| error(RowKey::Command(number), Problem::Taken("id")))?;
        self.derive_entities()?;
        self.derive_threads();
        self.derive_episodes()?;
        self.check_threads()?;
        self.check_entities()?;
        self.check_counts()
    }

    fn derive_scalars(&mut self) -> Result<(), StateError> {
        let ms = self.leases.longest_ms();
        for ((ip, from), leases) in self.leases.iter() {
            let lasting = |end: i64| end > from && end.saturating_sub(from) <= ms;
            if !leases.iter().all(|lease| lasting(lease.end)) {
                let row = RowKey::Lease(ip, from);
                return Err(error(row, Problem::Dangling(RowKey::Tenant)));
            }
        }
        self.leases.derive();
        if self.swept_hour > i64::MIN {
            let watermark = self.swept_hour.saturating_mul(HOUR_MS);
            self.put_time(Timestamp(watermark));
        }
        self.uids.put_floor(self.committed.uids_floor);
        Ok(())
    }

    fn derive_entities(&mut self) -> Result<(), StateError> {
        let numbers: Vec<u32> = self.entities.slots.iter().map(|(id, _)| id).collect();
        for id in numbers {
            if let Some(state) = self.entities.slots.derive(id) {
                state.kind = EntityKind::of(&state.name.kind);
                state.episodes.clear();
                state.live = 0;
            }
        }
        self.entities
            .derive()
            .map_err(|EntityId(id)| error(RowKey::Entity(id), Problem::Taken("key")))
    }

    fn derive_threads(&mut self) {
        self.expiry.reset();
        self.incidents.reset();
        for number in self.threads.numbers() {
            if let Some(thread) = self.threads.derive(number) {
                thread.founder = number;
                thread.expires = thread.lives_until(&self.settings.limits);
                self.expiry.insert((thread.expires, number));
            }
            self.index_incident(number);
        }
    }

    /// Deals the episodes out to their threads, entities and fold keys.
    fn derive_episodes(&mut self) -> Result<(), StateError> {
        self.open.reset();
        let mut shapes = Shapes::default();
        for number in self.episodes.numbers() {
            let row = RowKey::Episode(number);
            let next = self.episodes.next();
            let Some(episode) = self.episodes.derive(number) else {
                continue;
            };
            if number >= next {
                return Err(error(row, Problem::Dangling(RowKey::Tenant)));
            }
            shapes.share(episode);
            for mention in &episode.mentions {
                let Some(entity) = self.entities.slots.derive(mention.entity.0) else {
                    let entity = RowKey::Entity(mention.entity.0);
                    return Err(error(row, Problem::Dangling(entity)));
                };
                entity.episodes.push_back(number);
                entity.live = entity.live.saturating_add(1);
            }
            if episode.open && self.open.insert(episode.fold_key(), number).is_some() {
                return Err(error(row, Problem::Taken("fold key")));
            }
            self.check_episode(number)?;
        }
        Ok(())
    }

    fn check_episode(&self, number: u64) -> Result<(), StateError> {
        let Some(episode) = self.episodes.get(number) else {
            return Ok(());
        };
        let terms = episode.links.iter().flat_map(|link| &link.terms);
        let named = terms.filter_map(|term| term.entity);
        let named = named.chain(episode.source).chain(episode.target);
        let mut named = named.chain(episode.roles.iter().map(|(entity, _)| *entity));
        match named.find(|entity| self.entities.get(*entity).is_none()) {
            Some(EntityId(id)) => Err(error(
                RowKey::Episode(number),
                Problem::Dangling(RowKey::Entity(id)),
            )),
            None => Ok(()),
        }
    }

    fn check_threads(&self) -> Result<(), StateError> {
        let mut members = 0;
        for (number, thread) in self.threads.iter() {
            let row = RowKey::Thread(number);
            if let Some(problem) = self.dangling(number, thread) {
                return Err(error(row, problem));
            }
            let listed: BTreeSet<u64> = thread.episodes.iter().copied().collect();
            if listed.is_empty() || listed.len() != thread.episodes.len() {
                return Err(error(row, Problem::OutOfRange("episodes")));
            }
            members += listed.len();
        }
        if members == self.episodes.len() {
            return Ok(());
        }
        let listed = |(number, episode): &(u64, &Episode)| {
            let thread = self.threads.get(episode.thread);
            thread.is_some_and(|thread| thread.episodes.contains(number))
        };
        let lost = self.episodes.iter().find(|episode| !listed(episode));
        lost.map_or(Ok(()), |(number, episode)| {
            let thread = RowKey::Thread(episode.thread);
            Err(error(RowKey::Episode(number), Problem::Dangling(thread)))
        })
    }

    fn dangling(&self, number: u64, thread: &Thread) -> Option<Problem> {
        let mut entities = thread.entities.keys();
        if let Some(EntityId(id)) = entities.find(|id| self.entities.get(**id).is_none()) {
            return Some(Problem::Dangling(RowKey::Entity(*id)));
        }
        let here = thread.entities.values().flat_map(|here| &here.episodes);
        let incident = thread.incident.as_deref();
        let told = incident.map(|incident| incident.chain.iter().chain(&incident.unshown));
        let named = here.chain(told.into_iter().flatten());
        let mut members = named.chain(&thread.episodes);
        let own = |member: u64| {
            let episode = self.episodes.get(member);
            episode.is_some_and(|episode| episode.thread == number)
        };
        let stranger = members.find(|member| !own(**member))?;
        Some(Problem::Dangling(RowKey::Episode(*stranger)))
    }

    fn check_counts(&self) -> Result<(), StateError> {
        let (told, found) = (self.committed.counts, self.counts());
        let kinds = [
            ("rule", told.rules, found.rules),
            ("entity", told.entities, found.entities),
            ("lease", told.leases, found.leases),
            ("episode", told.episodes, found.episodes),
            ("thread", told.threads, found.threads),
            ("command", told.commands, found.commands),
        ];
        for (kind, counted, found) in kinds {
            if counted != found {
                let problem = Problem::Miscounted {
                    kind,
                    counted,
                    found,
                };
                return Err(error(RowKey::Tenant, problem));
            }
        }
        Ok(())
    }

    fn check_entities(&self) -> Result<(), StateError> {
        for (id, state) in self.entities.iter() {
            let warm = |number: u64| {
                let thread = self.threads.get(number);
                thread.is_some_and(|thread| thread.warm && thread.entities.contains_key(&id))
            };
            if let Some(number) = state.threads.iter().find(|number| !warm(**number)) {
                let thread = RowKey::Thread(*number);
                return Err(error(RowKey::Entity(id.0), Problem::Dangling(thread)));
            }
        }
        Ok(())
    }
}

/// What the latest episode of each rule is like: most others of it are alike.
#[derive(Default)]
struct Shapes(LookupBy<RuleId, Arc<Shape>, std::hash::BuildHasherDefault<Spread>>);

impl Shapes {
    fn share(&mut self, episode: &mut Episode) {
        match self.0.get(&episode.rule) {
            Some(known) if Arc::ptr_eq(known, &episode.shape) => {}
            Some(known) if **known == *episode.shape => episode.shape = Arc::clone(known),
            _ => {
                self.0.insert(episode.rule, Arc::clone(&episode.shape));
            }
        }
    }
}

fn error(row: RowKey, problem: Problem) -> StateError {
    StateError { row, problem }
}
