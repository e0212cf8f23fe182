//! An independent look at live topics: do they hold what the engine promises?
//!
//! The checker is fed the records of each topic in offset order and shares no code with the worker but the decoding of what
//! travels. What it keeps is one entry an incident, a listed alert, a revision and an input record, never a record itself.
//!
//! The order of feeding makes a running engine no reason for a finding: what the group committed, the state, then
//! [`Checker::mark`], incidents, dead letters and outcomes, the state as it went on, the inputs, and the group once more.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::bus::{Partition, Record};
use crate::decode::Content;

mod blocks;
mod claims;
mod finding;
mod incidents;
mod ledger;
mod letters;
mod live;
mod metas;
mod outcomes;
mod reader;
mod redirects;
mod schema;
mod state;
mod versions;

pub use finding::{Finding, Rule};
pub use live::{Checkup, Looked, check_live};
pub use reader::ReadError;
pub use state::Commits;

use finding::Findings;
use incidents::Incidents;
use ledger::Ledger;
use letters::Letters;
use outcomes::Outcomes;
use schema::Shape;
use state::States;
use versions::Versions;

/// What the checker takes for granted.
#[derive(Clone, Copy, Debug)]
pub struct CheckConfig {
    /// Findings kept of each rule; all are counted.
    pub findings_max: usize,
    /// How long the engine remembers an alert's uid after the last change of its incident, in milliseconds: one that comes
    /// again later is a new alert.
    pub memory_ms: i64,
}

/// What was found, and what was looked at for it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Findings, by rule and in the order in which they came up; the first of each rule.
    pub findings: Vec<Finding>,
    /// How many there are of each rule.
    pub counts: BTreeMap<Rule, u64>,
    /// How many things were looked at.
    pub checked: Checked,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

/// How many things were looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Checked {
    /// Incidents, merged ones included.
    pub incidents: u64,
    /// Their committed revisions.
    pub revisions: u64,
    /// Records of incidents in all, aborted ones included.
    pub attempts: u64,
    /// Alerts that incidents list.
    pub alerts: u64,
    /// Epochs of state.
    pub epochs: u64,
    /// Records of the inputs.
    pub inputs: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Outcomes of commands.
    pub outcomes: u64,
}

/// Checks the topics of one group.
#[derive(Debug)]
pub struct Checker {
    findings: Findings,
    incidents: Incidents,
    versions: Versions,
    states: States,
    ledger: Ledger,
    letters: Letters,
    outcomes: Outcomes,
}

/// A shard and its epoch, as a header on what the epoch published.
pub const EPOCH_HEADER: &str = "fusor.epoch";

impl Checker {
    /// Creates a checker that has seen nothing. `commits` are the group's offsets, asked for before anything is read.
    #[must_use]
    pub fn new(config: CheckConfig, commits: Commits) -> Self {
        Self {
            findings: Findings::new(config.findings_max),
            incidents: Incidents::new(config.memory_ms, Shape::of_incidents()),
            versions: Versions::default(),
            states: States::new(commits),
            ledger: Ledger::default(),
            letters: Letters::default(),
            outcomes: Outcomes::default(),
        }
    }

    /// Takes the next committed record of a partition of the state topic.
    pub fn state(&mut self, record: &Record) {
        self.states
            .record(record, &mut self.ledger, &mut self.findings);
    }

    /// Notes that the ends of the other topics are looked up after this, so that they hold all that this state tells of.
    pub fn mark(&mut self) {
        self.states.mark();
        self.ledger.mark();
    }

    /// Takes the next committed record of a partition of the incidents topic.
    pub fn incident(&mut self, record: &Record) {
        self.incidents.record(record, &mut self.findings);
    }

    /// Notes that the oldest incidents may have been deleted.
    pub fn incidents_are_cut(&mut self) {
        self.incidents.cut = true;
    }

    /// Takes the next record of a partition of the incidents topic, committed or not.
    pub fn attempt(&mut self, record: &Record) {
        self.versions.record(record, &mut self.findings);
    }

    /// Takes the next committed dead letter.
    pub fn dead_letter(&mut self, record: &Record) {
        self.letters.record(record, &mut self.findings);
    }

    /// Notes that the oldest dead letters may have been deleted.
    pub fn dead_letters_are_cut(&mut self) {
        self.letters.cut = true;
    }

    /// Takes the next committed outcome of a command.
    pub fn outcome(&mut self, record: &Record) {
        self.outcomes.record(record, &mut self.findings);
    }

    /// Notes that the oldest outcomes may have been deleted.
    pub fn outcomes_are_cut(&mut self) {
        self.outcomes.cut = true;
    }

    /// Notes which records of an input there are, before they come; compaction may have taken some out of their midst.
    pub fn input_range(&mut self, input: &Partition, start: i64, end: i64, compacted: bool) {
        self.ledger.range(input, start, end, compacted);
    }

    /// Takes the next committed record of an input, and what it says.
    pub fn input(&mut self, record: &Record, content: &Content) {
        self.ledger.record(record, content, &mut self.findings);
        self.letters.compare(record, &mut self.findings);
        self.outcomes.compare(record, content, &mut self.findings);
    }

    /// Ends the check. `commits` are the group's offsets, asked for after everything was read.
    #[must_use]
    pub fn finish(mut self, commits: &Commits) -> Report {
        let findings = &mut self.findings;
        let mut unchecked = self.ledger.finish(findings);
        let mut checked = Checked {
            attempts: self.versions.records(),
            epochs: self.states.epochs(),
            inputs: self.ledger.records,
            dead_letters: self.letters.records,
            outcomes: self.outcomes.records,
            ..Checked::default()
        };
        self.states.finish(commits, findings);
        self.letters.finish(&self.states, &self.ledger, findings);
        self.outcomes
            .finish(&self.states, &self.ledger, &self.incidents, findings);
        self.incidents.finish(&self.states, findings, &mut checked);
        if self.versions.forgotten() > 0 {
            unchecked.push(format!(
                "{} old revisions of incidents with very many were not compared",
                self.versions.forgotten()
            ));
        }
        unchecked.extend(self.states.unchecked());
        let (findings, counts) = self.findings.into_parts();
        Report {
            findings,
            counts,
            checked,
            unchecked,
        }
    }
}

/// Hashes what nobody shall be able to forge an equal of, part by part.
fn digest(parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let first = hash.first_chunk().copied().unwrap_or_default();
    u128::from_le_bytes(first)
}

#[cfg(test)]
mod tests;
