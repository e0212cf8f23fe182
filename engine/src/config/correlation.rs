//! What an operator may turn of how alerts become incidents. The defaults are the core's own.

use correlators::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Count, Decimal, Interval};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Bits of evidence: each bit halves the odds that two unrelated alerts would share this much.
type Bits = Decimal<0, 100_000>;
/// A risk, 0 to 100.
type Risk = Decimal<0, 100_000>;

/// How alerts become incidents.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Correlation {
    /// How far behind the newest event time an alert may come without being flagged late; default `10m`.
    pub lateness: Interval<0, DAY>,
    /// Time in which what an entity usually sees loses half its weight; default `5d`.
    pub half_life: Interval<HOUR, { 90 * DAY }>,
    /// An incident founded this soon after the tenant's first alert is marked as learning; default `12h`.
    pub learning: Interval<0, { 30 * DAY }>,
    /// Folding repeats of one rule at the same entities into an episode.
    pub fold: Fold,
    /// Linking an episode to another by the entities they share.
    pub link: Link,
    /// Attaching an episode to a thread that looks like an attack.
    pub attach: Attach,
    /// Stitching two threads, hours to days apart.
    pub stitch: Stitch,
    /// What turns a thread into an incident.
    pub promote: Promote,
    /// Risk from which on an incident has a severity.
    pub severity: Severity,
    /// Bounds of one incident; a full one is sealed and a successor continues it.
    pub incident: IncidentLimits,
    /// Bounds of what is held in memory of one tenant.
    pub memory: Memory,
}

/// Folding repeats into episodes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fold {
    /// Longest pause between two alerts of an episode; default `30m`.
    pub gap: Interval<1_000, DAY>,
    /// Longest episode; default `6h`.
    pub span: Interval<1_000, { 7 * DAY }>,
}

/// Linking an episode to another.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// Evidence a link needs, in bits; default 6.
    pub evidence: Bits,
    /// Longest time between two linked episodes; default `3d`.
    pub window: Interval<MINUTE, { 30 * DAY }>,
}

/// Attaching an episode to a thread that looks like an attack.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attach {
    /// Evidence an episode needs, in bits; default 5.
    pub evidence: Bits,
    /// Evidence an earlier episode needs to be pulled in afterwards, in bits; default 5.5.
    pub evidence_look_back: Bits,
    /// Longest time to the thread's nearest episode at a shared entity; default `14d`.
    pub window: Interval<MINUTE, { 90 * DAY }>,
}

/// Stitching two threads.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stitch {
    /// Evidence two threads need, in bits; default 5.
    pub evidence: Bits,
    /// Longest time between two threads; default `14d`.
    pub window: Interval<MINUTE, { 90 * DAY }>,
}

/// What turns a thread into an incident: tactics, phases, rules and risk together, or risk alone.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Promote {
    /// Tactics it has at least; default 3.
    pub tactics: Count<1, 14>,
    /// Phases of its chain at least; default 2.
    pub phases: Count<1, 6>,
    /// Rules that raised its alerts at least; default 3.
    pub rules: Count<1, 100>,
    /// Risk it has at least, 0 to 100; default 40.
    pub risk: Risk,
    /// Risk that is enough by itself, 0 to 100; default 75.
    pub risk_alone: Risk,
}

/// Risk from which on an incident has a severity.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Severity {
    /// Medium, 0 to 100; default 40.
    pub medium: Risk,
    /// High, 0 to 100; default 60.
    pub high: Risk,
    /// Critical, 0 to 100; default 80.
    pub critical: Risk,
}

/// Bounds of one incident.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentLimits {
    /// Episodes; default 1000.
    pub episodes: Count<10, 100_000>,
    /// Entities that can be evidence; default 200.
    pub entities: Count<10, 10_000>,
    /// Time from its first alert to its last; default `14d`.
    pub life: Interval<HOUR, { 90 * DAY }>,
}

/// Bounds of what is held in memory of one tenant.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Live episodes; beyond, the longest idle thread is dropped; default 1000000.
    pub episodes: Count<1_000, 100_000_000>,
    /// Known entities; beyond, a new one is no evidence; default 2000000.
    pub entities: Count<1_000, 100_000_000>,
    /// Alert ids remembered to tell duplicates; beyond, the oldest are forgotten; default 4000000.
    pub alert_ids: Count<1_000, 100_000_000>,
    /// Leases; beyond, the one that ended first is dropped; default 1000000.
    pub leases: Count<1_000, 100_000_000>,
}

