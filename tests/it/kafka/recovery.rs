//! The state in Kafka: what an engine that was killed left behind is what the next one goes on with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tests::{
    engine::{self, Engine},
    eventually,
    kafka::{Cluster, Isolation},
    skip,
};

use super::{assert_broken_are_kept, assert_revisions_rise, last_revisions, traffic};

/// Far above what any step takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(240);

/// The last revision of every incident of a run that nothing disturbs.
fn undisturbed(cluster: &Cluster) -> BTreeMap<String, Value> {
    let engine = Engine::new(cluster, "calm");
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);
    last_revisions(&cluster.read(&engine.incidents(), Isolation::Committed))
}

/// What every independent look at the topics says.
pub(super) fn assert_proven(engine: &Engine<'_>) {
    for arguments in [
        ["state", "verify"].as_slice(),
        &["state", "replay"],
        &["check-topic"],
    ] {
        let (code, answer, notes) = engine.tell(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {answer}{notes}");
    }
}

#[test]
fn kills_change_no_incident() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let traffic = traffic(40_000);
    cluster.produce(traffic.records.iter().cloned());
    let calm = undisturbed(&cluster);
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let num_records = i64::try_from(traffic.records.len()).unwrap();
    let mut kills = 0;
    while kills < 5 && engine.consumed() < num_records {
        let mut process = engine.run();
        engine.wait_until_past(&process, engine.consumed());
        process.kill();
        kills += 1;
    }
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);
    assert!(kills > 1, "killed in the middle");
    let incidents = cluster.read(&engine.incidents(), Isolation::Committed);
    assert_revisions_rise(&incidents);
    assert_eq!(last_revisions(&incidents), calm, "after {kills} kills");
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_proven(&engine);
}

#[test]
fn a_standby_takes_over_where_the_dead_one_was() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let traffic = traffic(40_000);
    cluster.produce(traffic.records.iter().cloned());
    let calm = undisturbed(&cluster);
    let [first, second] = [(); 2].map(|()| Engine::with_epochs(&cluster, "fusor", 250));
    let mut working = first.run();
    first.wait_until_past(&working, 0);
    let standby = second.run();
    eventually("a standby that follows", LIMIT, || {
        (second.status("/readyz") == 200).then_some(())
    });
    working.kill();
    second.wait_until_done(&standby);
    second.stop(standby);
    let incidents = cluster.read(&second.incidents(), Isolation::Committed);
    assert_revisions_rise(&incidents);
    assert_eq!(last_revisions(&incidents), calm);
    assert_proven(&second);
}

#[test]
fn a_state_topic_made_anew_is_refused_until_the_state_is_rebuilt() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    cluster.produce(traffic(2_000).records);
    let engine = Engine::new(&cluster, "fusor");
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);
    let before = last_revisions(&cluster.read(&engine.incidents(), Isolation::Committed));
    let state = "fusor.state";
    cluster.tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--delete", "--topic", state],
    );
    eventually("the new topic", LIMIT, || {
        (engine.create_topics().code() == Some(0)).then_some(())
    });
    let mut refused = engine.run();
    assert_eq!(refused.wait(LIMIT).code(), Some(4));
    let lines = refused.lines();
    let told = |line: &String| line.contains("made anew") && line.contains("fusor state rebuild");
    assert!(lines.iter().any(told), "{lines:?}");

    eventually("a group without members", LIMIT, || {
        (engine.tell(&["state", "rebuild", "--yes"]).0 == Some(0)).then_some(())
    });
    let process = engine.run();
    eventually("everything read again", LIMIT, || {
        assert!(process.is_running(), "ended early");
        let (_, answer, _) = engine.tell(&["state", "show", "-o", "json"]);
        let shards: Value = serde_json::from_str(&answer).unwrap_or_default();
        let meta = &shards[0]["meta"];
        (meta["counts"]["records"].as_i64() == Some(engine.consumed())).then_some(())
    });
    engine.stop(process);
    let after = last_revisions(&cluster.read(&engine.incidents(), Isolation::Committed));
    assert!(after.keys().eq(before.keys()), "incidents keep their ids");
    assert!(after.values().all(|incident| incident["generation"] == 2));
}

/// Often enough that there is one before the traffic is over.
const SNAPSHOT_EVERY_SECOND: &str = "snapshots.interval=1s";

#[test]
fn a_start_begins_with_the_last_snapshot() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let traffic = traffic(20_000);
    cluster.produce(traffic.records.iter().cloned());
    let calm = undisturbed(&cluster);
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let directory = format!("snapshots.directory={}", engine.snapshots().display());
    let settings = [directory.as_str(), SNAPSHOT_EVERY_SECOND];
    let snapshot = engine.snapshots().join("shard-0.snapshot");

    let mut process = engine.run_set("snapshot_before_rename=exit", &settings);
    process.wait(LIMIT);
    assert!(!snapshot.exists(), "ended before it was in its place");

    let mut process = engine.run_set("", &settings);
    engine.wait_until_done(&process);
    eventually("a snapshot", LIMIT, || fs::remove_file(&snapshot).ok());
    eventually("one of everything", LIMIT, || {
        snapshot.exists().then_some(())
    });
    process.kill();

    let process = engine.run_set("", &settings);
    eventually("readiness", LIMIT, || {
        (engine.status("/readyz") == 200).then_some(())
    });
    eventually("the shard", LIMIT, || {
        (engine.metric("fusor_shards_assigned") == 1).then_some(())
    });
    assert_eq!(engine.metric("fusor_snapshots_loaded_total"), 1);
    assert_eq!(engine.metric("fusor_snapshot_failures_total"), 0);
    engine.stop(process);
    let incidents = cluster.read(&engine.incidents(), Isolation::Committed);
    assert_revisions_rise(&incidents);
    assert_eq!(last_revisions(&incidents), calm);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_proven(&engine);
}

#[test]
fn a_full_disk_costs_the_snapshots_and_nothing_else() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let Some(disk) = Disk::mount(&engine.snapshots(), "64k") else {
        return;
    };
    let traffic = traffic(20_000);
    cluster.produce(traffic.records.iter().cloned());
    let directory = format!("snapshots.directory={}", engine.snapshots().display());
    let process = engine.run_set("", &[&directory, SNAPSHOT_EVERY_SECOND]);
    engine.wait_until_done(&process);
    eventually("a snapshot that does not fit", LIMIT, || {
        (engine.metric("fusor_snapshot_failures_total") > 0).then_some(())
    });
    assert_eq!(engine.status("/readyz"), 200);
    process.wait_for_line("no snapshot", LIMIT);
    engine.stop(process);
    let left = fs::read_dir(engine.snapshots()).unwrap().flatten();
    let names: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(
        names.iter().all(|name| name == "shard-0.snapshot"),
        "what did not fit is gone: {names:?}"
    );
    drop(disk);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_proven(&engine);
}

/// A file system of a size of its own, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one in memory. `None`, the calling test being skipped, where the system does not let it.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder)
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            skip("no small file system can be mounted");
            return None;
        }
        Some(Self(folder.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
