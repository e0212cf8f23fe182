//! Gathers what the worker tells: the last revision of every incident, and where every alert ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use correlators::Output;
use schemas::incident::{Incident, IncidentStatus};

use super::Replayed;
use super::ledger::Ledger;
use crate::bus::{Partition, Record};
use crate::worker::{Disposition, Observer};

/// The observer of a replay.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Inputs with alerts, numbered; every other one has bindings.
    inputs: HashMap<Partition, usize>,
    incidents: BTreeMap<String, Arc<Incident>>,
    ledger: Ledger,
    records: u64,
    refused: BTreeMap<&'static str, u64>,
    bindings: u64,
    bindings_refused: u64,
}

impl Collector {
    /// Gathers what comes of `inputs`; with `membership` also, for every record of them, where it ended.
    pub(crate) fn new(inputs: Vec<Partition>, membership: bool) -> Self {
        Self {
            ledger: Ledger::new(if membership { inputs.len() } else { 0 }),
            inputs: inputs.into_iter().zip(0..).collect(),
            incidents: BTreeMap::new(),
            records: 0,
            refused: BTreeMap::new(),
            bindings: 0,
            bindings_refused: 0,
        }
    }

    /// Settles where every alert ended; nothing may follow.
    pub(crate) fn finish(mut self) -> Replayed {
        self.ledger.settle();
        let published = self.incidents.len();
        let mut incidents: Vec<Arc<Incident>> = self
            .incidents
            .into_values()
            .filter(|incident| incident.status != IncidentStatus::Merged)
            .collect();
        incidents.sort_by(|a, b| {
            b.risk
                .total_cmp(&a.risk)
                .then_with(|| (&a.tenant, &a.id).cmp(&(&b.tenant, &b.id)))
        });
        Replayed {
            merged: (published - incidents.len()) as u64,
            incidents,
            records: self.records,
            dispositions: self.ledger.dispositions(),
            refused: self.refused,
            bindings: self.bindings,
            bindings_refused: self.bindings_refused,
            ledger: self.ledger,
        }
    }
}

impl Observer for Collector {
    fn record(&mut self, record: &Record, disposition: Disposition<'_>) {
        let input = self.inputs.get(&record.partition).copied();
        match (disposition, input) {
            (Disposition::Binding, _) => self.bindings += 1,
            // A replay reads none.
            (Disposition::Command(_), _) => {}
            (Disposition::DeadLetter(_), None) => self.bindings_refused += 1,
            (Disposition::DeadLetter(broken), Some(input)) => {
                self.records += 1;
                *self.refused.entry(broken.reason).or_default() += 1;
                self.ledger.refuse(input, broken.reason);
            }
            (Disposition::Alerts(alerts, placements), input) => {
                self.records += 1;
                for (alert, placement) in alerts.iter().zip(placements) {
                    self.ledger
                        .place(input.unwrap_or(usize::MAX), alert, *placement);
                }
            }
        }
    }

    fn outputs(&mut self, tenant: &str, outputs: &[Output]) {
        for output in outputs {
            self.ledger.output(tenant, output);
        }
    }

    fn incident(&mut self, incident: &Arc<Incident>) {
        self.incidents
            .insert(incident.id.clone(), Arc::clone(incident));
    }
}
