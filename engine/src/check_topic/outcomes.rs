//! T-19 and T-20: every command is answered once, and what its answer says has come to pass.

use std::collections::BTreeMap;

use schemas::command::{Command, Outcome, Verdict};

use super::digest;
use super::finding::{Findings, Place, Rule};
use super::incidents::{Incidents, epoch};
use super::ledger::{Ledger, What};
use super::state::States;
use crate::bus::{Partition, Record};
use crate::decode::Content;
use crate::outcome::SOURCE;

/// The outcomes, by the record of their command.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    outcomes: BTreeMap<Partition, BTreeMap<i64, Told>>,
    pub(super) records: u64,
    /// The oldest may have been deleted.
    pub(super) cut: bool,
    /// The last command answered of each input, in each partition.
    last: BTreeMap<(Partition, Partition), i64>,
    /// What is none of a state that was rebuilt: its commands are answered again.
    again: Vec<(Place, String)>,
}

/// What an outcome says.
#[derive(Debug)]
struct Told {
    place: Place,
    shard: i32,
    epoch: u64,
    /// Hash of what it repeats of its command.
    asked: u128,
    /// The revision its incident was brought to; none for one that was refused.
    revision: Option<i64>,
    incident: Box<str>,
    /// Incidents that came of it.
    incidents: Vec<String>,
}

impl Outcomes {
    pub(super) fn record(&mut self, record: &Record, findings: &mut Findings) {
        self.records += 1;
        let place = Place::of(record);
        let (source, offset, told) = match read(record, &place) {
            Ok(read) => read,
            Err(problem) => return findings.add(Rule::Outcomes, &place, problem),
        };
        let lane = (place.partition.clone(), source.clone());
        let before = self.last.insert(lane, offset);
        if let Some(before) = before.filter(|before| *before > offset) {
            let text = format!("the answer to {source}/{offset} after that to {before}");
            self.again.push((place.clone(), text));
        }
        let text = format!("the answer to {source}/{offset}");
        let of_source = self.outcomes.entry(source).or_default();
        if let Some(known) = of_source.insert(offset, told) {
            let text = format!("{text}, as {} is", known.place);
            self.again.push((place, text));
        }
    }

    /// Compares a record of an input with its outcome, if there is one.
    pub(super) fn compare(&self, source: &Record, content: &Content, findings: &mut Findings) {
        let of_partition = self.outcomes.get(&source.partition);
        let Some(told) = of_partition.and_then(|told| told.get(&source.offset)) else {
            return;
        };
        let of = format!("{}/{}", source.partition, source.offset);
        let text = match content {
            Content::Command(command) if asked(&repeated(command)) == told.asked => return,
            Content::Command(_) => format!("{of} asks for something else"),
            Content::Alerts(_) | Content::Binding(_) | Content::Broken(_) => {
                format!("{of} is no command")
            }
        };
        findings.add(Rule::Outcomes, &told.place, text);
    }

    /// Holds the outcomes against what the state says became of their commands, and against the incidents.
    pub(super) fn finish(
        &self,
        states: &States,
        ledger: &Ledger,
        incidents: &Incidents,
        findings: &mut Findings,
    ) {
        let rebuilt = states.is_rebuilt();
        for (place, text) in self.again.iter().filter(|_| !rebuilt) {
            findings.add(Rule::Outcomes, place, text.as_str());
        }
        self.missing(ledger, findings);
        for (source, outcomes) in &self.outcomes {
            for (offset, told) in outcomes {
                if let Some(problem) = told.misfit(source, *offset, ledger) {
                    findings.add(Rule::Outcomes, &told.place, problem);
                }
                // A rebuild counts the revisions anew.
                let read = states.horizon(told.shard);
                let settled = read.is_none_or(|(_, last)| told.epoch <= last);
                if settled && !rebuilt && !incidents.cut {
                    told.happened(incidents, findings);
                }
            }
        }
    }

    fn missing(&self, ledger: &Ledger, findings: &mut Findings) {
        for (input, lane) in ledger.lanes().filter(|_| !self.cut) {
            let outcomes = self.outcomes.get(input);
            for (offset, what) in lane.fates() {
                let answered = outcomes.is_some_and(|outcomes| outcomes.contains_key(&offset));
                if matches!(what, What::Command(_)) && !answered && offset < lane.settled {
                    let place = Place {
                        partition: input.clone(),
                        offset,
                    };
                    let text = "it was answered and there is no outcome of it";
                    findings.add(Rule::Outcomes, &place, text);
                }
            }
        }
    }
}

