//! The topics of a configuration, read once from end to end and held against the rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::reader::{Isolation, ReadError, Reader, Stretch};
use super::{CheckConfig, Checker, Commits, Report};
use crate::bus::kafka::scan;
use crate::bus::{Partition, Record};
use crate::config::Config;
use crate::run::worker_config;
use crate::topics;

/// What was read, and what was found in it.
#[derive(Clone, Debug, Serialize)]
pub struct Checkup {
    /// What was read, in that order.
    pub looked: Vec<Looked>,
    /// What was found.
    #[serde(flatten)]
    pub report: Report,
}

/// A stretch of a partition that was read.
#[derive(Clone, Debug, Serialize)]
pub struct Looked {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub start: i64,
    /// The offset behind the last.
    pub end: i64,
}

/// Findings that are kept of each rule.
const FINDINGS_MAX: usize = 50;

/// Reads every topic of the configuration up to where it ends now, and checks it.
///
/// # Errors
/// When Kafka cannot be asked.
pub fn check_live(config: &Config) -> Result<Checkup, ReadError> {
    let mut run = Run::begin(config)?;
    run.state_and_outputs()?;
    run.inputs()?;
    run.end()
}

/// One run over all topics.
struct Run<'a> {
    config: &'a Config,
    reader: Reader,
    checker: Checker,
    inputs: Vec<Partition>,
    looked: Vec<Looked>,
    unchecked: Vec<String>,
}

impl<'a> Run<'a> {
    fn begin(config: &'a Config) -> Result<Self, ReadError> {
        let reader = Reader::new(config)?;
        let sources = crate::run::sources(config).topics();
        let inputs: Vec<Partition> = sources
            .iter()
            .flat_map(|topic| reader.partitions(topic))
            .collect();
        let commits = commits(config, &inputs)?;
        let check = CheckConfig {
            findings_max: FINDINGS_MAX,
            memory_ms: config.settings().limits.warm_idle_ms,
        };
        let missing = sources.iter().filter(|t| reader.partitions(t).is_empty());
        let unchecked = missing.map(|topic| absent(topic)).collect();
        Ok(Self {
            config,
            reader,
            checker: Checker::new(check, commits),
            inputs,
            looked: Vec::new(),
            unchecked,
        })
    }

    /// Reads the state, what was published with it, and the state as it went on.
    fn state_and_outputs(&mut self) -> Result<(), ReadError> {
        let outputs = &self.config.outputs;
        let state = self.committed(outputs.state.as_str(), &[], &mut Checker::state)?;
        self.checker.mark();
        let incidents = outputs.incidents.as_str();
        let read = self.committed(incidents, &[], &mut Checker::incident)?;
        if read.iter().any(|stretch| stretch.start > 0) {
            self.checker.incidents_are_cut();
        }
        let checker = &mut self.checker;
        self.reader
            .read(Isolation::Uncommitted, &read, &mut |record| {
                checker.attempt(&record);
            })?;
        let letters = outputs.dead_letters.as_str();
        let read = self.committed(letters, &[], &mut Checker::dead_letter)?;
        if read.iter().any(|stretch| stretch.start > 0) {
            self.checker.dead_letters_are_cut();
        }
        if self.config.commands.is_some() {
            let outcomes = outputs.outcomes.as_str();
            let read = self.committed(outcomes, &[], &mut Checker::outcome)?;
            if read.iter().any(|stretch| stretch.start > 0) {
                self.checker.outcomes_are_cut();
            }
        }
        self.committed(outputs.state.as_str(), &state, &mut Checker::state)?;
        Ok(())
    }

    /// Reads what is committed of a topic, on from where `before` ended, and returns what that was.
    fn committed(
        &mut self,
        topic: &str,
        before: &[Stretch],
        take: &mut dyn FnMut(&mut Checker, &Record),
    ) -> Result<Vec<Stretch>, ReadError> {
        let mut stretches = self.reader.stretches(topic)?;
        if stretches.is_empty() {
            self.unchecked.push(absent(topic));
        }
        for stretch in &mut stretches {
            let same = |known: &&Stretch| known.partition == stretch.partition;
            if let Some(known) = before.iter().find(same) {
                stretch.start = known.end.max(stretch.start);
            }
        }
        for held in self.reader.settle(&mut stretches)? {
            self.unchecked.push(format!(
                "{held}: a transaction stays open, and what lies behind it was not read"
            ));
        }
        let checker = &mut self.checker;
        self.reader
            .read(Isolation::Committed, &stretches, &mut |record| {
                take(checker, &record);
            })?;
        self.looked.extend(stretches.iter().map(Looked::of));
        Ok(stretches)
    }

    fn inputs(&mut self) -> Result<(), ReadError> {
        let decoder = worker_config(self.config, self.inputs.len(), 1).decoder;
        let topics: BTreeSet<Arc<str>> = self
            .inputs
            .iter()
            .map(|partition| Arc::clone(&partition.topic))
            .collect();
        for topic in topics {
            let compacted = match topics::is_compacted(self.config, &topic) {
                Ok(compacted) => compacted,
                Err(error) => {
                    self.unchecked.push(format!(
                        "{topic}: its settings cannot be read, so it is taken for compacted: {error}"
                    ));
                    true
                }
            };
            let mut stretches = self.reader.stretches(&topic)?;
            for held in self.reader.settle(&mut stretches)? {
                let text = "a transaction stays open, and what lies behind it was not read";
                self.unchecked.push(format!("{held}: {text}"));
            }
            let checker = &mut self.checker;
            for stretch in &stretches {
                let partition = &stretch.partition;
                checker.input_range(partition, stretch.start, stretch.end, compacted);
            }
            self.reader
                .read(Isolation::Committed, &stretches, &mut |record| {
                    let decoded = decoder.decode(Arc::new(record));
                    checker.input(&decoded.record, &decoded.content);
                })?;
            self.looked.extend(stretches.iter().map(Looked::of));
        }
        Ok(())
    }

    fn end(self) -> Result<Checkup, ReadError> {
        let commits = commits(self.config, &self.inputs)?;
        let mut report = self.checker.finish(&commits);
        report.unchecked.splice(0..0, self.unchecked);
        Ok(Checkup {
            looked: self.looked,
            report,
        })
    }
}

impl Looked {
    fn of(stretch: &Stretch) -> Self {
        Self {
            topic: stretch.partition.topic.to_string(),
            partition: stretch.partition.number,
            start: stretch.start,
            end: stretch.end,
        }
    }
}

/// Returns what the group has committed of the inputs.
fn commits(config: &Config, inputs: &[Partition]) -> Result<Commits, ReadError> {
    let committed = scan::committed(config, inputs)?;
    let known = inputs.iter().cloned().zip(committed);
    Ok(known
        .filter_map(|(input, committed)| Some((input, committed?)))
        .collect())
}

fn absent(topic: &str) -> String {
    format!("{topic}: there is no such topic")
}
