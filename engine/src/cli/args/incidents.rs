//! `incidents`, as types.

use clap::{Args, Subcommand, ValueEnum};
use schemas::alert::Severity;
use schemas::command::Closing;
use schemas::incident::IncidentStatus;

use super::{ConfigArgs, OutputFormat, examples};
use crate::config::Interval;

/// `incidents`
#[derive(Clone, Debug, Subcommand)]
pub enum IncidentsVerb {
    /// List the incidents, the newest first
    #[command(after_help = examples(&["fusor incidents list -c fusor.yaml", "fusor incidents list -c fusor.yaml --tenant contoso --severity high -o json"]))]
    List(ListArgs),
    /// Show one incident, or the one it went into
    #[command(after_help = examples(&["fusor incidents show 6f1c3a52 -c fusor.yaml", "fusor incidents show 6f1c3a52 -c fusor.yaml -o json"]))]
    Show(ShowArgs),
    /// Move an incident along
    #[command(after_help = examples(&["fusor incidents status 6f1c3a52 in-progress -c fusor.yaml", "fusor incidents status 6f1c3a52 new -c fusor.yaml --revision 7"]))]
    Status {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Where it stands
        status: StatusWord,
    },
    /// Give an incident to someone
    #[command(after_help = examples(&["fusor incidents assign 6f1c3a52 bob -c fusor.yaml", "fusor incidents assign 6f1c3a52 --nobody -c fusor.yaml"]))]
    Assign {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Who works on it from now on
        #[arg(required_unless_present = "nobody", conflicts_with = "nobody")]
        owner: Option<String>,
        /// Take it from whoever has it
        #[arg(long)]
        nobody: bool,
    },
    /// Set the severity of an incident; alerts raise it no more
    #[command(after_help = examples(&["fusor incidents severity 6f1c3a52 critical -c fusor.yaml", "fusor incidents severity 6f1c3a52 low -c fusor.yaml --as ann"]))]
    Severity {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// The severity
        severity: SeverityWord,
    },
    /// Comment on an incident
    #[command(after_help = examples(&["fusor incidents comment 6f1c3a52 'isolated ws332' -c fusor.yaml", "fusor incidents comment 6f1c3a52 \"$(cat note.md)\" -c fusor.yaml --as ann"]))]
    Comment {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// The comment, Markdown
        text: String,
    },
    /// Tag an incident
    #[command(after_help = examples(&["fusor incidents tag 6f1c3a52 ransomware -c fusor.yaml", "fusor incidents tag 6f1c3a52 --remove ransomware -c fusor.yaml"]))]
    Tag {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Tags to add
        tags: Vec<String>,
        /// A tag to take away; may be given several times
        #[arg(long, value_name = "TAG", required_unless_present = "tags")]
        remove: Vec<String>,
    },
    /// Close an incident
    #[command(after_help = examples(&["fusor incidents close 6f1c3a52 true-positive --comment 'contained' -c fusor.yaml", "fusor incidents close 6f1c3a52 false-positive-logic -c fusor.yaml --revision 7"]))]
    Close {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Why
        #[arg(value_name = "CLASSIFICATION")]
        closing: ClosingWord,
        /// What there is to say about it
        #[arg(long)]
        comment: Option<String>,
    },
    /// Open a closed incident again
    #[command(after_help = examples(&["fusor incidents reopen 6f1c3a52 -c fusor.yaml", "fusor incidents reopen 6f1c3a52 -c fusor.yaml --wait 2m"]))]
    Reopen {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
    },
    /// Move an incident into another
    #[command(after_help = examples(&["fusor incidents merge 6f1c3a52 0456c356 -c fusor.yaml", "fusor incidents merge 6f1c3a52 0456c356 -c fusor.yaml --revision 7"]))]
    Merge {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Id of the one that survives, or a beginning of it that no other has
        into: String,
    },
    /// Split alerts off an incident
    #[command(after_help = examples(&["fusor incidents split 6f1c3a52 edr:17 edr:18 -c fusor.yaml", "fusor incidents split 6f1c3a52 edr:17 -c fusor.yaml -o json"]))]
    Split {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Uids of the alerts, or their vendor's ids
        #[arg(value_name = "ALERT", required = true)]
        alerts: Vec<String>,
    },
    /// Take an alert out of an incident, or apart from another alert, for good
    #[command(after_help = examples(&["fusor incidents unlink 6f1c3a52 edr:17 -c fusor.yaml", "fusor incidents unlink 6f1c3a52 edr:17 --from edr:18 -c fusor.yaml"]))]
    Unlink {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Uid of the alert, or its vendor's id
        alert: String,
        /// Uid of the alert to take it apart from [default: all it is linked with]
        #[arg(long, value_name = "ALERT")]
        from: Option<String>,
    },
    /// Bring an alert into an incident
    #[command(after_help = examples(&["fusor incidents link 6f1c3a52 edr:19 -c fusor.yaml", "fusor incidents link 6f1c3a52 edr:19 -c fusor.yaml --as ann"]))]
    Link {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// Uid of the alert
        alert: String,
    },
    /// Say what alerts were worth, without closing the incident
    #[command(after_help = examples(&["fusor incidents feedback 6f1c3a52 benign-positive -c fusor.yaml", "fusor incidents feedback 6f1c3a52 false-positive-logic edr:17 -c fusor.yaml"]))]
    Feedback {
        /// Which incident, and how it is sent.
        #[command(flatten)]
        send: SendArgs,
        /// What they were
        #[arg(value_name = "CLASSIFICATION")]
        closing: ClosingWord,
        /// Uids of the alerts [default: all of the incident]
        #[arg(value_name = "ALERT")]
        alerts: Vec<String>,
    },
}

