//! Ground truth: which alert belongs to what.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{ScoreError, json_problem};
use crate::replay::input::Lines;

/// Fields that name the class of a label, the first that a file uses wins.
pub(super) const CLASS_KEYS: [&str; 5] = ["label", "incident", "attack", "team", "technique_run"];

/// The ground truth of a data set.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) class_key: String,
    pub(super) classes: Vec<Class>,
    /// Alert id to its class's number.
    pub(super) by_alert: HashMap<String, u32>,
}

/// One class of alerts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) kind: ClassKind,
    /// Alerts of the class.
    pub(super) size: u64,
}

impl Class {
    /// The class of one alert that belongs to nothing.
    pub(super) fn lone_noise() -> Self {
        Self {
            name: String::new(),
            kind: ClassKind::Noise,
            size: 1,
        }
    }

    pub(super) fn is_campaign(&self) -> bool {
        self.kind == ClassKind::Campaign
    }
}

/// What a class stands for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClassKind {
    Campaign,
    #[serde(rename = "thread")]
    SmallThread,
    Noise,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    kind: Option<ClassKind>,
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

/// Reads a label file. A class of `null` (or none, or empty text) is noise, each such alert a class of its own.
/// An id may be given again with the same class.
pub(super) fn read(path: &Path, class_key: Option<&str>) -> Result<Labels, ScoreError> {
    let mut records: Vec<Record> = Vec::new();
    let mut lines = Lines::open(path, LINE_BYTES_MAX)?;
    let mut line = Vec::new();
    while lines.next_line(&mut line)? {
        let record = serde_json::from_slice(&line).map_err(|error| ScoreError::Line {
            path: path.to_owned(),
            line: records.len() as u64 + 1,
            problem: json_problem(&error),
        })?;
        records.push(record);
    }
    let used = |key: &str| records.iter().any(|record| record.fields.contains_key(key));
    let class_key = match class_key {
        Some(key) if used(key) => key.to_owned(),
        Some(key) => {
            return Err(ScoreError::ClassKeyAbsent {
                path: path.to_owned(),
                key: key.to_owned(),
            });
        }
        None => match CLASS_KEYS.into_iter().find(|key| used(key)) {
            Some(key) => key.to_owned(),
            None => {
                return Err(ScoreError::NoClassKey {
                    path: path.to_owned(),
                });
            }
        },
    };
    let mut labels = Labels {
        class_key,
        classes: Vec::new(),
        by_alert: HashMap::with_capacity(records.len()),
    };
    let mut by_name: HashMap<String, u32> = HashMap::new();
    for (number, record) in records.into_iter().enumerate() {
        labels
            .add(record, &mut by_name)
            .map_err(|problem| ScoreError::Line {
                path: path.to_owned(),
                line: number as u64 + 1,
                problem,
            })?;
    }
    Ok(labels)
}

impl Labels {
    fn add(&mut self, record: Record, by_name: &mut HashMap<String, u32>) -> Result<(), String> {
        let name = match record.fields.get(&self.class_key) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(format!("{} is neither a text nor a number", self.class_key));
            }
        };
        if let Some(class) = self.by_alert.get(&record.id) {
            let before = usize::try_from(*class)
                .ok()
                .and_then(|class| self.classes.get(class));
            let same = before.is_some_and(|before| before.name == name);
            return if same {
                Ok(())
            } else {
                Err("the id has another class already".to_owned())
            };
        }
        let next = u32::try_from(self.classes.len()).map_err(|_| "too many classes".to_owned())?;
        let class = if name.is_empty() {
            next
        } else {
            *by_name.entry(name.clone()).or_insert(next)
        };
        if class == next {
            let kind = match record.kind {
                Some(kind) if !name.is_empty() => kind,
                _ => self.kind_of(&name),
            };
            self.classes.push(Class {
                name,
                kind,
                size: 0,
            });
        }
        self.by_alert.insert(record.id, class);
        if let Some(class) = usize::try_from(class)
            .ok()
            .and_then(|class| self.classes.get_mut(class))
        {
            class.size += 1;
        }
        Ok(())
    }

    /// In the field `label`, a letter before a number tells the kind; everything else named is a campaign.
    fn kind_of(&self, name: &str) -> ClassKind {
        let mut letters = name.chars();
        let Some(first) = letters.next() else {
            return ClassKind::Noise;
        };
        let numbered = letters.next().is_some_and(|letter| letter.is_ascii_digit());
        match first {
            'T' if numbered && self.class_key == "label" => ClassKind::SmallThread,
            'N' if numbered && self.class_key == "label" => ClassKind::Noise,
            _ => ClassKind::Campaign,
        }
    }
}

const LINE_BYTES_MAX: usize = 64 << 10;
