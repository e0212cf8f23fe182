//! Apache Kafka itself, in KRaft mode, on loopback ports of its own and with its data in a temporary folder.
//!
//! The jars are installed by `tests/run`; where they or Java are missing, the calling test is skipped by name.

mod client;
mod coordinator;

pub use client::{Isolation, Outgoing, Record, produce};

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{self, Command},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    process::{Process, Signal},
    program::build_folder,
    proxy::Proxy,
    skip,
};

/// Brokers that are also their own controllers. Dropped, they are killed and their data is deleted.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    libs: PathBuf,
    folder: TempDir,
}

/// One broker. The tests and the other brokers reach it past the proxy.
#[derive(Debug)]
struct Node {
    id: usize,
    clients: u16,
    brokers: u16,
    controller: u16,
    proxy: Option<Proxy>,
    process: Mutex<Option<Process>>,
}

impl Cluster {
    /// Starts `num_nodes` brokers (1 or 3) and blocks until all of them serve. With 3, every topic has three replicas, two
    /// of which must be in sync.
    ///
    /// Returns `None`, the calling test being skipped, where Kafka or Java is not installed.
    pub fn start(num_nodes: usize) -> Option<Self> {
        Self::launch_all(num_nodes, false)
    }

    /// As [`Cluster::start`], with a [`Proxy`] before every broker, through which the program reaches it.
    pub fn start_behind_proxies(num_nodes: usize) -> Option<Self> {
        Self::launch_all(num_nodes, true)
    }

    fn launch_all(num_nodes: usize, proxies: bool) -> Option<Self> {
        let libs = libs();
        if !libs.is_dir() {
            skip("Apache Kafka is not installed: tests/run installs it");
            return None;
        }
        if Command::new("java").arg("-version").output().is_err() {
            skip("there is no java");
            return None;
        }
        let folder = TempDir::with_prefix_in("kafka-", scratch()).unwrap();
        let cluster = Self {
            nodes: (1..=num_nodes).map(|id| Node::new(id, proxies)).collect(),
            libs,
            folder,
        };
        let formatting: Vec<Process> = (0..num_nodes).map(|node| cluster.format(node)).collect();
        for mut process in formatting {
            assert!(process.wait(JAVA_LIMIT).success());
        }
        // All at once: a quorum forms only when most controllers are there.
        for node in 0..num_nodes {
            cluster.launch(node);
        }
        for node in 0..num_nodes {
            cluster.wait_until_up(node);
        }
        Some(cluster)
    }

