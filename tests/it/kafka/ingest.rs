//! `fusor ingest` in front of several shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use tests::{
    eventually,
    kafka::{Cluster, Isolation, Outgoing, Record, free_ports},
    process::{Process, Signal},
    program::fusor,
};

/// Nothing of these is keyed, and the counts of their partitions are none of ours.
const VENDORS: [(&str, i32); 2] = [("alerts.endpoint", 3), ("alerts.cloud", 2)];
const SHARDS: i32 = 4;
const NUM_TENANTS: usize = 24;
const NUM_RECORDS: usize = 12_000;
const BROKEN: &[u8] = b"{\"id\": \xff";

/// Far above what any step takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(240);
/// 2026-01-05T00:00:00Z
const START: i64 = 1_767_571_200_000;

/// Two processes ingest, one is killed in the middle; then four shards read what came of it.
#[test]
fn unkeyed_inputs_reach_their_shards_once() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    for (topic, partitions) in VENDORS {
        cluster.create_topic(topic, partitions);
    }
    let folder = TempDir::new().unwrap();
    configure(&folder, &config(&cluster));
    let mut create = command(&folder);
    create.args(["topics", "create"]);
    let created = Process::spawn("fusor topics create", &mut create).wait(LIMIT);
    assert_eq!(created.code(), Some(0));
    let (records, alerts, broken) = vendor_records();
    let num_records = i64::try_from(records.len()).unwrap();
    // The second half comes when one is dead, so that it died in the middle however fast they are.
    let mut early = records;
    let late = early.split_off(early.len() / 2);
    cluster.produce(early);

    let ports = free_ports(4);
    let mut first = spawn(&folder, "ingest", ports[0], None);
    let second = spawn(&folder, "ingest", ports[1], None);
    eventually("the work of both", LIMIT, || {
        let ready = ports[..2].iter().all(|port| shards(*port) == SHARDS / 2);
        assert!(consumed(&cluster) < num_records, "killed in the middle");
        (ready && consumed(&cluster) > 0).then_some(())
    });
    first.kill();
    let at_kill = consumed(&cluster);
    assert!(
        at_kill < num_records,
        "killed in the middle, after {at_kill}"
    );
    cluster.produce(late);
    eventually("the end of the inputs", LIMIT, || {
        assert!(second.is_running());
        (consumed(&cluster) == num_records).then_some(())
    });
    stop(second);

    let keyed = cluster.read("fusor.alerts", Isolation::Committed);
    let home = assert_each_once(&keyed, &alerts);
    let letters = cluster.read("fusor.dead-letters", Isolation::Committed);
    assert_eq!(letters.len(), broken);
    assert!(letters.iter().all(|l| l.value.as_deref() == Some(BROKEN)));

    let engine = spawn(&folder, "run", ports[2], Some(ports[3]));
    let ends: Vec<Option<i64>> = (0..SHARDS)
        .map(|shard| {
            let own = keyed.iter().filter(|record| record.partition == shard);
            own.map(|record| record.offset + 1).max()
        })
        .collect();
    eventually("the end of the alerts", LIMIT, || {
        assert!(engine.is_running());
        (cluster.committed("fusor", "fusor.alerts") == ends).then_some(())
    });
    assert_eq!(shards(ports[2]), SHARDS);
    let num_alerts = i64::try_from(alerts.len()).unwrap();
    for (metric, expected) in [
        ("fusor_alerts_consumed_total", num_alerts),
        ("fusor_alerts_deduplicated_total", 0),
        ("fusor_dlq_records_total", 0),
    ] {
        assert_eq!(metric_at(ports[2], metric), Some(expected), "{metric}");
    }
    stop(engine);
    assert_tenants_stay(&cluster.read("fusor.state", Isolation::Committed), &home);
}

fn config(cluster: &Cluster) -> String {
    let inputs: Vec<String> = VENDORS
        .iter()
        .map(|(topic, _)| format!("{{topic: {topic}}}"))
        .collect();
    format!(
        "version: 1\n\
         kafka: {{brokers: ['{}']}}\n\
         inputs: [{}]\n\
         outputs: {{alerts: fusor.alerts}}\n\
         topics: {{partitions: {SHARDS}}}\n\
         limits: {{epoch_records: 50}}\n",
        cluster.brokers(),
        inputs.join(", "),
    )
}

fn configure(folder: &TempDir, config: &str) {
    fs::write(folder.path().join("fusor.yaml"), config).unwrap();
}

fn command(folder: &TempDir) -> Command {
    let mut command = fusor();
    command.env("FUSOR_CONFIG", folder.path().join("fusor.yaml"));
    command
}

/// Returns the sum of a metric over its labels, from the health listener at a port; none while nobody listens there.
fn metric_at(port: u16, name: &str) -> Option<i64> {
    let page = ureq::get(&format!("http://127.0.0.1:{port}/metrics")).call();
    let page = page.ok()?.into_body().read_to_string().ok()?;
    assert!(page.contains(name), "{page}");
    let values = page
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .map(|rest| rest.rsplit(' ').next().unwrap().parse::<i64>().unwrap());
    Some(values.sum())
}

