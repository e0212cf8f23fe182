//! The command line as a person or a script meets it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use expect_test::{Expect, expect};
use tempfile::TempDir;
use tests::program::fusor;

/// A folder with the files that the examples name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/fusor.yaml");
    file("fusor.yaml", &fs::read(example).unwrap());
    file("alerts.ndjson", ALERTS.as_bytes());
    file("alerts.ndjson.gz", &gzip(ALERTS.as_bytes()));
    file("leases.ndjson", LEASES.as_bytes());
    file("membership.ndjson", MEMBERSHIP.as_bytes());
    file("incidents.ndjson", &incident());
    file("labels.ndjson", LABELS.as_bytes());
    folder
}

/// The incident that the examples of explain name.
fn incident() -> Vec<u8> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/golden/incident-1.json");
    let mut incident: serde_json::Value =
        serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    incident["id"] = "6f1c3a52-7d0e-5b7e-9a43-2f3f6c1d8e90".into();
    format!("{incident}\n").into_bytes()
}

const ALERTS: &str = r#"{"id":"a1","time":"2026-01-05T00:00:00Z","title":"LSASS memory read","tactics":["credential-access"],"entities":[{"type":"host","value":"ws1"}]}
{"id":"a2","time":"2026-01-05T00:05:00Z","title":"New service","tactics":["persistence"],"entities":[{"type":"host","value":"ws1"}]}
"#;
const LEASES: &str = r#"{"ip":"10.0.0.1","host":"ws1","from":"2026-01-05T00:00:00Z","to":"2026-01-06T00:00:00Z"}
"#;
const MEMBERSHIP: &str = r#"{"alert":"a1","tenant":"default","disposition":"correlated","episode":"e1","thread":"t1","incident":null}
{"alert":"a2","tenant":"default","disposition":"correlated","episode":"e2","thread":"t1","incident":null}
"#;
const LABELS: &str = r#"{"id":"a1","label":"C1"}
{"id":"a2","label":"C1"}
"#;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn run(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = fusor();
    command
        .current_dir(folder)
        .args(args)
        .env_remove("RUST_LOG");
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command.envs(env.iter().copied()).output().unwrap()
}

/// What a command prints and how it ends.
#[track_caller]
fn check(args: &[&str], expected: Expect) {
    check_in(folder().path(), args, &[], expected);
}

