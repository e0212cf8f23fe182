//! What a replay made of the alerts, joined with the ground truth.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::labels::{Class, Labels};
use super::{AlertCounts, ScoreError, json_problem};
use crate::replay::input::Lines;

/// Every alert with its thread, its incident and its true class. Numbers index the lists beside.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) rows: Vec<Row>,
    pub(super) classes: Vec<Class>,
    /// Thread names; an alert without a thread is one of its own with an empty name.
    pub(super) threads: Vec<String>,
    pub(super) incidents: Vec<String>,
    pub(super) counts: AlertCounts,
}

/// One alert.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) class: u32,
    pub(super) thread: u32,
    pub(super) incident: Option<u32>,
    pub(super) tenant: u32,
}

#[derive(Deserialize)]
struct Record {
    alert: Option<String>,
    tenant: Option<String>,
    disposition: String,
    thread: Option<String>,
    incident: Option<String>,
}

/// Reads a membership file and gives every alert its class.
pub(super) fn read(path: &Path, labels: Labels) -> Result<Sample, ScoreError> {
    let mut builder = Builder::new(labels);
    let mut lines = Lines::open(path, LINE_BYTES_MAX)?;
    let (mut line, mut number) = (Vec::new(), 0_u64);
    while lines.next_line(&mut line)? {
        number += 1;
        let added = serde_json::from_slice(&line)
            .map_err(|error| json_problem(&error))
            .and_then(|record| builder.add(record));
        added.map_err(|problem| ScoreError::Line {
            path: path.to_owned(),
            line: number,
            problem,
        })?;
    }
    Ok(builder.finish())
}

struct Builder {
    /// Labels not yet met, and `None` for alerts that were.
    labels: HashMap<String, Option<u32>>,
    threads: Names,
    incidents: Names,
    tenants: Names,
    sample: Sample,
}

impl Builder {
    fn new(labels: Labels) -> Self {
        Self {
            labels: labels
                .by_alert
                .into_iter()
                .map(|(alert, class)| (alert, Some(class)))
                .collect(),
            threads: Names::default(),
            incidents: Names::default(),
            tenants: Names::default(),
            sample: Sample {
                rows: Vec::new(),
                classes: labels.classes,
                threads: Vec::new(),
                incidents: Vec::new(),
                counts: AlertCounts::default(),
            },
        }
    }

    fn add(&mut self, record: Record) -> Result<(), String> {
        let counts = &mut self.sample.counts;
        if record.disposition == "dead_letter" {
            counts.refused += 1;
            return Ok(());
        }
        let alert = record.alert.ok_or("an accepted alert has no id")?;
        let class = match self.labels.insert(alert, None) {
            Some(None) => {
                counts.repeated += 1;
                return Ok(());
            }
            Some(Some(class)) => class,
            None => {
                counts.unlabelled += 1;
                self.sample.classes.push(Class::lone_noise());
                last_index(self.sample.classes.len())?
            }
        };
        let row = Row {
            class,
            thread: match record.thread {
                Some(thread) => self.threads.number(thread)?,
                None => self.threads.lone()?,
            },
            incident: record
                .incident
                .map(|incident| self.incidents.number(incident))
                .transpose()?,
            tenant: self.tenants.number(record.tenant.unwrap_or_default())?,
        };
        self.sample.rows.push(row);
        Ok(())
    }

    /// Adds the labelled alerts that no line named; they belong to no tenant, so they count in none.
    fn finish(mut self) -> Sample {
        let mut missing: Vec<u32> = self.labels.into_values().flatten().collect();
        missing.sort_unstable();
        for class in missing {
            let Ok(thread) = self.threads.lone() else {
                break;
            };
            self.sample.counts.missing += 1;
            self.sample.rows.push(Row {
                class,
                thread,
                incident: None,
                tenant: u32::MAX,
            });
        }
        let counts = &mut self.sample.counts;
        counts.total = self.sample.rows.len() as u64;
        counts.in_campaigns = self
            .sample
            .classes
            .iter()
            .filter(|class| class.is_campaign())
            .map(|class| class.size)
            .sum();
        self.sample.threads = self.threads.names;
        self.sample.incidents = self.incidents.names;
        self.sample
    }
}

/// Numbers names by first use.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: String) -> Result<u32, String> {
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        self.names.push(name.clone());
        let number = last_index(self.names.len())?;
        self.numbers.insert(name, number);
        Ok(number)
    }

    fn lone(&mut self) -> Result<u32, String> {
        self.names.push(String::new());
        last_index(self.names.len())
    }
}

fn last_index(len: usize) -> Result<u32, String> {
    u32::try_from(len.saturating_sub(1)).map_err(|_| "too many alerts".to_owned())
}

const LINE_BYTES_MAX: usize = 64 << 10;