impl Correlation {
    /// Returns the core's settings; what is known of the entities is not in them yet.
    pub(super) fn settings(&self) -> Settings {
        let mut settings = Settings {
            lateness_ms: self.lateness.millis(),
            ..Settings::default()
        };
        settings.background.half_life_ms = self.half_life.millis();
        settings.background.learning_ms = self.learning.millis();
        settings.fold.gap_ms = self.fold.gap.millis();
        settings.fold.span_ms = self.fold.span.millis();
        settings.link.bar = self.link.evidence.thousandths();
        settings.link.window_ms = self.link.window.millis();
        settings.attach.bar = self.attach.evidence.thousandths();
        settings.attach.bar_look_back = self.attach.evidence_look_back.thousandths();
        settings.attach.window_ms = self.attach.window.millis();
        settings.stitch.bar = self.stitch.evidence.thousandths();
        settings.stitch.window_ms = self.stitch.window.millis();
        settings.promote.tactics = self.promote.tactics.get();
        settings.promote.phases = self.promote.phases.get();
        settings.promote.rules = self.promote.rules.get();
        settings.promote.risk_tenths = tenths(self.promote.risk);
        settings.promote.risk_alone_tenths = tenths(self.promote.risk_alone);
        settings.promote.severity_tenths = [
            self.severity.medium,
            self.severity.high,
            self.severity.critical,
        ]
        .map(tenths);
        settings.limits.incident_episodes = self.incident.episodes.get();
        settings.limits.incident_entities = self.incident.entities.get();
        settings.limits.incident_life_ms = self.incident.life.millis();
        settings.limits.episodes = self.memory.episodes.get();
        settings.limits.entities = self.memory.entities.get();
        settings.limits.uids = self.memory.alert_ids.get();
        settings.limits.leases = self.memory.leases.get();
        settings
    }
}

const fn tenths(risk: Risk) -> i32 {
    risk.thousandths() / 100
}

impl Default for Correlation {
    fn default() -> Self {
        let core = Settings::default();
        Self {
            lateness: interval(core.lateness_ms),
            half_life: interval(core.background.half_life_ms),
            learning: interval(core.background.learning_ms),
            fold: Fold::default(),
            link: Link::default(),
            attach: Attach::default(),
            stitch: Stitch::default(),
            promote: Promote::default(),
            severity: Severity::default(),
            incident: IncidentLimits::default(),
            memory: Memory::default(),
        }
    }
}

fn interval<const MIN: u64, const MAX: u64>(millis: i64) -> Interval<MIN, MAX> {
    Interval::clamped(millis.unsigned_abs())
}

impl Default for Fold {
    fn default() -> Self {
        let core = Settings::default().fold;
        Self {
            gap: interval(core.gap_ms),
            span: interval(core.span_ms),
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        let core = Settings::default().link;
        Self {
            evidence: Bits::clamped(core.bar),
            window: interval(core.window_ms),
        }
    }
}

impl Default for Attach {
    fn default() -> Self {
        let core = Settings::default().attach;
        Self {
            evidence: Bits::clamped(core.bar),
            evidence_look_back: Bits::clamped(core.bar_look_back),
            window: interval(core.window_ms),
        }
    }
}

impl Default for Stitch {
    fn default() -> Self {
        let core = Settings::default().stitch;
        Self {
            evidence: Bits::clamped(core.bar),
            window: interval(core.window_ms),
        }
    }
}

impl Default for Promote {
    fn default() -> Self {
        let core = Settings::default().promote;
        Self {
            tactics: Count::clamped(core.tactics),
            phases: Count::clamped(core.phases),
            rules: Count::clamped(core.rules),
            risk: Risk::clamped(core.risk_tenths.saturating_mul(100)),
            risk_alone: Risk::clamped(core.risk_alone_tenths.saturating_mul(100)),
        }
    }
}

impl Default for Severity {
    fn default() -> Self {
        let core = Settings::default().promote.severity_tenths;
        let [medium, high, critical] = core.map(|risk| Risk::clamped(risk.saturating_mul(100)));
        Self {
            medium,
            high,
            critical,
        }
    }
}

impl Default for IncidentLimits {
    fn default() -> Self {
        let core = Settings::default().limits;
        Self {
            episodes: Count::clamped(core.incident_episodes),
            entities: Count::clamped(core.incident_entities),
            life: interval(core.incident_life_ms),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        let core = Settings::default().limits;
        Self {
            episodes: Count::clamped(core.episodes),
            entities: Count::clamped(core.entities),
            alert_ids: Count::clamped(core.uids),
            leases: Count::clamped(core.leases),
        }
    }
}
