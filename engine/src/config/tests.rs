mod reference;

use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::{Config, Layers, Loaded, Mistakes, Needs};

const RUNS: &str = "kafka: {brokers: [localhost:9092]}\ninputs: [{topic: alerts}]\n";

fn load(yaml: &str, env: &[(&str, &str)], set: &[&str], needs: Needs) -> Result<Loaded, Mistakes> {
    let layers = Layers {
        file: Some(PathBuf::from("fusor.yaml")),
        env: env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        set: set.iter().map(|set| (*set).to_owned()).collect(),
    };
    Config::from_text(yaml, &layers, needs)
}

fn report(loaded: Result<Loaded, Mistakes>) -> String {
    match loaded {
        Err(mistakes) => mistakes.to_string(),
        Ok(loaded) => {
            let warnings = loaded.warnings.iter().map(|w| format!("warning: {w}\n"));
            let set = loaded
                .leaves()
                .into_iter()
                .filter(|leaf| leaf.layer != "default");
            let values =
                set.map(|leaf| format!("{} = {}  ({})\n", leaf.key, leaf.value, leaf.layer));
            warnings.chain(values).collect()
        }
    }
}

/// What is wrong with the file, or its warnings and what it sets.
#[track_caller]
fn check(yaml: &str, expected: Expect) {
    expected.assert_eq(&report(load(yaml, &[], &[], Needs::Nothing)));
}

#[track_caller]
fn check_layers(yaml: &str, env: &[(&str, &str)], set: &[&str], expected: Expect) {
    expected.assert_eq(&report(load(yaml, env, set, Needs::Nothing)));
}

#[track_caller]
fn check_to_run(yaml: &str, expected: Expect) {
    expected.assert_eq(&report(load(yaml, &[], &[], Needs::Broker)));
}

