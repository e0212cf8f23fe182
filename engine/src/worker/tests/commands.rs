//! Commands and their outcomes, on the bus.

use schemas::command::{ActionKind, Verdict};
use schemas::incident::{Incident, IncidentStatus};

use super::*;

const COMMANDS: &str = "commands";
const OUTCOMES: &str = "outcomes";

/// A worker that also reads commands, and takes any three alerts of a host for an incident.
fn desk() -> WorkerConfig {
    let mut config = config(5_000, 5_000);
    let alerts = |topic: &str| {
        let source = Source::Alerts {
            format: None,
            tenant: None,
        };
        (topic.to_owned(), source)
    };
    let commands = (COMMANDS.to_owned(), Source::Commands);
    config.decoder.sources = Sources::new(INPUTS.map(alerts).into_iter().chain([commands]));
    let mut settings = correlators::Settings::default();
    settings.promote.rules = 0;
    settings.promote.risk_alone_tenths = 0;
    config.shard.settings = Arc::new(settings);
    config
}

fn broker() -> Memory {
    let values: Vec<String> = (1..5)
        .map(|minute| {
            alert(&minute.to_string(), "x", minute * 3)
                .replace("\"t\"", &format!("\"t{minute}\",\"severity\":\"critical\""))
        })
        .collect();
    let values: Vec<(usize, &str)> = values.iter().map(|value| (0, value.as_str())).collect();
    let memory = memory(&values);
    memory.create_topic(COMMANDS, 1, Keep::All);
    memory.create_topic(OUTCOMES, 1, Keep::All);
    memory
}

fn worker(memory: &Memory) -> Worker<MemoryBus> {
    let inputs = INPUTS.map(Arc::from).into_iter().chain([COMMANDS.into()]);
    let inputs: Vec<Arc<str>> = inputs.collect();
    let bus = MemoryBus::join(memory, &inputs, 1).with_state("state");
    let none = (Arc::default(), Arc::default(), Arc::default());
    Worker::new(bus, desk(), none.0, none.1, none.2)
}

fn send(memory: &Memory, value: &str) {
    let record = NewRecord {
        topic: COMMANDS.into(),
        partition: Some(0),
        timestamp: None,
        key: Some(b"x".to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    };
    memory.produce(record).unwrap();
}

fn close(id: &str, incident: &str, revision: i64) -> String {
    format!(
        r#"{{"id":"{id}","tenant":"x","incident":"{incident}","expected_revision":{revision},"actor":"ann","roles":[],
        "time":"2026-01-05T09:00:00Z","action":{{"type":"close","classification":"true_positive","reason":"suspicious_activity","comment":null}}}}"#
    )
}

fn step_until_idle(worker: &mut Worker<MemoryBus>) {
    let mut idle = 0;
    for _ in 0..STEPS_MAX {
        idle = match worker.step(&mut NoObserver).unwrap() {
            Step::Committed => 0,
            Step::Idle | Step::Finished => idle + 1,
        };
        if idle > 5 && worker.is_assigned() {
            return;
        }
    }
    panic!("never idle");
}

fn incident(memory: &Memory) -> Incident {
    let last = memory.read("incidents", 0).pop().expect("no incident");
    serde_json::from_slice(last.value.as_deref().unwrap()).unwrap()
}

fn outcomes(memory: &Memory) -> Vec<schemas::command::Outcome> {
    let outcomes = memory.read(OUTCOMES, 0).into_iter();
    let read =
        |record: Arc<Record>| serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    outcomes.map(read).collect()
}

/// A broker with one incident, which a worker has found.
fn with_incident() -> (Memory, Worker<MemoryBus>, Incident) {
    let memory = broker();
    let mut worker = worker(&memory);
    step_until_idle(&mut worker);
    let incident = incident(&memory);
    (memory, worker, incident)
}

#[test]
fn an_outcome_is_in_the_transaction_of_the_revision_it_names() {
    let (memory, mut worker, found) = with_incident();
    send(&memory, &close("a", &found.id, found.revision));
    let before = memory.transactions();
    step_until_idle(&mut worker);
    assert_eq!(memory.transactions(), before + 1);
    let closed = incident(&memory);
    assert_eq!(
        (closed.id, closed.status),
        (found.id.clone(), IncidentStatus::Closed)
    );
    let outcome = outcomes(&memory).pop().unwrap();
    let applied = Verdict::Applied {
        revision: closed.revision,
        incidents: Vec::new(),
    };
    assert_eq!(
        (outcome.command.as_str(), &outcome.verdict),
        ("a", &applied)
    );
    assert_eq!(
        (outcome.tenant.as_str(), outcome.action),
        ("x", ActionKind::Close)
    );
    assert_eq!(outcome.incident, found.id);
    assert_eq!(memory.committed(COMMANDS, 0), Some(1));
    let key = memory.read(OUTCOMES, 0).pop().unwrap().key.clone();
    assert_eq!(key, Some(found.id.into_bytes()));
}

#[test]
fn an_epoch_with_commands_that_is_aborted_or_not_heard_of_answers_once() {
    let (memory, mut worker, found) = with_incident();
    send(&memory, &close("a", &found.id, found.revision));
    let problem = "the coordinator moved".to_owned();
    memory.fail_commits([CommitError::Aborted { problem }, fenced()]);
    step_until_idle(&mut worker);
    send(&memory, &close("b", &found.id, found.revision));
    memory.lose_answer();
    step_until_idle(&mut worker);
    let outcomes = outcomes(&memory);
    let ids: Vec<&str> = outcomes
        .iter()
        .map(|outcome| outcome.command.as_str())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    let refused = matches!(outcomes[1].verdict, Verdict::Refused { .. });
    assert!(refused, "the revision is gone: {outcomes:?}");
}

#[test]
fn another_process_answers_the_same_command_alike() {
    let (memory, mut first, found) = with_incident();
    send(&memory, &close("a", &found.id, found.revision));
    step_until_idle(&mut first);
    drop(first);
    memory.rebalance();
    send(&memory, &close("a", &found.id, found.revision));
    step_until_idle(&mut worker(&memory));
    let outcomes = outcomes(&memory);
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(incident(&memory).actions.len(), 1);
}

#[test]
fn what_is_no_command_is_a_dead_letter_with_its_bytes() {
    let (memory, mut worker, found) = with_incident();
    let unknown = close("a", &found.id, 1).replace("\"roles\"", "\"rules\"");
    let no_reason = close("b", &found.id, 1).replace("true_positive", "benign_positive");
    let broken = ["{", "[]", "\u{0}", &unknown, &no_reason];
    for value in broken {
        send(&memory, value);
    }
    step_until_idle(&mut worker);
    let letters = memory.read("dead", 0);
    let values: Vec<&[u8]> = letters
        .iter()
        .map(|letter| letter.value.as_deref().unwrap())
        .collect();
    assert_eq!(values, broken.map(str::as_bytes));
    assert!(outcomes(&memory).is_empty());
    assert_eq!(memory.committed(COMMANDS, 0), Some(5));
}
