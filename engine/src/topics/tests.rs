use super::*;

fn config(text: &str) -> Config {
    serde_json::from_str(text).unwrap()
}

const TWO_INPUTS: &str =
    r#"{"inputs":[{"topic":"a"},{"topic":"b"}],"bindings":"leases","commands":"orders"}"#;

fn row(topic: &str, role: Role, partitions: i32, status: Status) -> Row {
    Row {
        wanted: Wanted {
            topic: topic.to_owned(),
            role,
            partitions,
            replication: None,
            settings: BTreeMap::new(),
        },
        status,
        differences: Vec::new(),
    }
}

#[test]
fn every_topic_of_the_configuration_is_wanted_once() {
    let names: Vec<(String, &str)> = wanted(&config(TWO_INPUTS))
        .into_iter()
        .map(|wanted| (wanted.topic, wanted.role.word()))
        .collect();
    let names: Vec<(&str, &str)> = names.iter().map(|(n, r)| (n.as_str(), *r)).collect();
    assert_eq!(
        names,
        [
            ("a", "input"),
            ("b", "input"),
            ("leases", "bindings"),
            ("fusor.incidents", "incidents"),
            ("fusor.dead-letters", "dead_letters"),
            ("fusor.state", "state"),
            ("orders", "commands"),
            ("fusor.outcomes", "outcomes"),
        ]
    );
    let without = wanted(&config(r#"{"inputs":[{"topic":"a"}]}"#));
    assert_eq!(without.len(), 4, "no outcomes without commands");
}

#[test]
fn three_copies_are_acknowledged_by_two() {
    let config = config(r#"{"inputs":[{"topic":"a"}],"topics":{"replication":3}}"#);
    for wanted in wanted(&config) {
        let expected = (wanted.role != Role::Input).then_some("2");
        let found = wanted.settings.get("min.insync.replicas");
        assert_eq!(found.map(String::as_str), expected, "{}", wanted.topic);
    }
}

#[test]
fn the_shape_counts_inputs_and_shards() {
    let rows = [
        row("a", Role::Input, 3, Status::Exists),
        row("leases", Role::Bindings, 1, Status::Exists),
        row("s", Role::State, 1, Status::Exists),
        row("out", Role::Incidents, 9, Status::Exists),
    ];
    let shape = shape(&rows).unwrap();
    assert_eq!(shape.shards, 1);
    assert_eq!(shape.inputs, [("a".into(), 3), ("leases".into(), 1)]);
}

#[test]
fn three_copies_of_which_one_acknowledges_are_told() {
    let wanted = wanted(&config(r#"{"inputs":[{"topic":"a"}]}"#));
    let settings = |in_sync: &str| BTreeMap::from([(IN_SYNC.to_owned(), in_sync.to_owned())]);
    let told =
        |wanted: &Wanted, copies, in_sync| too_few_in_sync(wanted, copies, &settings(in_sync));
    let state = wanted
        .iter()
        .find(|wanted| wanted.role == Role::State)
        .unwrap();
    let advice = Some("min.insync.replicas: 1, should be 2".to_owned());
    assert_eq!(told(state, 3, "1"), advice);
    assert_eq!(told(state, 3, "2"), None);
    assert_eq!(told(state, 1, "1"), None);
    assert_eq!(told(&wanted[0], 3, "1"), None, "an input is its producers'");
}

#[test]
fn where_alerts_come_keyed_only_ingest_needs_the_inputs() {
    let rows = [
        row("a", Role::Input, 3, Status::Exists),
        row("b", Role::Input, 2, Status::Exists),
        row("keyed", Role::Alerts, 2, Status::Exists),
        row("s", Role::State, 2, Status::Exists),
    ];
    assert_eq!(shape(&rows).unwrap().inputs, [("keyed".into(), 2)]);
    let ingest = ingest_shape(&rows).unwrap();
    assert_eq!(ingest.inputs, [("a".into(), 3), ("b".into(), 2)]);
    let dealt = |shard| {
        let inputs = (ingest.share)(shard, ingest.shards, &ingest.inputs).unwrap();
        inputs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(dealt(0), ["a/0", "a/2", "b/1"]);
    assert_eq!(dealt(1), ["a/1", "b/0"]);
    assert!((ingest.share)(2, ingest.shards, &ingest.inputs).is_err());
    let missing = [
        row("a", Role::Input, 1, Status::Missing),
        row("keyed", Role::Alerts, 1, Status::Exists),
        row("s", Role::State, 1, Status::Missing),
    ];
    let problem = |name: &str| vec![format!("topic {name} does not exist")];
    assert_eq!(shape(&missing).unwrap_err(), problem("s"));
    assert_eq!(ingest_shape(&missing).unwrap_err(), problem("a"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let rows = [
        row("a", Role::Input, 3, Status::Missing),
        row("s", Role::State, 1, Status::Missing),
    ];
    let problems = shape(&rows).unwrap_err();
    assert_eq!(
        problems,
        ["topic a does not exist", "topic s does not exist"]
    );
    let rows = [
        row("a", Role::Input, 3, Status::Exists),
        row("s", Role::State, 2, Status::Exists),
    ];
    assert_eq!(
        shape(&rows).unwrap_err(),
        ["with 2 shards every input needs 2 partitions: a has 3"]
    );
}
