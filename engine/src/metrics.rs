//! Every metric there is, and the only place that touches one.
//!
//! Labels come from closed sets: topics of the configuration, partitions, fixed words. Never an entity, a user, a rule or
//! a tenant.
#![expect(
    clippy::disallowed_macros,
    reason = "this is the module the ban points at"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use correlators::Stats;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use schemas::command::Refusal;
use schemas::decode::{Reason, WARNINGS};
use schemas::time::Timestamp;

use crate::decode;
use crate::shard;

mod counts;
mod incidents;
use counts::APPLIED;
pub(crate) use counts::Counts;
pub(crate) use incidents::{incident_emitted, incident_shown, incidents_forgotten};

/// What kind of series a metric is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metric {
    /// Name, base unit last.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Help text.
    pub help: &'static str,
}

macro_rules! list {
    ($($constant:ident = $kind:ident $name:literal, $help:literal;)+) => {
        $(const $constant: &str = $name;)+

        /// Every metric of the engine, those of the process (`process_*`) apart.
        pub const METRICS: &[Metric] = &[$(Metric { name: $name, kind: Kind::$kind, help: $help }),+];
    };
}

list! {
    BUILD_INFO = Gauge "fusor_build_info", "Always 1; the label carries the version.";
    RECORDS_CONSUMED = Counter "fusor_records_consumed_total", "Input records whose epoch was committed, by topic.";
    ALERTS_CONSUMED = Counter "fusor_alerts_consumed_total", "Alerts applied and committed, by topic.";
    ALERTS_REJECTED = Counter "fusor_alerts_rejected_total", "Input records refused, by reason.";
    ALERTS_LATE = Counter "fusor_alerts_late_total", "Alerts that came after the watermark had passed them, by topic.";
    ALERTS_DEDUPLICATED = Counter "fusor_alerts_deduplicated_total", "Alerts that had been seen before.";
    ALERTS_UPDATED = Counter "fusor_alerts_updated_total", "Alerts that were a higher revision of one seen before.";
    ALERT_WARNINGS = Counter "fusor_alert_warnings_total", "Alerts whose record was odd, by warning.";
    BINDINGS_CONSUMED = Counter "fusor_bindings_consumed_total", "Address bindings applied and committed.";
    COMMANDS = Counter "fusor_commands_total", "Analysts' commands answered and committed, by outcome: applied, or the reason of the refusal.";
    INCIDENTS_EMITTED = Counter "fusor_incidents_emitted_total", "Incident revisions committed, by change.";
    INCIDENTS_OPEN = Gauge "fusor_incidents_open", "Open incidents this process published, by severity.";
    TENANTS = Gauge "fusor_tenants", "Tenants with state.";
    GRAPH_EPISODES = Gauge "fusor_graph_episodes", "Live episodes: alerts and their repeats.";
    GRAPH_THREADS = Gauge "fusor_graph_threads", "Live threads: linked episodes, published or not.";
    GRAPH_ENTITIES = Gauge "fusor_graph_entities", "Known entities.";
    GRAPH_EVICTIONS = Counter "fusor_graph_evictions_total", "Threads dropped, by reason: idle, or the bound on episodes.";
    OVERMERGE_GUARD = Counter "fusor_overmerge_guard_total", "Merges that a bound forbade and incidents it closed, by guard.";
    FUSE_DURATION = Histogram "fusor_fuse_duration_seconds", "Time from the start of an epoch's poll until it is ready to be committed.";
    COMMIT_DURATION = Histogram "fusor_commit_duration_seconds", "Time of one transaction that was committed.";
    LATENCY = Histogram "fusor_end_to_end_latency_seconds", "Time from a record's append at the broker until its epoch was committed.";
    WATERMARK_DELAY = Gauge "fusor_watermark_delay_seconds", "How far the watermark lies behind the clock, by shard.";
    SHARDS = Gauge "fusor_shards_assigned", "Shards this process works on.";
    LAG = Gauge "fusor_kafka_consumer_lag", "Records between the last one read and the end, by topic and partition; 0 for a partition this process no longer reads.";
    LEADERLESS = Gauge "fusor_kafka_partition_leaderless", "1 for an input partition without a leader, by topic and partition.";
    STUCK = Gauge "fusor_lso_stuck_seconds", "How long an open transaction has kept what follows it in an input from being read, by topic and partition; 0 while there is none.";
    EPOCHS = Counter "fusor_epochs_committed_total", "Epochs committed, one Kafka transaction each.";
    TORN = Counter "fusor_torn_transactions_total", "Inputs whose committed offset was not that of the state: a part of a transaction is missing.";
    COMMIT_FAILURES = Counter "fusor_kafka_commit_failures_total", "Transactions that failed, by outcome.";
    SNAPSHOTS_LOADED = Counter "fusor_snapshots_loaded_total", "Local snapshots that a takeover began with.";
    SNAPSHOT_FAILURES = Counter "fusor_snapshot_failures_total", "Local snapshots that could not be taken or used.";
    SNAPSHOT_TIME = Gauge "fusor_snapshot_timestamp_seconds", "When a shard's state was last found or made to be in a local snapshot, in seconds since 1970, by shard.";
    DLQ_RECORDS = Counter "fusor_dlq_records_total", "Records written to the dead-letter topic, by reason.";
}

