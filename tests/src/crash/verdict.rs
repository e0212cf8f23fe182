//! Whether anything was lost, doubled or told otherwise than without a crash.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{CALM, Plan, Report, setup};
use crate::{
    engine::{CHECKS, Engine},
    kafka::{Cluster, Isolation, Record},
};

pub(super) fn judge(cluster: &Cluster, engine: &Engine<'_>, plan: &Plan, report: &mut Report) {
    for args in CHECKS {
        let (code, answer, said) = engine.tell(args);
        if code == Some(0) {
            let verb = args.join(" ");
            report.checked.push(format!("fusor {verb}: exit 0"));
        } else {
            let told = format!("{args:?} ends with {code:?}: {answer}{said}");
            report.problems.push(told);
        }
    }
    count(engine, report);
    let published = cluster.read(&engine.incidents(), Isolation::Committed);
    report.num_revisions = published.len();
    report.problems.extend(rising(&published).err());
    let incidents = last_revisions(&published);
    report.num_incidents = incidents.len();
    if !plan.live {
        compare(&incidents, &calm_run(cluster), report);
    }
}

/// Each record has one disposition: the counters of the state add up to what lies in the topics.
fn count(engine: &Engine<'_>, report: &mut Report) {
    let (_, answer, _) = engine.tell(&["state", "show", "-o", "json"]);
    let shards: Value = serde_json::from_str(&answer).unwrap();
    let metas = || {
        shards
            .as_array()
            .unwrap()
            .iter()
            .map(|shard| &shard["meta"])
    };
    let sum = |name: &str| -> u64 {
        let counts = metas().map(|meta| meta["counts"][name].as_u64().unwrap());
        counts.sum()
    };
    report.num_epochs = metas().map(|meta| meta["epoch"].as_u64().unwrap()).sum();
    report.num_alerts = sum("placed") + sum("duplicates") + sum("updates");
    report.num_dead_letters = sum("dead_letters");
    let records = i64::try_from(sum("records")).unwrap();
    if records != report.num_records {
        let told = format!("{records} records were counted of {}", report.num_records);
        report.problems.push(told);
    }
}

/// What comes of the same topics when nothing dies.
fn calm_run(cluster: &Cluster) -> BTreeMap<String, Value> {
    let calm = Engine::set_up(cluster, setup(CALM, 5_000));
    let process = calm.run();
    calm.wait_until_done(&process);
    calm.stop(process);
    last_revisions(&cluster.read(&calm.incidents(), Isolation::Committed))
}

fn compare(
    incidents: &BTreeMap<String, Value>,
    expected: &BTreeMap<String, Value>,
    report: &mut Report,
) {
    let mut ids: Vec<&String> = incidents.keys().chain(expected.keys()).collect();
    ids.sort_unstable();
    ids.dedup();
    let differing: Vec<String> = ids
        .iter()
        .filter(|id| incidents.get(**id) != expected.get(**id))
        .map(|id| format!("incident {id} is not what it is without a crash"))
        .collect();
    if differing.is_empty() {
        let equal = format!(
            "{} incidents equal those of a run without a crash",
            ids.len()
        );
        report.checked.push(equal);
    }
    report.problems.extend(differing);
}

/// Returns the last revision of each incident, by id.
pub fn last_revisions(incidents: &[Record]) -> BTreeMap<String, Value> {
    incidents
        .iter()
        .filter(|record| record.value.is_some())
        .map(Record::json)
        .map(|incident| (incident["id"].as_str().unwrap().to_owned(), incident))
        .collect()
}

/// Checks that the revisions of every incident rise strictly in the order of their records.
///
/// # Errors
/// The first incident of which they do not.
pub fn rising(incidents: &[Record]) -> Result<(), String> {
    let mut last = BTreeMap::<String, (i32, (i64, i64))>::new();
    for record in incidents.iter().filter(|record| record.value.is_some()) {
        let incident = record.json();
        let id = incident["id"].as_str().unwrap().to_owned();
        if record.key.as_deref() != Some(id.as_bytes()) {
            return Err(format!("incident {id} has another key"));
        }
        let number = |name: &str| incident[name].as_i64().unwrap();
        let revision = (number("generation"), number("revision"));
        let before = last.insert(id.clone(), (record.partition, revision));
        let rises = |(partition, before)| partition == record.partition && before < revision;
        if !before.is_none_or(rises) {
            return Err(format!(
                "incident {id}: {before:?} is followed by {revision:?} in partition {}",
                record.partition
            ));
        }
    }
    Ok(())
}
