//! A tenant's state as rows: what changed since the last commit, undone or committed; and restored from them.
//!
//! Rows hold what cannot be told from other rows; every index is derived. Remembered uids are no rows: they are restored
//! from the digests of the alerts, in the order of application, by what is a function of the watermark and the bound alone.

use schemas::time::Timestamp;

use crate::fusion::{Fusion, Placement};
use crate::uids::Seen;

mod derive;
mod key;
mod problem;
mod range;
mod row;
mod scalars;

pub use key::{NotAKey, RowKey};
pub use problem::{Problem, StateError};
use row::{Changes, decode, encode};
pub(crate) use scalars::Scalars;

const HOUR_MS: i64 = 3_600_000;

/// One alert as the digest that was kept of it tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SeenAlert<'a> {
    /// The last watermark that the tenant was told before it was applied; none before the first.
    pub watermark: Option<Timestamp>,
    /// Its uid.
    pub uid: &'a str,
    /// Its revision.
    pub revision: i64,
    /// Its start time.
    pub time: Timestamp,
    /// What became of it.
    pub placement: Placement,
}

impl Fusion {
    /// Begins to remember what changes, so that it can be told and undone; what is there now counts as committed.
    #[must_use]
    pub fn track(mut self) -> Self {
        self.episodes.track();
        self.threads.track();
        self.entities.track();
        self.rules.track();
        self.leases.track();
        self.open.track();
        self.expiry.track();
        self.incidents.track();
        self.answers.track();
        self.uids.track();
        self.commit();
        self
    }

    /// Returns the rows that differ from those of the last commit, ascending; none in place of one that is gone.
    #[must_use]
    pub fn changes(&self) -> Vec<(RowKey, Option<Vec<u8>>)> {
        let mut changes = Changes::default();
        changes.compare(RowKey::Tenant, Some(&self.committed), Some(&self.scalars()));
        for (id, before) in self.rules.slots.touched() {
            changes.compare(RowKey::Rule(id), before, self.rules.slots.get(id));
        }
        for (id, before) in self.entities.slots.touched() {
            changes.compare(RowKey::Entity(id), before, self.entities.slots.get(id));
        }
        for (start, before) in self.leases.touched() {
            changes.compare(RowKey::lease(start), before, self.leases.get(start));
        }
        for (number, before) in self.episodes.touched() {
            changes.compare(RowKey::Episode(number), before, self.episodes.get(number));
        }
        for (number, before) in self.threads.touched() {
            changes.compare(RowKey::Thread(number), before, self.threads.get(number));
        }
        for (number, before) in self.answers.answers.touched() {
            changes.compare(
                RowKey::Command(number),
                before,
                self.answers.answers.get(number),
            );
        }
        changes.into_rows()
    }

    /// Makes what changed since the last commit final.
    pub fn commit(&mut self) {
        self.committed = self.scalars();
        self.episodes.commit();
        self.threads.commit();
        self.entities.commit();
        self.rules.commit();
        self.leases.commit();
        self.open.commit();
        self.expiry.commit();
        self.incidents.commit();
        self.answers.commit();
        self.uids.commit();
    }

    /// Puts back everything as it was at the last commit, also when an input was applied by half. What was not polled is
    /// dropped.
    pub fn undo(&mut self) {
        self.episodes.undo();
        self.threads.undo();
        self.entities.undo();
        self.rules.undo();
        self.leases.undo();
        self.open.undo();
        self.expiry.undo();
        self.incidents.undo();
        self.answers.undo();
        self.uids.undo();
        self.put_scalars(self.committed);
        self.forget_unpolled();
    }

    /// Restores a row, or that it is gone. Rows may come in any order, the last of a key counts; nothing else may be asked
    /// of the state before [`Self::finish`].
    ///
    /// # Errors
    /// When the value is no such row; the row is left as it was.
    pub fn put(&mut self, key: &RowKey, value: Option<&[u8]>) -> Result<(), StateError> {
        self.put_row(*key, value)
            .map_err(|problem| StateError { row: *key, problem })
    }

    /// Restores that an alert was seen. They must come in the order of application; those of alerts that are forgotten by
    /// now may be missing.
    pub fn put_seen(&mut self, seen: SeenAlert<'_>) {
        if let Some(watermark) = seen.watermark {
            self.put_time(watermark);
        }
        let (episode, time) = match seen.placement {
            Placement::Placed { episode, .. } => (episode, seen.time),
            Placement::Updated {
                episode,
                remembered,
            } => (episode, remembered),
            Placement::Duplicate { .. } => return,
        };
        let known = Seen {
            episode,
            revision: seen.revision,
            time: time.millis(),
        };
        let max = usize::try_from(self.settings.limits.uids).unwrap_or(usize::MAX);
        self.uids.remember(seen.uid, known, max);
        self.uids.commit();
    }