/// How a transaction failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommitFailure {
    /// Nothing was written and the epoch is tried again.
    Aborted,
    /// The assignment was lost and the state dropped.
    Fenced,
}

impl CommitFailure {
    const ALL: [Self; 2] = [Self::Aborted, Self::Fenced];

    const fn word(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Fenced => "fenced",
        }
    }
}

/// What a revision is, as its metric says it.
const CHANGES: [&str; 5] = ["created", "updated", "closed", "merged", "reopened"];

/// Why a thread was dropped.
const EVICTIONS: [&str; 2] = ["idle", "capacity"];
/// What keeps incidents from growing into each other.
const GUARDS: [&str; 2] = ["merge_refused", "sealed"];

/// Every reason a record can be refused for.
const REASONS: [&str; 11] = [
    Reason::TooLarge.word(),
    Reason::NotJson.word(),
    Reason::UnknownFormat.word(),
    Reason::UnsupportedClass.word(),
    Reason::MissingField.word(),
    Reason::InvalidField.word(),
    Reason::InvalidTenant.word(),
    decode::NO_VALUE,
    decode::UNKNOWN_TOPIC,
    decode::PANIC,
    shard::TOO_MANY_TENANTS,
];

const FUSE_BUCKETS: [f64; 11] = [
    1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 1.0,
];
const COMMIT_BUCKETS: [f64; 11] = [
    1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0, 5.0, 10.0,
];
const LATENCY_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0, 300.0,
];

/// Installs the recorder of the process, once, with every metric described and those of closed labels at 0.
///
/// # Errors
/// When another recorder was installed first.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let full = |name: &str| Matcher::Full(name.to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(full(FUSE_DURATION), &FUSE_BUCKETS)?
        .set_buckets_for_metric(full(COMMIT_DURATION), &COMMIT_BUCKETS)?
        .set_buckets_for_metric(full(LATENCY), &LATENCY_BUCKETS)?
        .install_recorder()?;
    describe();
    metrics_process::Collector::default().describe();
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Renders what Prometheus scrapes, with the process's own figures brought up to date.
#[must_use]
pub fn render(handle: &PrometheusHandle) -> String {
    metrics_process::Collector::default().collect();
    delays();
    handle.render()
}

