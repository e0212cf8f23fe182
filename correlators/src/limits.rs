//! Every bound of the correlation core, with its default and what happens there.

use serde::{Deserialize, Serialize};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Bounds of one tenant's state, and of one incident.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Episodes of an incident; default 1,000. A full one is sealed and a successor continues it.
    pub incident_episodes: u32,
    /// Entities of an incident that can be evidence; default 200. A full one is sealed.
    pub incident_entities: u32,
    /// Life of an incident; default 14 d. An older one is sealed.
    pub incident_life_ms: i64,
    /// Novel episodes kept for linking at each entity; default 16.
    pub ring: u32,
    /// Warm threads kept for stitching at each entity; default 16, the oldest cold one goes first.
    pub ring_threads: u32,
    /// Links kept with an episode; default 8, the weakest go first. Those that made it join stay in any case.
    pub links: u32,
    /// Uids kept of an episode's repeats; default 16.
    pub repeat_uids: u32,
    /// A cold thread is dropped when idle for this long; default 72 h.
    pub cold_idle_ms: i64,
    /// A warm thread or incident is dropped when idle for this long; default 14 d.
    pub warm_idle_ms: i64,
    /// An entity without live episodes is forgotten when idle for this long; default 30 d.
    pub entity_idle_ms: i64,
    /// Live episodes; default 1,000,000. Beyond, the longest idle thread is dropped.
    pub episodes: u32,
    /// Known entities; default 2,000,000. Beyond, a new one is not evidence.
    pub entities: u32,
    /// Known rules; default 100,000. Beyond, new ones count as one rule.
    pub rules: u32,
    /// Rules remembered at each entity; default 256. Beyond, the longest unseen is forgotten.
    pub rules_at_entity: u32,
    /// Alert uids remembered to tell duplicates; default 4,000,000. Beyond, the oldest are forgotten.
    pub uids: u32,
    /// Leases; default 1,000,000. Beyond, the one that ended first is dropped.
    pub leases: u32,
    /// Comments of an incident; default 100. Beyond, a command is refused.
    pub comments: u32,
    /// Bytes of all comments of an incident; default 128 KiB. Beyond, a command is refused.
    pub comment_bytes: u32,
    /// Tags of an incident; default 64. Beyond, a command is refused.
    pub tags: u32,
    /// Pairs of alerts that analysts unlinked, of one thread; default 256. Beyond, a command is refused.
    pub unlinked: u32,
    /// Rules that analysts expect at an entity; default 16. Beyond, the one that ends first is forgotten.
    pub expected: u32,
    /// Outcomes of commands remembered to tell those that are sent again; default 10,000. Beyond, the oldest is forgotten.
    pub commands: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            incident_episodes: 1_000,
            incident_entities: 200,
            incident_life_ms: 14 * DAY,
            ring: 16,
            ring_threads: 16,
            links: 8,
            repeat_uids: 16,
            cold_idle_ms: 72 * HOUR,
            warm_idle_ms: 14 * DAY,
            entity_idle_ms: 30 * DAY,
            episodes: 1_000_000,
            entities: 2_000_000,
            rules: 100_000,
            rules_at_entity: 256,
            uids: 4_000_000,
            leases: 1_000_000,
            comments: 100,
            comment_bytes: 128 << 10,
            tags: 64,
            unlinked: 256,
            expected: 16,
            commands: 10_000,
        }
    }
}
