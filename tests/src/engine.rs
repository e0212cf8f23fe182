//! `fusor run` beside its brokers.

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitStatus},
    time::Duration,
};

use engine::failpoint::VARIABLE;
use tempfile::TempDir;

use crate::{
    eventually,
    kafka::{Cluster, free_ports},
    process::{Process, Signal},
    program::fusor,
    traffic::{NUM_PARTITIONS, TOPICS},
};

/// The verbs that look for what must not be: at the topics, at the state, and at what the inputs make of it in the recorded
/// order.
pub const CHECKS: [&[&str]; 3] = [
    &["check-topic", "--output=table"],
    &["state", "verify"],
    &["state", "replay"],
];

/// How an engine is configured.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The group, after which the topics are named.
    pub group: &'static str,
    /// Records of one transaction at most.
    pub epoch_records: u32,
    /// Partitions of the state topic.
    pub shards: i32,
}

/// A configured engine of a group.
#[derive(Debug)]
pub struct Engine<'a> {
    cluster: &'a Cluster,
    group: &'static str,
    /// Holds the configuration.
    folder: TempDir,
    ops: u16,
}

/// Starts brokers and creates the input topics. `None`: the calling test is skipped.
pub fn brokers(num: usize) -> Option<Cluster> {
    let cluster = Cluster::start(num)?;
    for (topic, _) in TOPICS {
        cluster.create_topic(topic, NUM_PARTITIONS);
    }
    Some(cluster)
}

/// Runs the engine with a configuration that cannot work, and returns its exit code.
pub fn exit_code(config: &str, limit: Duration) -> Option<i32> {
    let folder = TempDir::new().unwrap();
    configure(&folder, config);
    let mut command = command(&folder);
    command.arg("run");
    Process::spawn("fusor run", &mut command).wait(limit).code()
}

impl<'a> Engine<'a> {
    /// Writes the configuration and has the engine create its topics, which are named after the group.
    pub fn new(cluster: &'a Cluster, group: &'static str) -> Self {
        Self::with_epochs(cluster, group, 5_000)
    }

    /// As [`Engine::new`], with at most `epoch_records` records in a transaction.
    pub fn with_epochs(cluster: &'a Cluster, group: &'static str, epoch_records: u32) -> Self {
        Self::set_up(
            cluster,
            Setup {
                group,
                epoch_records,
                shards: 1,
            },
        )
    }

    /// As [`Engine::new`], with a topic for what analysts do.
    pub fn with_commands(cluster: &'a Cluster, group: &'static str) -> Self {
        let setup = Setup {
            group,
            epoch_records: 5_000,
            shards: 1,
        };
        Self::configured(cluster, setup, &format!("commands: {group}.commands\n"))
    }

    /// As [`Engine::new`], with everything said.
    pub fn set_up(cluster: &'a Cluster, setup: Setup) -> Self {
        Self::configured(cluster, setup, "")
    }

    fn configured(cluster: &'a Cluster, setup: Setup, more: &str) -> Self {
        let Setup {
            group,
            epoch_records,
            shards,
        } = setup;
        let ports = free_ports(2);
        let folder = TempDir::new().unwrap();
        // A tenant lives in one shard.
        let tenant = if shards > 1 {
            ", tenant: {key: true}"
        } else {
            ""
        };
        let inputs: Vec<String> = TOPICS
            .iter()
            .map(|(topic, format)| format!("  - {{topic: {topic}, format: {format}{tenant}}}\n"))
            .collect();
        let config = format!(
            "version: 1\n\
             kafka: {{brokers: ['{brokers}'], properties: {{topic.metadata.refresh.interval.ms: 1000}}}}\n\
             group: {group}\n\
             inputs:\n{inputs}\
             outputs: {{incidents: {group}.incidents, dead_letters: {group}.dead-letters, state: {group}.state, outcomes: {group}.outcomes}}\n\
             limits: {{epoch_records: {epoch_records}}}\n\
             topics: {{partitions: {shards}}}\n\
             {more}\
             ops: {{listen: '127.0.0.1:{ops}'}}\n\
             http: {{listen: '127.0.0.1:{http}'}}\n",
            brokers = cluster.brokers().replace(',', "', '"),
            inputs = inputs.concat(),
            ops = ports[0],
            http = ports[1],
        );
        configure(&folder, &config);
        let engine = Self {
            cluster,
            group,
            folder,
            ops: ports[0],
        };
        assert_eq!(engine.create_topics().code(), Some(0));
        engine
    }

    /// Returns where it may keep snapshots.
    pub fn snapshots(&self) -> PathBuf {
        self.folder.path().join("snapshots")
    }

    /// Returns the topic of the incidents.
    pub fn incidents(&self) -> String {
        format!("{}.incidents", self.group)
    }

    /// Returns the topic of what analysts do.
    pub fn commands(&self) -> String {
        format!("{}.commands", self.group)
    }

