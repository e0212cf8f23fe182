//! Where every alert ended: episodes, the threads they came to be in, and on demand every record.

use std::collections::HashMap;

use correlators::{Output, Placement};
use schemas::alert::Alert;
use serde::Serialize;
use uuid::Uuid;

/// Books what the worker tells, in the order of application.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    tenants: Vec<Tenant>,
    by_name: HashMap<String, u32>,
    /// Records by file, in the file's order; none unless they were asked for.
    files: Vec<File>,
    duplicates: u64,
    refused: u64,
}

/// How the alerts of a replay ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Dispositions {
    /// In a thread of two or more episodes.
    pub correlated: u64,
    /// In an episode that is alone in its thread.
    pub single: u64,
    /// Seen before.
    pub duplicate: u64,
    /// Came late, joined nothing, and nothing joined it.
    pub late: u64,
    /// Records that were refused.
    pub dead_letter: u64,
}

#[derive(Debug)]
struct Tenant {
    name: String,
    /// By number.
    episodes: Vec<Episode>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Episode {
    id: Uuid,
    /// Id of the thread this one founded, where it is another since an analyst split it.
    split: Option<Uuid>,
    /// The thread this episode's own thread went into; itself while it lives.
    into: u32,
    /// Episodes of the thread this one founded; counted by [`Ledger::settle`].
    members: u32,
    /// Alerts, duplicates apart.
    alerts: u32,
    /// Its first alert came late.
    late: bool,
    /// The thread this episode founded is an incident.
    promoted: bool,
}

/// The records of one file.
#[derive(Debug, Default)]
struct File {
    /// The ids of all alerts, one behind the other.
    ids: String,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
enum Row {
    Alert {
        id_bytes: u32,
        tenant: u32,
        episode: u32,
        duplicate: bool,
    },
    Refused {
        reason: &'static str,
    },
}

/// One alert or refused record, settled.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    pub(super) alert: Option<&'a str>,
    pub(super) tenant: Option<&'a str>,
    pub(super) disposition: &'static str,
    pub(super) episode: Option<Uuid>,
    pub(super) thread: Option<Uuid>,
    pub(super) incident: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
}

impl Ledger {
    /// Keeps the records of `files` files.
    pub(super) fn new(files: usize) -> Self {
        Self {
            files: (0..files).map(|_| File::default()).collect(),
            ..Self::default()
        }
    }

    /// Books an alert.
    pub(super) fn place(&mut self, file: usize, alert: &Alert, placement: Placement) {
        let tenant = self.tenant(&alert.tenant);
        let (episode, duplicate) = match placement {
            Placement::Placed { episode, late } => {
                if let Some(episode) = self.episode(tenant, episode) {
                    episode.late |= late && episode.alerts == 0;
                    episode.alerts = episode.alerts.saturating_add(1);
                }
                (episode, false)
            }
            Placement::Duplicate { episode } | Placement::Updated { episode, .. } => {
                self.duplicates += 1;
                (episode, true)
            }
        };
        if let Some(file) = self.files.get_mut(file) {
            let id = &alert.source.native_uid;
            file.ids.push_str(id);
            file.rows.push(Row::Alert {
                id_bytes: narrow(id.len() as u64),
                tenant,
                episode: narrow(episode),
                duplicate,
            });
        }
    }

    /// Books a record that was refused.
    pub(super) fn refuse(&mut self, file: usize, reason: &'static str) {
        self.refused += 1;
        if let Some(file) = self.files.get_mut(file) {
            file.rows.push(Row::Refused { reason });
        }
    }

    /// Books what a tenant's state put out.
    pub(super) fn output(&mut self, tenant: &str, output: &Output) {
        let tenant = self.tenant(tenant);
        match output {
            Output::EpisodeOpened { episode, id } => {
                if let Some(episode) = self.episode(tenant, *episode) {
                    episode.id = *id;
                }
            }
            Output::ThreadMerged { thread, into } => {
                if let Some(thread) = self.episode(tenant, *thread) {
                    thread.into = narrow(*into);
                }
            }
            Output::ThreadSplit { parts, .. } => {
                for part in parts {
                    for episode in &part.episodes {
                        if let Some(episode) = self.episode(tenant, *episode) {
                            episode.into = narrow(part.thread);
                        }
                    }
                    if let Some(thread) = self.episode(tenant, part.thread) {
                        thread.split = Some(part.id);
                        thread.promoted = part.incident;
                    }
                }
            }
            Output::ThreadPromoted { thread } => {
                if let Some(thread) = self.episode(tenant, *thread) {
                    thread.promoted = true;
                }
            }
        }
    }

    /// Finds the thread every episode ended in. Called once, when nothing further will be booked.
    pub(super) fn settle(&mut self) {
        for tenant in &mut self.tenants {
            for number in 0..tenant.episodes.len() {
                let number = narrow(number as u64);
                let thread = tenant.thread_of(number);
                if let Some(episode) = tenant.get_mut(number) {
                    episode.into = thread;
                }
                if let Some(thread) = tenant.get_mut(thread) {
                    thread.members = thread.members.saturating_add(1);
                }
            }
        }
    }

