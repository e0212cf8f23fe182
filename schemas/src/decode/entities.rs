//! The entities of one alert while it is decoded.

use crate::entity::{Entity, EntityRole, filehash};

/// Entities collected from one record, above what `record::bound` leaves of them, so that it can say that it cut.
const ENTITIES_MAX: usize = (1 << 10) + 1;

/// The entities of one alert, each once, with the place of each.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    list: Vec<Entity>,
}

impl Entities {
    /// Adds an entity, or adds to the mention of it already there; returns its place.
    ///
    /// The first role that says something stays. Only an earlier entity becomes a parent, so that no chain of parents
    /// comes back to where it began.
    pub(crate) fn add(
        &mut self,
        entity: Option<Entity>,
        role: EntityRole,
        parent: Option<i32>,
    ) -> Option<i32> {
        // A full list takes no mention, not even of what it holds: looking each up is what would cost.
        let mut entity = entity.filter(|_| !self.is_full())?;
        let known = self.list.iter().position(|known| same(known, &entity));
        let index = known.unwrap_or(self.list.len());
        let place = i32::try_from(index).ok()?;
        entity.role = role;
        entity.parent = parent.filter(|parent| *parent < place);
        match self.list.get_mut(index) {
            Some(known) => merge(known, entity),
            None => self.list.push(entity),
        }
        Some(place)
    }

    /// Adds every entity; returns the place of the first.
    pub(crate) fn add_all(
        &mut self,
        entities: impl IntoIterator<Item = Entity>,
        role: EntityRole,
    ) -> Option<i32> {
        let mut first = None;
        for entity in entities {
            let place = self.add(Some(entity), role, None);
            first = first.or(place);
        }
        first
    }

    /// Adds the names of another mention to the entity at a place.
    pub(crate) fn absorb(&mut self, place: Option<i32>, entity: Entity) {
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(known) = place.and_then(|place| self.list.get_mut(place)) {
            merge(known, entity);
        }
    }

    /// Returns the entity at a place.
    pub(crate) fn at(&self, place: Option<i32>) -> Option<&Entity> {
        self.list.get(usize::try_from(place?).ok()?)
    }

    /// Returns whether no more are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= ENTITIES_MAX
    }

    /// Returns whether any entity has a key.
    pub(crate) fn any_key(&self) -> bool {
        self.list.iter().any(Entity::has_key)
    }

    /// Returns the entities in the order in which they were added.
    pub(crate) fn into_list(self) -> Vec<Entity> {
        self.list
    }
}

/// Makes one entity of the hashes of one content, the strongest first.
pub(crate) fn content<'a>(
    hashes: impl IntoIterator<Item = (Option<&'a str>, &'a str)>,
) -> Option<Entity> {
    let mut found: Vec<Entity> = hashes
        .into_iter()
        .take(8)
        .filter_map(|(algorithm, value)| filehash(algorithm, value))
        .collect();
    found.sort_by_key(|hash| std::cmp::Reverse((hash.has_key(), hash.display.len())));
    found.into_iter().reduce(|mut first, hash| {
        merge(&mut first, hash);
        first
    })
}

/// Two mentions are one entity if their canonical keys are the same, or if neither has one and they say the same.
fn same(known: &Entity, entity: &Entity) -> bool {
    known.kind == entity.kind
        && known.key == entity.key
        && (known.key.is_some()
            || known.weak_keys == entity.weak_keys && known.display == entity.display)
}

fn merge(known: &mut Entity, entity: Entity) {
    if known.role == EntityRole::Unknown {
        known.role = entity.role;
    }
    known.parent = known.parent.or(entity.parent);
    let strong = entity.key.into_iter().chain(entity.alt_keys);
    for key in strong {
        match &known.key {
            None => known.key = Some(key),
            Some(first) if *first == key || known.alt_keys.contains(&key) => {}
            Some(_) => known.alt_keys.push(key),
        }
    }
    for key in entity.weak_keys {
        if !known.weak_keys.contains(&key) {
            known.weak_keys.push(key);
        }
    }
    for (name, value) in entity.identifiers {
        known.identifiers.entry(name).or_insert(value);
    }
}
