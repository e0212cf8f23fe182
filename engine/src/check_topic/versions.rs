//! T-7: what was once written as a revision is that revision for good, even where its transaction was aborted.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::digest;
use super::finding::{Findings, Place, Rule};
use crate::bus::Record;

/// The contents of every revision, by hash.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// By the id's hash. Looked up, never iterated.
    incidents: HashMap<u128, BTreeMap<(i32, i64), u128>>,
    records: u64,
    forgotten: u64,
}

/// Revisions of one incident that are remembered; of more the lowest are forgotten.
const REVISIONS_MAX: usize = 4_096;

/// What tells the revisions of incidents apart.
#[derive(Deserialize)]
struct Version {
    id: String,
    generation: i32,
    revision: i64,
}

impl Versions {
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn record(&mut self, record: &Record, findings: &mut Findings) {
        self.records += 1;
        let value = record.value.as_deref().unwrap_or_default();
        // What cannot be read is looked at where it is committed.
        let Ok(version) = serde_json::from_slice(value) else {
            return;
        };
        let Version {
            id,
            generation,
            revision,
        } = version;
        let content = digest(&[value]);
        let revisions = self.incidents.entry(digest(&[id.as_bytes()])).or_default();
        let known = *revisions.entry((generation, revision)).or_insert(content);
        if known != content {
            let text = format!(
                "revision {generation}.{revision} of {id} was written before with other content"
            );
            findings.add(Rule::Versions, &Place::of(record), text);
        }
        if revisions.len() > REVISIONS_MAX {
            revisions.pop_first();
            self.forgotten += 1;
        }
    }
}
