//! The command line, as types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::exit::Exit;
use crate::config::{InputFormat, Tenant};
use crate::demo::scenario::SEED;
use crate::logs::LogFormat;

mod incidents;
pub use incidents::{
    ClosingWord, IncidentsVerb, ListArgs, SendArgs, SeverityWord, ShowArgs as ShowIncidentArgs,
    StatusFilter, StatusWord,
};
mod state;
pub use state::{QuarantineVerb, RebuildArgs, RecordName, ReleaseArgs, StateArgs, StateVerb};

/// Fuses security alerts into explained incidents.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "fusor",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    subcommand_required = true,
    after_help = after_help(&["fusor demo --exit", "fusor replay alerts.ndjson --membership -", "fusor check --no-environment -c fusor.yaml"])
)]
pub struct Cli {
    /// What holds for every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

fn after_help(examples: &[&str]) -> String {
    format!("{}\n\n{}", self::examples(examples), Exit::table())
}

fn examples(examples: &[&str]) -> String {
    let mut text = "Examples:".to_owned();
    for example in examples {
        text.push_str(&format!("\n  {example}"));
    }
    text
}

/// What holds for every verb.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Tell errors only: no progress, no warnings
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Colour on standard error; auto minds NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Form of the log on standard error; auto is text on a terminal, else JSON
    #[arg(long, global = true, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
    /// What is logged: a level, or a filter as in RUST_LOG [default: info for run and ingest, else warn]
    #[arg(long, global = true, value_name = "FILTER", env = "RUST_LOG")]
    pub log_level: Option<String>,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Form of data on standard output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum OutputFormat {
    /// Indented JSON.
    Json,
    /// One line of JSON for each value.
    Ndjson,
    /// A table for people.
    #[value(alias = "text")]
    Table,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Read alerts from Kafka and publish incidents, until told to stop
    #[command(after_help = examples(&["fusor run -c fusor.yaml", "fusor run -c fusor.yaml --set correlation.lateness=5m"]))]
    Run(RunArgs),
    /// Write the alerts of any inputs again, keyed by tenant
    #[command(after_help = examples(&["fusor ingest -c fusor.yaml", "fusor ingest -c fusor.yaml --set ops.listen=127.0.0.1:9465"]))]
    Ingest(RunArgs),
    /// Correlate files of alerts, without Kafka, as fast as possible
    #[command(after_help = examples(&[
        "fusor replay alerts.ndjson --incidents incidents.ndjson --membership membership.ndjson",
        "fusor replay alerts.ndjson.gz -c fusor.yaml --bindings leases.ndjson",
        "zcat alerts.ndjson.gz | fusor replay - --tenant contoso --incidents -",
    ]))]
    Replay(ReplayArgs),
    /// Play a bundled attack through the engine: needs nothing
    #[command(after_help = examples(&["fusor demo", "fusor demo --exit --seed 7"]))]
    Demo(DemoArgs),
    /// Say why an alert is in its incident, and what holds the incident together
    #[command(after_help = examples(&[
        "fusor explain 6f1c3a52-7d0e-5b7e-9a43-2f3f6c1d8e90 --from incidents.ndjson",
        "fusor explain 6f1c3a52-7d0e-5b7e-9a43-2f3f6c1d8e90 --api http://127.0.0.1:8464",
    ]))]
    Explain(ExplainArgs),
    /// See what incidents there are, and act on them
    #[command(subcommand, after_help = examples(&[
        "fusor incidents list -c fusor.yaml --status new",
        "fusor incidents assign 6f1c3a52 bob -c fusor.yaml",
        "fusor incidents close 6f1c3a52 true-positive --comment 'contained' -c fusor.yaml",
    ]))]
    Incidents(IncidentsVerb),
    /// Compare a replay's threads and incidents with labels
    #[command(after_help = examples(&[
        "fusor score --membership membership.ndjson --labels labels.ndjson",
        "fusor score --membership membership.ndjson --labels labels.ndjson -o json",
    ]))]
    Score(ScoreArgs),
    /// Check the configuration, and that Kafka is as it says
    #[command(after_help = examples(&["fusor check -c fusor.yaml", "fusor check -c fusor.yaml --no-environment --deny-warnings"]))]
    Check(CheckArgs),
    /// Check that the topics hold what the engine promises, running or not
    #[command(after_help = examples(&["fusor check-topic -c fusor.yaml", "fusor check-topic -c fusor.yaml -o json"]))]
    CheckTopic(CheckTopicArgs),
    /// Show the configuration, or its schema
    #[command(subcommand, after_help = examples(&["fusor config show -c fusor.yaml", "fusor config schema"]))]
    Config(ConfigVerb),
    /// Plan or create the topics the configuration names
    #[command(subcommand, after_help = examples(&["fusor topics plan -c fusor.yaml", "fusor topics create -c fusor.yaml"]))]
    Topics(TopicsVerb),
    /// Look at the state of the shards in Kafka, prove it, or make it anew
    #[command(subcommand, after_help = examples(&["fusor state show -c fusor.yaml", "fusor state verify -c fusor.yaml"]))]
    State(StateVerb),
    /// List the records that ended the process, or let one in again
    #[command(subcommand, after_help = examples(&["fusor quarantine list -c fusor.yaml", "fusor quarantine release alerts/0/17 -c fusor.yaml"]))]
    Quarantine(QuarantineVerb),
    /// Print a completion script for a shell
    #[command(after_help = examples(&["fusor completions bash > fusor.bash", "fusor completions zsh > _fusor"]))]
    Completions(CompletionsArgs),
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", env = "FUSOR_CONFIG")]
    pub config: Option<PathBuf>,
    /// Set one key over file and environment, as in correlation.lateness=5m; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `run`, `ingest`
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `replay`
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Files with one record a line, plain or gzip; - is standard input. Several are merged by event time
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Format of the records [default: detected per record]
    #[arg(long)]
    pub format: Option<InputFormat>,
    /// Tenant of the records [default: their own]
    #[arg(long)]
    pub tenant: Option<Tenant>,
    /// File of leases: who held an address when
    #[arg(long, value_name = "FILE")]
    pub bindings: Option<PathBuf>,
    /// Records of one epoch; the result is the same for every number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Where to write the last revision of every published incident; - is standard output
    #[arg(long, value_name = "FILE")]
    pub incidents: Option<PathBuf>,
    /// Where to write, for every record, the thread and incident it ended in; - is standard output
    #[arg(long, value_name = "FILE")]
    pub membership: Option<PathBuf>,
}