fn describe() {
    for Metric { name, kind, help } in METRICS.iter().copied() {
        match kind {
            Kind::Counter => describe_counter!(name, help),
            Kind::Gauge => describe_gauge!(name, help),
            Kind::Histogram => describe_histogram!(name, help),
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for name in [
        ALERTS_DEDUPLICATED,
        ALERTS_UPDATED,
        BINDINGS_CONSUMED,
        EPOCHS,
    ] {
        counter!(name).absolute(0);
    }
    let refusals = Refusal::ALL.iter().map(|reason| reason.word());
    for outcome in refusals.chain([APPLIED]) {
        counter!(COMMANDS, "outcome" => outcome).increment(0);
    }
    for reason in REASONS {
        counter!(ALERTS_REJECTED, "reason" => reason).absolute(0);
        counter!(DLQ_RECORDS, "reason" => reason).absolute(0);
    }
    for change in CHANGES {
        counter!(INCIDENTS_EMITTED, "change" => change).absolute(0);
    }
    for failure in CommitFailure::ALL {
        counter!(COMMIT_FAILURES, "outcome" => failure.word()).absolute(0);
    }
    for warning in WARNINGS {
        counter!(ALERT_WARNINGS, "warning" => warning).absolute(0);
    }
    for name in [TORN, SNAPSHOTS_LOADED, SNAPSHOT_FAILURES] {
        counter!(name).absolute(0);
    }
    state(std::iter::empty());
    incidents_forgotten();
    shards(0);
}

/// Registers the inputs at 0.
pub fn sources(topics: &[Arc<str>]) {
    for topic in topics {
        for name in [RECORDS_CONSUMED, ALERTS_CONSUMED, ALERTS_LATE] {
            counter!(name, "source" => topic.to_string()).absolute(0);
        }
    }
}

/// An epoch is ready to be committed.
pub(crate) fn fuse_duration(took: Duration) {
    histogram!(FUSE_DURATION).record(took.as_secs_f64());
}

/// A transaction was committed.
pub(crate) fn committed(took: Duration) {
    counter!(EPOCHS).increment(1);
    histogram!(COMMIT_DURATION).record(took.as_secs_f64());
}

/// A transaction failed.
pub(crate) fn commit_failed(failure: CommitFailure) {
    counter!(COMMIT_FAILURES, "outcome" => failure.word()).increment(1);
}

/// The state and the group disagree about an input.
pub(crate) fn torn() {
    counter!(TORN).increment(1);
}

/// The number of shards changed.
pub(crate) fn shards(count: usize) {
    gauge!(SHARDS).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    if count == 0 {
        let mut watermarks = WATERMARKS.lock().unwrap_or_else(PoisonError::into_inner);
        for (shard, _) in std::mem::take(&mut *watermarks) {
            gauge!(WATERMARK_DELAY, "shard" => shard.to_string()).set(0.0);
        }
    }
}

/// The watermarks of the shards worked on: what lies behind them grows by itself while nothing moves them.
static WATERMARKS: Mutex<BTreeMap<i32, Timestamp>> = Mutex::new(BTreeMap::new());

/// Brings the delays up to date, however long ago a shard moved.
fn delays() {
    let now = now_ms();
    let watermarks = WATERMARKS.lock().unwrap_or_else(PoisonError::into_inner);
    for (shard, watermark) in watermarks.iter() {
        let delay = now.saturating_sub(watermark.millis());
        gauge!(WATERMARK_DELAY, "shard" => shard.to_string()).set(seconds(delay));
    }
}

/// What the shards hold and what happened to it, each with its number of tenants.
pub(crate) fn state(shards: impl Iterator<Item = (usize, Stats)>) {
    let (tenants, stats): (Vec<usize>, Vec<Stats>) = shards.unzip();
    let stats: Stats = stats.into_iter().sum();
    for (name, value) in [
        (TENANTS, count(tenants.into_iter().sum())),
        (GRAPH_EPISODES, stats.episodes),
        (GRAPH_THREADS, stats.threads),
        (GRAPH_ENTITIES, stats.entities),
    ] {
        gauge!(name).set(f64::from(u32::try_from(value).unwrap_or(u32::MAX)));
    }
    let idle = stats.threads_dropped.saturating_sub(stats.evicted_by_bound);
    for (reason, value) in EVICTIONS.into_iter().zip([idle, stats.evicted_by_bound]) {
        counter!(GRAPH_EVICTIONS, "reason" => reason).absolute(value);
    }
    for (guard, value) in GUARDS.into_iter().zip([stats.merges_refused, stats.sealed]) {
        counter!(OVERMERGE_GUARD, "guard" => guard).absolute(value);
    }
}

/// A shard's watermark moved.
pub(crate) fn watermark(shard: i32, watermark: Option<Timestamp>) {
    if let Some(watermark) = watermark {
        let mut watermarks = WATERMARKS.lock().unwrap_or_else(PoisonError::into_inner);
        watermarks.insert(shard, watermark);
    }
}

/// How far a partition is behind its end became known.
pub(crate) fn lag(topic: &str, partition: i32, records: i64) {
    let labels = [
        ("topic", topic.to_owned()),
        ("partition", partition.to_string()),
    ];
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    gauge!(LAG, &labels).set(f64::from(records));
}

/// How long the first open transaction of an input partition has been there; no time for none.
pub(crate) fn stuck(topic: &str, partition: i32, time: Duration) {
    let labels = [
        ("topic", topic.to_owned()),
        ("partition", partition.to_string()),
    ];
    gauge!(STUCK, &labels).set(time.as_secs_f64());
}

/// An input partition lost its leader, or has one.
pub(crate) fn leaderless(topic: &str, partition: i32, leaderless: bool) {
    let labels = [
        ("topic", topic.to_owned()),
        ("partition", partition.to_string()),
    ];
    gauge!(LEADERLESS, &labels).set(if leaderless { 1.0 } else { 0.0 });
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A local snapshot was used.
pub(crate) fn snapshot_loaded() {
    counter!(SNAPSHOTS_LOADED).increment(1);
}

/// A local snapshot could not be taken or used.
pub(crate) fn snapshot_failed() {
    counter!(SNAPSHOT_FAILURES).increment(1);
}

/// A shard's local snapshot holds what the topic held at `now`.
pub(crate) fn snapshot_taken(shard: i32, now: Timestamp) {
    gauge!(SNAPSHOT_TIME, "shard" => shard.to_string()).set(seconds(now.millis()));
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Milliseconds as seconds; precise far beyond any delay there is.
fn seconds(millis: i64) -> f64 {
    let duration = Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
    if millis < 0 { -duration } else { duration }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_good_name_and_a_help_text() {
        for metric in METRICS {
            assert!(metric.name.starts_with("fusor_"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            let total = metric.name.ends_with("_total");
            assert_eq!(metric.kind == Kind::Counter, total, "{}", metric.name);
        }
    }

    #[test]
    fn closed_labels_are_there_before_anything_happened() {
        let text = render(&install().unwrap());
        for line in [
            "# HELP fusor_alerts_rejected_total ",
            "fusor_dlq_records_total{reason=\"not_json\"} 0",
            "fusor_incidents_emitted_total{change=\"created\"} 0",
            "fusor_kafka_commit_failures_total{outcome=\"fenced\"} 0",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