fn spawn(folder: &TempDir, verb: &str, ops: u16, http: Option<u16>) -> Process {
    let mut command = command(folder);
    command.arg(verb);
    command.args(["--set", &format!("ops.listen=127.0.0.1:{ops}")]);
    if let Some(http) = http {
        command.args(["--set", &format!("http.listen=127.0.0.1:{http}")]);
    }
    Process::spawn(&format!("fusor {verb}"), &mut command)
}

fn stop(mut process: Process) {
    process.signal(Signal::Term);
    assert_eq!(process.wait(LIMIT).code(), Some(0), "drained");
}

fn shards(port: u16) -> i32 {
    let shards = metric_at(port, "fusor_shards_assigned").unwrap_or(0);
    i32::try_from(shards).unwrap()
}

fn consumed(cluster: &Cluster) -> i64 {
    let committed = VENDORS
        .iter()
        .flat_map(|(topic, _)| cluster.committed("fusor-ingest", topic));
    committed.flatten().sum()
}

/// An alert's place: topic, partition, offset, index in the record.
type Place = (String, i32, i64, usize);

/// Returns the records, the tenant of each alert by its place, and how many records nobody can read.
fn vendor_records() -> (Vec<Outgoing>, BTreeMap<Place, String>, usize) {
    let mut next: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    let mut alerts = BTreeMap::new();
    let mut records = vec![];
    let mut broken = 0;
    for number in 0..NUM_RECORDS {
        let (topic, partitions) = VENDORS[number % VENDORS.len()];
        let partition = i32::try_from(number / 2).unwrap() % partitions;
        let offset = next.entry((topic, partition)).or_default();
        let time = START + i64::try_from(number).unwrap() * 1_000;
        let alert = |index: usize| {
            let tenant = format!("tenant-{}", (number * 7 + index) % NUM_TENANTS);
            let alert = json!({"id": format!("{number}-{index}"), "tenant": tenant, "time": time, "title": "seen",
                "entities": [{"type": "host", "value": format!("h{}", number % 50)}]});
            (tenant, alert)
        };
        // One in a hundred cannot be read, and one in seven holds two alerts, of two tenants.
        let value = if number % 100 == 99 {
            broken += 1;
            BROKEN.to_vec()
        } else {
            let made: Vec<_> = (0..if number % 7 == 0 { 2 } else { 1 })
                .map(alert)
                .collect();
            for (index, (tenant, _)) in made.iter().enumerate() {
                alerts.insert(
                    (topic.to_owned(), partition, *offset, index),
                    tenant.clone(),
                );
            }
            let values: Vec<_> = made.into_iter().map(|(_, alert)| alert).collect();
            serde_json::to_vec(&values).unwrap()
        };
        *offset += 1;
        records.push(Outgoing {
            topic: topic.to_owned(),
            partition,
            value,
            timestamp: time,
        });
    }
    (records, alerts, broken)
}

/// Every alert is there once, under its tenant, in the order of its input; returns the partition of each tenant.
fn assert_each_once(keyed: &[Record], alerts: &BTreeMap<Place, String>) -> BTreeMap<String, i32> {
    let mut seen = BTreeSet::new();
    let mut home = BTreeMap::new();
    let mut last: BTreeMap<(String, String, i32), (i64, usize)> = BTreeMap::new();
    for record in keyed {
        let header = |name: &str| record.header(&format!("fusor.source.{name}")).to_owned();
        let place: Place = (
            header("topic"),
            header("partition").parse().unwrap(),
            header("offset").parse().unwrap(),
            header("index").parse().unwrap(),
        );
        let tenant = String::from_utf8(record.key.clone().unwrap()).unwrap();
        assert_eq!(alerts.get(&place), Some(&tenant), "{place:?}");
        let value = record.json();
        assert_eq!(value["tenant"], tenant.as_str());
        assert_eq!(value["provenance"]["offset"], place.2);
        let partition = *home.entry(tenant.clone()).or_insert(record.partition);
        assert_eq!(partition, record.partition, "{tenant} has one partition");
        let (topic, number, offset, index) = place.clone();
        let before = last.insert((tenant, topic, number), (offset, index));
        assert!(before < Some((offset, index)), "{place:?} after {before:?}");
        assert!(seen.insert(place), "twice");
    }
    assert_eq!(seen.len(), alerts.len());
    assert_eq!(home.len(), NUM_TENANTS);
    assert!(home.values().collect::<BTreeSet<_>>().len() > 1, "spread");
    home
}

/// The state of each tenant is in the shard of its alerts, and nowhere else.
fn assert_tenants_stay(state: &[Record], home: &BTreeMap<String, i32>) {
    let mut found = BTreeSet::new();
    for record in state {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        if let Some(rest) = key.strip_prefix("row/") {
            let (tenant, _) = rest.split_once('/').unwrap();
            assert_eq!(home.get(tenant), Some(&record.partition), "{key}");
            found.insert(tenant.to_owned());
        }
    }
    assert_eq!(found.len(), home.len());
}