/// `demo`
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Leave when the story is told, instead of serving it until Ctrl-C
    #[arg(long)]
    pub exit: bool,
    /// Seed of the alerts around the attack
    #[arg(long, default_value_t = SEED)]
    pub seed: u64,
    /// How many times faster than the clock the alerts come [default: as fast as an eye can follow]
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..))]
    pub speed: Option<u32>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `explain`
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Id of the incident, or a beginning of it that no other has
    pub incident: String,
    /// Explain one alert of it only, by its uid or its vendor's id, repeats included
    #[arg(long, value_name = "ID")]
    pub alert: Option<String>,
    /// The incidents file of a replay
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "api",
        conflicts_with = "api"
    )]
    pub from: Option<PathBuf>,
    /// Address of a running engine, as in http://127.0.0.1:8464
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// Form of the answer [default: a table on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// `score`
#[derive(Args, Clone, Debug)]
pub struct ScoreArgs {
    /// The membership file of a replay
    #[arg(long, value_name = "FILE")]
    pub membership: PathBuf,
    /// Ground truth: one JSON object an alert, with its id and its class
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
    /// The incidents file of the same replay, for the figures that need risk
    #[arg(long, value_name = "FILE")]
    pub incidents: Option<PathBuf>,
    /// Field of a label that names the class [default: the first known one that is used]
    #[arg(long, value_name = "FIELD")]
    pub class: Option<String>,
    /// Form of the figures [default: a table on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// `check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Look at the configuration alone: needs no Kafka, no broker and no input
    #[arg(long)]
    pub no_environment: bool,
    /// Let a warning count as a finding
    #[arg(long)]
    pub deny_warnings: bool,
}

/// `check-topic`
#[derive(Args, Clone, Debug)]
pub struct CheckTopicArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Form of the report [default: lines of text on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// `config`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Show every value and the layer it came from
    #[command(after_help = examples(&["fusor config show -c fusor.yaml", "fusor config show -c fusor.yaml -o json"]))]
    Show(ShowArgs),
    /// Print the JSON Schema of the configuration
    #[command(after_help = examples(&["fusor config schema", "fusor config schema > fusor.schema.json"]))]
    Schema,
}

/// `config show`
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Form of the values [default: a table on a terminal, else ndjson]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// `topics`
#[derive(Clone, Debug, Subcommand)]
pub enum TopicsVerb {
    /// Say what create would do
    #[command(after_help = examples(&["fusor topics plan -c fusor.yaml", "fusor topics plan -c fusor.yaml -o json"]))]
    Plan(TopicsArgs),
    /// Create the topics that are missing
    #[command(after_help = examples(&["fusor topics create -c fusor.yaml", "fusor topics create -c fusor.yaml --set topics.replication=3"]))]
    Create(TopicsArgs),
}

/// `topics plan`, `topics create`
#[derive(Args, Clone, Debug)]
pub struct TopicsArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Form of the list [default: a table on a terminal, else ndjson]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// `completions`
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}
