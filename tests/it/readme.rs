//! The README's chapter on Kafka, run as it is written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::kafka::Cluster;
use tests::process::Process;
use tests::program::fusor;

/// Kafka's scripts that the README calls, and the programs behind them.
const SCRIPTS: [(&str, &str); 4] = [
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
    (
        "kafka-console-producer.sh",
        "org.apache.kafka.tools.ConsoleProducer",
    ),
    (
        "kafka-console-consumer.sh",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    (
        "kafka-consumer-groups.sh",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
];

#[test]
fn kafka_in_five_minutes_works_as_written() {
    let Some(cluster) = Cluster::start(1) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (script, class) in SCRIPTS {
        program(&folder.path().join(script), &cluster.java(class, "ERROR"));
    }
    program(&folder.path().join("fusor"), &fusor());

    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let chapter: String = page
        .split("```sh kafka\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    // The test's broker has a port of its own, and `kill %1` wants job control.
    let script = chapter.replace("localhost:9092", &cluster.brokers());
    let mut shell = Command::new("bash");
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    shell
        .args(["-emc", &script])
        .current_dir(&folder)
        .env("PATH", path);
    let mut process = Process::spawn("readme", &mut shell);
    let status = process.wait(Duration::from_secs(240));
    let lines = process.lines().join("\n");
    assert!(status.success(), "{status}\n{lines}");
    assert!(
        lines.contains("Initial Access to Exfiltration on ws332"),
        "{lines}"
    );
    let incidents = fs::read_to_string(folder.path().join("incidents.ndjson")).unwrap();
    assert_eq!(incidents.lines().count(), 1, "{incidents}");
}

/// Writes a script that starts `command` with the arguments it is given.
fn program(path: &Path, command: &Command) {
    let mut script = "#!/bin/sh\nexec".to_owned();
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        script += &format!(" '{}'", word.to_str().unwrap());
    }
    script += " \"$@\"\n";
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