    /// Returns what goes into the program's `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        self.addresses(Node::advertised)
    }

    /// Returns the proxy before the broker `node`.
    ///
    /// # Panics
    /// When the cluster was started without.
    pub fn proxy(&self, node: usize) -> &Proxy {
        self.nodes[node].proxy.as_ref().unwrap()
    }

    /// Returns where the tests reach the brokers whatever the proxies do.
    fn inside(&self) -> String {
        self.addresses(|node| node.brokers)
    }

    fn addresses(&self, port: impl Fn(&Node) -> u16) -> String {
        let addresses: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", port(node)))
            .collect();
        addresses.join(",")
    }

    /// Ends the broker `node` (from 0) at once, without a chance to write anything.
    pub fn kill(&self, node: usize) {
        let process = self.nodes[node].process().take();
        process.unwrap().kill();
    }

    /// Starts a killed broker again on its own data and blocks until it serves.
    pub fn restart(&self, node: usize) {
        self.launch(node);
        self.wait_until_up(node);
    }

    /// Sends a signal to the broker `node`, such as [`Signal::Stop`].
    pub fn signal(&self, node: usize, signal: Signal) {
        let process = self.nodes[node].process();
        process.as_ref().unwrap().signal(signal);
    }

    /// Runs one of Kafka's own command-line programs against the cluster and returns what it prints.
    ///
    /// # Panics
    /// When the program fails.
    pub fn tool(&self, class: &str, args: &[&str]) -> String {
        let mut command = self.java(class, "ERROR");
        command
            .args(["--bootstrap-server", &self.inside()])
            .args(args);
        let mut process = Process::spawn(class, &mut command);
        let status = process.wait(JAVA_LIMIT);
        let lines = process.lines().join("\n");
        assert!(status.success(), "{class} {args:?}: {status}\n{lines}");
        lines
    }

    fn format(&self, node: usize) -> Process {
        let num_nodes = self.nodes.len();
        let home = self.home(node);
        fs::create_dir_all(&home).unwrap();
        let node = &self.nodes[node];
        let voters: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("{}@127.0.0.1:{}", node.id, node.controller))
            .collect();
        let properties = format!(
            "process.roles=broker,controller\n\
             node.id={id}\n\
             controller.quorum.voters={voters}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=BROKERS\n\
             listeners=CLIENTS://127.0.0.1:{clients},BROKERS://127.0.0.1:{brokers},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=CLIENTS://127.0.0.1:{advertised},BROKERS://127.0.0.1:{brokers}\n\
             listener.security.protocol.map=CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             log.dirs={data}\n\
             default.replication.factor={num_nodes}\n\
             offsets.topic.replication.factor={num_nodes}\n\
             transaction.state.log.replication.factor={num_nodes}\n\
             min.insync.replicas={in_sync}\n\
             transaction.state.log.min.isr={in_sync}\n\
             offsets.topic.num.partitions={COORDINATOR_PARTITIONS}\n\
             transaction.state.log.num.partitions={COORDINATOR_PARTITIONS}\n\
             group.initial.rebalance.delay.ms=0\n\
             auto.create.topics.enable=false\n\
             log.retention.ms=-1\n",
            id = node.id,
            voters = voters.join(","),
            clients = node.clients,
            brokers = node.brokers,
            controller = node.controller,
            advertised = node.advertised(),
            data = home.join("data").display(),
            in_sync = if num_nodes > 1 { 2 } else { 1 },
        );
        let file = home.join(PROPERTIES);
        fs::write(&file, properties).unwrap();
        let mut command = self.java("kafka.tools.StorageTool", "ERROR");
        command.args(["format", "--cluster-id", CLUSTER_ID, "--config"]);
        command.arg(file);
        Process::spawn("StorageTool", &mut command)
    }

    fn launch(&self, node: usize) {
        let mut command = self.java("kafka.Kafka", "INFO");
        command.arg(self.home(node).join(PROPERTIES));
        let name = format!("broker {node}");
        let process = Process::spawn(&name, &mut command);
        self.nodes[node].process().replace(process);
    }

    fn wait_until_up(&self, node: usize) {
        let process = self.nodes[node].process();
        let process = process.as_ref().unwrap();
        process.wait_for_line("Kafka Server started", JAVA_LIMIT);
    }

    /// Returns a command that starts a program of Kafka's.
    pub fn java(&self, class: &str, log_level: &str) -> Command {
        let mut command = Command::new("java");
        command
            .args([
                "-Xms64m",
                "-Xmx384m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
            ])
            .arg(format!("-Dlog4j2.configurationFile={LOG_CONFIG}"))
            .arg(format!("-Dlog.level={log_level}"))
            .arg("-cp")
            .arg(self.libs.join("*"))
            .arg(class)
            .current_dir(self.folder.path());
        command
    }

    fn home(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("node{node}"))
    }
}

impl Node {
    fn new(id: usize, with_proxy: bool) -> Self {
        let ports = free_ports(4);
        let [clients, brokers, controller, advertised] = ports.try_into().unwrap();
        Self {
            id,
            clients,
            brokers,
            controller,
            proxy: with_proxy.then(|| Proxy::start(advertised, clients)),
            process: Mutex::default(),
        }
    }

    fn advertised(&self) -> u16 {
        self.proxy.as_ref().map_or(self.clients, Proxy::port)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns where `tests/run` puts the jars.
fn libs() -> PathBuf {
    target().join("tools").join(KAFKA)
}

/// Returns where brokers keep their data: what a killed test leaves behind goes with everything else that was built.
fn scratch() -> PathBuf {
    let folder = target().join("tmp");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn target() -> PathBuf {
    let builds = build_folder();
    builds.parent().unwrap().to_owned()
}

/// Returns ports nobody listens on, below the range from which the kernel gives out ports of its own accord, so that no
/// outgoing connection takes one before its server does. No two calls of one process look at the same ports.
pub fn free_ports(num: usize) -> Vec<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Processes that started together have neighbouring numbers and must not have neighbouring ports.
    let from = u16::try_from(process::id().wrapping_mul(97) % u32::from(PORTS_NUM)).unwrap();
    let mut ports = vec![];
    while ports.len() < num {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        assert!(taken < PORTS_NUM, "no free ports");
        let port = PORTS_FROM + (from + taken) % PORTS_NUM;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
    }
    ports
}

/// Partitions of each topic in which coordinators keep what they know.
const COORDINATOR_PARTITIONS: i32 = 4;

const PROPERTIES: &str = "server.properties";
const KAFKA: &str = "kafka-4.3.1";
const CLUSTER_ID: &str = "ZnVzb3ItdGVzdHMtb25seQ";
const LOG_CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/log4j2.xml");
const PORTS_FROM: u16 = 20_000;
const PORTS_NUM: u16 = 12_000;

/// A JVM on a loaded machine of two cores.
const JAVA_LIMIT: Duration = Duration::from_secs(180);