#[track_caller]
fn check_in(folder: &Path, args: &[&str], env: &[(&str, &str)], expected: Expect) {
    let output = run(folder, args, env);
    let (data, notes) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code().unwrap();
    expected.assert_eq(&format!("{data}--- exit {code}\n{notes}"));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_sound_configuration_ends_with_0() {
    check(
        &["check", "--no-environment", "-c", "fusor.yaml"],
        expect![[r#"
            fusor.yaml: ok
            --- exit 0
        "#]],
    );
    check(
        &["check", "--no-environment"],
        expect![[r#"
        configuration: ok
        --- exit 0
    "#]],
    );
}

#[test]
fn a_denied_warning_ends_with_1() {
    let set = ["--set", "outputs.audit=fusor.audit"];
    check(
        &["check", "--no-environment", set[0], set[1]],
        expect![[r#"
            configuration: ok, 1 warning
            --- exit 0
            warning: outputs.audit is reserved and not used yet
             --> flag --set outputs.audit
        "#]],
    );
    check(
        &["check", "--no-environment", "--quiet", set[0], set[1]],
        expect![[r#"
            configuration: ok, 1 warning
            --- exit 0
        "#]],
    );
    check(
        &[
            "check",
            "--no-environment",
            "--deny-warnings",
            set[0],
            set[1],
        ],
        expect![[r#"
            configuration: 1 warning
            --- exit 1
            warning: outputs.audit is reserved and not used yet
             --> flag --set outputs.audit
        "#]],
    );
}

#[test]
fn an_unusable_input_ends_with_1() {
    check(
        &[
            "score",
            "--membership",
            "no-such",
            "--labels",
            "labels.ndjson",
        ],
        expect![[r#"
            --- exit 1
            error: cannot read no-such
              because: No such file or directory (os error 2)
        "#]],
    );
    check(
        &[
            "score",
            "--membership",
            "fusor.yaml",
            "--labels",
            "labels.ndjson",
        ],
        expect![[r#"
            --- exit 1
            error: fusor.yaml: line 1: column 1: expected value
        "#]],
    );
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    check(
        &["chek"],
        expect![[r#"
        --- exit 2
        error: unrecognized subcommand 'chek'

          tip: some similar subcommands exist: 'check-topic', 'check'

        Usage: fusor [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#]],
    );
    check(
        &["score"],
        expect![[r#"
        --- exit 2
        error: the following required arguments were not provided:
          --membership <FILE>
          --labels <FILE>

        Usage: fusor score --membership <FILE> --labels <FILE>

        For more information, try '--help'.
    "#]],
    );
    check(
        &["explain", "x", "--from", "a", "--api", "b"],
        expect![[r#"
        --- exit 2
        error: the argument '--from <FILE>' cannot be used with '--api <URL>'

        Usage: fusor explain --from <FILE> <INCIDENT>

        For more information, try '--help'.
    "#]],
    );
    check(
        &["check", "--log-level", "engine=loud"],
        expect![[r#"
        --- exit 2
        error: `engine=loud` is no log filter: a level such as info, or as in engine=debug,warn
    "#]],
    );
}

#[test]
fn a_wrong_configuration_ends_with_3() {
    let folder = folder();
    fs::write(
        folder.path().join("bad.yaml"),
        "corelation:\n  lateness: 10m\nlimits: {entities: 0}\n",
    )
    .unwrap();
    check_in(
        folder.path(),
        &["check", "-c", "bad.yaml"],
        &[],
        expect![[r#"
            --- exit 3
            error: unknown field `corelation`, expected one of `version`, `kafka`, `group`, `inputs`, `bindings`, `commands`, `outputs`, `snapshots`, `entities`, `correlation`, `ops`, `http`, `limits`, `topics`
             --> bad.yaml:1:1
              |
            1 | corelation:
              | ^^^^^^^^^^
              = help: did you mean `correlation`?
            error: `0` is no whole number from 1 to 1024
             --> bad.yaml:3:20
              |
            3 | limits: {entities: 0}
              |                    ^
            error: no broker is given: set kafka.brokers, as in [localhost:9092]
            error: no input is given: set inputs, as in [{topic: alerts}]
        "#]],
    );
    check_in(
        folder.path(),
        &["config", "show", "-c", "bad.yaml"],
        &[],
        expect![[r#"
            --- exit 3
            error: unknown field `corelation`, expected one of `version`, `kafka`, `group`, `inputs`, `bindings`, `commands`, `outputs`, `snapshots`, `entities`, `correlation`, `ops`, `http`, `limits`, `topics`
             --> bad.yaml:1:1
              |
            1 | corelation:
              | ^^^^^^^^^^
              = help: did you mean `correlation`?
            error: `0` is no whole number from 1 to 1024
             --> bad.yaml:3:20
              |
            3 | limits: {entities: 0}
              |                    ^
        "#]],
    );
    check_in(
        folder.path(),
        &["check", "-c", "missing.yaml"],
        &[],
        expect![[r#"
            --- exit 3
            error: cannot read missing.yaml: No such file or directory (os error 2)
        "#]],
    );
    check_in(
        folder.path(),
        &["check", "--no-environment"],
        &[("FUSOR__GRUOP", "a")],
        expect![[r#"
            --- exit 3
            error: unknown field `gruop`, expected one of `version`, `kafka`, `group`, `inputs`, `bindings`, `commands`, `outputs`, `snapshots`, `entities`, `correlation`, `ops`, `http`, `limits`, `topics`
             --> environment variable FUSOR__GRUOP
              = help: did you mean `group`?
        "#]],
    );
}

#[test]
fn a_broker_out_of_reach_ends_with_4() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let brokers = format!("kafka.brokers=['{closed}']");
    let args = ["check", "-c", "fusor.yaml", "--set", &brokers];
    let output = run(folder().path(), &args, &[]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&closed.to_string()));
}

#[test]
fn nothing_to_do_shows_the_help_and_ends_with_2() {
    let output = run(folder().path(), &[], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).contains("Usage: fusor"));
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    for args in [
        &["config", "schema"][..],
        &["config", "show"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let output = fusor()
            .args(args)
            .stdout(write)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(text(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn values_are_shown_with_their_layer() {
    let folder = folder();
    let env = [("FUSOR__LIMITS__ENTITIES", "32")];
    let args = [
        "config",
        "show",
        "-c",
        "fusor.yaml",
        "--set",
        "limits.value=2KiB",
    ];
    let output = run(folder.path(), &args, &env);
    let shown: Vec<String> = text(&output.stdout)
        .lines()
        .filter(|line| {
            line.contains("limits.") && !line.contains("epoch") && !line.contains("buffered")
        })
        .map(str::to_owned)
        .collect();
    expect![[r#"
        {"key":"limits.entities","value":32,"layer":"FUSOR__LIMITS__ENTITIES"}
        {"key":"limits.record","value":"256KiB","layer":"fusor.yaml:77"}
        {"key":"limits.value","value":"2KiB","layer":"--set limits.value"}"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn each_form_of_output_holds_the_same_values() {
    let folder = folder();
    let shown = |form: &str| text(&run(folder.path(), &["config", "show", "-o", form], &[]).stdout);
    let json: Vec<serde_json::Value> = serde_json::from_str(&shown("json")).unwrap();
    let lines: Vec<serde_json::Value> = shown("ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json, lines);
    assert_eq!(shown("table").lines().count(), json.len() + 1);
}

#[test]
fn scores_are_printed_as_json_or_a_table() {
    let args = [
        "score",
        "--membership",
        "membership.ndjson",
        "--labels",
        "labels.ndjson",
        "-o",
    ];
    let with = |form| [&args[..], &[form]].concat();
    let json = run(folder().path(), &with("json"), &[]);
    let scores: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(scores["pairwise"]["f1"], 1.0);
    check(
        &with("table"),
        expect![[r#"
        class                       label
        alerts                      2 (2 in campaigns)
        threads                     1
        largest thread              2 alerts, share 1.000
        threads with two campaigns  0
        threads with two tenants    0
        pairwise                    precision 1.000, recall 1.000, F1 1.000
        b-cubed                     precision 1.000, recall 1.000, F1 1.000
        adjusted rand index         -
        campaigns found             0 of 1 (0 touched)
        fragmentation               -
        incidents published         0, largest 0 alerts
          false                     0
          minor                     0
          mixed                     0
          with two tenants          0
        --- exit 0
    "#]],
    );
}

#[test]
fn colour_is_used_only_when_asked_for_or_on_a_terminal() {
    let bad = ["check", "--no-environment", "--set", "group="];
    let notes =
        |color: &[&str], env| text(&run(folder().path(), &[&bad[..], color].concat(), env).stderr);
    assert!(notes(&["--color", "always"], &[]).contains('\u{1b}'));
    assert!(!notes(&["--color", "never"], &[]).contains('\u{1b}'));
    assert!(!notes(&[], &[]).contains('\u{1b}'));
    assert!(!notes(&[], &[("NO_COLOR", "1")]).contains('\u{1b}'));
}

#[test]
fn text_that_steers_a_terminal_is_told_visibly() {
    check(
        &[
            "check",
            "--no-environment",
            "--set",
            "gro\u{1b}[31mup\u{202e}=a",
        ],
        expect![[r#"
            --- exit 3
            error: unknown field `gro\u{1b}[31mup\u{202e}`, expected one of `version`, `kafka`, `group`, `inputs`, `bindings`, `commands`, `outputs`, `snapshots`, `entities`, `correlation`, `ops`, `http`, `limits`, `topics`
             --> flag --set gro\u{1b}[31mup\u{202e}
        "#]],
    );
}

#[test]
fn a_secret_is_never_printed() {
    let folder = folder();
    let secret = "canary-4711";
    fs::write(folder.path().join("secret"), secret).unwrap();
    let env = [
        ("FUSOR__KAFKA__PROPERTIES__SASL_PASSWORD", secret),
        ("FUSOR__KAFKA__PROPERTIES__SSL_KEY_PASSWORD_FILE", "secret"),
        ("RUST_LOG", "trace"),
    ];
    for args in [
        &["config", "show", "-o", "table"][..],
        &["config", "show", "-o", "json"],
        &["check", "--no-environment"],
        &[
            "check",
            "--no-environment",
            "--set",
            "kafka.properties.sasl.mechanism=NONE",
        ],
        &[
            "check",
            "--no-environment",
            "--set",
            "kafka.properties.sasl.password=canary-4711",
        ],
    ] {
        let output = run(folder.path(), args, &env);
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains(secret), "{args:?}: {all}");
    }
}

#[test]
fn every_help_gives_two_or_three_examples() {
    for (verb, help) in helps() {
        let count = examples(&help).count();
        let cut = examples(&help).find(|example| !example.contains("fusor "));
        assert_eq!(
            cut,
            None,
            "an example of fusor {} is too long",
            verb.join(" ")
        );
        assert!(
            (2..=3).contains(&count),
            "fusor {} --help: {count}",
            verb.join(" ")
        );
    }
}

#[test]
fn every_example_that_needs_no_kafka_works() {
    let folder = folder();
    let program = fusor().get_program().to_owned();
    let path = Path::new(&program).parent().unwrap().display().to_string() + ":/usr/bin:/bin";
    let all: BTreeSet<String> = helps()
        .iter()
        .flat_map(|(_, help)| examples(help).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let free: Vec<_> = all
        .iter()
        .filter(|example| !needs_environment(example))
        .collect();
    assert!(free.len() >= 12, "{free:?}");
    for example in free {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", example])
            .current_dir(folder.path())
            .env("PATH", &path);
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let notes = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{example}\n{notes}");
    }
}

/// Kafka, a running engine, or a Ctrl-C to end.
fn needs_environment(example: &str) -> bool {
    let checks_kafka = example.contains("fusor check ") && !example.contains("--no-environment");
    let needy = [
        "fusor run",
        "fusor ingest",
        "fusor topics",
        "fusor state",
        "fusor quarantine",
        "fusor check-topic",
        "fusor incidents",
        "fusor demo",
        "--api",
    ];
    checks_kafka || needy.iter().any(|part| example.contains(part))
}

/// The help of every verb, found by asking.
fn helps() -> Vec<(Vec<String>, String)> {
    let mut helps = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(verb) = open.pop() {
        let output = fusor().args(&verb).arg("--help").output().unwrap();
        let help = text(&output.stdout);
        let commands = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            let word = line.split_whitespace().next().unwrap().to_owned();
            open.push([verb.clone(), vec![word]].concat());
        }
        helps.push((verb, help));
    }
    helps
}

fn examples(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::trim)
}

#[test]
fn explain_tells_an_alert_and_what_it_does_not_find() {
    let folder = folder();
    let golden: serde_json::Value = serde_json::from_slice(&incident()).unwrap();
    let alert = golden["alerts"][0]["uid"].as_str().unwrap();
    let from = ["explain", "6f1c3a52", "--from", "incidents.ndjson", "-o"];
    let told = run(folder.path(), &[&from[..], &["text"]].concat(), &[]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    assert!(text(&told.stdout).starts_with("INCIDENT 6f1c3a52-7d0e-5b7e-9a43-2f3f6c1d8e90\n"));
    let told = run(
        folder.path(),
        &[&from[..], &["json", "--alert", alert]].concat(),
        &[],
    );
    let value: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(value["found"][0]["alert"]["uid"], alert);
    let told = run(
        folder.path(),
        &[&from[..], &["text", "--alert", "no-such"]].concat(),
        &[],
    );
    assert_eq!(told.status.code(), Some(1));
    check(
        &["explain", "7", "--from", "incidents.ndjson"],
        expect![[r#"
            --- exit 1
            error: no incident 7; the nearest are 6f1c3a52-7d0e-5b7e-9a43-2f3f6c1d8e90
        "#]],
    );
    check(
        &["explain", "7", "--api", "http://127.0.0.1:9"],
        expect![[r#"
            --- exit 4
            error: cannot reach http://127.0.0.1:9
              because: io: Connection refused (os error 111)
        "#]],
    );
}