/// `incidents list`
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Of this tenant only
    #[arg(long)]
    pub tenant: Option<String>,
    /// Of this owner only
    #[arg(long)]
    pub owner: Option<String>,
    /// Of this status only; may be given several times [default: all but merged]
    #[arg(long, value_name = "STATUS")]
    pub status: Vec<StatusFilter>,
    /// At least this severe
    #[arg(long)]
    pub severity: Option<SeverityWord>,
    /// Form of the list [default: a table on a terminal, else ndjson]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// `incidents show`
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Id of the incident, or a beginning of it that no other has
    pub incident: String,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Form of the incident [default: a table on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// Which incident a command is for, and how it is sent.
#[derive(Args, Clone, Debug)]
pub struct SendArgs {
    /// Id of the incident, or a beginning of it that no other has
    pub incident: String,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Who acts
    #[arg(
        long = "as",
        value_name = "NAME",
        env = "USER",
        default_value = "fusor"
    )]
    pub actor: String,
    /// Act only if the incident is still at this revision
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub revision: Option<i64>,
    /// Id of the command: sent again with the same id it is applied once [default: a new one]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// How long to wait for the outcome
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub wait: Interval<1, 600_000>,
    /// Form of the outcome [default: a table on a terminal, else json]
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// Where an open incident stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum StatusWord {
    /// New.
    New,
    /// Being worked on.
    InProgress,
}

impl From<StatusWord> for IncidentStatus {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::New => Self::New,
            StatusWord::InProgress => Self::InProgress,
        }
    }
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum StatusFilter {
    /// New.
    New,
    /// Being worked on.
    InProgress,
    /// Closed.
    Closed,
    /// Gone into another.
    Merged,
}

impl From<StatusFilter> for IncidentStatus {
    fn from(word: StatusFilter) -> Self {
        match word {
            StatusFilter::New => Self::New,
            StatusFilter::InProgress => Self::InProgress,
            StatusFilter::Closed => Self::Closed,
            StatusFilter::Merged => Self::Merged,
        }
    }
}

/// A severity that can be set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SeverityWord {
    /// Informational.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
    /// Fatal.
    Fatal,
}

impl From<SeverityWord> for Severity {
    fn from(word: SeverityWord) -> Self {
        match word {
            SeverityWord::Informational => Self::Informational,
            SeverityWord::Low => Self::Low,
            SeverityWord::Medium => Self::Medium,
            SeverityWord::High => Self::High,
            SeverityWord::Critical => Self::Critical,
            SeverityWord::Fatal => Self::Fatal,
        }
    }
}

/// Why an incident is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ClosingWord {
    /// Suspicious activity.
    TruePositive,
    /// Suspicious but expected.
    BenignPositive,
    /// A false positive: incorrect alert logic.
    FalsePositiveLogic,
    /// A false positive: inaccurate data.
    FalsePositiveData,
    /// Undetermined.
    Undetermined,
}

impl From<ClosingWord> for Closing {
    fn from(word: ClosingWord) -> Self {
        match word {
            ClosingWord::TruePositive => Self::TruePositive,
            ClosingWord::BenignPositive => Self::BenignPositive,
            ClosingWord::FalsePositiveLogic => Self::FalsePositiveLogic,
            ClosingWord::FalsePositiveData => Self::FalsePositiveData,
            ClosingWord::Undetermined => Self::Undetermined,
        }
    }
}
