//! A bundled scenario played through the engine: what Fusor does, shown without a broker or a file.

pub mod scenario;
mod screen;

use std::collections::BTreeMap;
use std::sync::Arc;

use correlators::Output;
use schemas::incident::Incident;
use schemas::time::Timestamp;

use crate::bus::memory::{Keep, Memory, MemoryBus, NoPartition};
use crate::bus::{NewRecord, Partition, Record};
use crate::config::{Invalid, TenantRule};
use crate::readiness::Readiness;
use crate::replay::{Collector, Offline, Replayed};
use crate::source::{Source, Sources};
use crate::view::{Filter, IncidentView};
use crate::worker::{Disposition, Observer, Step, Worker, WorkerError};

use scenario::{OWN_ADDRESS, RANSOMWARE, Scenario, TOPICS};

pub use screen::Screen;

/// The scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The engine failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The bus in memory lacks a partition.
    #[error(transparent)]
    Bus(#[from] NoPartition),
    /// A tenant's name is none.
    #[error(transparent)]
    Tenant(#[from] Invalid),
    /// A lease cannot be written.
    #[error("a lease cannot be written as JSON")]
    Lease(#[from] serde_json::Error),
}

/// The scenario on its way through the engine.
#[derive(Debug)]
pub struct Player {
    worker: Worker<MemoryBus>,
    watch: Watch,
    /// What each record of each topic belongs to.
    truth: Vec<Vec<Option<&'static str>>>,
    view: Arc<IncidentView>,
}

/// Where the play stands.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Alerts applied so far.
    pub alerts: u64,
    /// Event time of the newest of them.
    pub time: Timestamp,
    /// The riskiest incidents so far, riskiest first.
    pub incidents: Vec<Arc<Incident>>,
}

/// How the play ended.
#[derive(Debug)]
pub struct Played {
    /// The incidents, riskiest first, and how the alerts ended.
    pub replayed: Replayed,
    /// What each incident holds of each attack; noise counts under none.
    pub holds: BTreeMap<String, BTreeMap<Option<&'static str>, u64>>,
    /// How many alerts each attack has; noise counts under none.
    pub sent: BTreeMap<Option<&'static str>, u64>,
}

impl Player {
    /// Puts the scenario on a bus in memory and an engine on the bus. The site's own address is added to the settings.
    ///
    /// # Errors
    /// Never for a scenario of this program.
    pub fn new(
        scenario: &Scenario,
        mut engine: Offline,
        view: Arc<IncidentView>,
        readiness: Arc<Readiness>,
    ) -> Result<Self, DemoError> {
        Arc::make_mut(&mut engine.settings)
            .own_addresses
            .push(OWN_ADDRESS.to_owned());
        let memory = Memory::new();
        let truth = fill(&memory, scenario)?;
        let inputs = TOPICS
            .iter()
            .map(|(topic, _)| Partition {
                topic: (*topic).into(),
                number: 0,
            })
            .collect();
        Ok(Self {
            worker: engine.worker(&memory, sources()?, Arc::clone(&view), readiness),
            watch: Watch {
                collector: Collector::new(inputs, true),
                alerts: 0,
                time: Timestamp::MIN,
            },
            truth,
            view,
        })
    }

    /// Plays one epoch; nothing once all was played.
    ///
    /// # Errors
    /// What the engine fails at.
    pub fn step(&mut self) -> Result<Option<Frame>, DemoError> {
        if self.worker.step(&mut self.watch)? == Step::Finished {
            return Ok(None);
        }
        Ok(Some(Frame {
            alerts: self.watch.alerts,
            time: self.watch.time,
            incidents: self
                .view
                .page(&Filter::default(), None, SHOWN_MAX)
                .incidents,
        }))
    }

    /// Settles what came of it.
    #[must_use]
    pub fn finish(self) -> Played {
        let replayed = self.watch.collector.finish();
        let mut holds: BTreeMap<String, BTreeMap<_, u64>> = BTreeMap::new();
        let mut sent: BTreeMap<_, u64> = BTreeMap::new();
        let attacks = self.truth.iter().flatten();
        for (incident, attack) in replayed.incidents_of_records().zip(attacks) {
            *sent.entry(*attack).or_default() += 1;
            if let Some(incident) = incident {
                *holds
                    .entry(incident)
                    .or_default()
                    .entry(*attack)
                    .or_default() += 1;
            }
        }
        Played {
            replayed,
            holds,
            sent,
        }
    }
}

impl Played {
    /// Returns the incident that holds most of the ransomware.
    #[must_use]
    pub fn ransomware(&self) -> Option<&Arc<Incident>> {
        let held = |incident: &&Arc<Incident>| self.held(&incident.id, Some(RANSOMWARE));
        self.replayed
            .incidents
            .iter()
            .filter(|incident| held(incident) > 0)
            .max_by_key(held)
    }

    /// Returns how many alerts of an attack, or of none, an incident holds.
    #[must_use]
    pub fn held(&self, incident: &str, attack: Option<&'static str>) -> u64 {
        self.holds
            .get(incident)
            .and_then(|holds| holds.get(&attack))
            .copied()
            .unwrap_or(0)
    }
}

/// Fills the topics, and returns what each record of each topic belongs to.
fn fill(memory: &Memory, scenario: &Scenario) -> Result<Vec<Vec<Option<&'static str>>>, DemoError> {
    let record = |topic: &str, value: Vec<u8>| NewRecord {
        topic: topic.into(),
        partition: Some(0),
        timestamp: None,
        key: None,
        value: Some(value),
        headers: Vec::new(),
    };
    let mut truth = Vec::new();
    for (topic, _) in TOPICS {
        memory.create_topic(topic, 1, Keep::Uncommitted);
        let mut attacks = Vec::new();
        for sent in scenario.records.iter().filter(|sent| sent.topic == topic) {
            memory.produce(record(topic, sent.bytes.clone()))?;
            attacks.push(sent.attack);
        }
        memory.close(topic, 0)?;
        truth.push(attacks);
    }
    memory.create_topic(LEASES, 1, Keep::Uncommitted);
    for lease in &scenario.leases {
        memory.produce(record(LEASES, serde_json::to_vec(lease)?))?;
    }
    memory.close(LEASES, 0)?;
    Ok(truth)
}

fn sources() -> Result<Sources, DemoError> {
    let mut sources = vec![(LEASES.to_owned(), Source::Bindings)];
    for (topic, tenant) in TOPICS {
        let tenant = tenant.map(str::parse).transpose()?.map(TenantRule::Fixed);
        sources.push((
            topic.to_owned(),
            Source::Alerts {
                format: None,
                tenant,
            },
        ));
    }
    Ok(Sources::new(sources))
}

/// Gathers as a replay does, and keeps count for the screen.
#[derive(Debug)]
struct Watch {
    collector: Collector,
    alerts: u64,
    time: Timestamp,
}

impl Observer for Watch {
    fn record(&mut self, record: &Record, disposition: Disposition<'_>) {
        if let Disposition::Alerts(alerts, _) = disposition {
            self.alerts += alerts.len() as u64;
            self.time = alerts
                .iter()
                .map(|alert| alert.start_time)
                .fold(self.time, Timestamp::max);
        }
        self.collector.record(record, disposition);
    }

    fn outputs(&mut self, tenant: &str, outputs: &[Output]) {
        self.collector.outputs(tenant, outputs);
    }

    fn incident(&mut self, incident: &Arc<Incident>) {
        self.collector.incident(incident);
    }
}

const LEASES: &str = "leases";
const SHOWN_MAX: usize = 10;

#[cfg(test)]
mod tests;
