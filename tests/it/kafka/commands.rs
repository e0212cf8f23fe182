//! Analysts at the command line, beside an engine that may be killed under them.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    engine::{self, Engine},
    eventually,
    kafka::{Cluster, Isolation, Outgoing, Record},
    process::Process,
    traffic::{Traffic, Volume},
};

use super::recovery::assert_proven;
use super::{assert_revisions_rise, last_revisions};

/// Far above what any step takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(240);

/// An analyst before a terminal.
struct Analyst<'a> {
    cluster: &'a Cluster,
    engine: Engine<'a>,
    /// An alert that was seen: where none comes for long, time passes, and these incidents are old.
    pulse: Outgoing,
}

impl Analyst<'_> {
    /// Runs a verb of `fusor incidents`, which must end with `code`, and returns its answer.
    #[track_caller]
    fn tell(&self, code: i32, arguments: &[&str]) -> Value {
        self.cluster.produce([self.pulse.clone()]);
        let all = [&["incidents"], arguments, &["-o", "json"]].concat();
        let (ended, answer, notes) = self.engine.tell(&all);
        assert_eq!(ended, Some(code), "{all:?}: {answer}{notes}");
        serde_json::from_str(&answer).unwrap_or_else(|_| notes.into())
    }

    /// Applies a command, and returns the incident as it is then.
    #[track_caller]
    fn act(&self, arguments: &[&str]) -> Value {
        let outcome = self.tell(0, arguments);
        assert_eq!(outcome["status"], "applied", "{outcome}");
        let id = outcome["incident"].as_str().unwrap();
        let incident = self.last()[id].clone();
        let revision = outcome["revision"].as_i64().unwrap();
        assert!(
            incident["revision"].as_i64().unwrap() >= revision,
            "{outcome}"
        );
        incident
    }

    fn last(&self) -> BTreeMap<String, Value> {
        last_revisions(&self.read(&self.engine.incidents()))
    }

    fn read(&self, topic: &str) -> Vec<Record> {
        self.cluster.read(topic, Isolation::Committed)
    }

    fn ids(&self, arguments: &[&str]) -> Vec<String> {
        let listed = self.tell(0, &[&["list"], arguments].concat());
        let listed = listed.as_array().unwrap().iter();
        let mut ids: Vec<String> = listed.map(|incident| text(incident, "id")).collect();
        ids.sort();
        ids
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

/// The ids of the incidents that are open, those with most alerts first.
fn largest(incidents: &BTreeMap<String, Value>) -> Vec<String> {
    let open = incidents
        .values()
        .filter(|incident| incident["status"] == "new");
    let mut open: Vec<&Value> = open.collect();
    open.sort_by_key(|incident| std::cmp::Reverse(incident["alerts"].as_array().unwrap().len()));
    open.into_iter()
        .map(|incident| text(incident, "id"))
        .collect()
}

#[test]
fn analysts_act_on_incidents_and_each_command_is_answered_once() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let records = Traffic::new(Volume {
        seed: 7,
        num_alerts: 20_000,
        num_attacks: 12,
        num_broken: 10,
        num_repeated: 10,
    })
    .records;
    let analyst = Analyst {
        cluster: &cluster,
        engine: Engine::with_commands(&cluster, "fusor"),
        pulse: records[0].clone(),
    };
    let (first, second) = records.split_at(records.len() / 4 * 3);
    cluster.produce(first.iter().cloned());
    let process = analyst.engine.run();
    analyst.engine.wait_until_done(&process);

    lists_what_there_is(&analyst);
    let [worked, kept, gone, ..] = &largest(&analyst.last())[..] else {
        panic!("too few incidents");
    };
    works_on_one(&analyst, worked);
    merges_and_splits(&analyst, kept, gone);
    let process = is_killed_meanwhile(&analyst, process, kept);

    let broken = Outgoing {
        topic: analyst.engine.commands(),
        partition: 0,
        value: b"{\"id\":".to_vec(),
        timestamp: 1,
    };
    cluster.produce([broken.clone()]);
    // Alerts go on: those of the closed incident too.
    cluster.produce(second.iter().cloned());
    analyst.engine.wait_until_done(&process);
    let commented = analyst.act(&["comment", kept, "that is all"]);
    assert_eq!(commented["comments"].as_array().unwrap().len(), 1 + KILLS);
    analyst.engine.stop(process);

    let letters = analyst.read(&analyst.engine.dead_letters());
    let of_commands = |letter: &&Record| letter.header("fusor.dlq.topic") == broken.topic;
    let letters: Vec<&Record> = letters.iter().filter(of_commands).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&broken.value[..]));
    assert_answered_once(&analyst);
    assert_revisions_rise(&analyst.read(&analyst.engine.incidents()));
    assert_proven(&analyst.engine);
}

fn lists_what_there_is(analyst: &Analyst<'_>) {
    let all = analyst.last();
    let of = |wanted: &dyn Fn(&Value) -> bool| {
        let found = all.values().filter(|incident| wanted(incident));
        found
            .map(|incident| text(incident, "id"))
            .collect::<Vec<String>>()
    };
    let is = |incident: &Value, words: &[&str], name: &str| {
        words.contains(&text(incident, name).as_str())
    };
    assert_eq!(
        analyst.ids(&[]),
        of(&|found| !is(found, &["merged"], "status"))
    );
    assert_eq!(
        analyst.ids(&["--status", "merged"]),
        of(&|found| is(found, &["merged"], "status"))
    );
    let severe = ["critical", "fatal"];
    assert_eq!(
        analyst.ids(&["--status", "new", "--severity", "critical"]),
        of(&|found| is(found, &["new"], "status") && is(found, &severe, "severity"))
    );
    let tenant = text(all.values().next().unwrap(), "tenant");
    assert_eq!(
        analyst.ids(&["--tenant", &tenant]),
        of(&|found| is(found, &[&tenant], "tenant") && !is(found, &["merged"], "status"))
    );
    assert!(analyst.ids(&["--owner", "nobody there"]).is_empty());
}

