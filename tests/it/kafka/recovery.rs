//! The state in Kafka: what an engine that was killed left behind is what the next one goes on with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tests::{
    engine::{self, Engine},
    eventually,
    kafka::{Cluster, Isolation},
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
fn assert_proven(engine: &Engine<'_>) {
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
