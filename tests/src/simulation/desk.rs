//! Analysts, who act on the incidents they see.

use std::collections::BTreeMap;

use engine::bus::NewRecord;
use schemas::alert::Severity;
use schemas::command::{Action, Closing, Command, Outcome};
use schemas::incident::{Incident, IncidentStatus};

use super::violation::{Class, Violation};
use super::world::{COMMANDS, OUTCOMES};
use super::{Random, Simulation, World, check};
use engine::bus::memory::Memory;

impl Simulation {
    /// Sends a command about an incident that was published, now and then one that was sent before, or that nobody can
    /// read.
    pub(super) fn act(&self) {
        let mut random = self.random.lock().unwrap();
        let incidents: Vec<Incident> = check::last(&self.memory)
            .into_values()
            .map(|value| serde_json::from_slice(&value).unwrap())
            .collect();
        if incidents.is_empty() {
            return;
        }
        let mut chance = self.chance.lock().unwrap();
        let again = random.below(chance.commands.len() + 4);
        let record = match chance.commands.get(again) {
            Some(record) => record.clone(),
            None => {
                let number = chance.commands.len();
                let record = command(&self.world, &incidents, number, &mut random);
                chance.commands.push(record.clone());
                record
            }
        };
        drop((chance, random));
        self.memory.produce(record).unwrap();
    }
}

fn command(world: &World, incidents: &[Incident], number: usize, random: &mut Random) -> NewRecord {
    let incident = &incidents[random.below(incidents.len())];
    let tenant = &incident.tenant;
    let of_tenant: Vec<&Incident> = { incidents.iter() }
        .filter(|incident| incident.tenant == *tenant)
        .collect();
    let other = of_tenant[random.below(of_tenant.len())];
    let command = Command {
        id: format!("command-{number}"),
        tenant: tenant.clone(),
        incident: incident.id.clone(),
        expected_revision: (random.below(3) == 0).then_some(incident.revision),
        actor: "analyst".to_owned(),
        roles: vec!["analyst".to_owned()],
        time: incident.modified_time,
        action: action(incident, other, random),
    };
    let mut value = serde_json::to_vec(&command).unwrap();
    if random.below(8) == 0 {
        value.truncate(random.below(value.len()));
    }
    let shard = tenant.rsplit('-').next().unwrap().parse::<i32>().unwrap() % world.shards();
    NewRecord {
        topic: COMMANDS.into(),
        partition: Some(shard),
        timestamp: None,
        key: Some(tenant.clone().into_bytes()),
        value: Some(value),
        headers: Vec::new(),
    }
}

fn action(incident: &Incident, other: &Incident, random: &mut Random) -> Action {
    let mut alert = |of: &Incident| {
        let alert = of.alerts.get(random.below(of.alerts.len()));
        alert.map_or_else(|| "none".to_owned(), |alert| alert.uid.clone())
    };
    let (own, foreign, last) = (alert(incident), alert(other), alert(incident));
    let closing = Closing::ALL[random.below(Closing::ALL.len())];
    match random.below(12) {
        0 => Action::SetStatus {
            status: IncidentStatus::InProgress,
        },
        1 => Action::Assign {
            owner: (random.below(2) == 0).then(|| "somebody".to_owned()),
        },
        2 => Action::SetSeverity {
            severity: Severity::Critical,
        },
        3 => Action::Comment {
            text: format!("seen at revision {}", incident.revision),
        },
        4 => Action::Tag {
            add: vec![format!("tag-{}", random.below(3))],
            remove: vec![format!("tag-{}", random.below(3))],
        },
        5 => Action::Close {
            closing,
            comment: None,
        },
        6 => Action::Reopen,
        7 => Action::Merge {
            into: other.id.clone(),
        },
        8 => Action::Split {
            alerts: vec![own, last],
        },
        9 => Action::Unlink {
            alert: own,
            from: (random.below(2) == 0).then_some(last),
        },
        10 => Action::Link { alert: foreign },
        _ => Action::Feedback {
            alerts: vec![own],
            closing,
        },
    }
}

/// Each command that can be read has one outcome for every time it was sent, the same each time.
pub(super) fn answers(world: &World, memory: &Memory) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for partition in 0..world.partitions() {
        for record in memory.read(COMMANDS, partition) {
            let value = record.value.as_deref().unwrap_or_default();
            if let Ok(command) = schemas::decode::command(value) {
                *sent.entry(command.id).or_default() += 1;
            }
        }
    }
    let mut heard: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for record in memory.read(OUTCOMES, 0) {
        let value = record.value.as_deref().unwrap_or_default();
        let outcome: Outcome = serde_json::from_slice(value).unwrap();
        heard
            .entry(outcome.command.clone())
            .or_default()
            .push(outcome);
    }
    for (id, times) in &sent {
        let outcomes = heard.remove(id).unwrap_or_default();
        let class = match outcomes.len().cmp(times) {
            std::cmp::Ordering::Less => Class::Lost,
            std::cmp::Ordering::Greater => Class::Doubled,
            std::cmp::Ordering::Equal if outcomes.iter().all(|o| *o == outcomes[0]) => continue,
            std::cmp::Ordering::Equal => Class::Differs,
        };
        let text = format!("{id} was sent {times} times, outcomes {outcomes:?}");
        found.push(Violation::new(class, text));
    }
    let unasked = heard.into_keys();
    found.extend(unasked.map(|id| Violation::new(Class::Doubled, format!("{id} was not sent"))));
    found
}