/// By the beginning of its id, as people do.
fn works_on_one(analyst: &Analyst<'_>, id: &str) {
    let short = id.get(..8).unwrap();
    let assigned = analyst.act(&["assign", short, "bob", "--as", "ann"]);
    assert_eq!(assigned["owner"], "bob");
    let revision = assigned["revision"].as_i64().unwrap();
    let stale = (revision - 1).max(1).to_string();
    let refused = analyst.tell(1, &["severity", short, "low", "--revision", &stale]);
    let seen = [&refused["status"], &refused["reason"], &refused["revision"]];
    assert_eq!(
        seen,
        [
            &json!("refused"),
            &json!("stale_revision"),
            &json!(revision)
        ]
    );
    let revision = revision.to_string();
    analyst.act(&["status", short, "in-progress", "--revision", &revision]);
    analyst.act(&["tag", short, "ransomware"]);
    let closed = analyst.act(&["close", short, "true-positive", "--comment", "contained"]);
    assert_eq!(
        [
            &closed["status"],
            &closed["classification"],
            &closed["classification_comment"]
        ],
        ["closed", "true_positive", "contained"]
    );
    assert_eq!(
        analyst.tell(1, &["assign", short, "eve"])["reason"],
        "closed"
    );
    assert_eq!(analyst.act(&["reopen", short])["status"], "in_progress");
    analyst.act(&["close", short, "undetermined"]);
    let (code, told, _) = analyst
        .engine
        .tell(&["incidents", "show", short, "-o", "table"]);
    assert_eq!(code, Some(0));
    for line in ["ann assign", "bob", "close"] {
        assert!(told.contains(line), "{line} in {told}");
    }
    let unknown = analyst.tell(1, &["reopen", "ffffffff"]);
    assert!(
        unknown.as_str().unwrap().contains("no incident has an id"),
        "{unknown}"
    );
}

fn merges_and_splits(analyst: &Analyst<'_>, kept: &str, gone: &str) {
    let merged = analyst.act(&["merge", gone, kept]);
    assert_eq!(
        [&merged["status"], &merged["merged_into"]],
        ["merged", kept]
    );
    let shown = analyst.tell(0, &["show", gone]);
    assert_eq!(shown["id"], kept, "the redirect is followed");
    let refused = analyst.tell(1, &["assign", gone, "bob"]);
    assert_eq!(
        [&refused["reason"], &refused["incidents"][0]],
        ["merged", kept]
    );
    let alerts = shown["alerts"].as_array().unwrap();
    let last = text(alerts.last().unwrap(), "uid");
    let outcome = analyst.tell(0, &["split", kept, &last]);
    let part = outcome["incidents"][0].as_str().unwrap();
    let part = &analyst.last()[part];
    assert_eq!(part["split_from"], kept);
}

const KILLS: usize = 4;

/// Each comment is sent, and the engine killed, at the moment it is in its topic or a little later.
fn is_killed_meanwhile(analyst: &Analyst<'_>, mut process: Process, id: &str) -> Process {
    let end = || analyst.cluster.ends(&analyst.engine.commands())[0];
    let answers = || analyst.cluster.ends(&analyst.engine.outcomes())[0];
    for kill in 0..KILLS {
        let before = end();
        let answered = answers();
        let name = format!("kill-{kill}");
        let command = ["comment", id, "still there", "--id", &name, "--wait", "4m"];
        process = thread::scope(|scope| {
            let sent = scope.spawn(|| analyst.act(&command));
            eventually("the command in its topic", LIMIT, || {
                (end() > before).then_some(())
            });
            if kill % 2 == 1 {
                // The answer is on its way.
                eventually("an answer", LIMIT, || (answers() > answered).then_some(()));
            }
            process.kill();
            let next = analyst.engine.run();
            let commented = sent.join().unwrap();
            assert_eq!(commented["comments"].as_array().unwrap().len(), kill + 1);
            next
        });
        // Sent again with its id it has the outcome it had.
        let again = analyst.act(&command);
        assert_eq!(again["comments"].as_array().unwrap().len(), kill + 1);
    }
    process
}

/// By the place of their command, as their headers name it.
fn assert_answered_once(analyst: &Analyst<'_>) {
    let commands = analyst.read(&analyst.engine.commands());
    let expected: Vec<(String, Value)> = commands
        .iter()
        .filter_map(|command| {
            let sent: Value = serde_json::from_slice(command.value.as_deref()?).ok()?;
            Some((command.offset.to_string(), sent["id"].clone()))
        })
        .collect();
    let outcomes = analyst.read(&analyst.engine.outcomes());
    let mut answered: Vec<(String, Value)> = outcomes
        .iter()
        .map(|outcome| {
            let told = outcome.json();
            (
                outcome.header("fusor.source.offset").to_owned(),
                told["command"].clone(),
            )
        })
        .collect();
    answered.sort_by_key(|(offset, _)| offset.parse::<i64>().unwrap());
    assert_eq!(answered, expected);
}
