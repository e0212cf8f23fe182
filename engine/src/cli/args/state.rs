//! The arguments of `fusor state` and `fusor quarantine`.

use clap::{Args, Subcommand};

use super::{ConfigArgs, OutputFormat, examples};

/// `state`
#[derive(Clone, Debug, Subcommand)]
pub enum StateVerb {
    /// Say how far each shard has come and what it holds
    #[command(after_help = examples(&["fusor state show -c fusor.yaml", "fusor state show -c fusor.yaml -o json"]))]
    Show(StateArgs),
    /// Restore each shard as a standby would; 1 where something does not fit
    #[command(after_help = examples(&["fusor state verify -c fusor.yaml", "fusor state verify -c fusor.yaml --shard 0 -o json"]))]
    Verify(StateArgs),
    /// Apply the inputs again in the recorded order; 1 where something differs
    #[command(after_help = examples(&["fusor state replay -c fusor.yaml", "fusor state replay -c fusor.yaml --shard 0"]))]
    Replay(StateArgs),
    /// Forget the state and begin again with the inputs that are kept
    #[command(after_help = examples(&["fusor state rebuild -c fusor.yaml --yes", "fusor state rebuild -c fusor.yaml --shard 0"]))]
    Rebuild(RebuildArgs),
}

/// `state show`, `state verify`, `state replay`
#[derive(Args, Clone, Debug)]
pub struct StateArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only this shard
    #[arg(long, value_name = "NUMBER")]
    pub shard: Option<i32>,
    /// Form of the list [default: a table on a terminal, else ndjson]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// `state rebuild`
#[derive(Args, Clone, Debug)]
pub struct RebuildArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Only this shard
    #[arg(long, value_name = "NUMBER")]
    pub shard: Option<i32>,
    /// Do it: without this nothing is written
    #[arg(long)]
    pub yes: bool,
}

/// `quarantine`
#[derive(Clone, Debug, Subcommand)]
pub enum QuarantineVerb {
    /// List the records that are kept from being correlated
    #[command(after_help = examples(&["fusor quarantine list -c fusor.yaml", "fusor quarantine list -c fusor.yaml -o json"]))]
    List(StateArgs),
    /// Append a record to its topic once more and forget what it did
    #[command(after_help = examples(&["fusor quarantine release alerts/0/17 -c fusor.yaml", "fusor quarantine release alerts.edr/3/9001 -c fusor.yaml"]))]
    Release(ReleaseArgs),
}

/// `quarantine release`
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// The record, as topic/partition/offset
    pub record: RecordName,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// A record by its place, as topic/partition/offset.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordName {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl std::str::FromStr for RecordName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let read = match parts.as_slice() {
            [topic, partition, offset] if !topic.is_empty() => Some((*topic, partition, offset)),
            _ => None,
        };
        let name = read.and_then(|(topic, partition, offset)| {
            Some(Self {
                topic: topic.to_owned(),
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
            })
        });
        name.ok_or_else(|| "a record is named topic/partition/offset, as in alerts/0/17".to_owned())
    }
}