impl Told {
    /// Says why this is no answer to what the state knows of.
    fn misfit(&self, source: &Partition, offset: i64, ledger: &Ledger) -> Option<String> {
        let of = format!("the answer to {source}/{offset}");
        let Some(lane) = ledger.find(source) else {
            return Some(format!("{of}, which is no input"));
        };
        let word = |applied| if applied { "applied" } else { "refused" };
        let said = self.revision.is_some();
        match lane.fate(offset) {
            Some(What::Command(applied)) if *applied == said => None,
            Some(What::Command(applied)) => Some(format!(
                "{of} is that it was {}, and the state says {}",
                word(said),
                word(*applied)
            )),
            Some(What::Alerts(..) | What::Binding | What::DeadLetter(_)) => {
                Some(format!("{of}, which the state takes for no command"))
            }
            None if lane.covered_from.is_some_and(|from| offset >= from) => {
                Some(format!("{of}, of which the state says nothing"))
            }
            None => None,
        }
    }

    /// Reports what an applied command says it did and nobody published.
    fn happened(&self, incidents: &Incidents, findings: &mut Findings) {
        let Some(revision) = self.revision else {
            return;
        };
        let name = &self.incident;
        match incidents.head(name) {
            None => {
                let text = format!("it was applied to {name}, which does not exist");
                findings.add(Rule::Applied, &self.place, text);
            }
            Some(head) => {
                let newest = head.version.1;
                let before = head.at.shard == self.shard && head.at.moment.1 < self.epoch;
                if newest < revision || (before && newest > revision) {
                    let text = format!(
                        "it was applied at revision {revision} of {name}, which is at {newest}"
                    );
                    findings.add(Rule::Applied, &self.place, text);
                }
            }
        }
        for other in &self.incidents {
            if incidents.head(other).is_none() {
                let text = format!("{other}, which came of it, does not exist");
                findings.add(Rule::Applied, &self.place, text);
            }
        }
    }
}

/// Reads an outcome and which record it says it answers.
fn read(record: &Record, place: &Place) -> Result<(Partition, i64, Told), String> {
    let source = SOURCE.map(|name| {
        let header = record.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(header.value.as_deref()?).ok()
    });
    let named = match source {
        [Some(topic), Some(number), Some(offset)] => {
            let number = number.parse().ok();
            number.zip(offset.parse().ok()).map(|(number, offset)| {
                let topic = topic.into();
                (Partition { topic, number }, offset)
            })
        }
        _ => None,
    };
    let (source, offset) = named.ok_or("its headers do not name the command it answers")?;
    let (shard, epoch) = epoch(record).ok_or("its headers do not name shard and epoch")?;
    let value = record.value.as_deref().unwrap_or_default();
    let outcome: Outcome = serde_json::from_slice(value)
        .map_err(|error| format!("the value is no outcome: {error}"))?;
    if record.key.as_deref() != Some(outcome.incident.as_bytes()) {
        return Err("the key is not the incident".to_owned());
    }
    let asked = asked(&outcome);
    let (revision, incidents) = match outcome.verdict {
        Verdict::Applied {
            revision,
            incidents,
        } => (Some(revision), incidents),
        Verdict::Refused { .. } => (None, Vec::new()),
    };
    let told = Told {
        place: place.clone(),
        shard,
        epoch,
        asked,
        revision,
        incident: outcome.incident.into(),
        incidents,
    };
    Ok((source, offset, told))
}

/// Returns what an outcome has to repeat of its command, under a verdict that does not count.
fn repeated(command: &Command) -> Outcome {
    let none = Verdict::Applied {
        revision: 0,
        incidents: Vec::new(),
    };
    Outcome::of(command, none)
}

fn asked(outcome: &Outcome) -> u128 {
    digest(&[
        outcome.command.as_bytes(),
        outcome.tenant.as_bytes(),
        outcome.incident.as_bytes(),
        outcome.action.word().as_bytes(),
        outcome.actor.as_bytes(),
        &outcome.time.millis().to_le_bytes(),
    ])
}
