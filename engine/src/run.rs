//! `fusor run`: from the configuration to a running worker.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::bus::Request;
use crate::config::{Config, Topic};
use crate::decode::{Clamp, Decoder};
use crate::publish::{INCIDENT_BYTES_MAX, Publisher};
use crate::shard::ShardConfig;
use crate::source::{Source, Sources};
use crate::worker::WorkerConfig;

/// After how long without a record the watermark follows the clock: what is idle is then let go.
const IDLE: Duration = Duration::from_secs(30);
/// Tenants of one shard at most.
const TENANTS_MAX: usize = 10_000;
/// How long an epoch that does not commit is tried again once the process is to stop; below the bound of the whole drain.
const COMMIT_DRAIN: Duration = Duration::from_secs(15);

/// Returns the inputs of a worker: alerts as they come, or those that `fusor ingest` has keyed by tenant; and bindings.
#[must_use]
pub fn sources(config: &Config) -> Sources {
    let keyed = |topic: &Topic| (topic.as_str().to_owned(), Source::Keyed);
    let alerts = match &config.outputs.alerts {
        Some(topic) => vec![keyed(topic)],
        None => raw(config).collect(),
    };
    let bindings = config
        .bindings
        .iter()
        .map(|topic| (topic.as_str().to_owned(), Source::Bindings));
    let commands = config
        .commands
        .iter()
        .map(|topic| (topic.as_str().to_owned(), Source::Commands));
    Sources::new(alerts.into_iter().chain(bindings).chain(commands))
}

/// Returns the inputs as their producers write them.
pub(crate) fn raw(config: &Config) -> impl Iterator<Item = (String, Source)> {
    config.inputs.iter().map(|input| {
        let source = Source::Alerts {
            format: input.format.map(Into::into),
            tenant: input.tenant.clone(),
        };
        (input.topic.as_str().to_owned(), source)
    })
}

/// Returns how the worker of a configuration works that reads `partitions` partitions of a live bus with so many shards.
#[must_use]
pub fn worker_config(config: &Config, partitions: usize, shards: i32) -> WorkerConfig {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let limits = &config.limits;
    let lanes = partitions.max(1);
    let interval = duration(limits.epoch_interval.millis());
    WorkerConfig {
        decoder: Decoder {
            sources: sources(config),
            limits: limits.decode(),
            clamp: Some(Clamp::default()),
            threads,
        },
        shard: ShardConfig {
            settings: Arc::new(config.settings()),
            state: Some(config.outputs.state.as_str().into()),
            tenants_max: TENANTS_MAX,
            threads,
        },
        publisher: Publisher {
            topic: config.outputs.incidents.as_str().into(),
            instance: config.group.as_str().to_owned(),
            bytes_max: INCIDENT_BYTES_MAX,
        },
        dead_letters: config.outputs.dead_letters.as_str().into(),
        outcomes: config.outputs.outcomes.as_str().into(),
        epoch: Request {
            records_max: limits.epoch_records.as_usize(),
            bytes_max: limits.epoch_size.as_usize(),
            wait: interval,
            collect: interval,
        },
        ahead_records_max: (limits.buffered_records.as_usize() / lanes).max(1),
        ahead_bytes_max: (limits.buffered_size.as_usize() / lanes).max(1),
        drain: COMMIT_DRAIN,
        followed: shards,
        snapshots: None,
        idle: Some(IDLE),
    }
}

/// Returns a number of milliseconds as a duration.
pub(crate) fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_of_the_configuration_is_a_source() {
        let text = r#"{"inputs":[{"topic":"a","format":"suricata"},{"topic":"b","tenant":{"key":true}}],"bindings":"l","commands":"d"}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        let sources = sources(&config);
        assert_eq!(
            sources.topics(),
            ["a".into(), "b".into(), "d".into(), "l".into()]
        );
        assert_eq!(sources.get("l"), Some(&Source::Bindings));
        assert_eq!(sources.get("d"), Some(&Source::Commands));
        let Some(Source::Alerts { format, tenant }) = sources.get("a") else {
            panic!("a holds alerts")
        };
        assert!(format.is_some() && tenant.is_none());
        assert_eq!(sources.get("c"), None);
    }

    #[test]
    fn what_lanes_may_hold_back_is_a_bound_over_all_of_them() {
        let config = Config::default();
        let (one, many) = (worker_config(&config, 1, 1), worker_config(&config, 100, 1));
        assert_eq!(one.ahead_records_max, 100 * many.ahead_records_max);
        assert!(worker_config(&config, usize::MAX, 1).ahead_bytes_max > 0);
    }
}
