//! The one public mutable type: all state of one tenant.

use std::sync::Arc;

use schemas::alert::Alert;
use schemas::binding::Binding;
use schemas::incident::Incident;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::settings::Settings;

/// One tenant's correlation state.
#[derive(Debug)]
pub struct Fusion {
    tenant: String,
    settings: Arc<Settings>,
}

/// What became of one accepted alert when it was applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placement {
    /// A new alert: it opened or joined an episode.
    Placed {
        /// Number of the episode in its tenant, from 0; never reused.
        episode: u64,
        /// Came after the watermark had passed it by more than the lateness.
        late: bool,
    },
    /// The same alert was seen before: nothing changed.
    Duplicate {
        /// The episode that holds it.
        episode: u64,
    },
    /// A higher revision of an alert seen before: its episode was updated in place.
    Updated {
        /// The episode that holds it.
        episode: u64,
    },
}

/// What applying inputs led to, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A new episode began, alone in a new thread that carries its number.
    EpisodeOpened {
        /// Number of the episode, which is also the number of its first thread.
        episode: u64,
        /// UUIDv5 of (tenant, founder alert uid, founder event time): the id of the episode, and of the thread (and incident) it founds.
        id: Uuid,
    },
    /// Every episode of `thread` now belongs to `into`; `thread` is gone.
    ThreadMerged {
        /// The thread that went away.
        thread: u64,
        /// The survivor.
        into: u64,
    },
    /// A thread was promoted: it is an incident from here on.
    ThreadPromoted {
        /// The thread.
        thread: u64,
    },
}

impl Fusion {
    /// Creates the empty state of `tenant`.
    #[must_use]
    pub fn new(tenant: &str, settings: Arc<Settings>) -> Self {
        Self {
            tenant: tenant.to_owned(),
            settings,
        }
    }

    /// Returns the tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Applies one alert at its own event time. Never fails: bad input is refused before it comes here.
    pub fn handle_alert(&mut self, alert: &Alert) -> Placement {
        let _ = (alert, &self.settings);
        Placement::Placed {
            episode: 0,
            late: false,
        }
    }

    /// Learns who held an address when.
    pub fn handle_binding(&mut self, binding: &Binding) {
        let _ = binding;
    }

    /// Moves event time forward: state that nothing can reach any more is dropped. Time never goes back.
    pub fn handle_time(&mut self, watermark: Timestamp) {
        let _ = watermark;
    }

    /// Returns the next output, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// Returns the next incident that changed since it was last polled, at its newest revision, oldest incident first.
    pub fn poll_incident(&mut self) -> Option<Incident> {
        None
    }
}