    /// Restores that the tenant was told the watermark, between what came before and what comes next.
    pub fn put_time(&mut self, watermark: Timestamp) {
        let hour = watermark.millis().div_euclid(HOUR_MS);
        self.uids.sweep(hour, self.settings.limits.warm_idle_ms);
        self.uids.commit();
    }

    /// Derives every index from what was put, and commits it. More may be put afterwards, and finished again.
    ///
    /// # Errors
    /// Returns the first row that says what cannot be, such as one that refers to another that is not there. The state must
    /// not be used then, except to put what is missing.
    pub fn finish(&mut self) -> Result<(), StateError> {
        self.derive()?;
        self.commit();
        Ok(())
    }

    /// Returns all rows, ascending.
    pub fn rows(&self) -> impl Iterator<Item = (RowKey, Vec<u8>)> {
        let tenant = std::iter::once((RowKey::Tenant, encode(&self.scalars())));
        let rules = self.rules.slots.iter();
        let entities = self.entities.slots.iter();
        let rows = tenant
            .chain(rules.map(|(id, rule)| (RowKey::Rule(id), encode(rule))))
            .chain(entities.map(|(id, entity)| (RowKey::Entity(id), encode(entity))))
            .chain(
                self.leases
                    .iter()
                    .map(|(start, leases)| (RowKey::lease(start), encode(leases))),
            );
        rows.chain(
            self.episodes
                .iter()
                .map(|(number, episode)| (RowKey::Episode(number), encode(episode))),
        )
        .chain(
            self.threads
                .iter()
                .map(|(number, thread)| (RowKey::Thread(number), encode(thread))),
        )
        .chain(
            self.answers
                .answers
                .iter()
                .map(|(number, answer)| (RowKey::Command(number), encode(answer))),
        )
    }

    /// Returns a digest of all rows and remembered uids: the same on every machine, equal for equal states and for no others.
    #[must_use]
    pub fn digest(&self) -> u128 {
        let mut hash = row::Hash::new();
        for (key, value) in self.rows() {
            hash.add(key.to_string().as_bytes());
            hash.add(&value);
        }
        for (uid, seen) in self.uids.iter() {
            hash.add(&encode(&(uid, seen.time, seen.episode, seen.revision)));
        }
        hash.finish()
    }

    /// Returns the start of the hour of the oldest alert that is remembered by its uid; none where none is. What tells of
    /// no new alert from then on, and of no update remembered from then on, need not be put again.
    #[must_use]
    pub fn remembers_from(&self) -> Option<Timestamp> {
        let hour = self.uids.oldest_hour()?;
        Some(Timestamp(hour.saturating_mul(HOUR_MS)))
    }

    fn put_row(&mut self, key: RowKey, value: Option<&[u8]>) -> Result<(), Problem> {
        match key {
            RowKey::Tenant => {
                let scalars = value.map(decode::<Scalars>).transpose()?;
                self.committed = scalars.unwrap_or_default();
                self.put_scalars(self.committed);
            }
            RowKey::Rule(id) => {
                let rule = value.map(decode).transpose()?;
                self.rules.slots.put(range::number(id)?, rule);
            }
            RowKey::Entity(id) => {
                let entity = value.map(decode).transpose()?;
                self.entities.slots.put(range::number(id)?, entity);
            }
            RowKey::Lease(ip, from) => {
                let leases = value.map(decode).transpose()?;
                self.leases.put((ip, from), leases);
            }
            RowKey::Episode(number) => {
                let episode = value.map(decode).transpose()?;
                self.episodes.put(number, episode);
            }
            RowKey::Thread(number) => {
                let thread = value.map(decode).transpose()?;
                self.threads.put(number, thread);
            }
            RowKey::Command(number) => {
                let answer = value.map(decode).transpose()?;
                self.answers.answers.put(number, answer);
            }
        }
        Ok(())
    }

    fn forget_unpolled(&mut self) {
        self.touched.clear();
        self.changed.clear();
        self.finished.clear();
        self.outputs.clear();
    }
}

#[cfg(test)]
pub(crate) mod tests;