#[test]
fn an_empty_file_is_the_default() {
    check("", expect![]);
    check("# nothing\n", expect![]);
    let loaded = load("", &[], &[], Needs::Nothing).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn running_needs_a_broker_and_an_input() {
    check_to_run(
        RUNS,
        expect![[r#"
        inputs = [{"format":null,"tenant":null,"topic":"alerts"}]  (fusor.yaml:2)
        kafka.brokers = ["localhost:9092"]  (fusor.yaml:1)
    "#]],
    );
    check_to_run(
        "group: a\n",
        expect![[r#"
            error: no broker is given: set kafka.brokers, as in [localhost:9092]

            error: no input is given: set inputs, as in [{topic: alerts}]"#]],
    );
    check_to_run(
        "kafka: {brokers: [localhost]}\ninputs: [{topic: 'a b'}]\n",
        expect![[r#"
            error: `localhost` is no broker: host:port, as in localhost:9092
             --> fusor.yaml:1:19
              |
            1 | kafka: {brokers: [localhost]}
              |                   ^^^^^^^^^

            error: `a b` is no topic name: 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen
             --> fusor.yaml:2:18
              |
            2 | inputs: [{topic: 'a b'}]
              |                  ^^^^^"#]],
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    check(
        "correlation:\n  latenes: 10m\n",
        expect![[r#"
            error: unknown field `latenes`, expected one of `lateness`, `half_life`, `learning`, `fold`, `link`, `attach`, `stitch`, `promote`, `severity`, `incident`, `memory`
             --> fusor.yaml:2:3
              |
            2 |   latenes: 10m
              |   ^^^^^^^
              = help: did you mean `lateness`?"#]],
    );
    check(
        "lateness: 10m\n",
        expect![[r#"
            error: unknown field `lateness`, expected one of `version`, `kafka`, `group`, `inputs`, `bindings`, `commands`, `outputs`, `snapshots`, `entities`, `correlation`, `ops`, `http`, `limits`, `topics`
             --> fusor.yaml:1:1
              |
            1 | lateness: 10m
              | ^^^^^^^^"#]],
    );
    check(
        "inputs:\n  - topik: x\n",
        expect![[r#"
        error: unknown field `topik`, expected one of `topic`, `format`, `tenant`
         --> fusor.yaml:2:5
          |
        2 |   - topik: x
          |     ^^^^^
          = help: did you mean `topic`?"#]],
    );
    check(
        "inputs:\n  - topic: x\n    tenant: {heder: t}\n",
        expect![[r#"
            error: unknown field `heder`, expected one of `header`, `key`, `field`
             --> fusor.yaml:3:14
              |
            3 |     tenant: {heder: t}
              |              ^^^^^
              = help: did you mean `header`?"#]],
    );
    check(
        "inputs:\n  - topic: x\n    format: suricatta\n",
        expect![[r#"
            error: unknown value `suricatta`, expected one of `fusor`, `sentinel`, `defender-cloud`, `ocsf`, `suricata`, `wazuh`
             --> fusor.yaml:3:13
              |
            3 |     format: suricatta
              |             ^^^^^^^^^
              = help: did you mean `suricata`?"#]],
    );
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_file() {
    check(
        r#"version: 2
kafka:
  brokers: [kafka1, "kafka 2:9092", kafka3:99999]
  properties:
    group.id: mine
    enable.auto.comit: true
    fetch.wait.max.ms: soon
inputs:
  - {topic: "alerts/edr", format: suricata}
  - format: ocsf
"#,
        expect![[r#"
            error: version 2 is not known to this fusor, which reads version 1
             --> fusor.yaml:1:10
              |
            1 | version: 2
              |          ^

            error: `kafka1` is no broker: host:port, as in localhost:9092
             --> fusor.yaml:3:13
              |
            3 |   brokers: [kafka1, "kafka 2:9092", kafka3:99999]
              |             ^^^^^^

            error: `kafka 2:9092` is no broker: host:port, as in localhost:9092
             --> fusor.yaml:3:21
              |
            3 |   brokers: [kafka1, "kafka 2:9092", kafka3:99999]
              |                     ^^^^^^^^^^^^^^

            error: `kafka3:99999` is no broker: host:port, as in localhost:9092
             --> fusor.yaml:3:37
              |
            3 |   brokers: [kafka1, "kafka 2:9092", kafka3:99999]
              |                                     ^^^^^^^^^^^^

            error: `group.id` is set by fusor; use group
             --> fusor.yaml:5:5
              |
            5 |     group.id: mine
              |     ^^^^^^^^

            error: `enable.auto.comit` is no librdkafka property
             --> fusor.yaml:6:5
              |
            6 |     enable.auto.comit: true
              |     ^^^^^^^^^^^^^^^^^

            error: invalid value for configuration property "fetch.wait.max.ms"
             --> fusor.yaml:7:24
              |
            7 |     fetch.wait.max.ms: soon
              |                        ^^^^

            error: `alerts/edr` is no topic name: 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen
             --> fusor.yaml:9:13
              |
            9 |   - {topic: "alerts/edr", format: suricata}
              |             ^^^^^^^^^^^^

            error: missing field `topic`
             --> fusor.yaml:10:5
               |
            10 |   - format: ocsf
               |     ^"#]],
    );
}

#[test]
fn every_mistaken_value_says_what_would_be_one() {
    check(
        r#"inputs:
  - {topic: ok, tenant: {field: TenantId}}
  - {topic: ok2, tenant: {header: a, key: true}}
entities: {own_addresses: [203.0.113.300, 198.51.100.1/28]}
ops: {listen: 9464}
http: {listen: 0.0.0.0:8464}
"#,
        expect![[r#"
            error: `TenantId` is no JSON pointer: it starts with a slash, as in /properties/tenantId
             --> fusor.yaml:2:33
              |
            2 |   - {topic: ok, tenant: {field: TenantId}}
              |                                 ^^^^^^^^

            error: expected exactly one of header, key, field
             --> fusor.yaml:3:26
              |
            3 |   - {topic: ok2, tenant: {header: a, key: true}}
              |                          ^

            error: `203.0.113.300` is no address or network: as in 203.0.113.10 or 198.51.100.0/28
             --> fusor.yaml:4:28
              |
            4 | entities: {own_addresses: [203.0.113.300, 198.51.100.1/28]}
              |                            ^^^^^^^^^^^^^

            error: `198.51.100.1/28` has bits beyond its prefix: 198.51.100.0/28 or 198.51.100.1?
             --> fusor.yaml:4:43
              |
            4 | entities: {own_addresses: [203.0.113.300, 198.51.100.1/28]}
              |                                           ^^^^^^^^^^^^^^^

            error: `9464` is no address to listen on: ip:port, as in 127.0.0.1:9464
             --> fusor.yaml:5:15
              |
            5 | ops: {listen: 9464}
              |               ^^^^

            error: `0.0.0.0:8464` is not loopback: what listens here has no authentication
             --> fusor.yaml:6:16
              |
            6 | http: {listen: 0.0.0.0:8464}
              |                ^^^^^^^^^^^^"#]],
    );
}

#[test]
fn every_mistaken_quantity_says_what_would_be_one() {
    check(
        r#"correlation: {lateness: ten minutes, link: {evidence: 6.0001, window: 1y}}
limits: {record: 1TB, entities: 0, epoch_records: many, epoch_interval: 1h}
topics: {partitions: -1, replication: 99999999999}
"#,
        expect![[r#"
            error: `ten minutes` is no length of time: a number with ms, s, m, h or d
             --> fusor.yaml:1:25
              |
            1 | correlation: {lateness: ten minutes, link: {evidence: 6.0001, window: 1y}}
              |                         ^^^^^^^^^^^

            error: `6.0001` is no number from 0 to 100 with up to three decimals
             --> fusor.yaml:1:55
              |
            1 | correlation: {lateness: ten minutes, link: {evidence: 6.0001, window: 1y}}
              |                                                       ^^^^^^

            error: `1y` is no length of time: a number with ms, s, m, h or d
             --> fusor.yaml:1:71
              |
            1 | correlation: {lateness: ten minutes, link: {evidence: 6.0001, window: 1y}}
              |                                                                       ^^

            error: `1TB` is no size: bytes, or a number with KiB, MiB or GiB
             --> fusor.yaml:2:18
              |
            2 | limits: {record: 1TB, entities: 0, epoch_records: many, epoch_interval: 1h}
              |                  ^^^

            error: `0` is no whole number from 1 to 1024
             --> fusor.yaml:2:33
              |
            2 | limits: {record: 1TB, entities: 0, epoch_records: many, epoch_interval: 1h}
              |                                 ^

            error: `many` is no whole number from 1 to 100000
             --> fusor.yaml:2:51
              |
            2 | limits: {record: 1TB, entities: 0, epoch_records: many, epoch_interval: 1h}
              |                                                   ^^^^

            error: `1h` is out of range: from 1ms to 10s
             --> fusor.yaml:2:73
              |
            2 | limits: {record: 1TB, entities: 0, epoch_records: many, epoch_interval: 1h}
              |                                                                         ^^

            error: `-1` is no whole number from 1 to 1024
             --> fusor.yaml:3:22
              |
            3 | topics: {partitions: -1, replication: 99999999999}
              |                      ^^

            error: `99999999999` is no whole number from 1 to 9
             --> fusor.yaml:3:39
              |
            3 | topics: {partitions: -1, replication: 99999999999}
              |                                       ^^^^^^^^^^^"#]],
    );
}

#[test]
fn what_yaml_refuses_is_shown_in_its_place() {
    check(
        "kafka:\n  brokers: [a\ninputs: []\n",
        expect![[r#"
        error: illegal placement of ':' indicator
         --> fusor.yaml:3:7
          |
        3 | inputs: []
          |       ^"#]],
    );
    check(
        "group: a\ngroup: b\n",
        expect![[r#"
            error: duplicate mapping key: group
             --> fusor.yaml:2:1
              |
            2 | group: b
              | ^^^^^"#]],
    );
    check(
        "- a\n- b\n",
        expect![[r#"
        error: the file is no map of keys to values
         --> fusor.yaml:1:1
          |
        1 | - a
          | ^"#]],
    );
    check(
        "group: *missing\n",
        expect![[r#"
        error: alias references unknown anchor
         --> fusor.yaml:1:8
          |
        1 | group: *missing
          |        ^"#]],
    );
    check(
        "group: a\n---\ngroup: b\n",
        expect![[r#"
            error: multiple YAML documents detected
             --> fusor.yaml:3:1
              |
            3 | group: b
              | ^"#]],
    );
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    check(
        "group: [a]\n",
        expect![[r#"
            error: invalid type: list, expected a name
             --> fusor.yaml:1:8
              |
            1 | group: [a]
              |        ^"#]],
    );
    check(
        "inputs: alerts\n",
        expect![[r#"
            error: invalid type: text "alerts", expected a list
             --> fusor.yaml:1:9
              |
            1 | inputs: alerts
              |         ^^^^^^"#]],
    );
    check(
        "kafka: localhost:9092\n",
        expect![[r#"
            error: invalid type: text "localhost:9092", expected a map of keys
             --> fusor.yaml:1:8
              |
            1 | kafka: localhost:9092
              |        ^^^^^^^^^^^^^^"#]],
    );
    check(
        "group:\n",
        expect![[r#"
        error: no value is given, expected a name
         --> fusor.yaml:1:6
          |
        1 | group:
          |      ^"#]],
    );
    check(
        "kafka: {properties: {security.protocol: tls}}\n",
        expect![[r#"
        error: invalid value "tls" for configuration property "security.protocol"
         --> fusor.yaml:1:41
          |
        1 | kafka: {properties: {security.protocol: tls}}
          |                                         ^^^"#]],
    );
    check(
        "limits: {entities: 1.5}\n",
        expect![[r#"
            error: `1.5` is no whole number from 1 to 1024
             --> fusor.yaml:1:20
              |
            1 | limits: {entities: 1.5}
              |                    ^^^"#]],
    );
    check(
        "entities: {never_link: {account: svc}}\n",
        expect![[r#"
            error: invalid type: text "svc", expected a list
             --> fusor.yaml:1:34
              |
            1 | entities: {never_link: {account: svc}}
              |                                  ^^^"#]],
    );
}

#[test]
fn sizes_and_times_take_units() {
    check(
        "limits: {record: 65536, value: 2 KiB, epoch_size: 8MiB, epoch_interval: 1s 500ms}\ncorrelation: {lateness: PT5M, attach: {evidence: 5.25, window: 2d 12h}, link: {window: 72h}}\n",
        expect![[r#"
            correlation.attach.evidence = 5.25  (fusor.yaml:2)
            correlation.attach.window = "60h"  (fusor.yaml:2)
            correlation.lateness = "5m"  (fusor.yaml:2)
            correlation.link.window = "3d"  (fusor.yaml:2)
            limits.epoch_interval = "1s 500ms"  (fusor.yaml:1)
            limits.epoch_size = "8MiB"  (fusor.yaml:1)
            limits.record = "64KiB"  (fusor.yaml:1)
            limits.value = "2KiB"  (fusor.yaml:1)
        "#]],
    );
}

#[test]
fn ingest_needs_a_topic_of_its_own_to_write_to() {
    let check = |yaml: &str, expected: Expect| {
        expected.assert_eq(&report(load(yaml, &[], &[], Needs::Ingest)));
    };
    check(
        RUNS,
        expect!["error: no topic is given to write to: set outputs.alerts, as in fusor.alerts"],
    );
    check(
        &format!("{RUNS}outputs: {{alerts: alerts}}\n"),
        expect![[r#"
        error: topic `alerts` is used twice: already as outputs.alerts
         --> fusor.yaml:2:18
          |
        2 | inputs: [{topic: alerts}]
          |                  ^^^^^^"#]],
    );
    let loaded = load("outputs: {alerts: keyed}\n", &[], &[], Needs::Nothing).unwrap();
    assert!(loaded.warnings.is_empty());
    let alerts = loaded.config.outputs.alerts.clone().unwrap();
    let ingest = loaded.config.for_ingest(&alerts);
    assert_eq!(ingest.group.as_str(), "fusor-ingest");
    assert_eq!(ingest.outputs.state, alerts);
}

#[test]
fn tenants_come_from_a_name_a_header_the_key_or_a_field() {
    check(
        "inputs:\n  - {topic: a, tenant: contoso}\n  - {topic: b, tenant: {header: t}}\n  - {topic: c, tenant: {key: true}}\n  - {topic: d, tenant: {field: /a/b~1c}}\n",
        expect![[r#"
            inputs = [{"format":null,"tenant":"contoso","topic":"a"},{"format":null,"tenant":{"header":"t"},"topic":"b"},{"format":null,"tenant":{"key":true},"topic":"c"},{"format":null,"tenant":{"field":"/a/b~1c"},"topic":"d"}]  (fusor.yaml:2)
        "#]],
    );
    check(
        "inputs:\n  - topic: a\n    tenant: x/y\n",
        expect![[r#"
        error: `x/y` is no tenant: a tenant is 1 to 64 of a-z, A-Z, 0-9, dot, underscore and hyphen
         --> fusor.yaml:3:13
          |
        3 |     tenant: x/y
          |             ^^^"#]],
    );
    check(
        "inputs: [{topic: a, tenant: {key: false}}]\n",
        expect![[r#"
        error: key can only be true
         --> fusor.yaml:1:29
          |
        1 | inputs: [{topic: a, tenant: {key: false}}]
          |                             ^"#]],
    );
    check(
        "inputs: [{topic: a, tenant: {}}]\n",
        expect![[r#"
        error: expected exactly one of header, key, field
         --> fusor.yaml:1:29
          |
        1 | inputs: [{topic: a, tenant: {}}]
          |                             ^"#]],
    );
}

#[test]
fn a_topic_has_one_use() {
    check(
        "inputs:\n  - topic: alerts\n  - topic: fusor.incidents\n  - topic: alerts\nbindings: fusor.state\n",
        expect![[r#"
            error: topic `fusor.incidents` is used twice: already as outputs.incidents
             --> fusor.yaml:3:12
              |
            3 |   - topic: fusor.incidents
              |            ^^^^^^^^^^^^^^^

            error: topic `alerts` is used twice: already as inputs[0].topic
             --> fusor.yaml:4:12
              |
            4 |   - topic: alerts
              |            ^^^^^^

            error: topic `fusor.state` is used twice: already as outputs.state
             --> fusor.yaml:5:11
              |
            5 | bindings: fusor.state
              |           ^^^^^^^^^^^"#]],
    );
}

#[test]
fn the_stronger_layer_wins_leaf_by_leaf() {
    check_layers(
        "group: file\ncorrelation: {lateness: 1m}\nlimits: {entities: 10, value: 2KiB}\n",
        &[
            ("FUSOR__CORRELATION__LATENESS", "2m"),
            ("FUSOR__LIMITS__ENTITIES", "20"),
            ("FUSOR__KAFKA__BROKERS", "[localhost:1, '[::1]:2']"),
            ("FUSOR__OPS__LISTEN", ""),
            ("FUSOR_DATA", "not ours"),
        ],
        &["limits.entities=30"],
        expect![[r#"
            correlation.lateness = "2m"  (FUSOR__CORRELATION__LATENESS)
            group = "file"  (fusor.yaml:1)
            kafka.brokers = ["localhost:1","[::1]:2"]  (FUSOR__KAFKA__BROKERS)
            limits.entities = 30  (--set limits.entities)
            limits.value = "2KiB"  (fusor.yaml:3)
        "#]],
    );
}

#[test]
fn a_mistake_outside_the_file_names_the_variable_or_flag() {
    check_layers(
        "group: a\n",
        &[
            ("FUSOR__CORRELATION__LATENES", "2m"),
            ("FUSOR__LIMITS__ENTITIES", "[1"),
            ("FUSOR__GROUP__NAME", "b"),
        ],
        &[
            "limits.value=1",
            "nonsense",
            "kafka.properties.sasl.password=p",
        ],
        expect![[r#"
            error: unclosed bracket '['
             --> environment variable FUSOR__LIMITS__ENTITIES

            error: unknown field `latenes`, expected one of `lateness`, `half_life`, `learning`, `fold`, `link`, `attach`, `stitch`, `promote`, `severity`, `incident`, `memory`
             --> environment variable FUSOR__CORRELATION__LATENES
              = help: did you mean `lateness`?

            error: invalid type: map, expected a name
             --> environment variable FUSOR__GROUP__NAME

            error: `nonsense` is no key=value
             --> flag --set

            error: `1` is out of range: a size from 64 to 64KiB
             --> flag --set limits.value

            error: `sasl.password` is a secret: set `sasl.password_file` to a file that holds it, or FUSOR__KAFKA__PROPERTIES__SASL_PASSWORD
             --> flag --set kafka.properties.sasl.password"#]],
    );
}

#[test]
fn secrets_come_from_the_environment_or_a_file_and_are_never_shown() {
    check(
        "kafka: {properties: {sasl.password: hunter2, sasl.username: u}}\n",
        expect![[r#"
            error: `sasl.password` is a secret: set `sasl.password_file` to a file that holds it, or FUSOR__KAFKA__PROPERTIES__SASL_PASSWORD
             --> fusor.yaml:1:22
              |
            1 | kafka: {properties: {sasl.password: hunter2, sasl.username: u}}
              |                      ^^^^^^^^^^^^^"#]],
    );
    check(
        "kafka: {properties: {sasl.password_file: /no/such/file}}\n",
        expect![[r#"
            error: cannot read /no/such/file: No such file or directory (os error 2)
             --> fusor.yaml:1:42
              |
            1 | kafka: {properties: {sasl.password_file: /no/such/file}}
              |                                          ^^^^^^^^^^^^^"#]],
    );
    check(
        "kafka: {properties: {sasl.username_file: /no/such/file}}\n",
        expect![[r#"
            error: `sasl.username_file`: only a secret is read from a file
             --> fusor.yaml:1:22
              |
            1 | kafka: {properties: {sasl.username_file: /no/such/file}}
              |                      ^^^^^^^^^^^^^^^^^^"#]],
    );
    let env = [("FUSOR__KAFKA__PROPERTIES__SASL_PASSWORD", "[hunter2: *x")];
    check_layers(
        "",
        &env,
        &[],
        expect![[r#"
        kafka.properties.sasl.password = "[redacted]"  (FUSOR__KAFKA__PROPERTIES__SASL_PASSWORD)
    "#]],
    );

    let loaded = load("", &env, &[], Needs::Nothing).unwrap();
    let properties = &loaded.config.kafka.properties;
    assert_eq!(properties.get("sasl.password"), Some("[hunter2: *x"));
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
}

#[test]
fn a_secret_is_read_from_its_file_without_the_line_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let path = file.path().display();
    let yaml = format!("kafka: {{properties: {{ssl.key.password_file: '{path}'}}}}\n");
    let loaded = load(&yaml, &[], &[], Needs::Nothing).unwrap();
    let properties = &loaded.config.kafka.properties;
    assert_eq!(properties.get("ssl.key.password"), Some("hunter2"));
    assert_eq!(properties.get("ssl.key.password_file"), None);
    let shown = report(Ok(loaded));
    expect![[r#"
        kafka.properties.ssl.key.password = "[redacted]"  (fusor.yaml:1)
    "#]]
    .assert_eq(&shown);
}

#[test]
fn an_unencrypted_link_off_this_machine_is_refused_unless_allowed() {
    check(
        "kafka: {brokers: ['localhost:1', '127.0.0.2:1', '[::1]:1']}\n",
        expect![[r#"
            kafka.brokers = ["localhost:1","127.0.0.2:1","[::1]:1"]  (fusor.yaml:1)
        "#]],
    );
    check(
        "kafka:\n  brokers: ['localhost:1', 'kafka.example:9092']\n",
        expect![[r#"
            error: the link to kafka.example:9092 would not be encrypted: set security.protocol to ssl or sasl_ssl in kafka.properties, or kafka.insecure to allow
             --> fusor.yaml:2:12
              |
            2 |   brokers: ['localhost:1', 'kafka.example:9092']
              |            ^"#]],
    );
    check(
        "kafka:\n  brokers: ['10.0.0.1:1']\n  properties: {security.protocol: SASL_PLAINTEXT}\n",
        expect![[r#"
            error: the link to 10.0.0.1:1 would not be encrypted: set security.protocol to ssl or sasl_ssl in kafka.properties, or kafka.insecure to allow
             --> fusor.yaml:3:35
              |
            3 |   properties: {security.protocol: SASL_PLAINTEXT}
              |                                   ^^^^^^^^^^^^^^"#]],
    );
    check(
        "kafka:\n  brokers: ['10.0.0.1:1']\n  properties: {security.protocol: sasl_ssl}\n",
        expect![[r#"
            kafka.brokers = ["10.0.0.1:1"]  (fusor.yaml:2)
            kafka.properties.security.protocol = "sasl_ssl"  (fusor.yaml:3)
        "#]],
    );
    check(
        "kafka: {brokers: ['10.0.0.1:1'], insecure: allow}\n",
        expect![[r#"
            warning: the link to 10.0.0.1:1 is not encrypted
             --> fusor.yaml:1:34
              |
            1 | kafka: {brokers: ['10.0.0.1:1'], insecure: allow}
              |                                  ^^^^^^^^
            kafka.brokers = ["10.0.0.1:1"]  (fusor.yaml:1)
            kafka.insecure = "allow"  (fusor.yaml:1)
        "#]],
    );
}

#[test]
fn what_has_no_effect_is_worth_a_warning() {
    check(
        "commands: fusor.commands\noutputs: {ocsf: fusor.incidents.ocsf}\nentities: {never_link: {hosts: [a], host: [b]}}\n",
        expect![[r#"
            warning: `hosts` is no kind fusor knows: it matches only entities that a source calls so; known are account, host, ip, file, filehash, process, url, dns, mailbox, mail-message, cloud-resource, cloud-application, security-group, registry-key, registry-value, malware, iot-device, container, k8s-object, network-connection, vulnerability, other
             --> fusor.yaml:3:25
              |
            3 | entities: {never_link: {hosts: [a], host: [b]}}
              |                         ^^^^^
            warning: outputs.ocsf is reserved and not used yet
             --> fusor.yaml:2:11
              |
            2 | outputs: {ocsf: fusor.incidents.ocsf}
              |           ^^^^
            commands = "fusor.commands"  (fusor.yaml:1)
            entities.never_link.host = ["b"]  (fusor.yaml:3)
            entities.never_link.hosts = ["a"]  (fusor.yaml:3)
            outputs.ocsf = "fusor.incidents.ocsf"  (fusor.yaml:2)
        "#]],
    );
}

#[test]
fn limits_fit_each_other() {
    check(
        "limits: {record: 8MiB, epoch_records: 60000, epoch_size: 128MiB}\n",
        expect![[r#"
            error: limits.epoch_records of 60000 is more than limits.buffered_records of 50000
             --> fusor.yaml:1:39
              |
            1 | limits: {record: 8MiB, epoch_records: 60000, epoch_size: 128MiB}
              |                                       ^^^^^

            error: limits.epoch_size of 128MiB is more than limits.buffered_size of 64MiB
             --> fusor.yaml:1:58
              |
            1 | limits: {record: 8MiB, epoch_records: 60000, epoch_size: 128MiB}
              |                                                          ^^^^^^"#]],
    );
    check(
        "limits: {record: 8MiB}\n",
        expect![[r#"
        error: limits.record of 8MiB does not fit limits.epoch_size of 4MiB
         --> fusor.yaml:1:18
          |
        1 | limits: {record: 8MiB}
          |                  ^^^^"#]],
    );
    check(
        "correlation: {severity: {medium: 60.5, high: 60, critical: 50}}\n",
        expect![[r#"
            error: medium begins above high
             --> fusor.yaml:1:34
              |
            1 | correlation: {severity: {medium: 60.5, high: 60, critical: 50}}
              |                                  ^^^^

            error: high begins above critical
             --> fusor.yaml:1:46
              |
            1 | correlation: {severity: {medium: 60.5, high: 60, critical: 50}}
              |                                              ^^"#]],
    );
}

#[test]
fn the_defaults_are_those_of_the_core() {
    assert_eq!(
        Config::default().settings(),
        correlators::Settings::default()
    );
    assert_eq!(
        Config::default().limits.decode(),
        schemas::decode::Limits::default()
    );
}

#[test]
fn what_is_set_reaches_the_core() {
    let yaml = "correlation: {link: {evidence: 6.5}, promote: {risk: 45.5}}\nentities: {own_addresses: [203.0.113.10, 198.51.100.0/28]}\n";
    let settings = load(yaml, &[], &[], Needs::Nothing)
        .unwrap()
        .config
        .settings();
    assert_eq!(settings.link.bar, 6_500);
    assert_eq!(settings.promote.risk_tenths, 455);
    assert_eq!(settings.own_addresses, ["203.0.113.10", "198.51.100.0/28"]);
}

#[test]
fn a_missing_file_is_a_mistake() {
    let layers = Layers {
        file: Some(PathBuf::from("no/such/fusor.yaml")),
        ..Layers::default()
    };
    expect!["error: cannot read no/such/fusor.yaml: No such file or directory (os error 2)"]
        .assert_eq(
            &Config::load(&layers, Needs::Nothing)
                .unwrap_err()
                .to_string(),
        );
}

#[test]
fn what_grows_without_end_is_refused() {
    let loaded = |text: &str| load(text, &[], &[], Needs::Nothing).unwrap_err().0;
    assert!(loaded(&format!("group: {}", "[".repeat(100_000))).len() == 1);
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{},", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(loaded(&bomb).len() == 1);
    let many = loaded(&format!("inputs:\n{}", "  - {topik: t}\n".repeat(3_000)));
    assert_eq!(many.len(), 100);
}

#[test]
fn no_text_makes_reading_panic() {
    for text in [
        "\0",
        "\u{feff}",
        "a: &a [*a]",
        "? [a]\n: b",
        "{",
        "group: !!binary x",
        "1: 2",
        "<<: {group: a}",
        "\t",
        "'",
        "group: \"\\uD800\"",
    ] {
        let _ = report(load(text, &[], &[], Needs::Broker));
    }
    for end in 0..EXAMPLE.len() {
        if let Some(text) = EXAMPLE.get(..end) {
            let _ = report(load(text, &[], &[], Needs::Broker));
        }
    }
}

const EXAMPLE: &str = "version: 1\nkafka:\n  brokers: [localhost:9092]\ninputs:\n  - {topic: a, tenant: {field: /x}}\nlimits: {record: 1KiB}\n";
