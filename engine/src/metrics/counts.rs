//! What became of an epoch's records, counted before it goes to the recorder.

use std::collections::BTreeMap;
use std::sync::Arc;

use correlators::{Placement, Verdict};
use metrics::{counter, histogram};
use schemas::decode::WARNINGS;

use super::{
    ALERT_WARNINGS, ALERTS_CONSUMED, ALERTS_DEDUPLICATED, ALERTS_LATE, ALERTS_REJECTED,
    ALERTS_UPDATED, BINDINGS_CONSUMED, COMMANDS, DLQ_RECORDS, LATENCY, RECORDS_CONSUMED, count,
    now_ms, seconds,
};
use crate::bus::Record;
use crate::worker::Disposition;

/// Counts one epoch's records before they go to the recorder: one look-up a series instead of one a record.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sources: BTreeMap<Arc<str>, SourceCounts>,
    reasons: BTreeMap<&'static str, u64>,
    warnings: BTreeMap<&'static str, u64>,
    duplicates: u64,
    updates: u64,
    bindings: u64,
    commands: BTreeMap<&'static str, u64>,
    appended: Vec<i64>,
}

#[derive(Debug, Default)]
struct SourceCounts {
    records: u64,
    alerts: u64,
    late: u64,
}

impl Counts {
    pub(crate) fn record(&mut self, record: &Record, disposition: Disposition<'_>) {
        let topic = &record.partition.topic;
        if !self.sources.contains_key(topic) {
            self.sources
                .insert(Arc::clone(topic), SourceCounts::default());
        }
        let Some(source) = self.sources.get_mut(topic) else {
            return;
        };
        source.records += 1;
        self.appended.extend(record.timestamp);
        match disposition {
            Disposition::Alerts(alerts, placements) => {
                source.alerts += count(alerts.len());
                for warning in alerts.iter().flat_map(|alert| &alert.provenance.warnings) {
                    if let Some(word) = WARNINGS.into_iter().find(|word| word == warning) {
                        *self.warnings.entry(word).or_default() += 1;
                    }
                }
                for placement in placements {
                    match placement {
                        Placement::Placed { late, .. } => source.late += u64::from(*late),
                        Placement::Duplicate { .. } => self.duplicates += 1,
                        Placement::Updated { .. } => self.updates += 1,
                    }
                }
            }
            Disposition::Binding => self.bindings += 1,
            Disposition::Command(verdict) => {
                *self.commands.entry(outcome(verdict)).or_default() += 1;
            }
            Disposition::DeadLetter(broken) => *self.reasons.entry(broken.reason).or_default() += 1,
        }
    }

    pub(crate) fn flush(self) {
        for (topic, counts) in self.sources {
            let source = topic.to_string();
            counter!(RECORDS_CONSUMED, "source" => source.clone()).increment(counts.records);
            counter!(ALERTS_CONSUMED, "source" => source.clone()).increment(counts.alerts);
            counter!(ALERTS_LATE, "source" => source).increment(counts.late);
        }
        for (reason, count) in self.reasons {
            counter!(ALERTS_REJECTED, "reason" => reason).increment(count);
            counter!(DLQ_RECORDS, "reason" => reason).increment(count);
        }
        for (warning, count) in self.warnings {
            counter!(ALERT_WARNINGS, "warning" => warning).increment(count);
        }
        counter!(ALERTS_DEDUPLICATED).increment(self.duplicates);
        counter!(ALERTS_UPDATED).increment(self.updates);
        counter!(BINDINGS_CONSUMED).increment(self.bindings);
        for (outcome, count) in self.commands {
            counter!(COMMANDS, "outcome" => outcome).increment(count);
        }
        let latency = histogram!(LATENCY);
        let now = now_ms();
        for appended in self.appended {
            latency.record(seconds(now.saturating_sub(appended).max(0)));
        }
    }
}

/// The word of an answer.
fn outcome(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Applied { .. } => APPLIED,
        Verdict::Refused { reason, .. } => reason.word(),
    }
}

/// The outcome of a command that was not refused.
pub(super) const APPLIED: &str = "applied";