    /// Counts how the alerts ended.
    pub(super) fn dispositions(&self) -> Dispositions {
        let mut counts = Dispositions {
            duplicate: self.duplicates,
            dead_letter: self.refused,
            ..Dispositions::default()
        };
        for tenant in &self.tenants {
            for episode in &tenant.episodes {
                let count = match tenant.disposition(episode) {
                    Kind::Correlated => &mut counts.correlated,
                    Kind::Single => &mut counts.single,
                    Kind::Late => &mut counts.late,
                };
                *count += u64::from(episode.alerts);
            }
        }
        counts
    }

    /// Returns every record in input order, settled.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.files.iter().flat_map(move |file| {
            let mut rest = file.ids.as_str();
            file.rows.iter().map(move |row| match row {
                Row::Alert {
                    id_bytes,
                    tenant,
                    episode,
                    duplicate,
                } => {
                    let id_bytes = usize::try_from(*id_bytes).unwrap_or(usize::MAX);
                    let (id, behind) = rest.split_at_checked(id_bytes).unwrap_or((rest, ""));
                    rest = behind;
                    self.entry(id, *tenant, *episode, *duplicate)
                }
                Row::Refused { reason } => Entry {
                    alert: None,
                    tenant: None,
                    disposition: "dead_letter",
                    episode: None,
                    thread: None,
                    incident: None,
                    reason: Some(reason),
                },
            })
        })
    }

    fn entry<'a>(&'a self, id: &'a str, tenant: u32, episode: u32, duplicate: bool) -> Entry<'a> {
        let tenant = usize::try_from(tenant)
            .ok()
            .and_then(|tenant| self.tenants.get(tenant));
        let episode = tenant.and_then(|tenant| tenant.get(episode));
        let thread = tenant
            .zip(episode)
            .and_then(|(tenant, episode)| tenant.get(episode.into));
        let kind = tenant
            .zip(episode)
            .map(|(tenant, episode)| tenant.disposition(episode));
        Entry {
            alert: Some(id),
            tenant: tenant.map(|tenant| tenant.name.as_str()),
            disposition: match kind {
                _ if duplicate => "duplicate",
                Some(Kind::Correlated) => "correlated",
                Some(Kind::Late) => "late",
                Some(Kind::Single) | None => "single",
            },
            episode: episode.map(|episode| episode.id),
            thread: thread.map(Episode::thread_id),
            incident: thread
                .filter(|thread| thread.promoted)
                .map(Episode::thread_id),
            reason: None,
        }
    }

    fn tenant(&mut self, name: &str) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = narrow(self.tenants.len() as u64);
        self.tenants.push(Tenant {
            name: name.to_owned(),
            episodes: Vec::new(),
        });
        self.by_name.insert(name.to_owned(), number);
        number
    }

    /// Returns an episode's book, made when it is first spoken of: placements come before the outputs of their epoch.
    fn episode(&mut self, tenant: u32, number: u64) -> Option<&mut Episode> {
        let tenant = self.tenants.get_mut(usize::try_from(tenant).ok()?)?;
        let index = usize::try_from(number).ok()?;
        while tenant.episodes.len() <= index {
            let into = narrow(tenant.episodes.len() as u64);
            tenant.episodes.push(Episode {
                into,
                ..Episode::default()
            });
        }
        tenant.episodes.get_mut(index)
    }
}

impl Episode {
    /// Returns the id of the thread that it founded.
    fn thread_id(&self) -> Uuid {
        self.split.unwrap_or(self.id)
    }
}

/// How the alerts of an episode ended.
enum Kind {
    Correlated,
    Single,
    Late,
}

impl Tenant {
    fn get(&self, number: u32) -> Option<&Episode> {
        self.episodes.get(usize::try_from(number).ok()?)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Episode> {
        self.episodes.get_mut(usize::try_from(number).ok()?)
    }

    /// Follows the merges from an episode to the thread it is in, and shortens the way behind it.
    fn thread_of(&mut self, episode: u32) -> u32 {
        let mut number = episode;
        while let Some(into) = self
            .get(number)
            .map(|thread| thread.into)
            .filter(|into| *into != number)
        {
            let next = self.get(into).map_or(into, |thread| thread.into);
            if let Some(thread) = self.get_mut(number) {
                thread.into = next;
            }
            number = next;
        }
        number
    }

    fn disposition(&self, episode: &Episode) -> Kind {
        let alone = self
            .get(episode.into)
            .is_none_or(|thread| thread.members < 2);
        match (alone, episode.late && episode.alerts == 1) {
            (false, _) => Kind::Correlated,
            (true, true) => Kind::Late,
            (true, false) => Kind::Single,
        }
    }
}

/// Numbers of episodes, tenants and bytes of an id: memory ends long before 32 bits do.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