    /// Returns the topic of what became of it.
    pub fn outcomes(&self) -> String {
        format!("{}.outcomes", self.group)
    }

    /// Returns the topic of the refused records.
    pub fn dead_letters(&self) -> String {
        format!("{}.dead-letters", self.group)
    }

    /// Returns the topic of the state.
    pub fn state(&self) -> String {
        format!("{}.state", self.group)
    }

    /// Has the engine create its topics.
    pub fn create_topics(&self) -> ExitStatus {
        let mut command = command(&self.folder);
        command.args(["topics", "create"]);
        Process::spawn("fusor topics create", &mut command).wait(LIMIT)
    }

    /// Runs another verb with the engine's configuration, and returns its exit code, its answer, and what else it said.
    pub fn tell(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = command(&self.folder).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Starts the engine.
    pub fn run(&self) -> Process {
        self.run_with("")
    }

    /// Starts the engine with failpoints armed.
    pub fn run_with(&self, failpoints: &str) -> Process {
        self.run_set(failpoints, &[])
    }

    /// As [`Engine::run_with`], with keys of the configuration set to other values.
    pub fn run_set(&self, failpoints: &str, settings: &[&str]) -> Process {
        let mut command = command(&self.folder);
        command.arg("run").env(VARIABLE, failpoints);
        for setting in settings {
            command.args(["--set", setting]);
        }
        Process::spawn("fusor run", &mut command)
    }

    /// Blocks until everything in the input topics is committed.
    pub fn wait_until_done(&self, process: &Process) {
        self.wait_until_past(process, self.produced() - 1);
    }

    /// Returns the number of input records there are.
    pub fn produced(&self) -> i64 {
        TOPICS
            .iter()
            .flat_map(|(topic, _)| self.cluster.ends(topic))
            .sum()
    }

    /// Blocks until more than `num` records are committed.
    pub fn wait_until_past(&self, process: &Process, num: i64) {
        eventually("the commit of the input", LIMIT, || {
            let consumed = self.consumed();
            assert!(process.is_running(), "ended after {consumed} records");
            (consumed > num).then_some(())
        });
    }

    /// Returns the number of input records that are committed.
    pub fn consumed(&self) -> i64 {
        TOPICS
            .iter()
            .flat_map(|(topic, _)| self.cluster.committed(self.group, topic))
            .flatten()
            .sum()
    }

    /// Sends SIGTERM and blocks until the engine has drained and ended.
    pub fn stop(&self, mut process: Process) {
        process.signal(Signal::Term);
        assert_eq!(process.wait(LIMIT).code(), Some(0), "drained");
    }

    /// Returns the status of the answer at a path of the health listener; 0 where there is none yet.
    pub fn status(&self, path: &str) -> u16 {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("http://127.0.0.1:{}{path}", self.ops);
        agent
            .get(&url)
            .call()
            .map_or(0, |answer| answer.status().as_u16())
    }

    /// Returns the sum of a metric over its labels.
    pub fn metric(&self, name: &str) -> i64 {
        self.samples(name)
            .iter()
            .map(|sample| sample.parse::<i64>().unwrap())
            .sum()
    }

    /// Returns the sum of a metric that is a time over its labels.
    pub fn seconds(&self, name: &str) -> f64 {
        self.samples(name)
            .iter()
            .map(|sample| sample.parse::<f64>().unwrap())
            .sum()
    }

    fn samples(&self, name: &str) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}/metrics", self.ops);
        let page = ureq::get(&url).call().unwrap();
        let page = page.into_body().read_to_string().unwrap();
        assert!(page.contains(name), "{page}");
        page.lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .map(|rest| rest.rsplit(' ').next().unwrap().to_owned())
            .collect()
    }

    /// Returns how many records the group is behind, as Kafka's own tool tells it.
    pub fn lag(&self) -> i64 {
        let table = self.cluster.tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            &["--describe", "--group", self.group],
        );
        let lags: Vec<i64> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|row| row.len() > 5 && TOPICS.iter().any(|(topic, _)| *topic == row[1]))
            .map(|row| row[5].parse().unwrap())
            .collect();
        let partitions = TOPICS.len() * usize::try_from(NUM_PARTITIONS).unwrap();
        assert_eq!(
            lags.len(),
            partitions,
            "every partition is listed:\n{table}"
        );
        lags.into_iter().sum()
    }
}

fn configure(folder: &TempDir, config: &str) {
    fs::write(folder.path().join(CONFIG), config).unwrap();
}

fn command(folder: &TempDir) -> Command {
    let mut command = fusor();
    command.env("FUSOR_CONFIG", folder.path().join(CONFIG));
    command
}

const CONFIG: &str = "fusor.yaml";

/// Far above what a loaded machine takes.
const LIMIT: Duration = Duration::from_secs(240);
